"""Norse: the LIFBox, LIF, LIBox, LI and IAF cells, recurrent cells, and their forms over time.

Measured on Norse 1.1.0; k = dt·τ⁻¹ are Euler steps. ``LIFBox``: v += k·(x + v_leak − v). ``LIF``:
i += x (and the recurrent spikes of the step before); v += k·(v_leak − v + i); i −= k_syn·i, the
same as i = (1 − k_syn)·i + x before the membrane reads it. ``IAF``: v += x. A spike where
v > v_th, one per step; the reset, in the same step, is to v_reset, or by subtraction for a LIFBox
with ``reset_subtract``. Membranes start at v_leak, those of IAF at v_reset: such potentials are
exported relative to where they start. Norse calls the step ``cell.dt``, 1e-3 s by default.
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
CONTAINERS = ("SequentialState", "Lift", "RecurrentSequential", "RegularizationCell")
CELLS = ("LIFBoxCell", "LIFCell", "LIBoxCell", "LICell", "IAFCell", "LIFRecurrentCell")
OVER_TIME = ("LIF", "LI", "IAF", "LIFRecurrent")
NEVER = 1e30  # a threshold that is not reached


def is_cell(module: Any) -> bool:
    """Whether a module is a neuron of Norse, known here or not."""
    own = type(module).__module__.startswith("norse.")
    return own and type(module).__name__ not in CONTAINERS


def unwrap(module: Any) -> Any:
    """The layer inside a Lift."""
    return module.lifted_module if type(module).__name__ == "Lift" else module


def _times(model: Any) -> int:
    """1 if the model takes a whole sequence, time first."""
    names = {type(m).__name__ for _, m in model.named_modules()}
    return int(bool(names & {"Lift", *OVER_TIME}))


def _default_dt(model: Any) -> float:
    """The step of the first cell."""
    cells = (m for _, m in model.named_modules() if is_cell(m) and hasattr(m, "dt"))
    return next((float(m.dt) for m in cells), DT)


def populate(path: str, module: Any, shape: Shape, dt: float) -> Population:
    """The population of a Norse cell, alone or over time.

    Raises
    ------
    Refused
        For other neurons, and for parameters that start where NIR cannot.

    """
    name = type(module).__name__
    if name not in CELLS + OVER_TIME:
        limit = f"a Norse cell that NIR has: {', '.join(CELLS + OVER_TIME)}"
        remedy = "use LIFCell; NIR has no adaptation, refraction, or conductance"
        raise unsupported(path, limit, name, remedy)
    recurrent = "Recurrent" in name
    if recurrent:
        shape = (int(module.hidden_size),)
    cell = _cell(path, module, shape, dt)
    if not recurrent:
        return Population(cell)
    w_in, w_rec = (layers.array(w) for w in (module.input_weights, module.recurrent_weights))
    return Population(cell, nir.Linear(w_in), nir.Linear(w_rec))


def _cell(path: str, module: Any, shape: Shape, dt: float) -> Cell:
    p, how = module.p, _dynamics(module, dt)
    ends: dict[str, Any] = {}
    if hasattr(p, "v_th"):
        ends = {"threshold": _number(p.v_th), "v_reset": _number(p.v_reset)}
    if not hasattr(p, "tau_mem_inv"):
        cell, start = Cell.of(shape, how, B=1.0, path=path, **ends), ends["v_reset"]
    else:
        k, start = _rate(module, p.tau_mem_inv), _number(p.v_leak)
        if hasattr(p, "tau_syn_inv"):
            ends["A"] = 1 - _rate(module, p.tau_syn_inv)
        cell = Cell.of(shape, how, B=1 - k, gm=k, c=k * start, path=path, **ends)
    if not np.any(start):
        return cell
    if how.reset == "subtract" or not cell.spiking:
        limit = "a membrane that starts at 0"
        remedy = "set v_leak=0 and put the drive into the bias of the layer before"
        raise unsupported(path, limit, f"v_leak up to {np.max(np.abs(start)):g}", remedy)
    moved = cell.shifted(start)
    return replace(moved, c=np.where(np.abs(moved.c) < 1e-12, 0.0, moved.c))


def _dynamics(module: Any, dt: float) -> Dynamics:
    method = getattr(getattr(module.p, "reset_method", None), "__name__", "reset_value")
    if method == "reset_subtract":
        return Dynamics(dt, reset="subtract")
    if method != "reset_value":
        limit = "reset_method reset_value or reset_subtract"
        raise unsupported(type(module).__name__, limit, method, "use one of Norse's own")
    return Dynamics(dt)


def _number(value: Any) -> Any:
    import torch

    return layers.array(torch.as_tensor(value)).astype(np.float64)


def _rate(module: Any, tau_inv: Any) -> Any:
    """Rate k = dt·τ⁻¹, in the precision in which the cell multiplies."""
    import torch

    return layers.array(module.dt * torch.as_tensor(tau_inv)).astype(np.float64)


FRAMEWORK = Framework("norse", is_cell, populate, _default_dt, times=_times, unwrap=unwrap)


class Norse:
    """Cells of Norse for :func:`nirbridge.adapters.build`."""

    framework = FRAMEWORK

    def __init__(self) -> None:
        self.norse = need("norse")

    def spike(self, x: Any) -> Any:
        """Norse's default: SuperSpike."""
        import torch
        from norse.torch.functional.threshold import threshold

        return threshold(x, "super", torch.as_tensor(100.0))

    def native(self, cell: Cell) -> Part | None:
        """The cell that does what is wanted by itself, if there is one."""
        how = cell.how
        if not cell.spiking:
            late = how.order != "synapse first" and cell.A is not None
            return None if late else self._fit(cell, "LI", -1)
        plain = how.comparison == ">" and how.spikes_per_step == 1 and not how.reset_delay
        if not plain or how.residual != "fires" or how.order != "synapse first":
            return None
        if how.reset == "subtract" and (cell.A is not None or np.all(cell.B == 1)):
            return None
        if np.all(cell.B == 1) and np.any(cell.v_reset):
            return None  # an IAF cell starts there
        return self._fit(cell, "LIF", 0)

    def integrator(self, cell: Cell) -> Part:
        """A leaky integrator, or an IAF cell that never fires."""
        silent = replace(cell, c=np.zeros(cell.shape))
        part = self._fit(silent, "LI", -1)
        assert part is not None
        part.put = _put
        return part

    def _fit(self, cell: Cell, kind: str, sends: int) -> Part | None:
        part, native = self._part(cell, kind, sends)
        return drive(part, cell, native)

    def _part(self, cell: Cell, kind: str, sends: int) -> tuple[Part, Cell]:
        torch, norse, k = need("torch"), self.norse, 1 - cell.B
        if np.any(k == 0) and not (np.all(k == 0) and cell.A is None):
            limit = "leaky membranes beside a synapse or beside each other"
            remedy = "build for snntorch, which has a decay of 1"
            raise unsupported("", limit, "a membrane without leak", remedy)

        def tensor(value: Any) -> Any:
            return torch.nn.Parameter(torch.as_tensor(value, dtype=torch.float32))

        spiking = kind == "LIF"
        values: dict[str, Any] = {}
        if spiking:
            values = {"v_th": tensor(cell.threshold), "v_reset": tensor(cell.v_reset)}
        native = Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, gm=k)
        if np.all(k == 0):
            values = values or {"v_th": tensor(np.full(cell.shape, NEVER)), "v_reset": tensor(0.0)}
            module = norse.IAFCell(norse.IAFParameters(**values), dt=cell.how.dt)
            state, native = norse.IAFFeedForwardState, replace(native, gm=np.ones(cell.shape))
        else:
            syn = None if cell.A is None else 1 - cell.A
            dt, values["tau_mem_inv"], inverse = _inverse(cell.how.dt, k, syn)
            values["tau_mem_inv"] = tensor(values["tau_mem_inv"])
            values["v_leak"] = torch.as_tensor(0.0)
            if inverse is not None:
                values["tau_syn_inv"] = tensor(inverse)
            name = kind + ("Box" if cell.A is None else "")
            if spiking and cell.how.reset == "subtract":
                from norse.torch.functional.reset import reset_subtract

                values["reset_method"] = reset_subtract
            module = getattr(norse, f"{name}Cell")(
                getattr(norse, f"{name}Parameters")(**values), dt=dt
            )
            state = getattr(norse, f"{name}FeedForwardState" if spiking else f"{name}State")
        for key, value in values.items():
            if isinstance(value, torch.nn.Parameter):
                module.register_parameter(key, value)
        return Part(module, _stepper(sends), _starter(state)), native


