"""Spyx: IF, LIF, CuBaLIF, LI and the recurrent cells, in a Sequential or any flax.nnx module.

Measured on Spyx 1.0.0. A cell compares the membrane of the step before: s = H(v > θ), then LIF
v = β·v + x − θ·s; CuBaLIF v = v − θ·s, i = α·i + x, v = β·v + i; the recurrent cells add s·W to x.
So each layer shows the spikes of its membrane one step late: to the next layer
(``layer_delay=1``), to itself, and at the output (``output_lag=1``). Spyx has no unit of time; a
step is taken for 1e-3 s. Its weights are (in, out) and its channels last; those of NIR are first:
an input of shape (H, W, C) is an Input of shape (C, H, W).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import spyx_layers as layers
from nirbridge.adapters.base import UNTRACED, Assembly, Cell, unsupported
from nirbridge.adapters.proof import STEPS, prove
from nirbridge.adapters.signals import INPUT, OUTPUT
from nirbridge.adapters.standins import Call, Frame, Trace, follow
from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.optional import need

DT = 1e-3
KNOWN = ("IF", "LIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF", "LI")
CONTAINERS = ("Sequential", "List", "Dict")


def is_leaf(module: Any) -> bool:
    """Whether a module is a layer of Spyx or Flax, and no container."""
    own = type(module).__module__.split(".")[0] in ("spyx", "flax")
    return own and type(module).__name__ not in CONTAINERS


def _children(model: Any) -> Iterator[tuple[str, Any]]:
    """Parts of a module by name; those of a Sequential by number."""
    from flax import nnx

    for name, value in vars(model).items():
        if hasattr(value, "items") and (isinstance(value, dict) or type(value).__name__ == "Dict"):
            inner = [(f"{name}.{k}", item) for k, item in value.items()]
        elif isinstance(value, list | tuple) or type(value).__name__ == "List":
            place = "" if name == "layers" else f"{name}."
            inner = [(f"{place}{k}", item) for k, item in enumerate(value)]
        else:
            inner = [(name, value)]
        yield from ((own, item) for own, item in inner if isinstance(item, nnx.Module))


FRAME = Frame(
    is_leaf,
    _children,
    start=lambda model, x: model(x, model.initial_state(1)),
    reply=lambda out, rest: (out, rest[0]) if rest else out,
    keeps=lambda module: hasattr(module, "initial_state"),
)


def export(model: Any, sample: Any, dt: float | None = None) -> nir.NIRGraph:
    """A model of Spyx as a graph, proved against the model.

    Parameters
    ----------
    model
        A cell, ``spyx.nn.Sequential``, nested or not, or a ``flax.nnx.Module`` that is called as
        they are: ``model(x, state)``, with ``initial_state(batch)``.
    sample
        One step (...) or (batch, ...); only its shape counts. With several axes, channels last.
    dt
        Seconds per step, by default 1e-3.

    Raises
    ------
    Refused
        NB901 for other layers, NB902 for operations between them, NB905 if the graph does not
        compute what the model computes.

    """
    need("spyx")
    try:
        shape = tuple(int(n) for n in np.shape(sample))
    except ValueError:
        shape = ()
    if not shape or 0 in shape:
        limit, remedy = "an array of one step", "pass one array, shaped as one step of the input"
        raise refuse(UNTRACED, node="sample", limit=limit, found=shape, remedy=remedy)
    if not hasattr(model, "initial_state"):
        limit = "a model with initial_state(batch) and model(x, state)"
        remedy = "put its layers into a spyx.nn.Sequential"
        raise unsupported("model", limit, type(model).__name__, remedy)
    shape = layers.feature_shape(model, shape, is_leaf)
    trace = follow(FRAME, model, shape)
    graph = _Writer(trace, DT if dt is None else dt).graph()

    def play(counts: Any) -> list[Any]:
        x = counts.reshape(*counts.shape[:2], *layers.first(shape))
        out = run(model, np.swapaxes(layers.to_last(x, 2), 0, 1).astype(np.float32))
        rows = np.swapaxes(layers.to_first(out, 2), 0, 1)
        return [rows.reshape(*rows.shape[:2], -1)]

    prove(graph, play, batch=1, steps=STEPS)
    return graph


class _Writer:
    """Turns the calls of a trace into nodes and edges.

    ``orders`` holds, of calls whose signal is a flattened image, where in Spyx each element of
    NIR's stands: NIR counts channels first.
    """

    def __init__(self, trace: Trace, dt: float):
        self.trace, self.dt, self.made = trace, dt, Assembly()
        self.orders: dict[str, Any] = {}
        self.same: dict[str, frozenset[str]] = {}

    def graph(self) -> nir.NIRGraph:
        calls = list(self.trace.calls.values())
        entering = {c.shape for c in calls if INPUT in c.sources}
        if len(entering) != 1:
            limit, found = "an input that all its layers take in one shape", sorted(entering)
            raise refuse(UNTRACED, node=INPUT, limit=limit, found=found or "no layer")
        self.made.add(INPUT, nir.Input(np.asarray(layers.first(entering.pop()))))
        for call in calls:
            self._write(call)
        ends = self._senders(self.trace.output)
        shape = self.trace.calls[sorted(self.trace.output)[0]].out_shape
        if self._order(OUTPUT, self.trace.output) is not None:
            limit = "an output that is no flattened image"
            raise unsupported(OUTPUT, limit, f"{shape}", "end with a Linear layer, or the image")
        self.made.add(OUTPUT, nir.Output(np.asarray(layers.first(shape))))
        for end in ends:
            self.made.join(end, OUTPUT)
        late = any(self.made.cells[n].spiking for n in self._populations(ends))
        words = {"layer_delay": 1, "output_lag": int(late)} if self.made.cells else {}
        return self.made.graph(self.dt, **words)

    def _populations(self, names: list[str]) -> set[str]:
        """The populations that reach nodes without another one between."""
        found: set[str] = set()
        for name in names:
            sources = [a for a, b in self.made.edges if b == name]
            found |= {name} if name in self.made.cells else self._populations(sources)
        return found

    def _senders(self, sources: frozenset[str]) -> list[str]:
        """The nodes behind calls; dropped layers are looked through."""
        found: list[str] = []
        for name in sorted(sources):
            found += self._senders(self.same[name]) if name in self.same else [name]
        return found

    def _order(self, path: str, sources: frozenset[str]) -> Any:
        orders: list[Any] = [self.orders.get(name) for name in sorted(sources)]
        if any(not np.array_equal(orders[0], order) for order in orders[1:]):
            limit = "signals of one order at a sum"
            raise unsupported(path, limit, "a flattened image and another", "add the images first")
        return orders[0]

    def _write(self, call: Call) -> None:
        name, module, order = call.name, call.module, self._order(call.name, call.sources)
        kind = type(module).__name__
        loop = None
        if kind in KNOWN:
            part, loop = population(name, module, call.shape, self.dt, order)
            self.orders[name] = order
        elif layers.is_dropped(name, module):
            self.same[name], self.orders[name] = call.sources, order
            return
        else:
            part = layers.node(name, module, call.shape, order)
            keeps = kind == "BatchNorm"
            flat = kind in ("Flatten", "Flattening")
            self.orders[name] = order if keeps else layers.order(call.shape) if flat else None
        self.made.add(name, part)
        for source in self._senders(call.sources):
            self.made.join(source, name)
        if loop is not None:
            self.made.add(f"{name}.w_rec", loop)
            self.made.join(name, f"{name}.w_rec")
            self.made.join(f"{name}.w_rec", name)


def population(
    path: str,
    layer: Any,
    shape: tuple[int, ...],
    dt: float,
    order: Any = None,
    channels_last: bool = True,
) -> tuple[Cell, nir.NIRNode | None]:
    """A cell of Spyx for signals of ``shape``, and its recurrent weights, in NIR's order."""

    def values(parameter: Any) -> Any:
        value = np.asarray(parameter, np.float64)
        if value.ndim == 0:
            return value
        full = np.broadcast_to(value, shape)
        full = layers.to_first(full, 0) if channels_last else full
        return full if order is None else full[order]

    name = type(layer).__name__
    parts: dict[str, Any] = {"B": 1.0}
    if hasattr(layer, "beta"):
        parts["B"] = values(np.clip(layer.beta[...], 0, 1))
    if hasattr(layer, "alpha"):
        parts["A"] = values(np.clip(layer.alpha[...], 0, 1))
    if name != "LI":
        parts["threshold"] = values(np.asarray(layer.threshold, np.float32))
    how = Dynamics(dt, reset="subtract", reset_delay=0 if "A" in parts else 1)
    recurrent = None
    if hasattr(layer, "recurrent_w"):
        weight = np.asarray(layer.recurrent_w[...]).T
        if weight.ndim != 2:
            limit = "a recurrent cell of one axis"
            raise unsupported(path, limit, f"{shape}", "flatten the signal before it")
        recurrent = nir.Linear(weight.copy() if order is None else weight[order][:, order])
    own = layers.first(shape) if channels_last else shape
    return Cell.of(own, how, path=path, **parts), recurrent


def run(model: Any, x: Any) -> Any:
    """What a model sends (T, B, ...) for an input (T, B, ...), from rest."""
    import jax.numpy as jnp

    spyx = need("spyx")
    out, _ = spyx.run(model, jnp.asarray(x))
    return np.asarray(out)


def build(graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> Any:
    """A graph as a ``flax.nnx.Module`` that ``spyx.nn.run`` runs; see :mod:`.spyx_network`."""
    from nirbridge.adapters import spyx_network

    return spyx_network.build(graph, dynamics, strict)
