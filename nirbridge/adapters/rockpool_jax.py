"""Rockpool in jax and numpy: LIFJax, LIFODEJax, ExpSynJax, LinearJax; LIF, ExpSyn, Linear.

Measured on Rockpool 3.1.0. LIFJax and LIF step as LIFTorch does, ExpSynJax as ExpSynTorch (see
:mod:`.rockpool`). ExpSyn convolves with the same kernel, cut off after ten of the longest τ: up to
5e-5 of the output is missing. LIFODEJax takes Euler's steps: with a = dt/τ_syn and b = dt/τ_mem,
i = (1 − a)·i + a·(x + s·W); v = (1 − b)·v + b·(i + bias); spikes and reset are those of LIFJax.
``w_rec`` acts wherever it is not 0, also with ``has_rec=False``. A call of a jax module leaves its
state as it was, one of a numpy module does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import UNTRACED, Assembly, Cell, unsupported
from nirbridge.adapters.proof import STEPS, prove
from nirbridge.adapters.rockpool import DT, spiking_steps
from nirbridge.adapters.running import explained
from nirbridge.adapters.signals import INPUT, OUTPUT
from nirbridge.adapters.standins import Call, Frame, Signal, Trace, follow
from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics

LINEAR = ("Linear", "LinearJax")
SYNAPSES = ("ExpSyn", "ExpSynJax")
NEURONS = ("LIF", "LIFJax", "LIFODEJax")


def _is_own(module: Any) -> bool:
    """Whether a module is a layer of Rockpool itself."""
    return type(module).__module__.startswith("rockpool.nn.modules.")


def is_leaf(module: Any) -> bool:
    """Whether a module is a layer, and none that a combinator or the user composed."""
    return _is_own(module) or not module.modules()


FRAME = Frame(
    is_leaf,
    children=lambda module: module.modules().items(),
    start=lambda model, x: model(x),
    reply=lambda out, _: (out, {}, {}),
    keeps=lambda module: hasattr(module, "state") and bool(module.state()),
)


def export(model: Any, sample: Any, dt: float | None = None) -> nir.NIRGraph:
    """A model of Rockpool's jax or numpy modules as a graph, proved against the model.

    Parameters
    ----------
    model
        A layer, a Sequential, Residual or FFwdStack, nested or not, or a module of the user's own
        whose ``evolve`` passes signals from layer to layer and adds them.
    sample
        (T, n) or (batch, T, n); only its shape counts.
    dt
        Seconds per step, by default that of the first module that has one.

    Raises
    ------
    Refused
        NB901 for other layers, NB902 for operations between them, NB905 if the graph does not
        compute what the model computes.

    """
    from rockpool.nn.modules import Module

    if not isinstance(model, Module):
        limit = "a Rockpool module of torch, jax or numpy"
        raise unsupported("model", limit, type(model).__name__, "export the module that it wraps")
    try:
        shape = tuple(int(n) for n in np.shape(sample))
    except ValueError:
        shape = ()
    if len(shape) not in (2, 3) or 0 in shape:
        limit, remedy = "an array (T, n) or (batch, T, n)", "pass one array as the model takes it"
        raise refuse(UNTRACED, node="sample", limit=limit, found=shape, remedy=remedy)
    with explained(lambda: ""):
        rested = deepcopy(model).reset_state()
    graph = _graph(_follow(rested, shape[-1]), shape[-1], dt)
    function = _function(rested)

    def play(counts: Any) -> list[Any]:
        with explained(lambda: ""):
            return [np.asarray(function(counts.astype(np.float64)))]

    precision = play(np.zeros((1, STEPS, shape[-1])))[0].dtype
    prove(graph, play, batch=1, steps=STEPS, dtype=precision)
    return graph


def run(model: Any, x: Any) -> Any:
    """What a model sends (T, B, n) for an input (T, B, n), from rest."""
    rows = np.swapaxes(np.asarray(x, np.float64), 0, 1)
    return np.swapaxes(np.asarray(deepcopy(model).reset_state()(rows)[0]), 0, 1)


def _function(rested: Any) -> Any:
    """A model as a function (B, T, n) → (B, T, n) that starts from rest at each call.

    In jax it is compiled once for all calls; uncompiled, each call would compile its scans again.
    """

    def function(x: Any) -> Any:
        return deepcopy(rested)(x)[0]

    if not _is_jax(rested):
        return function
    import jax

    return jax.jit(function)


def _is_jax(module: Any) -> bool:
    return any(kind.__name__ == "JaxModule" for kind in type(module).__mro__)


def _follow(rested: Any, size: int) -> Trace:
    model = deepcopy(rested)
    for path, stack in _stacks("", model):
        vars(stack)["_dot"] = _dot(path, stack)
    return follow(FRAME, model, (1, size))


def _stacks(path: str, module: Any) -> Iterator[tuple[str, Any]]:
    """FFwdStacks, which hold the weights between their parts themselves."""
    if hasattr(module, "_weight_names"):
        yield path, module
    for name, child in module.modules().items():
        yield from _stacks(f"{path}.{name}".lstrip("."), child)


def _dot(path: str, stack: Any) -> Any:
    """The product of an FFwdStack, as a layer that has the name of its weights."""

    def dot(x: Signal, weight: Any) -> Signal:
        name = next(n for n in stack._weight_names if getattr(stack, n) is weight)
        layer = nir.Linear(np.asarray(weight).T.copy())
        out_shape = (*x.shape[:-1], np.shape(weight)[1])
        return x.trace.call(f"{path}.{name}".lstrip("."), layer, x, out_shape)

    return dot


def _graph(trace: Trace, size: int, dt: float | None) -> nir.NIRGraph:
    """The nodes and edges of the calls."""
    calls, made = list(trace.calls.values()), Assembly()
    steps = (float(c.module.dt) for c in calls if hasattr(c.module, "dt"))
    dt = next(steps, DT) if dt is None else dt
    made.add(INPUT, nir.Input(np.array([size])))
    sizes = {INPUT: size} | {call.name: call.out_shape[-1] for call in calls}
    for call in calls:
        part, loop = _part(call, dt)
        made.add(call.name, part)
        for source in sorted(call.sources):
            made.join(source, call.name)
        if loop is not None:
            made.add(f"{call.name}.w_rec", loop)
            made.join(call.name, f"{call.name}.w_rec")
            made.join(f"{call.name}.w_rec", call.name)
    made.add(OUTPUT, nir.Output(np.array([sizes[min(trace.output)]])))
    for source in sorted(trace.output):
        made.join(source, OUTPUT)
    return made.graph(dt)


def _part(call: Call, dt: float) -> tuple[nir.NIRNode | Cell, nir.NIRNode | None]:
    """What a layer computes, and what leads from its spikes back to its input.

    Raises
    ------
    Refused
        For other modules, noise, several synapses per neuron, and one signal for many inputs.

    """
    path, module, name = call.name, call.module, type(call.module).__name__
    if isinstance(module, nir.Linear):
        return module, None
    if not _is_own(module) or name not in (*LINEAR, *SYNAPSES, *NEURONS):
        name = name if _is_own(module) else f"{type(module).__module__}.{name}"
        limit = f"a Rockpool module that NIR has: {', '.join((*NEURONS, *SYNAPSES, *LINEAR))}"
        raise unsupported(path, limit, name, "use LIFJax, or LIF for numpy")
    if call.shape[-1] != module.size_in:
        limit, remedy = f"{module.size_in} inputs", "put a LinearJax before it"
        raise unsupported(path, limit, call.shape[-1], remedy)
    if name in LINEAR:
        return _linear(module), None
    if np.any(np.asarray(module.noise_std)):
        raise unsupported(path, "no noise", f"noise_std={module.noise_std}", "set it to 0")
    if name in SYNAPSES:
        beta = _decay(module, module.tau)
        how = Dynamics(dt, "exponential", comparison=">=")
        return Cell.of(call.shape[-1:], how, B=beta, gm=beta, path=path), None
    if int(module.n_synapses) != 1:
        limit, remedy = "one synapse per neuron", "add up the inputs before"
        raise unsupported(path, limit, int(module.n_synapses), remedy)
    weight = np.asarray(module.w_rec)
    loop = nir.Linear(weight.T.copy()) if module._has_rec or np.any(weight) else None
    return _neurons(path, module, call.shape[-1:], dt), loop


def _linear(module: Any) -> nir.NIRNode:
    """The node of weights (in, out)."""
    own = _library(module)
    weight, bias = (np.asarray(own.asarray(v)) for v in (module.weight, module.bias))
    if not module._has_bias and not np.any(bias):
        return nir.Linear(weight.T.copy())
    return nir.Affine(weight.T.copy(), np.broadcast_to(bias, weight.shape[1:]).copy())


def _neurons(path: str, module: Any, shape: tuple[int, ...], dt: float) -> Cell:
    how, bias = spiking_steps(path, module, dt), np.asarray(module.bias, np.float64)
    tau_syn = module.tau_syn[:, 0] if np.ndim(module.tau_syn) else module.tau_syn
    if type(module).__name__ == "LIFODEJax":
        a, b = (np.asarray(module.dt / tau, np.float64) for tau in (tau_syn, module.tau_mem))
        how = replace(how, scheme="euler")
        parts: dict[str, Any] = {"A": 1 - a, "gs": a, "B": 1 - b, "gm": b, "c": b * bias}
    else:
        beta = _decay(module, tau_syn)
        parts = {"A": beta, "gs": beta, "B": _decay(module, module.tau_mem), "c": bias}
    return Cell.of(shape, how, threshold=np.asarray(module.threshold), path=path, **parts)


def _decay(module: Any, tau: Any) -> Any:
    """e^(−dt/τ), in the precision in which the module computes it."""
    return np.asarray(_library(module).exp(-module.dt / tau), np.float64)


def _library(module: Any) -> Any:
    """What a module computes with: numpy, or jax's."""
    if not _is_jax(module):
        return np
    import jax.numpy

    return jax.numpy
