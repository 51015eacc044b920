"""What a pass is, and the helpers that several passes share."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, is_neuron, kind
from nirbridge.journal import Note

Rewritten = tuple[nir.NIRGraph, list[Note]]


class Pass(Protocol):
    """A rewrite of a graph. Pure: it never edits the graph or the nodes that it is given.

    ``preserves`` is what it claims of the stepped dynamics: ``exactly`` (equal in real
    arithmetic, bit for bit where the parameters are small multiples of powers of two), ``bounded``
    (its notes carry the size), or ``lossy`` (its notes say why). ``requires`` and ``ensures`` name
    properties in :data:`PROPERTIES`.
    """

    name: ClassVar[str]
    preserves: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    ensures: ClassVar[tuple[str, ...]]

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """The rewritten graph, and what was done.

        Raises
        ------
        Refused
            NB4xx for what the pass cannot rewrite.

        """
        ...


def rebuilt(
    graph: nir.NIRGraph, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]
) -> nir.NIRGraph:
    """A graph of these nodes and edges with the metadata of ``graph``."""
    return nir.NIRGraph(nodes, edges, metadata=dict(graph.metadata), type_check=False)


def with_fields(node: nir.NIRNode, **fields: Any) -> nir.NIRNode:
    """A copy of a node with some of its parameters replaced."""
    changed = copy(node)
    changed.metadata = dict(node.metadata)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def values(node: nir.NIRNode, field: str, default: float = 0.0) -> NDArray[np.float64]:
    """A neuron parameter as float64 of the population's shape; ``default`` where it is absent."""
    found = getattr(node, field, None)
    return np.full(np.shape(node.r), default) if found is None else np.asarray(found, np.float64)


def _flat(graph: nir.NIRGraph) -> bool:
    return not any(isinstance(node, nir.NIRGraph) for node in graph.nodes.values())


def _one_dimensional(graph: nir.NIRGraph) -> bool:
    """Only neurons, ends and linear maps, over signals of one axis."""
    plain = all(
        is_neuron(n) or kind(n) in (*LINEAR, "Input", "Output", "Threshold", "Delay")
        for n in graph.nodes.values()
    )
    return plain and all(np.ndim(n.r) == 1 for n in graph.nodes.values() if is_neuron(n))


def _no_bias(graph: nir.NIRGraph) -> bool:
    return not any(kind(node) == "Affine" for node in graph.nodes.values())


def _fused(graph: nir.NIRGraph) -> bool:
    """Linear nodes join an Input or a neuron to a neuron, one for each pair."""
    kinds = {name: kind(node) for name, node in graph.nodes.items()}
    pairs = []
    for name in (n for n, k in kinds.items() if k in LINEAR):
        before = [a for a, b in graph.edges if b == name]
        after = [b for a, b in graph.edges if a == name]
        if kinds[name] != "Linear" or len(before) != 1 or len(after) != 1:
            return False
        pairs.append((before[0], after[0]))
    ends_fit = all(kinds[x] not in LINEAR for pair in pairs for x in pair)
    direct = [e for e in graph.edges if kinds[e[0]] not in LINEAR and kinds[e[1]] not in LINEAR]
    return ends_fit and len(set(pairs)) == len(pairs) and not set(direct) & set(pairs)


def _normalised(graph: nir.NIRGraph) -> bool:
    for node in graph.nodes.values():
        if hasattr(node, "v_threshold") and np.any(node.v_threshold != 1):
            return False
        gains = ("r", "w_in") if hasattr(node, "v_leak") else ()
        if any(np.any(getattr(node, f) != 1) for f in gains if hasattr(node, f)):
            return False
        if np.any(np.asarray(getattr(node, "v_reset", 0)) != 0):
            return False
    return True


def _leaky_synapses(graph: nir.NIRGraph) -> bool:
    return all(kind(node) not in ("I", "IF", "LIF") for node in graph.nodes.values())


PROPERTIES: dict[str, Callable[[nir.NIRGraph], bool]] = {
    "flat": _flat,
    "one-dimensional": _one_dimensional,
    "no bias": _no_bias,
    "fused": _fused,
    "normalised": _normalised,
    "leaky synapses": _leaky_synapses,
}


@dataclass(frozen=True)
class Link:
    """All linear paths from one Input or neuron to another neuron, as one matrix (out, in)."""

    source: str
    target: str
    matrix: NDArray[np.float64]
    via: tuple[str, ...]
