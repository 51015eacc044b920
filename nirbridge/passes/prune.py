"""Nodes that no Output depends on → nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt


@dataclass(frozen=True)
class Prune:
    """A graph is what its Outputs can see: everything else is dropped.

    Inputs stay, so that the raster keeps its columns. Refuses nothing.
    """

    name: ClassVar[str] = "prune"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat",)
    ensures: ClassVar[tuple[str, ...]] = ("flat",)

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Walk back from the Outputs and keep what is met."""
        kept = Topology(graph).towards(n for n, x in graph.nodes.items() if kind(x) == "Output")
        kept |= {n for n, x in graph.nodes.items() if kind(x) == "Input"}
        notes = [
            Note(self.name, name, f"{kind(node)} removed: no Output depends on it")
            for name, node in graph.nodes.items()
            if name not in kept and is_neuron(node)
        ]
        nodes = {n: x for n, x in graph.nodes.items() if n in kept}
        return rebuilt(graph, nodes, [e for e in graph.edges if kept.issuperset(e)]), notes
