"""Neurons that no Output can see, or that can never fire → nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import GRID_KEY, Dynamics
from nirbridge.graph.nodes import LINEAR, SPIKING, is_neuron, kind, parameters
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, values, with_fields
from nirbridge.passes.normalise import Normalise

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

KEPT_KEY = "nirbridge_kept"


@dataclass(frozen=True)
class RemoveDead:
    """W with rows and columns of dead neurons → W without them.

    A hidden neuron is dead if its weights towards everything that lives are 0, or if nothing can
    lift it to its threshold: no weight above 0 from a living source and no rest potential at or
    above it. A population of which some live keeps its name; its metadata lists who is left.
    Outputs stay as they are, as do populations that would be empty, and graphs that were lifted
    from integers. Refuses nothing.
    """

    name: ClassVar[str] = "dead"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = Normalise.ensures
    ensures: ClassVar[tuple[str, ...]] = Normalise.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Find who lives, and slice the graph."""
        if GRID_KEY in graph.metadata:
            return graph, []
        alive = _alive(graph)
        if all(mask.all() for mask in alive.values()):
            return graph, []
        notes = [
            Note(self.name, name, f"{int((~mask).sum())} of {len(mask)} neurons removed")
            for name, mask in alive.items()
            if not mask.all() and kind(graph.nodes[name]) in SPIKING
        ]
        return select(graph, {name: np.flatnonzero(mask) for name, mask in alive.items()}), notes


def select(graph: nir.NIRGraph, chosen: Mapping[str, Indices]) -> nir.NIRGraph:
    """The graph with only these neurons of each population, in this order."""
    topology = Topology(graph)
    nodes: dict[str, nir.NIRNode] = {}
    for name, node in graph.nodes.items():
        if is_neuron(node):
            nodes[name] = _slice_neurons(node, chosen[name])
        elif kind(node) in LINEAR:
            before, after = _source(topology, name), topology.targets[name][0]
            weight = np.asarray(node.weight, np.float64)
            columns = chosen.get(before, np.arange(weight.shape[1]))
            sliced = weight[np.ix_(chosen[after], columns)]
            nodes[name] = nir.Linear(sliced, metadata=dict(node.metadata))
        elif kind(node) == "Delay":
            delay = np.asarray(node.delay)
            nodes[name] = nir.Delay(delay[chosen.get(topology.sources[name][0], ...)])
        else:
            nodes[name] = node
    return rebuilt(graph, nodes, list(graph.edges))


def kept_neurons(node: nir.NIRNode) -> NDArray[np.int64] | None:
    """Original indices of the neurons of a population; None if all are there in their order."""
    text = node.metadata.get(KEPT_KEY) if isinstance(node.metadata, dict) else None
    return None if text is None else np.asarray(json.loads(text), np.int64)


def original_neurons(node: nir.NIRNode) -> Indices:
    """The same where all are there, too."""
    kept = kept_neurons(node)
    return np.arange(len(values(node, "r"))) if kept is None else kept


def _source(topology: Topology, name: str) -> str:
    """Population behind a Linear, past a Delay."""
    (before,) = topology.sources[name]
    if kind(topology.graph.nodes[before]) == "Delay":
        (before,) = topology.sources[before]
    return before


def _slice_neurons(node: nir.NIRNode, chosen: Indices) -> nir.NIRNode:
    if np.array_equal(chosen, np.arange(len(values(node, "r")))):
        return node
    fields: dict[str, Any] = {k: np.asarray(v)[chosen] for k, v in parameters(node).items()}
    size = np.array([len(chosen)])
    sliced = with_fields(node, **fields, input_type={"input": size}, output_type={"output": size})
    sliced.metadata[KEPT_KEY] = json.dumps(original_neurons(node)[chosen].tolist())
    return sliced


def _alive(graph: nir.NIRGraph) -> dict[str, Mask]:
    """For every population who lives; iterated, since the death of one may be that of another."""
    topology = Topology(graph)
    links = [
        (
            _source(topology, name),
            topology.targets[name][0],
            np.asarray(node.weight) != 0,
            np.asarray(node.weight) > 0,
        )
        for name, node in graph.nodes.items()
        if kind(node) in LINEAR
    ]
    dendrite = {
        a: b for a, b in graph.edges if is_neuron(graph.nodes[a]) and is_neuron(graph.nodes[b])
    }
    names = [n for n, x in graph.nodes.items() if is_neuron(x)]
    alive = {n: np.ones(len(values(graph.nodes[n], "r")), bool) for n in names}
    fixed = {
        n
        for n in names
        if kind(graph.nodes[n]) not in SPIKING
        or any(kind(graph.nodes[b]) == "Output" for b in topology.targets[n])
    }
    while True:
        before = {n: mask.copy() for n, mask in alive.items()}
        for name in names:
            if name not in fixed:
                seen = _seen(name, links, alive, dendrite)
                lifted = _lifted(name, graph.nodes[name], links, alive, dendrite)
                if (alive[name] & seen & lifted).any():
                    alive[name] = alive[name] & seen & lifted
        for synapse, owner in dendrite.items():
            alive[synapse] = alive[owner]
        if all(np.array_equal(before[n], alive[n]) for n in names):
            return alive


Links = list[tuple[str, str, NDArray[Any], NDArray[Any]]]


def _seen(name: str, links: Links, alive: dict[str, Mask], dendrite: dict[str, str]) -> Mask:
    """Neurons with a weight towards a living neuron (other than themselves)."""
    seen = np.zeros(len(alive[name]), bool)
    for source, target, nonzero, _ in links:
        if source == name:
            owner = dendrite.get(target, target)
            part = nonzero & alive[owner][:, None]
            if owner == name:
                part = part & ~np.eye(len(seen), dtype=bool)
            seen |= part.any(axis=0)
    return seen


def _lifted(
    name: str,
    node: nir.NIRNode,
    links: Links,
    alive: dict[str, Mask],
    dendrite: dict[str, str],
) -> Mask:
    """Neurons that something can lift to their threshold, which is 1."""
    lifted = np.asarray(values(node, "v_leak") >= 1, bool)
    for source, target, _, positive in links:
        if dendrite.get(target, target) == name:
            sources = alive.get(source, np.ones(positive.shape[1], bool))
            lifted |= (positive & sources[None, :]).any(axis=1)
    return lifted
