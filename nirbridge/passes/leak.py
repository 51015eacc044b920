"""Neurons without leak → neurons with the slowest leak that the chip has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind
from nirbridge.intformat import DASH
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, values


@dataclass(frozen=True)
class GiveLeak:
    """IF: dv/dt = r·I → LIF: τ·dv/dt = −v + r·τ·I, with τ of the longest decay shift.

    Per step v·1 + r·dt·I becomes v·(1 − 2^−15) + r·dt·I: the membrane loses 2^−15 of itself, and
    on the chip at least one unit per step while it is positive. Refuses nothing.
    """

    name: ClassVar[str] = "leak"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = ("flat",)
    ensures: ClassVar[tuple[str, ...]] = ("flat",)

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Replace IF nodes by LIF, and I by LI."""
        notes = []
        nodes = dict(graph.nodes)
        loss = 2.0**-DASH.high
        for name, node in graph.nodes.items():
            if kind(node) not in ("IF", "I"):
                continue
            r = values(node, "r")
            tau = np.full(r.shape, dynamics.override(node).tau(1 - loss))
            # the same gain per step, r·dt, through gm = (1 − B)·R
            gain = r * dynamics.dt / loss
            leak = np.zeros(r.shape)
            if kind(node) == "I":
                nodes[name] = nir.LI(tau, gain, leak, metadata=dict(node.metadata))
            else:
                nodes[name] = nir.LIF(
                    tau, gain, leak, values(node, "v_threshold"), values(node, "v_reset"),
                    metadata=dict(node.metadata),
                )
            notes.append(
                Note(self.name, name, f"no leak -> tau {tau.flat[0]:.4g} s", loss, "per step")
            )
        return rebuilt(graph, nodes, list(graph.edges)), notes
