"""Biases of Affine nodes → the rest potential of the neurons that they drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, values, with_fields

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FoldBias:
    """x = W·s + b into a neuron → x = W·s and v_leak + r·w_in·b.

    For LIF and LI this is the same equation. In CubaLIF and CubaLI the bias passes the synapse,
    and its current rises to w_in·b with τ_syn; as a rest potential it acts from the first step.
    The difference is a single charge at the start, which the note gives in thresholds. Refuses a
    bias in front of a neuron without leak, and one that reaches an Output without a neuron.
    """

    name: ClassVar[str] = "bias"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional")
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional", "no bias")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Move what arrives in silence into v_leak; make every Affine a Linear."""
        silence = _Silence(graph)
        nodes = dict(graph.nodes)
        notes = []
        for name, node in graph.nodes.items():
            if kind(node) == "Affine":
                nodes[name] = nir.Linear(np.asarray(node.weight), metadata=dict(node.metadata))
            constant = silence.into(name)
            if constant is None or not constant.any():
                continue
            if not is_neuron(node):
                if kind(node) == "Output":
                    raise refuse(
                        "NB402", node=name, limit="spikes", found="a bias without a neuron"
                    )
                continue
            nodes[name], note = self._fold(name, node, constant, dynamics)
            notes.append(note)
            if name in silence.late:
                text = "a bias behind a Delay acts from the first step"
                size = float(np.abs(constant).max())
                notes.append(Note(self.name, name, text, size, "of input, before the delay"))
        return rebuilt(graph, nodes, list(graph.edges)), notes

    def _fold(
        self, name: str, node: nir.NIRNode, constant: Array, dynamics: Dynamics
    ) -> tuple[nir.NIRNode, Note]:
        if not hasattr(node, "v_leak"):
            raise refuse("NB401", node=name, limit="a leak, to hold a bias", found=kind(node))
        rise = values(node, "r") * values(node, "w_in", 1.0) * constant
        folded = with_fields(node, v_leak=values(node, "v_leak") + rise)
        largest = f"bias -> v_leak, up to {np.abs(rise).max():.3g} V"
        if not hasattr(node, "tau_syn"):
            return folded, Note(self.name, name, largest)
        own = dynamics.override(node)
        tau_syn, tau_mem = values(node, "tau_syn"), values(node, "tau_mem")
        lag = own.factor(tau_syn) / own.complement(tau_syn)  # steps by which the current lags
        charge = np.abs(rise * own.complement(tau_mem) * lag / values(node, "v_threshold", 1.0))
        return folded, Note(
            self.name,
            name,
            largest + "; it no longer rises through the synapse",
            float(charge.max()),
            "thresholds of charge, once at the start",
        )


class _Silence:
    """What each node of a flat graph gives when no neuron spikes and no input arrives."""

    def __init__(self, graph: nir.NIRGraph):
        self.graph = graph
        self.sources = Topology(graph).sources
        self.known: dict[str, Array | None] = {}
        self.late: set[str] = set()  # nodes whose constant has passed a Delay

    def into(self, name: str) -> Array | None:
        """The constant that arrives at a node; None if nothing does."""
        parts = [x for x in (self._out(a) for a in self.sources[name]) if x is not None]
        if parts and any(a in self.late for a in self.sources[name]):
            self.late.add(name)
        return np.sum(parts, axis=0) if parts else None

    def _out(self, name: str) -> Array | None:
        if name not in self.known:
            self.known[name] = self._compute(name)
        return self.known[name]

    def _compute(self, name: str) -> Array | None:
        node = self.graph.nodes[name]
        if is_neuron(node) or kind(node) in ("Input", "Threshold"):
            return None
        arriving = self.into(name)
        bias = np.asarray(node.bias, np.float64) if kind(node) == "Affine" else None
        if arriving is None:
            return bias
        if kind(node) == "Scale":
            return arriving * np.asarray(node.scale, np.float64)
        if kind(node) in ("Linear", "Affine"):
            mapped = np.asarray(node.weight, np.float64) @ arriving
            return mapped if bias is None else mapped + bias
        if kind(node) == "Delay" and np.any(np.asarray(node.delay) > 0) and arriving.any():
            self.late.add(name)
        return arriving
