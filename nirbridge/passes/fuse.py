"""All linear paths from one population to another → one Linear node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, is_neuron, kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Link, Rewritten, rebuilt

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fuse:
    """Σ over paths of W_n ⋯ W_1 → one W per pair of an Input or neuron and a neuron.

    Scale is a diagonal W, a bare edge the identity. A path of a single Linear keeps its name; a
    fused one is called by the names on its way, joined by ``+``. Edges into an Output stay.
    Refuses nodes with state or thresholds between populations (Delay, Threshold).
    """

    name: ClassVar[str] = "fuse"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "no bias")
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "no bias", "fused")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Collect the links and write the graph anew."""
        refuse_all(
            diagnose("NB401", node=n, limit="linear maps between neurons", found=kind(node))
            for n, node in graph.nodes.items()
            if kind(node) in ("Delay", "Threshold")
        )
        links = find_links(graph)
        kept = {n: x for n, x in graph.nodes.items() if kind(x) not in LINEAR}
        edges = [(a, b) for a, b in graph.edges if a in kept and kind(kept.get(b)) == "Output"]
        lost = [(a, b) for a, b in graph.edges if b in kept and kind(kept[b]) == "Output"]
        refuse_all(
            diagnose("NB402", node=b, limit="spikes of a population", found=f"the sums of {a}")
            for a, b in lost
            if a not in kept
        )
        notes = []
        names = set(kept)
        uses = [link.via for link in links]
        for link in links:
            name = _name(link, uses.count(link.via) > 1)
            while name in names:
                name += "'"
            names.add(name)
            kept[name] = nir.Linear(link.matrix)
            edges += [(link.source, name), (name, link.target)]
            if link.via != (name,):
                what = f"{link.source} -> {' + '.join(link.via) or 'edge'} -> {link.target} as one"
                notes.append(Note(self.name, name, f"{what} Linear {link.matrix.shape}"))
        return rebuilt(graph, kept, edges), notes


def _name(link: Link, shared: bool) -> str:
    own = "+".join(link.via) or f"{link.source}>{link.target}"
    return f"{own}>{link.target}" if shared and link.via else own


def find_links(graph: nir.NIRGraph) -> list[Link]:
    """Every pair of an Input or neuron and a neuron that linear paths join, sorted by names."""
    shapes, _ = infer(graph)
    topology = Topology(graph)
    links = []
    for target in sorted(n for n, x in graph.nodes.items() if is_neuron(x)):
        for source in topology.feeders[target]:
            paths = _paths(graph, topology, source, target)
            size = int(np.prod(shapes[source][1]))
            matrix = sum(_product(graph, path, size) for path in paths)
            via = tuple(sorted({name for path in paths for name in path}))
            if len(paths) == 1:
                via = tuple(paths[0])
            links.append(Link(source, target, np.asarray(matrix, np.float64), via))
    return links


def _paths(graph: nir.NIRGraph, topology: Topology, source: str, target: str) -> list[list[str]]:
    """Names of the linear nodes on each way from ``source`` to ``target``, in order."""
    found: list[list[str]] = []
    stack: list[tuple[str, list[str]]] = [(target, [])]
    while stack:
        name, path = stack.pop()
        for before in topology.sources[name]:
            if before == source:
                found.append(path)
            elif kind(graph.nodes[before]) in LINEAR:
                stack.append((before, [before, *path]))
    return found


def _product(graph: nir.NIRGraph, path: list[str], size: int) -> Array:
    matrix: Array = np.eye(size)
    for name in path:
        node = graph.nodes[name]
        if kind(node) == "Scale":
            matrix = np.asarray(node.scale, np.float64)[:, None] * matrix
        else:
            weight = np.asarray(node.weight, np.float64)
            matrix = weight if name == path[0] else weight @ matrix
    return matrix
