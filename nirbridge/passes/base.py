"""What a pass is, and the helpers that several passes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, SPIKING, is_neuron, kind, shape_of
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
    requires: ClassVar[tuple[str, ...]]
    ensures: ClassVar[tuple[str, ...]]

    @property
    def preserves(self) -> str:
        """What the pass claims of the dynamics."""
        ...

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
    return np.full(shape_of(node), default) if found is None else np.asarray(found, np.float64)


def _flat(graph: nir.NIRGraph) -> bool:
    return not any(isinstance(node, nir.NIRGraph) for node in graph.nodes.values())


def _one_dimensional(graph: nir.NIRGraph) -> bool:
    """Only neurons, ends, delays and linear maps, over signals of one axis."""
    plain = all(
        is_neuron(n) or kind(n) in (*LINEAR, "Input", "Output", "Delay")
        for n in graph.nodes.values()
    )
    return plain and all(len(shape_of(n)) == 1 for n in graph.nodes.values() if is_neuron(n))


def _no_bias(graph: nir.NIRGraph) -> bool:
    return not any(kind(node) == "Affine" for node in graph.nodes.values())


def _no_threshold(graph: nir.NIRGraph) -> bool:
    return not any(kind(node) == "Threshold" for node in graph.nodes.values())


def _neuron_outputs(graph: nir.NIRGraph) -> bool:
    """Each Output is fed by one population and nothing else."""
    ends = [n for n, x in graph.nodes.items() if kind(x) == "Output"]
    fed = [[a for a, b in graph.edges if b == end] for end in ends]
    return all(len(a) == 1 and is_neuron(graph.nodes[a[0]]) for a in fed)


def _fused(graph: nir.NIRGraph) -> bool:
    """Into neurons lead only Linear nodes, one per source and delay, or populations as they are."""
    nodes = graph.nodes
    seen = set()
    for name in (n for n, x in nodes.items() if kind(x) in (*LINEAR, "Delay")):
        before = [a for a, b in graph.edges if b == name]
        after = [b for a, b in graph.edges if a == name]
        if kind(nodes[name]) == "Delay":
            whole = len(before) == 1 and np.ptp(nodes[name].delay) == 0
            if not whole or any(kind(nodes[b]) != "Linear" for b in after):
                return False
            continue
        if kind(nodes[name]) != "Linear" or len(before) != 1 or len(after) != 1:
            return False
        if kind(nodes[before[0]]) in LINEAR or not is_neuron(nodes[after[0]]):
            return False
        if (before[0], after[0]) in seen:
            return False
        seen.add((before[0], after[0]))
    return True


def _dendrites(graph: nir.NIRGraph) -> bool:
    """What does not spike feeds one neuron population of its size, or an Output."""
    for name, node in graph.nodes.items():
        if is_neuron(node) and kind(node) not in SPIKING:
            after = [graph.nodes[b] for a, b in graph.edges if a == name]
            if not all(kind(n) == "Output" or is_neuron(n) for n in after) or len(after) > 1:
                return False
    return True


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


def _synapses(graph: nir.NIRGraph) -> bool:
    """No spike reaches a membrane without passing a synapse."""
    for name, node in graph.nodes.items():
        if kind(node) in ("I", "IF", "LIF", "LI"):
            dendrite = kind(node) == "LI" and any(
                a == name and is_neuron(graph.nodes[b]) for a, b in graph.edges
            )
            fed = [kind(graph.nodes[a]) for a, b in graph.edges if b == name]
            if not dendrite and any(k != "LI" for k in fed):
                return False
    return True


def _scheduled(graph: nir.NIRGraph) -> bool:
    how = Dynamics.of(graph)
    no_delay = not any(kind(node) == "Delay" for node in graph.nodes.values())
    return how is not None and how.layer_delay == 1 and no_delay


PROPERTIES: dict[str, Callable[[nir.NIRGraph], bool]] = {
    "flat": _flat,
    "one-dimensional": _one_dimensional,
    "no bias": _no_bias,
    "no threshold": _no_threshold,
    "neuron outputs": _neuron_outputs,
    "fused": _fused,
    "dendrites": _dendrites,
    "normalised": _normalised,
    "synapses": _synapses,
    "scheduled": _scheduled,
}


@dataclass(frozen=True)
class Link:
    """All linear paths of one delay from an Input or neuron to a neuron, as a matrix (out, in)."""

    source: str
    target: str
    matrix: NDArray[np.float64]
    delay: int
    via: tuple[str, ...]


class Names:
    """Names for new nodes: derived from old ones, and never one that is taken."""

    def __init__(self, taken: Iterable[str]):
        self.taken = set(taken)

    def new(self, wanted: str) -> str:
        """``wanted``, with primes until it is free."""
        while wanted in self.taken:
            wanted += "'"
        self.taken.add(wanted)
        return wanted


def steps_of(node: nir.NIRNode, dt: float) -> NDArray[np.int64]:
    """Delays of a Delay node in whole steps."""
    return np.rint(np.asarray(node.delay, np.float64) / dt).astype(np.int64)
