"""From a traced torch model to a NIR graph, for every framework that builds on torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import UNTRACED, Array, Assembly, Cell, Shape, unsupported
from nirbridge.adapters.trace import INPUT, OUTPUT, Call, Reshape, Wiring, trace
from nirbridge.diagnostics import refuse


@dataclass(frozen=True)
class Population:
    """What a framework's cell is made of.

    ``inputs`` are weights that the cell applies to what it receives, ``recurrent`` what leads from
    its spikes back to its input. ``threshold`` is set for a cell that fires without any reset:
    ``cell`` is then its membrane.
    """

    cell: Cell
    inputs: nir.NIRNode | None = None
    recurrent: nir.NIRNode | None = None
    threshold: Array | None = None


@dataclass(frozen=True)
class Framework:
    """What an adapter knows of its framework, for the export of a torch model.

    ``populate`` gives the population of a cell, from (path, module, shape of its input, dt).
    ``times`` tells whether the signals have an axis of time (1 or 0), ``unwrap`` gives the layer
    inside a wrapper, or the module itself, ``prepare`` puts the states at rest, and ``layer``
    gives the node of a layer without state that is the framework's own.
    """

    name: str
    is_cell: Callable[[Any], bool]
    populate: Callable[[str, Any, Shape, float], Population]
    default_dt: Callable[[Any], float]
    times: Callable[[Any], int] = lambda _: 0
    unwrap: Callable[[Any], Any] = lambda module: module
    prepare: Callable[[Any], None] = lambda _: None
    layer: Callable[[str, Any], nir.NIRNode | None] = lambda _path, _module: None
    words: dict[str, Any] = field(default_factory=dict)


def export(framework: Framework, model: Any, sample: Any, dt: float | None) -> nir.NIRGraph:
    """Trace a model and write its graph with its complete dynamics.

    Raises
    ------
    Refused
        For a layer that NIR does not have or a connection that cannot be followed, by its path.

    """

    def is_leaf(module: Any) -> bool:
        inner = framework.unwrap(module)
        if framework.layer("", module) is not None:
            return True
        return inner is not module or framework.is_cell(module) or layers.is_layer(module)

    framework.prepare(model)
    wiring = trace(model, sample, is_leaf)
    step = framework.default_dt(model) if dt is None else dt
    writer = _Writer(framework, wiring, step, _lead(framework, model, wiring))
    return writer.graph()


def _lead(framework: Framework, model: Any, wiring: Wiring) -> int:
    """How many axes of batch and time all signals have, from the layers that know."""
    found: dict[int, str] = {}
    for call in wiring.calls.values():
        axes = layers.feature_axes(framework.unwrap(call.module))
        if axes is not None:
            found.setdefault(len(call.shape) - axes, call.name)
    if len(found) > 1 or any(lead < 0 for lead in found):
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
        self.made.add(INPUT, nir.Input(np.asarray(next(iter(shapes))[self.lead :])))
        for call in calls.values():
            self._write(call)
        for call in calls.values():
            for node in self.enters.get(call.name, []):
                for source in self._senders(call.sources):
                    self.made.join(source, node)
        last = self._senders(set(self.wiring.output))
        self.made.add(OUTPUT, nir.Output(np.array(self._shape_of(set(self.wiring.output)))))
        for source in last:
            self.made.join(source, OUTPUT)
        return self.made.graph(self.dt, **self.framework.words)

    def _shape_of(self, sources: set[str]) -> Shape:
        name = next(iter(sorted(sources)))
        return self.wiring.calls[name].out_shape[self.lead :]

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
        module, shape = self.framework.unwrap(call.module), call.shape[self.lead :]
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
            self._fold(call, module)
        else:
            over_time = module is not call.module or getattr(module, "step_mode", "s") == "m"
            lead = self.lead - over_time  # what the wrapper has taken off
            self._add(call, layers.to_node(call.name, module, shape, lead))

    def _add(self, call: Call, node: nir.NIRNode) -> None:
        self.made.add(call.name, node)
        self.enters[call.name], self.leaves[call.name] = [call.name], call.name

    def _populate(self, call: Call, population: Population) -> None:
        name, made = call.name, self.made
        made.add(name, population.cell)
        self.enters[name], self.leaves[name] = [name], name
        if population.threshold is not None:
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

    def _reshape(self, call: Call, change: Reshape) -> nir.NIRNode:
        lead, before, after = self.lead, change.before, change.after
        kept = next((k for k in range(lead, len(after)) if before[k] != after[k]), len(after) - 1)
        gone = len(before) - len(after)
        merged = int(np.prod(before[kept : kept + gone + 1]))
        if gone < 0 or after != (*before[:kept], merged, *before[kept + gone + 1 :]):
            limit = "a reshape that joins axes which follow one another"
            raise unsupported(call.name, limit, f"{before} -> {after}", "use a Flatten layer")
        start = kept - lead
        return nir.Flatten({"input": np.asarray(before[lead:])}, start, start + gone)

    def _fold(self, call: Call, module: Any) -> None:
        """Write a BatchNorm into the layer before it, which nothing else may read."""
        senders = self._senders(call.sources)
        readers = [c for c in self.wiring.calls.values() if c.sources & call.sources]
        alone = len(senders) == 1 and len(readers) == 1 and not call.sources & self.wiring.output
        node = self.made.nodes[senders[0]] if alone else None
        folded = layers.fold(call.name, module, node)
        self.made.nodes[senders[0]] = folded
        self.same[call.name] = call.sources


def _is_norm(module: Any) -> bool:
    from torch import nn

    return isinstance(module, nn.modules.batchnorm._BatchNorm)
