"""Networks that the chip's users work with, as NIR: SynNet, WaveSense, after-hyperpolarisation.

Built from the published formulae with random weights; see arXiv 2406.15112 (SynNet) and 2111.01456
(WaveSense).
"""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import Dynamics

DT = 1e-3
BASE = 2e-3  # seconds; the shortest time constant


class _Graph:
    """A graph as it grows; every method returns the name of what it adds."""

    def __init__(self, seed: int, inputs: int):
        self.rng = np.random.default_rng(seed)
        self.nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([inputs]))}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, *sources: str) -> str:
        """A node fed by the sum of its sources."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def linear(self, name: str, shape: tuple[int, int], *sources: str) -> str:
        """Random weights (out, in) that keep the activity about constant."""
        weight = self.rng.normal(0.3, 1.0, shape) / np.sqrt(shape[1])
        return self.add(name, nir.Linear(weight), *sources)

    def cuba(
        self, name: str, size: int, tau_syn: NDArray[np.float64] | float, *sources: str
    ) -> str:
        """Neurons with a synapse of unit jump, τ_mem the base."""
        one = np.ones(size)
        tau = np.broadcast_to(np.asarray(tau_syn, float), size).copy()
        gain = np.exp(-DT / tau) / -np.expm1(-DT / tau)
        r = one / -np.expm1(-DT / BASE)
        node = nir.CubaLIF(tau, BASE * one, r, 0 * one, one, 0 * one, gain)
        return self.add(name, node, *sources)

    def filter(self, name: str, size: int, tau: float, source: str) -> str:
        """Synaptic currents of unit jump."""
        one = np.ones(size)
        gain = np.exp(-DT / tau) / -np.expm1(-DT / tau)
        return self.add(name, nir.LI(tau * one, gain * one, 0 * one), source)

    def lif(self, name: str, size: int, tau: float, *sources: str) -> str:
        """Neurons that integrate currents."""
        one = np.ones(size)
        r = one / -np.expm1(-DT / tau)
        return self.add(name, nir.LIF(tau * one, r, 0 * one, one, 0 * one), *sources)

    def done(self, source: str, outputs: int) -> nir.NIRGraph:
        """The graph, with Rockpool's dynamics."""
        self.add("output", nir.Output(np.array([outputs])), source)
        graph = nir.NIRGraph(self.nodes, self.edges, type_check=False)
        how = Dynamics(
            DT, scheme="exponential", reset="subtract", spikes_per_step=31, comparison=">="
        )
        return how.attach(graph)


def synnet(
    sizes: tuple[int, ...] = (60, 60),
    taus: tuple[int, ...] = (4, 6),
    outputs: int = 1,
    seed: int = 0,
) -> nir.NIRGraph:
    """[Linear, CubaLIF] × L + Linear + CubaLIF; layer l has τ_j = 2^j·dt, j = 1..n_l, tiled."""
    graph = _Graph(seed, 16)
    last, width = "input", 16
    for i, (size, n) in enumerate(zip(sizes, taus, strict=True)):
        tau = DT * 2.0 ** np.arange(1, n + 1)
        weights = graph.linear(f"w{i}", (size, width), last)
        last, width = graph.cuba(f"lif{i}", size, np.resize(tau, size), weights), size
    weights = graph.linear("w_out", (outputs, width), last)
    return graph.done(graph.cuba("lif_out", outputs, BASE, weights), outputs)


def wavesense(
    blocks: int,
    channels: int = 16,
    skip: int = 32,
    hidden: int = 32,
    outputs: int = 2,
    seed: int = 0,
) -> nir.NIRGraph:
    """Dilated blocks with two synaptic time constants per neuron, residuals and summed skips."""
    graph = _Graph(seed, 16)
    stem = graph.linear("stem", (channels, 16), "input")
    residual = [graph.cuba("stem_lif", channels, BASE, stem)]
    skips = []
    for b in range(blocks):
        tau = BASE * 2.0 ** (b + 1)
        currents = []
        for part, tau_syn in (("a", BASE), ("b", tau)):
            w = graph.linear(f"b{b}_{part}", (channels, channels), *residual)
            currents.append(graph.filter(f"b{b}_syn_{part}", channels, tau_syn, w))
        spikes = graph.lif(f"b{b}_lif", channels, tau, *currents)
        out = graph.linear(f"b{b}_res", (channels, channels), spikes)
        residual = [*residual, graph.cuba(f"b{b}_res_lif", channels, BASE, out)]
        out = graph.linear(f"b{b}_skip", (skip, channels), spikes)
        skips.append(graph.cuba(f"b{b}_skip_lif", skip, BASE, out))
    w = graph.linear("hidden", (hidden, skip), *skips)
    last = graph.cuba("hidden_lif", hidden, BASE, w)
    w = graph.linear("readout", (outputs, hidden), last)
    return graph.done(graph.cuba("readout_lif", outputs, BASE, w), outputs)


def after_hyperpolarisation(size: int = 16, outputs: int = 2, seed: int = 0) -> nir.NIRGraph:
    """LIF → Scale(w_ahp) → LI(τ_ahp) → LIF, beside the forward synapse."""
    graph = _Graph(seed, 16)
    w = graph.linear("w", (size, 16), "input")
    forward = graph.filter("syn", size, 2e-2, w)
    graph.lif("lif", size, 1e-2, forward, "ahp")
    graph.add("w_ahp", nir.Scale(np.full(size, -0.02)), "lif")
    graph.filter("ahp", size, 0.1, "w_ahp")
    w = graph.linear("w_out", (outputs, size), "lif")
    return graph.done(graph.cuba("lif_out", outputs, BASE, w), outputs)
