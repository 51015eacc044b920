"""Nested graphs → one flat graph with the same signals."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.graph.nodes import kind

Edge = tuple[str, str]


def inline(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Replace every nested graph by its nodes, named ``outer.inner``.

    The inner Input and Output nodes are identities and disappear: an edge into the nested graph
    becomes edges into whatever its Input feeds, and likewise at its Output. Nodes are shared with
    ``graph``, which is not changed. A graph that has no nested graph comes back as a flat copy.
    """
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[Edge] = []
    identities: list[str] = []
    _collect(graph, "", nodes, edges, identities)
    for name in identities:
        edges = _splice(name, nodes, edges)
    return nir.NIRGraph(nodes, edges, metadata=dict(graph.metadata), type_check=False)


def _collect(
    graph: nir.NIRGraph,
    path: str,
    nodes: dict[str, nir.NIRNode],
    edges: list[Edge],
    identities: list[str],
) -> None:
    """Copy all levels into ``nodes`` and ``edges``; inner Inputs and Outputs to ``identities``."""
    for name, node in graph.nodes.items():
        full = path + name
        if isinstance(node, nir.NIRGraph):
            _collect(node, f"{full}.", nodes, edges, identities)
        else:
            nodes[full] = node
            if path and kind(node) in ("Input", "Output"):
                identities.append(full)
    for source, target in graph.edges:
        edges.append(
            (
                _port(graph, path, source, "Output"),
                _port(graph, path, target, "Input"),
            )
        )


def _port(graph: nir.NIRGraph, path: str, name: str, side: str) -> str:
    """The flat node that an edge end stands for: a nested graph's Input or Output, or the node."""
    node = graph.nodes[name]
    full = path + name
    while isinstance(node, nir.NIRGraph):
        inner = next(n for n, x in node.nodes.items() if kind(x) == side)
        full, node = f"{full}.{inner}", node.nodes[inner]
    return full


def _splice(name: str, nodes: dict[str, nir.NIRNode], edges: list[Edge]) -> list[Edge]:
    """Remove the identity ``name``, joining each of its sources to each of its targets.

    Where such an edge exists already, the two signals add up; the identity then stays, as a Scale
    by one, because an edge cannot stand twice.
    """
    sources = [a for a, b in edges if b == name]
    targets = [b for a, b in edges if a == name]
    kept = [edge for edge in edges if name not in edge]
    joined = [(a, b) for a in sources for b in targets]
    if len(set(joined + kept)) < len(joined) + len(kept):
        shape = tuple(int(n) for n in np.atleast_1d(nodes[name].input_type["input"]))
        nodes[name] = nir.Scale(np.ones(shape))
        return edges
    del nodes[name]
    return kept + joined
