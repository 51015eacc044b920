"""Biases → weights from neurons that fire in every step, for thresholds that no bias reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import canonical_step, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Names, Rewritten, rebuilt, values, with_fields
from nirbridge.passes.relay import is_relay, relay_neurons
from nirbridge.passes.schedule import Schedule

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pacemakers:
    """V = B·v + ΣI + c → v = B·v + ΣI, with (1 − A)·c from a neuron that fires in every step.

    Its spikes bring the current of a synapse to c, with the time constant of that synapse and one
    step late: the note gives the charge that is missing at the start. One such neuron feeds
    ``fan_out`` others at most. ``drive``: its own bias in thresholds, from 1 to below 2; where
    that is made of spikes, which only come near it, it must be above 1. Refuses nothing.
    """

    fan_out: int
    drive: float = 1.0

    name: ClassVar[str] = "pacemakers"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = Schedule.ensures
    ensures: ClassVar[tuple[str, ...]] = Schedule.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Replace the rest potentials of all neurons that spike."""
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        driven = {n: c for n, c in _drives(graph, dynamics).items() if c.any()}
        if not driven:
            return graph, []
        count = -(-sum(int(np.count_nonzero(c)) for c in driven.values()) // self.fan_out)
        pacemaker = names.new("pacemaker")
        made, _ = relay_neurons(count, dynamics)
        nodes[pacemaker] = with_fields(made, v_leak=np.full(count, self.drive))
        notes, used = [], 0
        for name, c in driven.items():
            nodes[name] = with_fields(nodes[name], v_leak=0 * c)
            who = np.flatnonzero(c)
            block = np.zeros((len(c), count))
            block[who, (used + np.arange(len(who))) // self.fan_out] = 1.0
            used += len(who)
            late = self._feed(nodes, edges, names, (pacemaker, name), block * c[:, None], dynamics)
            text = f"bias -> weights from {pacemaker} ({count} neurons that fire in every step)"
            notes.append(Note(self.name, name, text, late, "thresholds of charge, at the start"))
        return rebuilt(graph, nodes, edges), notes

    def _feed(
        self,
        nodes: dict[str, nir.NIRNode],
        edges: list[tuple[str, str]],
        names: Names,
        ends: tuple[str, str],
        block: Array,
        dynamics: Dynamics,
    ) -> float:
        """Matrices to all synapses of a population; the largest charge that comes late."""
        pacemaker, name = ends
        synapses = [a for a, b in edges if b == name and kind(nodes[a]) == "LI"] or [name]
        late = 0.0
        for synapse in synapses:
            node = nodes[synapse]
            step = canonical_step(node, dynamics.override(node))
            dendrite = kind(node) == "LI"
            A, gain = (step.B, step.gm) if dendrite else (step.A, step.gs * step.gm)
            if dendrite:  # whose current passes the membrane's gain as well
                gain = gain * canonical_step(nodes[name], dynamics.override(nodes[name])).gm
            link = names.new(f"{pacemaker}>{synapse}")
            weight = ((1 - A) / gain / len(synapses))[:, None] * block
            nodes[link] = nir.Linear(weight)
            edges += [(pacemaker, link), (link, synapse)]
            late = max(late, float((np.abs(block).sum(axis=1) / (1 - A)).max()))
        return late


def _drives(graph: nir.NIRGraph, dynamics: Dynamics) -> dict[str, Array]:
    """What is added to the membranes per step, by population that spikes and is no relay."""
    topology = Topology(graph)
    found = {}
    for name, node in graph.nodes.items():
        dendrite = any(is_neuron(graph.nodes[b]) for b in topology.targets[name])
        if kind(node) in ("LIF", "CubaLIF") and not dendrite and not is_relay(node):
            found[name] = canonical_step(node, dynamics.override(node)).c * np.ones_like(
                values(node, "r")
            )
    return found
