"""Gains, thresholds and resets → weights: r = w_in = v_threshold = 1, v_reset = 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import SPIKING, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, values, with_fields
from nirbridge.passes.dendrites import Dendrites

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Normalise:
    """u = (v − v_reset)/(θ − v_reset): W → W·r·w_in/(θ − v_reset), v_leak → its u.

    With reset by subtraction, which takes θ and not θ − v_reset, u = v/θ. The gains of an LI that
    feeds the neuron go into the LI's weights too. A neuron with v_reset ≠ 0 starts at its v_reset
    instead of 0, which the note says. Refuses a threshold that is not above 0 with reset by
    subtraction.
    """

    name: ClassVar[str] = "normalise"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = Dendrites.ensures
    ensures: ClassVar[tuple[str, ...]] = (*Dendrites.ensures, "normalised")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Scale the rows of the weights into each neuron."""
        sources = Topology(graph).sources
        nodes = dict(graph.nodes)
        notes = []
        for name, node in graph.nodes.items():
            if not is_neuron(node) or _feeds_neuron(graph, name):
                continue
            shift, unit = self._unit(name, node, dynamics)
            gain = values(node, "r") * values(node, "w_in", 1.0) / unit
            nodes[name] = _unit_gains(node, (values(node, "v_leak") - shift) / unit)
            for source in sources[name]:
                part = gain
                if is_neuron(nodes[source]):  # an LI: its own gain and that of its target
                    part = gain * values(graph.nodes[source], "r")
                    nodes[source] = _unit_gains(graph.nodes[source], 0 * gain)
                    for before in sources[source]:
                        nodes[before] = _scaled(nodes[before], part)
                else:
                    nodes[source] = _scaled(nodes[source], part)
            if np.any(gain != 1):
                low, high = gain.min(), gain.max()
                by = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
                notes.append(Note(self.name, name, f"weights into it times {by}"))
            if np.any(shift != 0):
                size = float(np.abs(shift / unit).max())
                text = "starts at v_reset, not at 0"
                notes.append(Note(self.name, name, text, size, "thresholds"))
        return rebuilt(graph, nodes, list(graph.edges)), notes

    def _unit(self, name: str, node: nir.NIRNode, dynamics: Dynamics) -> tuple[Array, Array]:
        """Where u = 0 lies, and how many volts u = 1 is from there."""
        zero, one = np.zeros(values(node, "r").shape), np.ones(values(node, "r").shape)
        if kind(node) not in SPIKING:
            return zero, one
        threshold, v_reset = values(node, "v_threshold"), values(node, "v_reset")
        if dynamics.override(node).reset == "value":
            return v_reset, threshold - v_reset
        if np.any(threshold <= 0):
            raise refuse(
                "NB401",
                node=name,
                limit="v_threshold > 0 where the reset subtracts it",
                found=float(threshold.min()),
            )
        return zero, threshold


def _feeds_neuron(graph: nir.NIRGraph, name: str) -> bool:
    return any(a == name and is_neuron(graph.nodes[b]) for a, b in graph.edges)


def _unit_gains(node: nir.NIRNode, v_leak: Array) -> nir.NIRNode:
    one = np.ones(v_leak.shape)
    fields = {"r": one, "v_leak": v_leak}
    if hasattr(node, "w_in"):
        fields["w_in"] = one
    if kind(node) in SPIKING:
        fields |= {"v_threshold": one, "v_reset": 0 * one}
    return with_fields(node, **fields)


def _scaled(node: nir.NIRNode, gain: Array) -> nir.NIRNode:
    weight = gain[:, None] * np.asarray(node.weight, np.float64)
    return nir.Linear(weight, metadata=dict(node.metadata))
