"""The networks in Rockpool, and the nearest to those that it cannot express."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from benchmarks.interop.nets import CHANNELS, HIDDEN, IMAGE, MAPS, OUT, Net, raster
from nirbridge import Dynamics, adapters, simulate_stepped
from nirbridge.graph.apply import unroll

DT = 1e-3


def make(kind: str) -> Net:
    """The network of a kind."""
    import rockpool.nn.combinators as rc
    import rockpool.nn.modules as rm
    import torch

    w = [torch.randn(a, b) * 0.5 for a, b in ((CHANNELS, HIDDEN), (HIDDEN, OUT))]
    first = rm.LinearTorch((CHANNELS, HIDDEN), weight=w[0], has_bias=True)
    second = rm.LinearTorch((HIDDEN, OUT), weight=w[1], has_bias=kind == "biases")

    def lif(size: int, **options: Any) -> Any:
        return rm.LIFNeuronTorch(size, tau_mem=0.01, threshold=2.0, **options)

    def cuba(size: int, **options: Any) -> Any:
        options = {"tau_mem": 0.01, "tau_syn": 0.005, "threshold": 4.0, **options}
        return rm.LIFTorch((size, size), **options)

    def many(n: int) -> Any:
        return cuba(
            n,
            tau_mem=0.002 + 0.02 * torch.rand(n),
            tau_syn=0.002 + 0.02 * torch.rand(n, 1),
            threshold=2 + 4 * torch.rand(n),
            bias=0.2 * torch.rand(n),
        )

    loop = torch.randn(HIDDEN, HIDDEN) * 0.3
    if kind == "LIF":
        parts = [first, lif(HIDDEN), second, lif(OUT)]
    elif kind == "recurrent CubaLIF":
        parts = [first, cuba(HIDDEN, has_rec=True, w_rec=loop), second, cuba(OUT)]
    elif kind == "LI readout":
        parts = [first, cuba(HIDDEN), second, rm.ExpSynTorch(OUT, tau=0.01)]
    elif kind == "biases":
        parts = [first, lif(HIDDEN, bias=0.2 * torch.rand(HIDDEN)), second]
        parts += [cuba(OUT, bias=0.2 * torch.rand(OUT))]
    elif kind == "nested":
        parts = [rc.Sequential(first, cuba(HIDDEN)), rc.Sequential(second, lif(OUT))]
    elif kind == "branch":
        skip = rc.Residual(rm.LinearTorch((HIDDEN, HIDDEN), weight=loop), cuba(HIDDEN))
        parts = [first, cuba(HIDDEN), skip, second, cuba(OUT)]
    elif kind == "per-neuron parameters":
        parts = [first, many(HIDDEN), second, many(OUT)]
    else:
        parts = [first, cuba(HIDDEN), second, cuba(OUT)]
    return Net(rc.Sequential(*parts), (CHANNELS,), torch.zeros(1, 4, CHANNELS))


# -- what Rockpool lacks, and how far the nearest network is from it ---------------------------

SHORT = 12  # the synapse of the nearest network forgets in τ_syn = dt / SHORT


def _how() -> Dynamics:
    return Dynamics(DT, "exponential", "subtract", spikes_per_step=None, comparison=">=")


def _sequence(*parts: Any) -> Any:
    import rockpool.nn.combinators as rc

    return rc.Sequential(*parts)


def _linear(weight: Any, scale: float = 1.0) -> Any:
    import rockpool.nn.modules as rm
    import torch

    weight = torch.as_tensor(weight.T.copy() * scale, dtype=torch.float32)
    return rm.LinearTorch(tuple(weight.shape), weight=weight)


def _spikes(graph: nir.NIRGraph, x: Any) -> Any:
    return simulate_stepped(_how().attach(graph), x, dtype=np.float32).output


def _chain(*nodes: nir.NIRNode) -> nir.NIRGraph:
    names = [str(k) for k in range(len(nodes))]
    edges = list(pairwise(names))
    return nir.NIRGraph(dict(zip(names, nodes, strict=True)), edges, type_check=False)


def recurrent(steps: int, seed: int) -> tuple[Any, Any]:
    """A recurrent LIF, and LIFTorch whose synapse is as short as its weights allow."""
    import rockpool.nn.modules as rm
    import torch

    rng, one = np.random.RandomState(seed), np.ones(HIDDEN)
    w, loop = rng.randn(HIDDEN, CHANNELS) * 0.5, rng.randn(HIDDEN, HIDDEN) * 0.3
    tau, rest = 1e-2, -np.expm1(-DT / 1e-2)
    lif = nir.LIF(tau * one, one / rest, 0 * one, 2 * one, 0 * one)
    graph = _chain(nir.Input(np.array([CHANNELS])), nir.Linear(w), lif, nir.Output(one.shape))
    graph.nodes["loop"] = nir.Linear(loop)
    graph.edges += [("2", "loop"), ("loop", "2")]
    gain = float(np.exp(SHORT))  # LIFTorch multiplies its input by e^(−dt/τ_syn)
    neurons = rm.LIFTorch(
        (HIDDEN, HIDDEN),
        tau_mem=tau,
        tau_syn=DT / SHORT,
        threshold=2.0,
        has_rec=True,
        w_rec=torch.as_tensor(loop.T.copy() * gain, dtype=torch.float32),
    )
    x = raster((CHANNELS,), steps, seed)
    return _spikes(graph, x), adapters.run(_sequence(_linear(w, gain), neurons), x)


def convolution(steps: int, seed: int) -> tuple[Any, Any]:
    """A convolution before IF neurons, and its matrix in a LinearTorch."""
    import rockpool.nn.modules as rm

    rng, one = np.random.RandomState(seed), np.ones(MAPS)
    weight = rng.randn(4, 2, 3, 3) * 0.5
    conv = nir.Conv2d(IMAGE[1:], weight, 1, 0, 1, 1, np.zeros(4))
    neurons = nir.IF(one / DT, 2 * one, 0 * one)
    graph = _chain(nir.Input(np.array(IMAGE)), conv, neurons, nir.Output(np.array(MAPS)))
    matrix, _ = unroll(conv, IMAGE)
    flat = rm.LIFNeuronTorch(len(matrix), tau_mem=np.inf, threshold=2.0)
    x = raster(IMAGE, steps, seed)
    wanted = _spikes(graph, x)
    return wanted.reshape(*wanted.shape[:2], -1), adapters.run(_sequence(_linear(matrix), flat), x)


NEAREST: dict[tuple[str, str], tuple[str, Callable[[int, int], tuple[Any, Any]]]] = {
    ("rockpool", "recurrent LIF"): (f"LIFTorch with τ_syn = dt/{SHORT}", recurrent),
    ("rockpool", "IF, convolution"): ("its matrix in a LinearTorch", convolution),
}
"""What stands nearest to the networks that cannot be had: words, and (wanted, found) spikes."""
