"""What rounding did: weights and time constants before and after, node by node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind, shape_of
from nirbridge.graph.topology import Topology
from nirbridge.mapping.lift import chip_dynamics
from nirbridge.mapping.place import chip_links, synapses
from nirbridge.report.acting import acting

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

Array = NDArray[np.float64]

MATRICES = ("input to hidden", "hidden to hidden", "hidden to output")


@dataclass(frozen=True, eq=False)
class WeightGroup:
    """All weights of one of the chip's matrices that are not 0 both before and after.

    ``unit``: what a weight of 1 adds per spike.
    """

    title: str
    unit: str
    before: Array
    after: Array


@dataclass(frozen=True)
class WeightRow:
    """One matrix of the network.

    ``entries``: weights other than 0 before rounding; ``lost``: those that became 0. ``rms`` and
    ``largest``: error of a weight, over the root mean square of the weights.
    """

    node: str
    matrix: str
    shape: tuple[int, int]
    entries: int
    lost: int
    rms: float
    largest: float


@dataclass(frozen=True, eq=False)
class Decay:
    """Effective time constants −dt/ln(factor per step) of one state of a population, in seconds.

    ``kind``: membrane, synapse or second synapse. Neurons without memory are left out.
    """

    population: str
    kind: str
    before: Array
    after: Array


def weight_groups(deployment: Deployment) -> tuple[WeightGroup, ...]:
    """Weights by the chip's matrix, in thresholds per spike, or volts for readouts."""
    readouts = {p.name for p in deployment.placement.outputs if p.readout}
    parts: dict[tuple[str, str], list[tuple[Array, Array]]] = {}
    for _, target, matrix, before, after in _links(deployment):
        used = (before != 0) | (after != 0)
        unit = "volts" if target in readouts else "thresholds"
        parts.setdefault((matrix, unit), []).append((before[used], after[used]))
    return tuple(
        WeightGroup(name, unit, *(np.concatenate(side) for side in zip(*pairs, strict=True)))
        for (name, unit), pairs in sorted(parts.items(), key=lambda p: MATRICES.index(p[0][0]))
        if sum(len(b) for b, _ in pairs)
    )


def weight_rows(deployment: Deployment) -> tuple[WeightRow, ...]:
    """The same as figures, matrix by matrix; those that are empty are left out."""
    rows = []
    for name, _, matrix, before, after in _links(deployment):
        size = float(np.sqrt(np.mean(before**2))) if before.size else 0.0
        if not before.any() and not after.any():
            continue
        error = np.abs(after - before) / (size or 1.0)
        rows.append(
            WeightRow(
                name,
                matrix,
                (before.shape[1], before.shape[0]),
                int(np.count_nonzero(before)),
                int(np.sum((before != 0) & (after == 0))),
                float(np.sqrt(np.mean(error**2))),
                float(error.max(initial=0)),
            )
        )
    return tuple(rows)


def _links(deployment: Deployment) -> list[tuple[str, str, str, Array, Array]]:
    """Node, what it feeds, matrix, and weights (out, in) with the chip's decays, exact, rounded."""
    graph, place = deployment.lowered, deployment.placement
    outputs = {p.name for p in place.outputs}
    found = []
    for link in chip_links(graph, Topology(graph)):
        nodes = [side.nodes.get(link.name) for side in (deployment.shifted, deployment.deployed)]
        if any(node is None for node in nodes):  # an alias stands for it
            continue
        if link.target in outputs:
            matrix = MATRICES[2]
        else:
            matrix = MATRICES[0 if kind(graph.nodes[link.source]) == "Input" else 1]
        before, after = (np.asarray(node.weight, np.float64) for node in nodes if node is not None)
        found.append((link.name, link.target, matrix, before, after))
    return found


def decays(deployment: Deployment) -> tuple[Decay, ...]:
    """Time constants of every population as they were trained, and as the chip has them.

    What the rewrite made (relays, the synapses that it gives to neurons without, or a second one)
    was never trained, and is left out.
    """
    source = inline(deployment.source)
    chip = chip_dynamics(deployment.config.dt)
    topology = Topology(deployment.lowered)
    found = []
    for p in deployment.placement.populations:
        if p.name not in source.nodes:
            continue
        names = synapses(deployment.lowered, topology, p.name)
        for what, name, old, field in _states(source, p.name, names):
            node, lifted = source.nodes[old], deployment.deployed.nodes[name]
            before = _acting(node, field, deployment.dynamics.override(node))
            before = before if p.kept is None else before[list(p.kept)]
            after = _acting(lifted, field, chip)
            keeps = (before > 0) & (after > 0)
            if keeps.any():
                found.append(Decay(p.name, what, before[keeps], after[keeps]))
    return tuple(found)


def _states(
    source: nir.NIRGraph, name: str, names: list[str]
) -> Iterator[tuple[str, str, str, str]]:
    """States of a population that were trained: kind, node on the chip, node as given, field."""
    yield "membrane", name, name, "tau_mem"
    trained = hasattr(source.nodes[name], "tau_syn")
    if trained and not names:
        yield "synapse", name, name, "tau_syn"
    for k, (what, synapse) in enumerate(zip(("synapse", "second synapse"), names, strict=False)):
        if synapse in source.nodes:
            yield what, synapse, synapse, "tau"
        elif trained and k == 0:
            yield what, synapse, name, "tau_syn"


def _acting(node: nir.NIRNode, field: str, how: Dynamics) -> Array:
    """Time constants as they act, for each neuron; 0 for none. A node may have ``tau`` alone."""
    values: Any = getattr(node, field, None)
    values = getattr(node, "tau", None) if values is None else values
    found = np.zeros(1) if values is None else acting(values, how).ravel()
    return np.broadcast_to(found, int(np.prod(shape_of(node)))) if found.size == 1 else found
