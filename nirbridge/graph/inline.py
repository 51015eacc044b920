"""Nested graphs → one flat graph with the same signals."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.graph.nodes import kind

Edge = tuple[str, str]


def inline(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Replace every nested graph by its nodes, named ``outer.inner``.

    The inner Input and Output nodes are identities and disappear: an edge into the nested graph
    becomes edges into whatever its Input feeds, and likewise at its Output. An edge between two
    graphs of several ports joins them one by one, in the order of their names. Nodes are shared
    with ``graph``, which is not changed. A graph without nested ones comes back as a flat copy.
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
        starts = ports(graph.nodes[source], path + source, "Output")
        ends = ports(graph.nodes[target], path + target, "Input")
        edges += zip(starts, ends, strict=True)  # verify() has compared their numbers


def ports(node: nir.NIRNode, path: str, side: str) -> list[str]:
    """The flat nodes that an edge end stands for: a nested graph's Inputs or Outputs, or itself."""
    if not isinstance(node, nir.NIRGraph):
        return [path]
    return [f"{path}.{n}" for n in sorted(node.nodes) if kind(node.nodes[n]) == side]


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
