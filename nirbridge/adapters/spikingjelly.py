"""SpikingJelly: IFNode, LIFNode, CUBALIFNode, NonSpikingLIFNode and LinearRecurrentContainer.

Measured on SpikingJelly 2.0.0. LIF: v += (x − (v − v_reset))/τ, or without the decay of the input
v += x − (v − v_reset)/τ, τ in steps; IF: v += x; CUBALIF: c = c_decay·c + x; v = v_decay·v + c. A
spike where v >= v_threshold, one per step. The reset, in the same step, is to v_reset, or by
subtraction where v_reset is None. Membranes start at v_reset: potentials are exported relative to
it. The nodes that do not spike take all steps in one call and give the list of their membranes.
SpikingJelly counts in steps; its own export calls a step 1e-4 s.
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
SILENT = ("NonSpikingIFNode", "NonSpikingLIFNode")
KNOWN = ("IFNode", "LIFNode", "ParametricLIFNode", "CUBALIFNode", *SILENT)
CONTAINER = "LinearRecurrentContainer"
NEVER = 1e30  # a threshold that is not reached


def is_cell(module: Any) -> bool:
    """Whether a module is a neuron of SpikingJelly, known here or not, or a recurrent container."""
    names = [f"{c.__module__}.{c.__name__}" for c in type(module).__mro__]
    own = any(n.startswith("spikingjelly.activation_based.neuron.") for n in names)
    return own or type(module).__name__ == CONTAINER


def populate(path: str, module: Any, shape: Shape, dt: float) -> Population:
    """The population of a SpikingJelly neuron, or of a container that feeds its spikes back.

    Raises
    ------
    Refused
        For other neurons, and for a container around something else.

    """
    if type(module).__name__ == CONTAINER:
        return _recurrent(path, module, dt)
    return Population(_cell(path, module, shape, dt))


def _recurrent(path: str, module: Any, dt: float) -> Population:
    """One Linear over the input and the spikes of the step before, side by side."""
    weight = layers.array(module.rc.weight)
    out = int(module.sub_module_out_features)
    n_in = weight.shape[1] - out
    cell = _cell(f"{path}.sub_module", module.sub_module, (weight.shape[0],), dt)
    w_in = nir.Linear(weight[:, :n_in])
    if module.rc.bias is not None:
        w_in = nir.Affine(weight[:, :n_in], layers.array(module.rc.bias))
    return Population(cell, w_in, nir.Linear(weight[:, n_in:]))


def _cell(path: str, module: Any, shape: Shape, dt: float) -> Cell:
    name = type(module).__name__
    if name not in KNOWN:
        limit = f"a SpikingJelly neuron that NIR has: {', '.join(KNOWN)}"
        raise unsupported(path, limit, name, "use LIFNode or CUBALIFNode")
    if name in SILENT:
        return _silent(path, module, shape, dt)
    hard = module.v_reset is not None
    rest = _number(module.v_reset) if hard else np.zeros(())
    how = Dynamics(dt, reset="value" if hard else "subtract", comparison=">=")
    decays: dict[str, Any] = {"B": 1.0}
    if name == "CUBALIFNode":
        decays = {"A": _number(module.c_decay), "B": _number(module.v_decay)}
    elif name != "IFNode":
        w = layers.array(module.w.sigmoid()).astype(float) if hasattr(module, "w") else None
        k = 1 / _number(module.tau) if w is None else w
        decays = {"B": 1 - k, "gm": k if module.decay_input else 1.0, "c": k * rest}
    cell = Cell.of(
        shape, how, threshold=_number(module.v_threshold), v_reset=rest, path=path, **decays
    )
    return cell.shifted(rest) if np.any(rest) else cell


def _silent(path: str, module: Any, shape: Shape, dt: float) -> Cell:
    """A readout: v += (x − v)/τ, or v += x."""
    if module.decode is not None:
        limit, remedy = "decode=None: a membrane at every step", "decode the output of the model"
        raise unsupported(path, limit, f"decode={module.decode!r}", remedy)
    k = 1 / _number(module.tau) if hasattr(module, "tau") else 0.0
    gain = k if hasattr(module, "tau") else 1.0
    return Cell.of(shape, Dynamics(dt), B=1 - k, gm=gain, path=path)


def _number(value: Any) -> Any:
    value = layers.array(value) if hasattr(value, "detach") else value
    return np.asarray(value, np.float64)


def _times(model: Any) -> int:
    """1 if the model takes a whole sequence, time first."""
    modules = [m for _, m in model.named_modules()]
    always = (c.__name__ == "MultiStepModule" for m in modules for c in type(m).__mro__)
    return int(any(getattr(m, "step_mode", "s") == "m" for m in modules) or any(always))


def _prepare(model: Any) -> None:
    """Put the states at rest."""
    for _, module in model.named_modules():
        if hasattr(module, "_memories"):
            module.reset()


FRAMEWORK = Framework(
    "spikingjelly", is_cell, populate, lambda _: DT, times=_times, prepare=_prepare
)


class SpikingJelly:
    """Neurons of SpikingJelly for :func:`nirbridge.adapters.build`."""

    framework = FRAMEWORK

    def __init__(self) -> None:
        self.neuron = need("spikingjelly")
        from spikingjelly.activation_based import surrogate

        self.spike = surrogate.Sigmoid()

    def native(self, cell: Cell) -> Part | None:
        """The neuron that does what is wanted by itself, if there is one."""
        how = cell.how
        if not cell.spiking:
            late = how.order != "synapse first" and cell.A is not None
            return None if late else self._part(cell, False)
        plain = how.comparison == ">=" and how.spikes_per_step == 1 and not how.reset_delay
        if not plain or how.residual != "fires" or how.order != "synapse first":
            return None
        if how.reset == "subtract" or not np.any(cell.v_reset):
            return self._part(cell, True)
        moved = cell.shifted(cell.v_reset)
        part = self._part(moved, True)
        if part is not None:
            part.shift = cell.v_reset
        return part

    def integrator(self, cell: Cell) -> Part:
        """A neuron whose threshold is never reached, and whose membrane is read."""
        silent = Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, gs=cell.gs, gm=cell.gm)
        part = self._part(silent, False)
        assert part is not None
        part.put = _put
        return part

    def _part(self, cell: Cell, spiking: bool) -> Part | None:
        torch = need("torch")

        def tensor(value: Any) -> Any:
            return torch.nn.Parameter(torch.as_tensor(value, dtype=torch.float32))

        hard = cell.how.reset == "value" or not spiking
        options: dict[str, Any] = {"v_reset": 0.0 if hard else None}
        threshold = np.full(cell.shape, NEVER) if cell.threshold is None else cell.threshold
        gm, named = np.ones(cell.shape), {}
        slow = bool(np.all(cell.B > 0))  # a LIFNode wants tau > 1
        if cell.A is None and slow and _uniform(cell.B) and _uniform(threshold):
            options["v_threshold"] = float(np.float32(threshold.flat[0]))
            if np.all(cell.B == 1):
                module = self.neuron.IFNode(**options)
            else:
                k = 1 - cell.B
                module = self.neuron.LIFNode(tau=float(1 / k.flat[0]), **options)
                gm = k
        else:  # the only one whose parameters may differ from neuron to neuron
            module = self.neuron.CUBALIFNode(c_decay=0.0, v_decay=0.5, **options)
            named = {"v_decay": tensor(cell.B), "v_threshold": tensor(threshold)}
            if cell.A is not None:
                named["c_decay"] = tensor(cell.A)
        for name, value in named.items():
            delattr(module, name)
            setattr(module, name, value)
        if not spiking and "v_threshold" in named:
            named["v_threshold"].requires_grad_(False)
        native = Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, gm=gm)
        return drive(Part(module, _stepper(spiking), _start), cell, native)


def _uniform(values: Any) -> bool:
    return bool(np.ptp(values) == 0)


def _stepper(spiking: bool) -> Any:
    def step(module: Any, x: Any, state: State) -> tuple[Any, State]:
        spikes = module(x)
        return (spikes if spiking else module.v), state

    return step


def _start(module: Any, x: Any, v: Any) -> State:
    """The node keeps its state itself."""
    module.reset()
    module.v = x.new_zeros(x.shape) if v is None else v
    return ()


def _put(module: Any, state: State, v: Any) -> State:
    module.v = v
    return state


def run(model: Any, x: Any) -> Any:
    """What a model sends (T, B, ...) for an input (T, B, ...), from rest."""
    import torch

    _prepare(model)
    out = model(x) if _times(model) else [model(step) for step in x]
    return torch.stack(out) if isinstance(out, list) else out


def kit() -> SpikingJelly:
    """What :func:`nirbridge.adapters.build` needs of the framework."""
    return SpikingJelly()
