"""A NIR graph as a ``flax.nnx.Module`` with Spyx's contract: ``model(x, state)``, one step.

The populations are Spyx's own cells where they fit. The network itself sees to the order and the
delays that :func:`nirbridge.simulate_stepped` uses, so that it computes what the source of the
graph computed. Images have their channels first, as in NIR. ``spyx.nn.run(model, x)`` runs it on
(T, B, ...) from rest.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import DIFFERS, Assembly, from_node, is_cell
from nirbridge.adapters.network_export import divided
from nirbridge.adapters.spyx import population
from nirbridge.adapters.spyx_cells import canonical_class, own
from nirbridge.adapters.spyx_maps import map_class
from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import is_neuron, kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify
from nirbridge.optional import need

MAPS = ("Linear", "Affine", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Scale")


def build(graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> Any:
    """The graph as a module; its ``differences`` name the populations that no own cell computes.

    Raises
    ------
    Refused
        For a malformed graph, and with ``strict`` for what Spyx's own cells do not compute.

    """
    spyx = need("spyx")
    refuse_all(verify(graph))
    network = network_class()(spyx, inline(graph), dynamics)
    if strict:
        refuse_all(network.differences)
    return network


def _differs(name: str, node: nir.NIRNode, how: Dynamics) -> Diagnostic:
    found = f"{kind(node)}: " + ", ".join(f"{k}={v!r}" for k, v in how.to_dict().items())
    remedy = "the spikes are the same; tools that look only for cells of Spyx will not see them"
    limit = "what a cell of Spyx computes by itself"
    return diagnose(DIFFERS, node=name, limit=limit, found=found, remedy=remedy)


def own_loop(topology: Topology, nodes: dict[str, nir.NIRNode], name: str) -> str | None:
    """The Linear node, if there is one, that leads from a population to itself and nowhere else."""
    for other in topology.targets[name]:
        alone = topology.sources[other] == [name] == topology.targets[other]
        if alone and kind(nodes[other]) == "Linear" and np.ndim(nodes[other].weight) == 2:
            return other
    return None


@cache
def network_class() -> Any:
    """The module; made once, because flax is imported only when it is needed."""
    import jax.numpy as jnp
    from flax import nnx

    class Network(nnx.Module):  # type: ignore[misc]
        """See :mod:`nirbridge.adapters.spyx_network`."""

        def __init__(self, spyx: Any, flat: nir.NIRGraph, dynamics: Dynamics):
            fixed = _Fixed(flat, dynamics)
            object.__setattr__(self, "fixed", fixed)
            object.__setattr__(self, "differences", fixed.differences)
            parts: dict[str, Any] = {}
            for name in fixed.topology.neurons:
                node = flat.nodes[name]
                if not is_cell(node):  # a Threshold
                    parts[name] = map_class()(node)
                    continue
                cell = from_node(node, dynamics)
                loop = own_loop(fixed.topology, flat.nodes, name)
                loop = loop if dynamics.recurrent_delay == 1 and cell.spiking else None
                layer = own(spyx, cell, None if loop is None else flat.nodes[loop])
                if layer is not None and loop is not None:
                    fixed.loops[name] = loop
                if layer is None and loop is not None:
                    layer = own(spyx, cell, None)
                if layer is None:
                    layer = canonical_class()(cell)
                    fixed.differences.append(_differs(name, node, cell.how))
                parts[name] = layer
            for name, node in flat.nodes.items():
                if kind(node) in MAPS and name not in fixed.loops.values():
                    parts[name] = map_class()(node)
            self.parts = nnx.Dict({fixed.keys[n]: part for n, part in parts.items()})

        def part(self, name: str) -> Any:
            return self.parts[self.fixed.keys[name]]

        def initial_state(self, batch_size: int) -> Any:
            """All populations at rest, for a batch."""
            fixed, keys = self.fixed, self.fixed.keys
            delay = fixed.dynamics.recurrent_delay
            zeros = {
                keys[n]: jnp.zeros((batch_size, *fixed.shapes[n][0]))
                for n in fixed.topology.neurons
            }
            cells = {
                keys[n]: self.part(n).initial_state(batch_size)
                for n in fixed.topology.neurons
                if is_cell(fixed.nodes[n])
            }
            lines = {
                keys[n]: jnp.zeros((steps, batch_size, *fixed.shapes[n][0]))
                for n, steps in fixed.longest.items()
            }
            size = sum(int(np.prod(fixed.shapes[n][0])) for n in fixed.outputs)
            shape = fixed.shapes[fixed.outputs[0]][0] if len(fixed.outputs) == 1 else (size,)
            last = jnp.zeros((batch_size, *shape))
            past = {key: tuple([zero] * delay) for key, zero in zeros.items()}
            return {"cells": cells, "past": past, "lines": lines, "last": last}

        def __call__(self, x: Any, state: Any) -> Any:
            """One step: (B, ...) in, (B, ...) and the state out."""
            step = _Step(self, x, state)
            out = step.run()
            shown = state["last"] if self.fixed.dynamics.output_lag else out
            return shown, {**step.new, "last": out}

        def to_nir_graph(self, dt: float | None = None) -> nir.NIRGraph:
            """The graph with the parameters that it has now."""
            return _export(self, dt)

    return Network


class _Fixed:
    """What of a network is no parameter: its graph, and how it is stepped."""

    def __init__(self, flat: nir.NIRGraph, dynamics: Dynamics):
        self.graph, self.nodes, self.dynamics = flat, flat.nodes, dynamics
        self.topology = Topology(flat, dynamics.layer_delay)
        self.shapes, _ = infer(flat)
        self.inputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")
        self.outputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Output")
        self.keys = {name: f"n{k}" for k, name in enumerate(sorted(flat.nodes))}
        self.loops: dict[str, str] = {}  # of an own cell: the node that its recurrence stands for
        self.differences: list[Diagnostic] = []
        self.delays = {
            n: np.rint(np.asarray(x.delay, np.float64) / dynamics.dt).astype(int)
            for n, x in flat.nodes.items()
            if kind(x) == "Delay"
        }
        self.longest = {n: max(int(d.max(initial=0)), 1) for n, d in self.delays.items()}


class _Step:
    """One step of a network: the signals of the moment, and the state behind it."""

    def __init__(self, network: Any, x: Any, state: Any):
        self.network, self.fixed, self.state = network, network.fixed, state
        self.now: dict[Any, Any] = self._split(x)
        self.value: dict[str, Any] = {}
        self.new: dict[str, Any] = {"cells": {}, "past": {}, "lines": dict(state["lines"])}

    def _split(self, x: Any) -> dict[Any, Any]:
        import jax.numpy as jnp

        shapes = [self.fixed.shapes[n][0] for n in self.fixed.inputs]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        pieces = jnp.split(x.reshape(x.shape[0], -1), ends, axis=1)
        return {
            n: piece.reshape(x.shape[0], *shape)
            for n, piece, shape in zip(self.fixed.inputs, pieces, shapes, strict=True)
        }

    def run(self) -> Any:
        import jax.numpy as jnp

        fixed, topology = self.fixed, self.fixed.topology
        for name in topology.neurons:
            late = frozenset(a for a in topology.feeders[name] if topology.delayed(a, name))
            key, x = fixed.keys[name], self._sum(name, late)
            self.value[name] = self._advance(name, key, x)
        for name in topology.neurons:
            key = fixed.keys[name]
            self.new["past"][key] = (self.value[name], *self.state["past"][key][:-1])
        rows = [self._sum(name, frozenset()) for name in fixed.outputs]
        for name in fixed.delays:  # also those that no one has read
            self._signal(name, frozenset())
        if len(rows) == 1:
            return rows[0]
        return jnp.concatenate([row.reshape(row.shape[0], -1) for row in rows], axis=1)

    def _advance(self, name: str, key: str, x: Any) -> Any:
        """What a population sends in this step; a cell of Spyx would show it in the next one."""
        import jax.numpy as jnp

        layer = self.network.part(name)
        if not is_cell(self.fixed.nodes[name]):
            return layer(x)
        sent, state = layer(x, self.state["cells"][key])
        self.new["cells"][key] = state
        if not hasattr(layer, "threshold") or hasattr(layer, "how"):
            return sent
        v = jnp.split(state, 2, -1)[0] if hasattr(layer, "alpha") else state
        return layer.spike(v - layer.threshold)

    def _sum(self, name: str, late: frozenset[str]) -> Any:
        import jax.numpy as jnp

        fixed = self.fixed
        loop = fixed.loops.get(name)
        sources = [n for n in fixed.topology.sources[name] if n != loop]
        if not sources:
            batch = next(iter(self.now.values())).shape[0]
            return jnp.zeros((batch, *fixed.shapes[name][0]))
        total = self._signal(sources[0], late)
        for other in sources[1:]:
            total = total + self._signal(other, late)
        return total

    def _signal(self, name: str, late: frozenset[str]) -> Any:
        node = self.fixed.nodes[name]
        if kind(node) == "Input":
            return self.now[name]
        if is_neuron(node):
            past = self.state["past"][self.fixed.keys[name]]
            return past[-1] if name in late else self.value[name]
        if (name, late) not in self.now:
            signal = self._sum(name, late)
            if kind(node) == "Delay":
                self.now[name, late] = self._delay(name, signal)
            else:
                self.now[name, late] = self.network.part(name)(signal)
        return self.now[name, late]

    def _delay(self, name: str, signal: Any) -> Any:
        import jax.numpy as jnp

        key, steps = self.fixed.keys[name], self.fixed.delays[name]
        history = jnp.concatenate([signal[None], self.state["lines"][key]])
        self.new["lines"][key] = history[:-1]
        out = jnp.zeros_like(signal)
        for k in range(len(history)):
            out = jnp.where(steps == k, history[k], out)
        return out


def _export(network: Any, dt: float | None) -> nir.NIRGraph:
    fixed = network.fixed
    dynamics = fixed.dynamics if dt is None else replace(fixed.dynamics, dt=dt)
    made = Assembly(edges=list(fixed.graph.edges))
    for name, node in fixed.nodes.items():
        if is_cell(node):
            made.add(name, _exported(network, name, node, dynamics.dt))
        elif name in fixed.loops.values():
            owner = next(a for a, b in fixed.loops.items() if b == name)
            weight = np.asarray(network.part(owner).recurrent_w[...]).T.copy()
            made.add(name, nir.Linear(weight))
        elif kind(node) in (*MAPS, "Threshold"):
            made.add(name, network.part(name).node(node))
        else:
            made.add(name, node)
    words = {n: getattr(dynamics, n) for n in ("layer_delay", "recurrent_delay", "output_lag")}
    return made.graph(dynamics.dt, **words)


def _exported(network: Any, name: str, node: nir.NIRNode, dt: float) -> Any:
    source = from_node(node, network.fixed.dynamics)
    layer = network.part(name)
    if hasattr(layer, "how"):
        return layer.population(dt)
    cell, _ = population(name, layer, source.shape, dt, channels_last=False)
    return divided(replace(cell, how=replace(source.how, dt=dt)), source)
