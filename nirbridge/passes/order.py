"""Membranes that read the current of the step before → membranes that read this step's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind, shape_of
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Names, Rewritten, rebuilt


@dataclass(frozen=True)
class SynapseFirst:
    """v[t] = B·v[t−1] + gm·I[t−1] → input delayed by one step, and v[t] = B·v[t−1] + gm·I[t].

    The chip, like most frameworks, updates the current first. Only neurons with a synapse differ.
    Their recorded current then lies one step later. Refuses nothing.
    """

    name: ClassVar[str] = "order"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat",)
    ensures: ClassVar[tuple[str, ...]] = ("flat",)

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Put a Delay in front of every CubaLIF and CubaLI."""
        if dynamics.order == "synapse first":
            return graph, []
        sources = Topology(graph).sources
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        notes = []
        for name, node in graph.nodes.items():
            if kind(node) not in ("CubaLIF", "CubaLI"):
                continue
            # a sum of several sources needs one node to be delayed as a whole
            delay = names.new(f"{name}.late")
            nodes[delay] = nir.Delay(np.full(shape_of(node), dynamics.dt))
            edges = [(a, delay if b == name else b) for a, b in edges] + [(delay, name)]
            notes.append(Note(self.name, name, f"input from {', '.join(sources[name])} delayed"))
        result = rebuilt(graph, nodes, edges)
        return replace(dynamics, order="synapse first").attach(result), notes
