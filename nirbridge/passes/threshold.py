"""Threshold nodes → neurons without memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import MEMORYLESS, Dynamics, annotate
from nirbridge.graph.nodes import kind
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt


@dataclass(frozen=True)
class ThresholdNeurons:
    """s = H(x > θ) → LIF with B = 0: v = x, one spike where v > θ, and nothing is carried on.

    τ is the one whose factor per step is 0. Where θ ≤ 0 the neuron fires by itself; its reset
    lies one volt below. Refuses nothing.
    """

    name: ClassVar[str] = "threshold"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional")
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "no threshold")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Replace Threshold nodes by LIF."""
        nodes = dict(graph.nodes)
        notes = []
        for name, node in graph.nodes.items():
            if kind(node) != "Threshold":
                continue
            threshold = np.asarray(node.threshold, np.float64)
            one, zero = np.ones(threshold.shape), np.zeros(threshold.shape)
            v_reset = np.where(threshold > 0, 0.0, threshold - 1)
            tau = dynamics.tau(0.0) * one
            neuron = nir.LIF(tau, one, zero, threshold, v_reset, metadata=dict(node.metadata))
            annotate(neuron, **MEMORYLESS)
            nodes[name] = neuron
            notes.append(Note(self.name, name, "Threshold as a LIF without memory"))
        return rebuilt(graph, nodes, list(graph.edges)), notes
