"""Outputs that are no neurons → membranes without memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import is_neuron, kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Names, Rewritten, rebuilt


@dataclass(frozen=True)
class Readout:
    """y = Σ x at an Output → v = Σ x of an LI with B = 0, read by its membrane.

    An Output that is fed by one population alone is left as it is. Refuses nothing.
    """

    name: ClassVar[str] = "readout"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional")
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "neuron outputs")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Put an LI in front of every Output that needs one."""
        nodes, edges = dict(graph.nodes), list(graph.edges)
        sources = Topology(graph).sources
        shapes, _ = infer(graph)
        names = Names(nodes)
        notes = []
        for end in [n for n, x in graph.nodes.items() if kind(x) == "Output"]:
            before = sources[end]
            if len(before) == 1 and is_neuron(graph.nodes[before[0]]):
                continue
            one = np.ones(shapes[end][0])
            name = names.new(f"{end}.readout")
            nodes[name] = nir.LI(dynamics.tau(0.0) * one, one, 0 * one)
            edges = [(a, name if b == end else b) for a, b in edges] + [(name, end)]
            text = f"{', '.join(before)} read by the membrane of {name}"
            notes.append(Note(self.name, end, text))
        return rebuilt(graph, nodes, edges), notes
