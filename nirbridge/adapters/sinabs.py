"""Sinabs: LIF, IAF and ExpLeak, their recurrent and squeezed forms.

Measured on Sinabs 3.1.3. With α = e^(−1/τ), τ in steps: i = α_syn·(i + x) (without a synapse
i = x); v = α·v + (1 − α)·i with ``norm_input`` (the default), else v = α·v + i. Spikes where
v >= θ, as many as fit (``MultiSpike``, the default), at most n (``MaxSpike``) or one
(``SingleSpike``). The reset, in the same step, subtracts θ per spike or sets 0. Sinabs has no unit
of time; a step is taken for 1e-3 s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import Cell, Shape, unsupported
from nirbridge.adapters.network import Part, State, drive
from nirbridge.adapters.torchmodels import Framework, Population
from nirbridge.dynamics import Dynamics
from nirbridge.optional import need

DT = 1e-3
KNOWN = ("LIF", "LIFRecurrent", "IAF", "IAFRecurrent", "ExpLeak")
SQUEEZE = "Squeeze"


def is_cell(module: Any) -> bool:
    """Whether a module is a neuron of Sinabs, known here or not."""
    return any(c.__name__ == "StatefulLayer" for c in type(module).__mro__)


def populate(path: str, module: Any, shape: Shape, dt: float) -> Population:
    """The population of a Sinabs layer.

    Raises
    ------
    Refused
        For other neurons, and for settings that NIR and the record of dynamics cannot hold.

    """
    name = type(module).__name__.replace(SQUEEZE, "")
    if name not in KNOWN:
        limit = f"a Sinabs layer that NIR has: {', '.join(KNOWN)}"
        raise unsupported(path, limit, name, "use LIF or IAF; NIR has no adaptation")
    if module.min_v_mem is not None:
        remedy = "set min_v_mem=None and train again"
        raise unsupported(path, "membranes without a floor", "min_v_mem is set", remedy)
    B = _number(module.alpha_mem_calculated)
    A = module.alpha_syn_calculated
    parts: dict[str, Any] = {"B": B, "gm": 1 - B if module.norm_input else 1.0}
    if A is not None:
        parts |= {"A": _number(A), "gs": _number(A)}
    if module.spike_fn is not None:
        parts["threshold"] = _number(module.spike_threshold)
    cell = Cell.of(shape, _dynamics(path, module, dt), path=path, **parts)
    recurrent = _recurrent(path, module) if "Recurrent" in name else None
    return Population(cell, None, recurrent)


def _number(value: Any) -> Any:
    return layers.array(value).astype(np.float64)


def _recurrent(path: str, module: Any) -> nir.NIRNode:
    from torch import nn

    if not isinstance(module.rec_connect, nn.Linear):
        found = type(module.rec_connect).__name__
        raise unsupported(path, "rec_connect as one Linear layer", found, "use torch.nn.Linear")
    if module.rec_connect.bias is not None:
        limit = "rec_connect without a bias, which Sinabs adds from the second step on only"
        remedy = "use Linear(..., bias=False), and the bias of the layer before"
        raise unsupported(path, limit, "a bias", remedy)
    return layers.linear(module.rec_connect)


def _dynamics(path: str, module: Any, dt: float) -> Dynamics:
    base = Dynamics(dt, scheme="exponential", comparison=">=")
    if module.spike_fn is None:
        return base
    many = _spikes(path, module.spike_fn)
    reset = type(module.reset_fn).__name__
    if reset == "MembraneSubtract" and module.reset_fn.subtract_value is None:
        return replace(base, reset="subtract", spikes_per_step=many)
    if reset == "MembraneReset" and module.reset_fn.reset_value == 0 and many == 1:
        return base
    limit = "MembraneSubtract(), or MembraneReset(0) with SingleSpike"
    raise unsupported(path, limit, repr(module.reset_fn), "use MembraneSubtract()")


def _spikes(path: str, spike_fn: Any) -> int | None:
    """The most spikes per step."""
    name = getattr(spike_fn, "__name__", type(spike_fn).__name__)
    if name == "MaxSpike":
        most = spike_fn.max_num_spikes_per_bin
        return None if most is None else int(most)
    if name not in ("MultiSpike", "SingleSpike"):
        limit = "MultiSpike, MaxSpike or SingleSpike"
        raise unsupported(path, limit, name, "use MultiSpike")
    return 1 if name == "SingleSpike" else None


def _squeezed(model: Any) -> list[Any]:
    return [m for _, m in model.named_modules() if SQUEEZE in type(m).__name__]


def _times(model: Any) -> int:
    """1 if signals are (B, T, ...), 0 if both axes are squeezed into one."""
    return 0 if _squeezed(model) else 1


def _batch(model: Any, rows: int) -> int | None:
    """The batch of a model in which batch and time are one axis of ``rows``."""
    for module in _squeezed(model):
        batch, times = int(module.batch_size or -1), int(module.num_timesteps or -1)
        return batch if batch > 0 else max(rows // times, 1)
    return None


def _prepare(model: Any) -> None:
    """Put the states at rest."""
    for _, module in model.named_modules():
        if is_cell(module):
            module.reset_states()


FRAMEWORK = Framework(
    "sinabs", is_cell, populate, lambda _: DT, times=_times, time_axis=1, squeeze=_batch,
    prepare=_prepare,
)


class Sinabs:
    """Layers of Sinabs for :func:`nirbridge.adapters.build`."""

    framework = FRAMEWORK

    def __init__(self) -> None:
        self.layers = need("sinabs")

    def spike(self, x: Any) -> Any:
        """A single spike with the default surrogate."""
        from sinabs.activation import SingleExponential, SingleSpike

        return SingleSpike.apply(x + 1, x.new_ones(()), SingleExponential())

    def native(self, cell: Cell) -> Part | None:
        """The layer that does what is wanted by itself, if there is one."""
        how = cell.how
        if cell.A is not None and (how.order != "synapse first" or np.any(cell.A == 0)):
            return None
        if not cell.spiking:
            return self._part(cell, spike_fn=None)
        if how.comparison != ">=" or how.reset_delay or how.residual != "fires":
            return None
        from sinabs import activation

        one = how.spikes_per_step == 1
        many = activation.MultiSpike
        if how.spikes_per_step is not None:
            many = activation.MaxSpike(how.spikes_per_step)
        spike = activation.SingleSpike if one else many
        if how.reset == "subtract":
            return self._part(cell, spike_fn=spike, reset_fn=activation.MembraneSubtract())
        if not np.any(cell.v_reset):
            return self._part(cell, spike_fn=spike, reset_fn=activation.MembraneReset())
        return None

    def integrator(self, cell: Cell) -> Part:
        """A layer that does not spike."""
        if cell.A is not None and np.any(cell.A == 0):
            remedy = "build for snntorch"
            raise unsupported("", "a synapse with memory", "tau_syn of one step or less", remedy)
        silent = Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, gs=cell.gs, gm=cell.gm)
        part = self._part(silent, spike_fn=None)
        assert part is not None
        part.put = _put
        return part

    def _part(self, cell: Cell, **options: Any) -> Part | None:
        """A layer whose decay factors are its parameters, exact to the last bit."""
        torch = need("torch")

        def tensor(value: Any) -> Any:
            return torch.as_tensor(value, dtype=torch.float32)

        if options["spike_fn"] is not None:
            options["spike_threshold"] = tensor(cell.threshold)
        module = self.layers.LIF(
            tau_mem=2.0,
            tau_syn=None if cell.A is None else 2.0,
            train_alphas=True,
            norm_input=False,
            **options,
        )
        module.alpha_mem = torch.nn.Parameter(tensor(cell.B))
        if cell.A is not None:
            module.alpha_syn = torch.nn.Parameter(tensor(cell.A))
        if options["spike_fn"] is None:
            module.spike_threshold.requires_grad_(False)
        native = Cell.of(
            cell.shape, cell.how, B=cell.B, A=cell.A, gs=1.0 if cell.A is None else cell.A
        )
        return drive(Part(module, _step, _start), cell, native)


def _step(module: Any, x: Any, state: State) -> tuple[Any, State]:
    return module(x[:, None])[:, 0], state


def _start(module: Any, x: Any, v: Any) -> State:
    """The layer keeps its state itself."""
    module.init_state_with_shape(x.shape)
    module.reset_states()
    if v is not None:
        module.v_mem = v
    return ()


def _put(module: Any, state: State, v: Any) -> State:
    module.v_mem = v
    return state


def run(model: Any, x: Any) -> Any:
    """What a model sends (T, B, ...) for an input (T, B, ...), from rest."""
    _prepare(model)
    x = x.transpose(0, 1)
    squeezed = _squeezed(model)
    if not squeezed:
        return model(x).transpose(0, 1)
    kept = [(m, m.batch_size, m.num_timesteps) for m in squeezed]
    for module in squeezed:
        module.batch_size, module.num_timesteps = x.shape[:2]
    out = model(x.reshape(-1, *x.shape[2:]))
    for module, batch, times in kept:
        module.batch_size, module.num_timesteps = batch, times
    return out.reshape(*x.shape[:2], *out.shape[1:]).transpose(0, 1)


def kit() -> Sinabs:
    """What :func:`nirbridge.adapters.build` needs of the framework."""
    return Sinabs()
