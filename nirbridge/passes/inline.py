"""Nested graphs → one flat graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten


@dataclass(frozen=True)
class Inline:
    """A nested graph is its nodes: ``outer { inner }`` → ``outer.inner``.

    Inner Inputs and Outputs are identities and disappear. Refuses nothing.
    """

    name: ClassVar[str] = "inline"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ("flat",)

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Splice every nested graph into the graph that holds it."""
        nested = [n for n, node in graph.nodes.items() if isinstance(node, nir.NIRGraph)]
        notes = [
            Note(self.name, name, f"{len(graph.nodes[name].nodes)} nodes inlined as {name}.*")
            for name in nested
        ]
        return inline(graph), notes
