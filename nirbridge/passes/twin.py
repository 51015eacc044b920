"""Neurons with one synapse → neurons with two equal ones, for a quantiser that can use both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Names, Rewritten, rebuilt, values, with_fields
from nirbridge.passes.relay import is_relay
from nirbridge.passes.schedule import Schedule


@dataclass(frozen=True)
class TwinSynapses:
    """W → CubaLIF becomes W/2 → LI → LIF ← LI ← W/2, and gets a matrix of zeros onto itself.

    The sum of both currents is the old one. With decays and weights of their own, later, two
    currents come much nearer to a trained time constant than one; the matrix onto itself is the
    room for what mends the reset. With ``twins=False``, for chips with one synapse, neurons get
    that matrix alone. Populations that feed an Output, and relays, stay as they are. Refuses
    nothing.
    """

    twins: bool = True

    name: ClassVar[str] = "twin"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = Schedule.ensures
    ensures: ClassVar[tuple[str, ...]] = Schedule.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Split every synapse that can be split."""
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        hidden = _hidden(graph)
        notes = []
        for name in hidden:
            if self.twins and kind(nodes[name]) == "CubaLIF":
                self._split(graph, nodes, edges, names, name)
                text = "one synapse -> two alike, and a matrix onto itself"
                notes.append(Note(self.name, name, text))
            self._loop(nodes, edges, names, name)
        return rebuilt(graph, nodes, edges), notes

    def _loop(
        self,
        nodes: dict[str, nir.NIRNode],
        edges: list[tuple[str, str]],
        names: Names,
        name: str,
    ) -> None:
        """Matrices of zeros from a population to those of its synapses that it does not feed."""
        size = len(values(nodes[name], "r"))
        own = {b for a, b in edges if a == name}
        synapses = [a for a, b in edges if b == name and kind(nodes[a]) == "LI"]
        for synapse in synapses or [name]:
            if not any(a in own for a, b in edges if b == synapse):
                loop = names.new(f"{name}>{synapse}")
                nodes[loop] = nir.Linear(np.zeros((size, size)))
                edges += [(name, loop), (loop, synapse)]

    def _split(
        self,
        graph: nir.NIRGraph,
        nodes: dict[str, nir.NIRNode],
        edges: list[tuple[str, str]],
        names: Names,
        name: str,
    ) -> None:
        node = graph.nodes[name]
        one = np.ones_like(values(node, "r"))
        tau = values(node, "tau_syn")
        nodes[name] = nir.LIF(
            values(node, "tau_mem"),
            values(node, "r"),
            values(node, "v_leak"),
            values(node, "v_threshold"),
            values(node, "v_reset"),
            metadata=dict(node.metadata),
        )
        twins = [names.new(f"{name}.syn"), names.new(f"{name}.syn2")]
        for twin in twins:
            nodes[twin] = nir.LI(tau, values(node, "w_in", 1.0) * one, 0 * one)
            edges.append((twin, name))
        for link in [a for a, b in graph.edges if b == name]:
            weight = np.asarray(nodes[link].weight, np.float64) / 2
            nodes[link] = with_fields(nodes[link], weight=weight)
            copy = names.new(f"{link}.2")
            nodes[copy] = nir.Linear(weight)
            (source,) = [a for a, b in graph.edges if b == link]
            edges.remove((link, name))
            edges += [(link, twins[0]), (source, copy), (copy, twins[1])]


def _hidden(graph: nir.NIRGraph) -> list[str]:
    """Populations that spike, have a synapse, feed no Output and repeat nobody."""
    topology = Topology(graph)
    found = []
    for name, node in graph.nodes.items():
        dendrites = any(kind(graph.nodes[a]) == "LI" for a in topology.sources[name])
        inner = kind(node) == "CubaLIF" or (kind(node) == "LIF" and dendrites)
        ends = any(kind(graph.nodes[b]) == "Output" for b in topology.targets[name])
        if inner and not ends and not is_relay(node):
            found.append(name)
    return found
