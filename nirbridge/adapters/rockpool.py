"""Rockpool: LIFTorch, LIFNeuronTorch, ExpSynTorch, LinearTorch; Sequential and Residual.

Its modules in jax and numpy are in :mod:`.rockpool_jax`; models are built in torch.

Measured on Rockpool 3.1.0. LIFTorch, with α = e^(−dt/τ_mem) and β = e^(−dt/τ_syn):
i = β·(i + x + W·s); v = α·v + i + bias. LIFNeuronTorch: v = α·v + x + bias. ExpSynTorch:
i = β·(i + x), which is its output. Spikes where v >= θ, as many as fit (``max_spikes_per_dt``);
each subtracts θ in the same step; recurrent spikes act in the next. A step is ``module.dt``.
By default 65536 spikes fit, which large recurrent weights as Rockpool draws them do reach.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers, torchmodels
from nirbridge.adapters.base import Cell, Shape, unsupported
from nirbridge.adapters.network import Part, State, drive
from nirbridge.adapters.torchmodels import Framework, Population
from nirbridge.dynamics import Dynamics
from nirbridge.optional import need

DT = 1e-3
KNOWN = ("LIFTorch", "LIFNeuronTorch", "ExpSynTorch")
MANY = 2.0**31  # max_spikes_per_dt that stands for no limit
NEVER = 1e15  # a threshold that is not reached, and that times a gradient is still finite


def layer(_path: str, module: Any) -> nir.NIRNode | None:
    """The node of a LinearTorch, whose weights are (in, out)."""
    if type(module).__name__ != "LinearTorch":
        return None
    weight = layers.array(module.weight).T.copy()
    if module.bias is None:
        return nir.Linear(weight)
    bias = np.broadcast_to(layers.array(module.bias), weight.shape[:1]).copy()
    return nir.Affine(weight, bias)


def is_cell(module: Any) -> bool:
    """Whether a module is one of Rockpool's own without parts, known here or not."""
    own = any(c.__module__.startswith("rockpool.") for c in type(module).__mro__)
    return own and not module._modules and type(module).__name__ != "LinearTorch"


def populate(path: str, module: Any, shape: Shape, dt: float) -> Population:
    """The population of a Rockpool neuron layer.

    Raises
    ------
    Refused
        For other modules, noise, and several synapses per neuron.

    """
    name = type(module).__name__
    if name not in KNOWN:
        limit = f"a Rockpool module that NIR has: {', '.join(KNOWN)}, LinearTorch"
        raise unsupported(path, limit, name, "use LIFTorch")
    if float(module.noise_std) != 0:
        raise unsupported(path, "no noise", f"noise_std={float(module.noise_std):g}", "set it to 0")
    if name == "ExpSynTorch":
        beta = _number(np.exp(-module.dt / layers.array(module.tau)))
        how = Dynamics(dt, "exponential", comparison=">=")
        return Population(Cell.of(shape, how, B=beta, gm=beta, path=path))
    parts = {"threshold": _number(module.threshold), "c": _number(module.bias)}
    if name == "LIFNeuronTorch":
        return Population(_cell(path, module, shape, dt, B=_decay(module), **parts))
    if int(module.n_synapses) != 1:
        limit = "one synapse per neuron"
        raise unsupported(path, limit, f"{int(module.n_synapses)}", "add up the inputs before")
    beta = _number(module.beta)
    parts |= {"A": beta, "gs": beta}
    cell = _cell(path, module, shape, dt, B=_number(module.alpha), **parts)
    if not module._has_rec:
        return Population(cell)
    return Population(cell, None, nir.Linear(layers.array(module.w_rec).T.copy()))


def _cell(path: str, module: Any, shape: Shape, dt: float, **parts: Any) -> Cell:
    """Parameters are flat, (N,) or (N, 1): the population may have several axes."""
    size = int(np.prod(shape))
    shaped = {n: v.reshape(shape) if np.size(v) == size else v.ravel() for n, v in parts.items()}
    return Cell.of(shape, spiking_steps(path, module, dt), path=path, **shaped)


def _number(value: Any) -> Any:
    value = layers.array(value) if hasattr(value, "detach") else value
    return np.asarray(value, np.float64)


def _decay(module: Any) -> Any:
    """α of a LIFNeuronTorch, in the precision in which it computes it."""
    import torch

    return _number(torch.exp(-module.dt / module.tau_mem))


def spiking_steps(path: str, module: Any, dt: float) -> Dynamics:
    """How the neurons of a layer step, in torch, jax and numpy.

    Raises
    ------
    Refused
        If ``max_spikes_per_dt`` is not one whole number of 1 or more.

    """
    most = np.unique(_number(module.max_spikes_per_dt))
    if most.size != 1 or not most[0] >= 1 or (most[0] < MANY and most[0] % 1):
        limit, found = "one number of spikes per step for a layer, 1 or more", most.tolist()
        raise unsupported(path, limit, f"max_spikes_per_dt={found}", "use layers of their own")
    return Dynamics(
        dt, "exponential", "subtract", comparison=">=",
        spikes_per_step=None if most[0] >= MANY else int(most[0]),
    )


def _default_dt(model: Any) -> float:
    found = (float(m.dt) for _, m in model.named_modules() if is_cell(m) and hasattr(m, "dt"))
    return next(found, DT)


def _prepare(model: Any) -> None:
    if hasattr(model, "reset_state"):
        model.reset_state()


FRAMEWORK = Framework(
    "rockpool", is_cell, populate, _default_dt, times=lambda _: 1, time_axis=1, prepare=_prepare,
    layer=layer,
)


