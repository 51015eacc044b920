"""Recurrent weights that the chip has no room for → 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, SPIKING, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, with_fields
from nirbridge.passes.normalise import Normalise

Mask = NDArray[np.bool_]
Pair = tuple[str, str]


@dataclass(frozen=True)
class FanOut:
    """W → W with some entries 0.

    ``removed``: by source and target population, which entries of all W between them, (target,
    source). Which they are is chosen by :func:`nirbridge.calibrate.fan_out.prune_to_fit`. Refuses
    nothing.
    """

    removed: Mapping[Pair, Mask]

    name: ClassVar[str] = "fan-out"
    preserves: ClassVar[str] = "lossy"
    requires: ClassVar[tuple[str, ...]] = Normalise.ensures
    ensures: ClassVar[tuple[str, ...]] = Normalise.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Zero the entries; the notes say how many of each source, and what they amount to."""
        nodes = dict(graph.nodes)
        before = {pair: np.abs(w).sum(axis=0) for pair, w in recurrent(graph).items()}
        for pair, links in links_between(graph).items():
            if pair in self.removed:
                for link in links:
                    weight = np.where(self.removed[pair], 0.0, nodes[link].weight)
                    nodes[link] = with_fields(nodes[link], weight=weight)
        notes = []
        for name in sorted({source for source, _ in self.removed}):
            own = {pair: w for pair, w in before.items() if pair[0] == name}
            lost = [
                w[mask & (w > 0)]
                for pair, w in own.items()
                if (mask := self.removed.get(pair)) is not None
            ]
            gone = np.concatenate([np.zeros(0), *lost])
            if len(gone):
                count = sum(int(np.count_nonzero(w)) for w in own.values())
                share = float(gone.sum()) / sum(float(w.sum()) for w in own.values())
                text = f"{len(gone)} of {count} recurrent connections removed, the largest of "
                text += f"{gone.max():.3g} thresholds"
                notes.append(Note(self.name, name, text, share, "of the total of all |weights|"))
        return rebuilt(graph, nodes, list(graph.edges)), notes


def links_between(graph: nir.NIRGraph) -> dict[Pair, list[str]]:
    """The Linear nodes of a fused graph from one spiking population to another that is hidden.

    Delays and synapses between them are passed over; populations that feed an Output alone are
    not hidden.
    """
    topology = Topology(graph)
    found: dict[Pair, list[str]] = {}
    links = [n for n, x in graph.nodes.items() if kind(x) in LINEAR]
    for name in sorted(links, key=lambda n: (topology.targets[n][0], n)):
        (source,), (target,) = topology.sources[name], topology.targets[name]
        if kind(graph.nodes[source]) == "Delay":
            (source,) = topology.sources[source]
        target = next((b for b in topology.targets[target] if is_neuron(graph.nodes[b])), target)
        ends = [kind(graph.nodes[b]) == "Output" for b in topology.targets[target]]
        if kind(graph.nodes[source]) in SPIKING and not all(ends):
            found.setdefault((source, target), []).append(name)
    return found


def recurrent(graph: nir.NIRGraph) -> dict[Pair, NDArray[np.float64]]:
    """The weights between each two hidden populations, (links, target, source)."""
    return {
        pair: np.stack([np.asarray(graph.nodes[n].weight, np.float64) for n in links])
        for pair, links in links_between(graph).items()
    }