def _inverse(dt: float, k: Any, k_syn: Any) -> tuple[float, Any, Any]:
    """Step and τ⁻¹ whose product is k to the last bit; in steps instead of seconds if need be."""
    rates = [v for v in (k, k_syn) if v is not None]
    found = [_divide(np.asarray(v, np.float32), dt) for v in rates]
    if any(f is None for f in found):
        dt, found = 1.0, [np.asarray(v, np.float32) for v in rates]
    return dt, found[0], found[1] if len(found) > 1 else None


def _divide(k: Any, dt: float) -> Any:
    import torch

    guess = (k.astype(np.float64) / dt).astype(np.float32)
    up = np.nextafter(guess, np.float32(np.inf))
    down = np.nextafter(guess, np.float32(-np.inf))
    out, right = guess.copy(), np.zeros(k.shape, bool)
    for trial in (guess, up, down):
        same = (dt * torch.from_numpy(np.atleast_1d(trial))).numpy().reshape(k.shape) == k
        out = np.where(same & ~right, trial, out)
        right |= same
    return out if np.all(right) else None


def _stepper(sends: int) -> Any:
    def step(module: Any, x: Any, state: State) -> tuple[Any, State]:
        z, new = module(x, state)
        return (z if sends == 0 else new.v), new

    return step


def _starter(kind: Any) -> Any:
    def start(_module: Any, x: Any, v: Any) -> Any:
        values = {"v": x.new_zeros(x.shape) if v is None else v}
        if "i" in kind._fields:
            values["i"] = x.new_zeros(x.shape)
        return kind(**values)

    return start


def _put(_module: Any, state: Any, v: Any) -> Any:
    return state._replace(v=v)


def run(model: Any, x: Any) -> Any:
    """What a Norse model sends (T, B, ...) for an input (T, B, ...), from rest."""
    import torch

    if _times(model):
        out = model(x)
        return out[0] if isinstance(out, tuple) else out
    state, rows = None, []
    for step in x:
        out = model(step, state)
        out, state = out if isinstance(out, tuple) else (out, None)
        rows.append(out)
    return torch.stack(rows)


def kit() -> Norse:
    """What :func:`nirbridge.adapters.build` needs of the framework."""
    return Norse()