def export(model: Any, sample: Any, dt: float | None = None) -> nir.NIRGraph:
    """A model of Rockpool as a graph, proved against the model: torch, jax or numpy."""
    if hasattr(model, "named_modules"):
        return torchmodels.export(FRAMEWORK, model, sample, dt)
    from nirbridge.adapters import rockpool_jax

    return rockpool_jax.export(model, sample, dt)


class Rockpool:
    """Modules of Rockpool for :func:`nirbridge.adapters.build`."""

    framework = FRAMEWORK

    def __init__(self) -> None:
        self.modules = need("rockpool")

    def spike(self, x: Any) -> Any:
        """One spike, with the default surrogate around a threshold of 1."""
        import torch
        from rockpool.nn.modules.torch.lif_torch import StepPWL

        one = torch.tensor(1.0)
        return StepPWL.apply(x + 1, one, torch.tensor(0.5), one)

    def native(self, cell: Cell) -> Part | None:
        """The module that does what is wanted by itself, if there is one."""
        how = cell.how
        if cell.A is not None and (how.order != "synapse first" or np.any(cell.A == 0)):
            return None
        if not cell.spiking:
            return self._part(cell, cell.c, sends=-1)
        plain = how.comparison == ">=" and how.reset == "subtract" and not how.reset_delay
        if not plain or how.residual != "fires":
            return None
        return self._part(cell, cell.c, sends=0)

    def integrator(self, cell: Cell) -> Part:
        """A module whose threshold is never reached, and whose membrane is read."""
        if cell.A is not None and np.any(cell.A == 0):
            remedy = "build for snntorch"
            raise unsupported("", "a synapse with memory", "tau_syn of one step or less", remedy)
        part = self._part(cell, np.zeros(cell.shape), sends=-1)
        part.put = _put
        return part

    def _part(self, cell: Cell, c: Any, sends: int) -> Part:
        torch = need("torch")

        def tensor(value: Any) -> Any:
            return torch.as_tensor(np.asarray(value).reshape(-1), dtype=torch.float32)

        size = int(np.prod(cell.shape))
        threshold = cell.threshold if sends == 0 else np.full(cell.shape, NEVER)
        options = {"threshold": tensor(threshold), "bias": tensor(c), "dt": cell.how.dt}
        most = cell.how.spikes_per_step
        options["max_spikes_per_dt"] = torch.tensor(MANY if most is None else float(most))
        if cell.A is None:
            tau = _tau(cell.B.reshape(-1), cell.how.dt)
            module = self.modules.LIFNeuronTorch((size,), tau_mem=tensor(tau), **options)
        else:
            module = self.modules.LIFTorch((size, size), leak_mode="decays", **options)
            module.alpha = torch.nn.Parameter(tensor(cell.B))
            module.beta = torch.nn.Parameter(tensor(cell.A)[:, None])
        module.threshold.requires_grad_(sends == 0)
        gs = 1.0 if cell.A is None else cell.A
        native = Cell.of(cell.shape, cell.how, B=cell.B, A=cell.A, gs=gs, c=c)
        part = drive(Part(module, _stepper(sends), _start), _driven(cell, c), native)
        assert part is not None
        return part


def _driven(cell: Cell, c: Any) -> Cell:
    from dataclasses import replace

    return replace(cell, c=np.asarray(c, np.float64))


def _tau(B: Any, dt: float) -> Any:
    """Time constants whose e^(−dt/τ), computed in single precision, is B if any is."""
    import torch

    tau = np.where(B > 0, -dt / np.log(np.clip(B, 1e-30, 1 - 1e-16)), dt / 128)
    tau = np.where(B == 1, np.inf, tau).astype(np.float32)
    best, wanted = tau.copy(), B.astype(np.float32)
    right = np.zeros(B.shape, bool)
    trial_up, trial_down = tau, tau
    for _ in range(16):
        for trial in (trial_up, trial_down):
            same = torch.exp(-dt / torch.from_numpy(trial)).numpy() == wanted
            best = np.where(same & ~right, trial, best)
            right |= same
        trial_up = np.nextafter(trial_up, np.float32(np.inf))
        trial_down = np.nextafter(trial_down, np.float32(0))
    return best


def _stepper(sends: int) -> Any:
    def step(module: Any, x: Any, state: State) -> tuple[Any, State]:
        """The states of the whole batch are in the record; the module keeps those of one."""
        for name, value in zip(_states(module), state, strict=True):
            module._buffers[name] = value
        spikes, _, record = module.evolve(x.reshape(len(x), 1, -1), record=True)
        new = tuple(record.get(n, spikes)[:, 0] for n in _states(module))
        out = spikes[:, 0] if sends == 0 else new[0]
        return out.reshape(x.shape), new

    return step


def _states(module: Any) -> tuple[str, ...]:
    return ("vmem", "isyn", "spikes") if "isyn" in module._buffers else ("vmem",)


def _start(module: Any, x: Any, v: Any) -> State:
    flat = x.new_zeros((len(x), int(np.prod(x.shape[1:]))))
    membrane = flat if v is None else v.reshape(flat.shape)
    return (membrane, flat[..., None], flat)[: len(_states(module))]


def _put(_module: Any, state: State, v: Any) -> State:
    return (v.reshape(state[0].shape), *state[1:])


def run(model: Any, x: Any) -> Any:
    """What a Rockpool model sends (T, B, ...) for an input (T, B, ...), from rest."""
    if not hasattr(model, "named_modules"):
        from nirbridge.adapters import rockpool_jax

        return rockpool_jax.run(model, x)
    model.reset_state()
    return model(x.transpose(0, 1))[0].transpose(0, 1)


def kit() -> Rockpool:
    """What :func:`nirbridge.adapters.build` needs of the framework."""
    return Rockpool()
