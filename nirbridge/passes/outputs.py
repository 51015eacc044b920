"""Output populations that also feed others → a hidden population and relays at the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import SPIKING, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Link, Names, Rewritten, rebuilt, values
from nirbridge.passes.fuse import add_link
from nirbridge.passes.relay import relay_neurons
from nirbridge.passes.synapse import GiveSynapse


@dataclass(frozen=True)
class SplitOutputs:
    """P → {Output, others} becomes P → others and P → relay → Output.

    The chip's output neurons feed nothing. The relay repeats the spikes of P in the same step
    (and, once scheduled, one step later): x[t] = 2·s[t] − s[t−1] through a synapse that halves,
    as in :class:`GiveSynapse`. Refuses nothing.
    """

    name: ClassVar[str] = "outputs"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = GiveSynapse.ensures
    ensures: ClassVar[tuple[str, ...]] = GiveSynapse.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Give each Output a population of its own."""
        targets = Topology(graph).targets
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        notes = []
        for name, node in graph.nodes.items():
            ends = [b for b in targets[name] if kind(graph.nodes[b]) == "Output"]
            if kind(node) not in SPIKING or not ends or len(targets[name]) == 1:
                continue
            size = len(values(node, "r"))
            for end in ends:
                relay = names.new(f"{name}.{end}")
                nodes[relay], identity = relay_neurons(size, dynamics)
                edges = [e for e in edges if e != (name, end)] + [(relay, end)]
                for delay, weight in ((0, 2 * identity), (1, -identity)):
                    link = Link(name, relay, weight, delay, ())
                    wanted = f"{name}>{relay}" + (".cancel" if delay else "")
                    add_link(nodes, edges, names, link, names.new(wanted), dynamics.dt)
                text = f"also feeds others: read through {size} relay neurons, {relay}"
                notes.append(Note(self.name, name, text, float(size), "output neurons"))
        return rebuilt(graph, nodes, edges), notes
