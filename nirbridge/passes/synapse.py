"""Neurons without a synapse → neurons whose synapse is cancelled, or as short as the chip's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Link, Names, Rewritten, rebuilt, steps_of, values
from nirbridge.passes.dendrites import MOST, with_synapse
from nirbridge.passes.fuse import add_link
from nirbridge.passes.normalise import Normalise

FACTOR = 0.5  # the shortest synapse of the chip (shift 1) keeps half of its current per step


@dataclass(frozen=True)
class GiveSynapse:
    """LIF: v driven by W·s → CubaLIF whose current I halves per step.

    The chip's currents always decay before they reach the membrane, and with shift 0 they are
    wiped. With I[t] = ½·I[t−1] + ½·x[t] there are two forms:

    - ``exact``: x[t] = 2·W·s[t] − W·s[t−1], so I[t] = W·s[t]: the second term cancels what is
      left of the first. It needs a delayed copy of each source, one relay neuron for each of its
      neurons.
    - otherwise x = W·s: a spike delivers ½, ¼, ⅛, ... of what it delivered at once: the same
      charge, on average one step later.

    LI readouts likewise become CubaLI. Refuses a neuron that has two synapses already.
    """

    exact: bool = True

    name: ClassVar[str] = "synapse"
    requires: ClassVar[tuple[str, ...]] = Normalise.ensures
    ensures: ClassVar[tuple[str, ...]] = (*Normalise.ensures, "synapses")

    @property
    def preserves(self) -> str:
        """What this form claims."""
        return "exactly" if self.exact else "lossy"

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Give every LIF and LI that spikes reach directly a synapse."""
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        notes = []
        for name, node in graph.nodes.items():
            if kind(node) not in ("LIF", "LI") or _is_dendrite(graph, name):
                continue
            sources = Topology(graph).sources[name]
            maps = [a for a in sources if kind(graph.nodes[a]) in LINEAR]
            others = [a for a in sources if a not in maps]
            if not maps and others:
                continue
            if len(others) == MOST:
                found = f"{MOST}, and spikes that reach the membrane directly"
                raise refuse("NB608", node=name, limit=f"{MOST} synapses", found=found)
            notes.append(self._give(graph, nodes, edges, names, name, maps, bool(others), dynamics))
        return rebuilt(graph, nodes, edges), notes

    def _give(
        self,
        graph: nir.NIRGraph,
        nodes: dict[str, nir.NIRNode],
        edges: list[tuple[str, str]],
        names: Names,
        name: str,
        maps: list[str],
        has_other: bool,
        dynamics: Dynamics,
    ) -> Note:
        node = nodes[name]
        one = np.ones(values(node, "r").shape)
        tau = dynamics.override(node).tau(FACTOR) * one
        into = name
        if has_other:
            into = names.new(f"{name}.syn")
            nodes[into] = nir.LI(tau, one, 0 * one)
            edges[:] = [(a, into if b == name and a in maps else b) for a, b in edges]
            edges.append((into, name))
        else:
            nodes[name] = with_synapse(node, tau, one)
        if not self.exact:
            text = f"no synapse -> tau_syn {tau.flat[0]:.4g} s; half of each charge arrives late"
            return Note(self.name, name, text, 1.0, "steps later on average")
        delayed = _before(graph, maps, dynamics.dt)
        for each, (source, delay) in zip(maps, delayed, strict=True):
            weight = np.asarray(nodes[each].weight, np.float64)
            nodes[each] = nir.Linear(2 * weight, metadata=dict(nodes[each].metadata))
            link = Link(source, into, -weight, delay + 1, ())
            add_link(nodes, edges, names, link, names.new(f"{each}.cancel"), dynamics.dt)
        who = ", ".join(sorted({source for source, _ in delayed}))
        return Note(self.name, name, f"no synapse -> one that delayed copies of {who} cancel")


def _before(graph: nir.NIRGraph, maps: list[str], dt: float) -> list[tuple[str, int]]:
    """Population and delay (steps) behind each Linear."""
    sources = Topology(graph).sources
    found = []
    for name in maps:
        (before,) = sources[name]
        delay = 0
        if kind(graph.nodes[before]) == "Delay":
            delay = int(steps_of(graph.nodes[before], dt).flat[0])
            (before,) = sources[before]
        found.append((before, delay))
    return found


def _is_dendrite(graph: nir.NIRGraph, name: str) -> bool:
    return any(a == name and is_neuron(graph.nodes[b]) for a, b in graph.edges)
