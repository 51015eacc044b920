"""Neurons in the order of their population → in one that suits the chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import is_neuron
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten
from nirbridge.passes.dead import original_neurons, select
from nirbridge.passes.schedule import Schedule


@dataclass(frozen=True)
class Arrange:
    """W with rows and columns permuted, the parameters of its neurons likewise.

    ``orders``: by hidden population, the user's own index of the neuron that comes first, second,
    ...; populations that are not named stay, as those of outputs must. The metadata of a
    population say who is where, as after removing dead neurons. Refuses nothing.
    """

    orders: Mapping[str, NDArray[np.int64]]

    name: ClassVar[str] = "arrange"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = Schedule.ensures
    ensures: ClassVar[tuple[str, ...]] = Schedule.ensures

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Permute populations together with their synapses and all weights from and to them."""
        topology = Topology(graph)
        chosen, notes = {}, []
        for name in (n for n, x in graph.nodes.items() if is_neuron(x)):
            owner = next((b for b in topology.targets[name] if is_neuron(graph.nodes[b])), name)
            now = original_neurons(graph.nodes[owner])
            place = {neuron: k for k, neuron in enumerate(now.tolist())}
            chosen[name] = np.array([place[k] for k in self.orders.get(owner, now).tolist()])
            moved = int((chosen[name] != np.arange(len(now))).sum())
            if moved and owner == name:
                text = "neurons reordered: those that take input first, that drive outputs last"
                notes.append(Note(self.name, name, text, float(moved), "neurons moved"))
        return select(graph, chosen), notes
