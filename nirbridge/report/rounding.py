"""What rounding did: weights and time constants before and after, node by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.mapping.lift import chip_dynamics
from nirbridge.mapping.place import chip_links, synapses

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

Array = NDArray[np.float64]

MATRICES = ("input to hidden", "hidden to hidden", "hidden to output")
NO_MEMORY = 0.1  # steps: a shorter time constant stands for none


@dataclass(frozen=True, eq=False)
class WeightGroup:
    """All weights of one of the chip's matrices that are not 0 both before and after."""

    title: str
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
    """Weights by the chip's matrix, in thresholds (volts for readouts) per spike."""
    parts: dict[str, list[tuple[Array, Array]]] = {name: [] for name in MATRICES}
    for _, matrix, before, after in _links(deployment):
        used = (before != 0) | (after != 0)
        parts[matrix].append((before[used], after[used]))
    return tuple(
        WeightGroup(name, *(np.concatenate(side) for side in zip(*pairs, strict=True)))
        for name, pairs in parts.items()
        if sum(len(b) for b, _ in pairs)
    )


def weight_rows(deployment: Deployment) -> tuple[WeightRow, ...]:
    """The same as figures, matrix by matrix; those that are empty are left out."""
    rows = []
    for name, matrix, before, after in _links(deployment):
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


def _links(deployment: Deployment) -> list[tuple[str, str, Array, Array]]:
    """Node, matrix of the chip, and weights (out, in) with the chip's decays, exact and rounded."""
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
        found.append((link.name, matrix, before, after))
    return found


def decays(deployment: Deployment) -> tuple[Decay, ...]:
    """Time constants of every population but relays, before (as trained) and after."""
    how = Dynamics.of(deployment.lowered) or deployment.dynamics
    chip = chip_dynamics(deployment.config.dt)
    sides = ((deployment.lowered, how), (deployment.deployed, chip))
    topology = Topology(deployment.lowered)
    found = []
    for p in deployment.placement.populations:
        if p.relay:
            continue
        names = synapses(deployment.lowered, topology, p.name)
        states: list[tuple[str, str, tuple[str, ...]]] = [("membrane", p.name, ("tau", "tau_mem"))]
        if names:
            kinds = ("synapse", "second synapse")
            states += [(k, n, ("tau",)) for k, n in zip(kinds, names, strict=False)]
        else:
            states.append(("synapse", p.name, ("tau_syn",)))
        for what, name, fields in states:
            before, after = (_effective(g.nodes.get(name), fields, h) for g, h in sides)
            keeps = (before > 0) & (after > 0) if len(before) == len(after) else np.zeros(0, bool)
            if keeps.any():
                found.append(Decay(p.name, what, before[keeps], after[keeps]))
    return tuple(found)


def _effective(node: nir.NIRNode | None, fields: tuple[str, ...], how: Dynamics) -> Array:
    """Time constants as they act, 0 for none; empty if the node has no such field."""
    values: Any = next((getattr(node, f) for f in fields if hasattr(node, f)), ())
    factor = how.factor(np.asarray(values, np.float64))
    positive = factor > 0
    tau = np.zeros(factor.shape)
    tau[positive] = -how.dt / np.log(np.minimum(factor[positive], 1 - 1e-15))
    return np.where(tau < NO_MEMORY * how.dt, 0.0, tau)
