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

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Normalise:
    """u = (v − v_reset)/(θ − v_reset): W → W·r·w_in/(θ − v_reset), v_leak → its u.

    With reset by subtraction, which takes θ and not θ − v_reset, u = v/θ. A neuron with
    v_reset ≠ 0 starts at its v_reset instead of 0, which the note says. Refuses a threshold that
    is not above 0 with reset by subtraction.
    """

    name: ClassVar[str] = "normalise"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "no bias", "fused")
    ensures: ClassVar[tuple[str, ...]] = (
        "flat",
        "one-dimensional",
        "no bias",
        "fused",
        "normalised",
    )

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Scale the rows of the weights into each neuron."""
        topology = Topology(graph)
        nodes = dict(graph.nodes)
        notes = []
        for name, node in graph.nodes.items():
            if not is_neuron(node):
                continue
            shift, unit = self._unit(name, node, dynamics)
            gain = values(node, "r") * values(node, "w_in", 1.0) / unit
            one, zero = np.ones(gain.shape), np.zeros(gain.shape)
            fields = {"r": one, "v_leak": (values(node, "v_leak") - shift) / unit}
            if hasattr(node, "w_in"):
                fields["w_in"] = one
            if kind(node) in SPIKING:
                fields |= {"v_threshold": one, "v_reset": zero}
            nodes[name] = with_fields(node, **fields)
            for source in topology.sources[name]:
                weight = np.asarray(nodes[source].weight, np.float64)
                nodes[source] = nir.Linear(
                    gain[:, None] * weight, metadata=dict(nodes[source].metadata)
                )
            if np.any(gain != 1):
                low, high = gain.min(), gain.max()
                by = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
                notes.append(Note(self.name, name, f"weights into it times {by}"))
            if np.any(shift != 0):
                size = float(np.abs(shift / unit).max())
                notes.append(
                    Note(self.name, name, "starts at v_reset, not at 0", size, "thresholds")
                )
        return rebuilt(graph, nodes, list(graph.edges)), notes

    def _unit(
        self, name: str, node: nir.NIRNode, dynamics: Dynamics
    ) -> tuple[Array, Array]:
        """Where u = 0 lies, and how many volts u = 1 is from there."""
        if kind(node) not in SPIKING:
            return np.zeros(np.shape(node.r)), np.ones(np.shape(node.r))
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
        return np.zeros(threshold.shape), threshold
