"""All linear paths from one population to another → one Linear node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import GRID_KEY, Dynamics
from nirbridge.graph.nodes import LINEAR, SPIKING, is_neuron, kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import PROPERTIES, Link, Names, Rewritten, rebuilt, steps_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fuse:
    """Σ over paths of W_n ⋯ W_1 → one W per pair of an Input or neuron and a neuron.

    Scale is a diagonal W, a bare edge the identity. Delays add up along a path; paths of
    different delays stay apart, each as one Delay of whole steps and one W. A path of a single
    Linear keeps its name; a fused one is called by the names on its way, joined by ``+``. Edges
    into an Output stay, as do those from the synapses of a graph that was lifted from integers.
    Refuses nothing.
    """

    name: ClassVar[str] = "fuse"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = (
        "flat",
        "one-dimensional",
        "no bias",
        "no threshold",
        "neuron outputs",
    )
    ensures: ClassVar[tuple[str, ...]] = (*requires, "fused")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Collect the links and write the graph anew, unless it is fused already."""
        if PROPERTIES["fused"](graph) and not _bare(graph):
            return graph, []
        links = find_links(graph, dynamics.dt)
        kept = {n: x for n, x in graph.nodes.items() if kind(x) not in (*LINEAR, "Delay")}
        edges = [(a, b) for a, b in graph.edges if b in kept and kind(kept[b]) == "Output"]
        notes = _rounded_delays(graph, dynamics.dt)
        names = Names(kept)
        uses = [link.via for link in links]
        for link in links:
            synapse = is_neuron(kept[link.source]) and kind(kept[link.source]) not in SPIKING
            if GRID_KEY in graph.metadata and synapse and not link.via:
                edges.append((link.source, link.target))
                continue
            name = names.new(_name(link, uses.count(link.via) > 1))
            add_link(kept, edges, names, link, name, dynamics.dt)
            if link.via != (name,):
                text = f"{link.source} -> {' + '.join(link.via) or 'edge'} -> {link.target}"
                notes.append(Note(self.name, name, f"{text} as one {link.matrix.shape} Linear"))
        return rebuilt(graph, kept, edges), notes


def _bare(graph: nir.NIRGraph) -> bool:
    """Whether spikes reach a neuron by an edge alone."""
    spikes = {n for n, x in graph.nodes.items() if kind(x) in (*SPIKING, "Input")}
    return any(a in spikes and is_neuron(graph.nodes[b]) for a, b in graph.edges)


def add_link(
    nodes: dict[str, nir.NIRNode],
    edges: list[tuple[str, str]],
    names: Names,
    link: Link,
    name: str,
    dt: float,
) -> None:
    """Write a link as a Linear called ``name``, behind a Delay if it has one."""
    source = link.source
    if link.delay:
        source = names.new(f"{link.source}.delay{link.delay}")
        nodes[source] = nir.Delay(np.full(link.matrix.shape[1], link.delay * dt))
        edges.append((link.source, source))
    nodes[name] = nir.Linear(link.matrix)
    edges += [(source, name), (name, link.target)]


def _name(link: Link, shared: bool) -> str:
    own = "+".join(link.via) or f"{link.source}>{link.target}"
    return f"{own}>{link.target}" if shared and link.via else own


def _rounded_delays(graph: nir.NIRGraph, dt: float) -> list[Note]:
    notes = []
    for name, node in graph.nodes.items():
        if kind(node) == "Delay":
            error = np.abs(steps_of(node, dt) - np.asarray(node.delay, np.float64) / dt).max()
            if error > 1e-6:
                text = "delay rounded to whole steps"
                notes.append(Note("fuse", name, text, float(error), "steps"))
    return notes


def find_links(graph: nir.NIRGraph, dt: float) -> list[Link]:
    """Every pair of an Input or neuron and a neuron that linear paths join, sorted by names.

    One link per delay. A pair whose matrices cancel to zero keeps its link.
    """
    shapes, _ = infer(graph)
    topology = Topology(graph)
    targets = sorted(n for n, x in graph.nodes.items() if is_neuron(x))
    links = []
    for target in targets:
        for source in topology.feeders[target]:
            size = int(np.prod(shapes[source][1]))
            paths = _Paths(graph, topology, source, size, dt).into(target)
            links += [
                Link(source, target, matrix, delay, via)
                for delay, (matrix, via) in sorted(paths.items())
            ]
    return links


Parts = dict[int, tuple[Array, tuple[str, ...]]]  # delay in steps: matrix, names on the way


class _Paths:
    """What each stateless node makes of the signal of one source: a matrix for each delay."""

    def __init__(self, graph: nir.NIRGraph, topology: Topology, source: str, size: int, dt: float):
        self.nodes, self.sources, self.source = graph.nodes, topology.sources, source
        self.identity: Parts = {0: (np.eye(size), ())}
        self.dt = dt
        self.known: dict[str, Parts] = {}

    def into(self, name: str) -> Parts:
        """The sum over all that feeds ``name``."""
        total: Parts = {}
        for before in self.sources[name]:
            for delay, (matrix, via) in self._out(before).items():
                if delay in total:
                    old, names = total[delay]
                    more = tuple(n for n in via if n not in names)
                    total[delay] = (old + matrix, (*names, *more))
                else:
                    total[delay] = (matrix, via)
        return total

    def _out(self, name: str) -> Parts:
        node = self.nodes[name]
        if name == self.source:
            return self.identity
        if is_neuron(node) or kind(node) == "Input":
            return {}
        if name not in self.known:
            self.known[name] = self._apply(name, node)
        return self.known[name]

    def _apply(self, name: str, node: nir.NIRNode) -> Parts:
        arriving = self.into(name)
        if kind(node) == "Delay":
            return self._delay(name, steps_of(node, self.dt), arriving)
        result: Parts = {}
        for delay, (matrix, via) in arriving.items():
            if kind(node) == "Scale":
                mapped = np.asarray(node.scale, np.float64)[:, None] * matrix
            else:
                weight = np.asarray(node.weight, np.float64)
                mapped = weight if matrix is self.identity[0][0] else weight @ matrix
            result[delay] = (mapped, (*via, name))
        return result

    def _delay(self, name: str, steps: NDArray[np.int64], arriving: Parts) -> Parts:
        result: Parts = {}
        for delay, (matrix, via) in arriving.items():
            for k in np.unique(steps):
                part = np.where((steps == k)[:, None], matrix, 0.0)
                old = result.get(delay + int(k))
                both = part if old is None else old[0] + part
                result[delay + int(k)] = (both, (*via, name))
        return result
