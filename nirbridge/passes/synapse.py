"""Neurons without a synapse → neurons with the shortest synapse that the chip has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, values


@dataclass(frozen=True)
class GiveSynapse:
    """LIF: v driven by r·x → CubaLIF: v driven by r·I, τ_syn·dI/dt = −I + x.

    The chip's currents always decay before they reach the membrane, and with shift 0 they are
    wiped: the shortest synapse halves its current per step (shift 1). A spike then delivers a
    half, a quarter, an eighth, ... of what it delivered at once: the same charge, on average one
    step later. Refuses nothing.
    """

    name: ClassVar[str] = "synapse"
    preserves: ClassVar[str] = "lossy"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional")
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "leaky synapses")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Replace LIF nodes by CubaLIF."""
        notes = []
        nodes = dict(graph.nodes)
        for name, node in graph.nodes.items():
            if kind(node) != "LIF":
                continue
            tau_syn = np.full(np.shape(node.r), dynamics.override(node).tau(0.5))
            nodes[name] = nir.CubaLIF(
                tau_syn,
                values(node, "tau"),
                values(node, "r"),
                values(node, "v_leak"),
                values(node, "v_threshold"),
                values(node, "v_reset"),
                np.ones(np.shape(node.r)),
                metadata=dict(node.metadata),
            )
            notes.append(
                Note(
                    self.name,
                    name,
                    f"no synapse -> tau_syn {tau_syn.flat[0]:.4g} s; half of each spike's charge "
                    "arrives late",
                    1.0,
                    "steps later on average",
                )
            )
        return rebuilt(graph, nodes, list(graph.edges)), notes
