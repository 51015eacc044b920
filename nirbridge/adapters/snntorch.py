"""snnTorch: Leaky, Synaptic, Lapicque and their recurrent forms.

Measured on snnTorch 1.0.0. ``Leaky``: v = β·v + x. ``Synaptic``: i = α·i + x; v = β·v + i. Decays
are clamped to 0..1. A spike where v > θ, one per step. The reset is by subtraction or to zero: in
the next step, after the leak (``reset_delay=True``, the default), or in the same step; then a
membrane that was above θ in the step before is held back by one more θ. ``RSynaptic`` acts as
delayed whatever it is told. With ``reset_mechanism="none"`` a cell is an integrator: its membrane,
where the model reads it, is an LI, its spikes are that and a Threshold. snnTorch counts in steps;
its own export calls a step 1e-4 s.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import Cell, Shape, unsupported
from nirbridge.adapters.network import Part, State, drive
from nirbridge.adapters.torchmodels import Framework, Population
from nirbridge.dynamics import Dynamics
from nirbridge.optional import need

DT = 1e-4
KNOWN = ("Leaky", "Synaptic", "RLeaky", "RSynaptic", "Lapicque")


def is_cell(module: Any) -> bool:
    """Whether a module is a neuron of snnTorch, known here or not."""
    return any(c.__module__.startswith("snntorch.") for c in type(module).__mro__)


def populate(path: str, module: Any, shape: Shape, dt: float) -> Population:
    """The population of a snnTorch neuron.

    Raises
    ------
    Refused
        For other neurons, and for settings that make a neuron something else.

    """
    kind = type(module).__name__
    if kind not in KNOWN:
        why = "two synapses that are subtracted, with a gain of its own" if kind == "Alpha" else ""
        raise unsupported(
            path,
            f"a snnTorch neuron that NIR has: {', '.join(KNOWN)}",
            f"{kind} ({why})" if why else kind,
            "use Synaptic, whose current has one time constant",
        )
    _check(path, module)
    none = module.reset_mechanism == "none"
    how = _dynamics(path, module, kind, dt)
    threshold = np.broadcast_to(layers.array(module.threshold).astype(np.float64), shape).copy()
    cell = Cell.of(
        shape, how, path=path, threshold=None if none else threshold, **_decays(module, kind)
    )
    recurrent = _recurrent(path, module, shape) if kind.startswith("R") else None
    return Population(cell, None, recurrent, threshold if none else None)


def _decays(module: Any, kind: str) -> dict[str, Any]:
    """Decays and gains. Lapicque: v = (1 − Δt/RC)·v + (Δt/C)·x."""
    if kind == "Lapicque":
        R, C, step = (layers.array(v) for v in (module.R, module.C, module.time_step))
        R, C, step = np.float32(R), np.float32(C), np.float32(step)
        return {"B": 1 - step / (R * C), "gm": R * (1 / (R * C)) * step}
    decays = {"B": layers.array(module.beta.clamp(0, 1))}
    if "Synaptic" in kind:
        decays["A"] = layers.array(module.alpha.clamp(0, 1))
    return decays


def _check(path: str, module: Any) -> None:
    unusual = {
        "inhibition": (bool(module.inhibition), "inhibition=False"),
        "state_quant": (bool(module.state_quant), "state_quant=False"),
        "graded_spikes_factor": (
            bool((module.graded_spikes_factor != 1).any()), "graded_spikes_factor=1",
        ),
    }
    for name, (found, limit) in unusual.items():
        if found:
            remedy = f"set {limit}; a graded spike is a factor of the weights behind it"
            raise unsupported(path, limit, f"{name} is set", remedy)


def _dynamics(path: str, module: Any, kind: str, dt: float) -> Dynamics:
    delayed = kind in ("RSynaptic", "Lapicque") or module.reset_delay
    if module.reset_mechanism == "none":
        return Dynamics(dt)
    if module.reset_mechanism == "subtract":
        if delayed:
            return Dynamics(dt, reset="subtract", reset_delay=1)
        return Dynamics(dt, reset="subtract", residual="blocks")
    if not delayed:
        return Dynamics(dt)
    if kind == "Leaky":
        # The membrane is zeroed before the next leak: nothing has read it in between.
        return Dynamics(dt)
    raise unsupported(
        path,
        "a reset to zero that keeps the next step's input",
        f"{kind} with reset_mechanism='zero', delayed: the step after a spike is discarded",
        "use reset_delay=False"
        + ("; RSynaptic ignores it: use 'subtract'" if kind == "RSynaptic" else ""),
    )


def _recurrent(path: str, module: Any, shape: Shape) -> nir.NIRNode:
    """The weights from the spikes back to the input: all to all, a convolution, or one to one."""
    from torch import nn

    inner = module.recurrent
    if isinstance(inner, nn.Linear | nn.Conv2d):
        return layers.to_node(f"{path}.recurrent", inner, shape, 0)
    weight = np.broadcast_to(layers.array(module.V), shape).copy()
    return nir.Scale(weight)


def _prepare(model: Any) -> None:
    """Put the hidden states at rest."""
    for _, module in model.named_modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()


def _shows(module: Any) -> bool:
    """Whether the membrane that a cell gives is that of an LI: it is never reset."""
    return is_cell(module) and getattr(module, "reset_mechanism", "") == "none"


FRAMEWORK = Framework(
    "snntorch", is_cell, populate, lambda _: DT, prepare=_prepare, shows=_shows
)


class SnnTorch:
    """Cells of snnTorch for :func:`nirbridge.adapters.build`."""

    framework = FRAMEWORK

    def __init__(self) -> None:
        self.snn = need("snntorch")
        self.spike = self.snn.surrogate.atan()

    def native(self, cell: Cell) -> Part | None:
        """Leaky or Synaptic with a reset of their own, where one does what is wanted."""
        how, options = cell.how, {}
        if not cell.spiking:
            return drive(self._part(cell, reset_mechanism="none", sends=-1), cell, _unit(cell))
        if how.comparison != ">" or how.spikes_per_step != 1 or how.order != "synapse first":
            return None
        shift = None
        if how.reset == "value":
            options = {"reset_mechanism": "zero", "reset_delay": False}
            shift = cell.v_reset if np.any(cell.v_reset) else None
            cell = cell if shift is None else cell.shifted(shift)
        elif how.reset_delay or how.residual == "blocks":
            options = {"reset_mechanism": "subtract", "reset_delay": bool(how.reset_delay)}
        else:
            return None
        part = self._part(cell, sends=0, **options)
        part.shift = shift
        return drive(part, cell, _unit(cell))

    def integrator(self, cell: Cell) -> Part:
        """Leaky or Synaptic without a reset, whose membrane is read."""
        part = self._part(cell, reset_mechanism="none", sends=-1)
        part.put = _put
        found = drive(part, cell, _unit(cell, cell.c))
        assert found is not None
        return found

    def _part(self, cell: Cell, sends: int, **options: Any) -> Part:
        import torch

        def tensor(value: Any) -> Any:
            return torch.as_tensor(value, dtype=torch.float32)

        threshold = 1.0 if cell.threshold is None else tensor(cell.threshold)
        options |= {"threshold": threshold, "learn_threshold": cell.spiking, "learn_beta": True}
        if cell.A is None:
            module = self.snn.Leaky(beta=tensor(cell.B), **options)
        else:
            module = self.snn.Synaptic(
                alpha=tensor(cell.A), beta=tensor(cell.B), learn_alpha=True, **options
            )

        def step(module: Any, x: Any, state: State) -> tuple[Any, State]:
            out = module(x, *state)
            return out[sends], out[1:]

        return Part(module, step, _start)


def _unit(cell: Cell, c: Any = 0.0) -> Cell:
    return Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, c=c)


def _start(module: Any, x: Any, v: Any) -> State:
    membrane = x.new_zeros(x.shape) if v is None else v
    return (x.new_zeros(x.shape), membrane) if hasattr(module, "alpha") else (membrane,)


def _put(_module: Any, state: State, v: Any) -> State:
    return (*state[:-1], v)


def run(model: Any, x: Any) -> Any:
    """Spikes (T, B, ...) of a model with hidden states for an input (T, B, ...), from rest."""
    import torch

    _prepare(model)
    rows = [model(step) for step in x]
    return torch.stack([row[0] if isinstance(row, tuple) else row for row in rows])


def kit() -> SnnTorch:
    """What :func:`nirbridge.adapters.build` needs of the framework."""
    return SnnTorch()
