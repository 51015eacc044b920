"""From a traced torch model to a NIR graph, for every framework that builds on torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import UNTRACED, Array, Assembly, Cell, Shape, unsupported
from nirbridge.adapters.proof import STEPS, Layout, prove_torch
from nirbridge.adapters.running import as_input
from nirbridge.adapters.signals import INPUT, MEMBRANE, OUTPUT, Reshape
from nirbridge.adapters.trace import Call, Wiring, trace
from nirbridge.diagnostics import refuse


@dataclass(frozen=True)
class Population:
    """What a framework's cell is made of.

    ``inputs`` are weights that the cell applies to what it receives, ``recurrent`` what leads from
    its spikes back to its input. ``threshold`` is set for a cell that fires without any reset:
    ``cell`` is then its membrane, which may be read as well.
    """

    cell: Cell
    inputs: nir.NIRNode | None = None
    recurrent: nir.NIRNode | None = None
    threshold: Array | None = None


@dataclass(frozen=True)
class Framework:
    """What an adapter knows of its framework, for the export of a torch model.

    ``populate`` gives the population of a cell, from (path, module, shape of its input, dt).
    ``times`` tells whether the signals have an axis of time (1 or 0), ``time_axis`` which of the
    first two it is, ``squeeze`` the batch where batch and time are one axis. ``unwrap`` gives the
    layer inside a wrapper, or the module itself, ``prepare`` puts the states at rest,
    ``layer`` gives the node of a layer without state that is the framework's own, and ``shows``
    tells whether the last state that a cell gives is a membrane that NIR has by itself: without
    a reset.
    """

    name: str
    is_cell: Callable[[Any], bool]
    populate: Callable[[str, Any, Shape, float], Population]
    default_dt: Callable[[Any], float]
    times: Callable[[Any], int] = lambda _: 0
    time_axis: int = 0
    squeeze: Callable[[Any, int], int | None] = lambda _model, _rows: None
    unwrap: Callable[[Any], Any] = lambda module: module
    prepare: Callable[[Any], None] = lambda _: None
    layer: Callable[[str, Any], nir.NIRNode | None] = lambda _path, _module: None
    shows: Callable[[Any], bool] = lambda _: False
    words: dict[str, Any] = field(default_factory=dict)


def export(framework: Framework, model: Any, sample: Any, dt: float | None) -> nir.NIRGraph:
    """Trace a model, write its graph with its complete dynamics, and prove it.

    Raises
    ------
    Refused
        For a layer that NIR does not have or a connection that cannot be followed, by its path;
        NB905 if the graph does not compute what the model computes.

    """
    if not hasattr(model, "named_parameters"):
        remedy = f"build the model of {framework.name}'s torch modules"
        raise unsupported("model", "a torch model", type(model).__name__, remedy)
    x = as_input(model, sample)

    def is_leaf(module: Any) -> bool:
        inner = framework.unwrap(module)
        if framework.layer("", module) is not None:
            return True
        return inner is not module or framework.is_cell(module) or layers.is_layer(module)

    framework.prepare(model)
    wiring = trace(model, x, is_leaf, framework.shows)
    step = framework.default_dt(model) if dt is None else dt
    lead = _lead(framework, model, wiring)
    graph = _Writer(framework, wiring, step, lead).graph()
    layout = _layout(framework, model, wiring, x, _input_shape(graph))
    cells = {name: c.module for name, c in wiring.calls.items() if framework.is_cell(c.module)}
    prove_torch(model, graph, layout, framework.prepare, x, cells)
    return graph


def _input_shape(graph: nir.NIRGraph) -> Shape:
    return tuple(int(n) for n in graph.nodes[INPUT].input_type["input"])


def _layout(framework: Framework, model: Any, wiring: Wiring, x: Any, shape: Shape) -> Layout:
    """How the model takes its input; a loop of its own takes as many steps as the sample has."""
    rows = int(x.shape[0]) if x.ndim else 1
    squeezed = framework.squeeze(model, rows)
    over_time = squeezed is None and (wiring.sliced is not None or bool(framework.times(model)))
    size, most = int(np.prod(shape)), 2 if over_time else 1
    leads = [k for k in (most, most - 1) if int(np.prod(x.shape[k:])) == size and k <= x.ndim]
    if not leads:
        raise refuse(
            UNTRACED,
            node=INPUT,
            limit=f"signals of shape {shape} behind the axes of batch and time",
            found=f"a sample of shape {tuple(x.shape)}",
            remedy="pass a sample of shape (batch, ...), or (time, batch, ...) as the framework "
            "has it; flatten what a Linear layer takes",
        )
    lead = leads[0]
    shape = tuple(x.shape[lead:])
    if squeezed is not None:
        return Layout(shape, squeezed, None, True, rows // squeezed)
    if not over_time:
        return Layout(shape, rows if lead else None, None, False, STEPS)
    time = framework.time_axis if wiring.sliced is None else wiring.sliced[2] ^ wiring.swapped
    time = int(time) if lead > 1 else 0
    steps = STEPS if wiring.sliced is None else int(x.shape[time])
    return Layout(shape, int(x.shape[1 - time]) if lead > 1 else None, time, False, steps)


def _lead(framework: Framework, model: Any, wiring: Wiring) -> int:
    """How many axes of batch and time all signals have, from the layers that know."""
    found: dict[int, str] = {}
    for call in wiring.calls.values():
        axes = layers.feature_axes(framework.unwrap(call.module))
        if axes is not None:
            found.setdefault(len(call.shape) - axes, call.name)
    apart = wiring.sliced is not None or wiring.merged  # there is one less within
    differ = len(found) > 1 and not apart
    if differ or any(lead < 0 for lead in found):
        raise refuse(
            UNTRACED,
            node=next(iter(found.values())),
            limit="as many axes of batch and time at every layer",
            found=", ".join(f"{lead} at {name}" for lead, name in found.items()),
            remedy="flatten images before a Linear layer; pass a sample of shape (batch, ...)",
        )
    if found:
        return next(iter(found))
    times = framework.times(model)
    longest = max((len(call.shape) for call in wiring.calls.values()), default=1)
    return times + (1 if longest - times >= 2 else 0)


class _Writer:
    """Turns the calls of a trace into nodes and edges."""

    def __init__(self, framework: Framework, wiring: Wiring, dt: float, lead: int):
        self.framework, self.wiring, self.dt, self.lead = framework, wiring, dt, lead
        self.made = Assembly()
        self.enters: dict[str, list[str]] = {}  # of a call: the nodes that receive its input
        self.leaves: dict[str, str] = {INPUT: INPUT}  # of a call: the node that sends
        self.same: dict[str, set[str]] = {}  # of a dropped call: its sources
        self.leads: dict[str, int] = {}  # of a call: its axes of batch and time

    def graph(self) -> nir.NIRGraph:
        calls = self.wiring.calls
        shapes = {call.shape for call in calls.values() if INPUT in call.sources}
        if len(shapes) != 1:
            raise refuse(
                UNTRACED,
                node=INPUT,
                limit="an input that all its layers take in one shape",
                found=str(sorted(shapes)) if shapes else "no layer that takes it",
                remedy="let the input pass one layer first",
            )
        for call in calls.values():
            self._write(call)
        first = next(call for call in calls.values() if INPUT in call.sources)
        self.made.add(INPUT, nir.Input(np.asarray(first.shape[self.leads[first.name] :])))
        for call in calls.values():
            for node in self.enters.get(call.name, []):
                for source in self._senders(call.sources):
                    self.made.join(source, node)
        last = self._senders(set(self.wiring.output))
        self.made.add(OUTPUT, nir.Output(np.array(self._shape_of(self.wiring.output))))
        for source in last:
            self.made.join(source, OUTPUT)
        return self.made.graph(self.dt, **self.framework.words)

    def _leading(self, call: Call) -> int:
        """Axes of batch and time at a call: fewer inside of a loop over time than outside."""
        axes = layers.feature_axes(self.framework.unwrap(call.module))
        if axes is not None:
            return len(call.shape) - axes
        for source in sorted({s.removesuffix(MEMBRANE) for s in call.sources} & self.leads.keys()):
            features = len(self.wiring.calls[source].out_shape) - self.leads[source]
            return len(call.shape) - features
        return self.lead

    def _shape_of(self, sources: frozenset[str]) -> Shape:
        name = min(sources).removesuffix(MEMBRANE)
        return self.wiring.calls[name].out_shape[self.leads[name] :]

    def _senders(self, sources: set[str]) -> list[str]:
        """The nodes behind calls; dropped layers are looked through."""
        found: list[str] = []
        for name in sorted(sources):
            found += self._senders(self.same[name]) if name in self.same else [self.leaves[name]]
        if len(set(found)) < len(found):
            limit = "two signals that differ at a sum"
            remedy = "double the weight instead"
            raise refuse(UNTRACED, node=found[0], limit=limit, found=found, remedy=remedy)
        return found

    def _write(self, call: Call) -> None:
        module, lead = self.framework.unwrap(call.module), self._leading(call)
        self.leads[call.name] = lead
        shape = call.shape[lead:]
        own = self.framework.layer(call.name, module)
        if isinstance(module, Reshape):
            self._add(call, self._reshape(call, module))
        elif own is not None:
            self._add(call, own)
        elif self.framework.is_cell(module):
            self._populate(call, self.framework.populate(call.name, module, shape, self.dt))
        elif layers.is_dropped(module):
            self.same[call.name] = call.sources
        elif _is_norm(module):
            self._normalise(call, module, shape)
        else:
            over_time = module is not call.module or getattr(module, "step_mode", "s") == "m"
            lead -= over_time  # what the wrapper has taken off
            self._add(call, layers.to_node(call.name, module, shape, lead))

    def _add(self, call: Call, node: nir.NIRNode) -> None:
        self.made.add(call.name, node)
        self.enters[call.name], self.leaves[call.name] = [call.name], call.name

    def _populate(self, call: Call, population: Population) -> None:
        name, made = call.name, self.made
        made.add(name, population.cell)
        self.enters[name], self.leaves[name] = [name], name
        self.leaves[name + MEMBRANE] = name
        fed_back = population.recurrent is not None
        if population.threshold is not None and (fed_back or self._is_read(name)):
            self.leaves[name] = f"{name}.spike"
            made.add(f"{name}.spike", nir.Threshold(population.threshold))
            made.join(name, f"{name}.spike")
        if population.inputs is not None:
            made.add(f"{name}.w_in", population.inputs)
            made.join(f"{name}.w_in", name)
            self.enters[name] = [f"{name}.w_in"]
        if population.recurrent is not None:
            made.add(f"{name}.w_rec", population.recurrent)
            made.join(self.leaves[name], f"{name}.w_rec")
            made.join(f"{name}.w_rec", name)

    def _is_read(self, name: str) -> bool:
        """Whether anything receives what a layer sends; not so where its membrane alone is read."""
        calls = self.wiring.calls.values()
        return any(name in sources for sources in (self.wiring.output, *(c.sources for c in calls)))

    def _reshape(self, call: Call, change: Reshape) -> nir.NIRNode:
        lead, before, after = self.leads[call.name], change.before, change.after
        kept = next((k for k in range(lead, len(after)) if before[k] != after[k]), len(after) - 1)
        gone = len(before) - len(after)
        merged = int(np.prod(before[kept : kept + gone + 1]))
        if gone < 0 or after != (*before[:kept], merged, *before[kept + gone + 1 :]):
            limit = "a reshape that joins axes which follow one another"
            raise unsupported(call.name, limit, f"{before} -> {after}", "use a Flatten layer")
        start = kept - lead
        return nir.Flatten({"input": np.asarray(before[lead:])}, start, start + gone)

    def _normalise(self, call: Call, module: Any, shape: Shape) -> None:
        """Write a BatchNorm into the layer before it, unless something else reads that layer."""
        scale, shift = layers.normalisation(call.name, module)
        senders = self._senders(call.sources)
        readers = [c for c in self.wiring.calls.values() if c.sources & call.sources]
        alone = len(senders) == 1 and len(readers) == 1 and not call.sources & self.wiring.output
        before = self.made.nodes.get(senders[0]) if alone else None
        if layers.can_fold(before):
            self.made.nodes[senders[0]] = layers.fold(before, scale, shift)
            self.same[call.name] = call.sources
        else:
            self._add(call, layers.normalising(call.name, shape, scale, shift))


def _is_norm(module: Any) -> bool:
    from torch import nn

    return isinstance(module, nn.modules.batchnorm._BatchNorm)
