"""Generated NIR graphs whose arithmetic is exact: parameters are small multiples of powers of two.

With such numbers a float64 simulation of a few steps rounds nothing, so an algebraic identity can
be held to bit equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import Dynamics

Rng = np.random.Generator
DT = 2.0**-10
STEPS = 10  # more steps would need more than 53 bits


@dataclass
class Options:
    """What a generated graph may hold."""

    neurons: tuple[str, ...] = ("LIF", "CubaLIF")
    populations: int = 4
    chain: int = 2
    recurrent: float = 0.4
    branches: float = 0.4
    nesting: float = 0.4
    affine: bool = True
    space: float = 0.0
    extras: tuple[str, ...] = ()
    v_reset: bool = False
    v_leak: bool = True


@dataclass
class _Draft:
    """Nodes and edges so far, and the shape of what each node sends."""

    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, stem: str, node: nir.NIRNode, shape: tuple[int, ...], *sources: str) -> str:
        name = f"{stem}{len(self.nodes)}"
        self.nodes[name] = node
        self.shapes[name] = shape
        self.edges += [(source, name) for source in sources]
        return name


def any_graph(rng: Rng, options: Options | None = None) -> nir.NIRGraph:
    """A random well-formed graph with an Input, an Output and up to the wanted populations."""
    options = options or Options()
    draft = _Draft()
    shape: tuple[int, ...] = (int(rng.integers(1, 5)),)
    if rng.random() < options.space:
        shape = (int(rng.integers(1, 3)), int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    source = draft.add("in", nir.Input(np.array(shape)), shape)
    populations: list[str] = []
    for _ in range(int(rng.integers(1, options.populations + 1))):
        size = int(rng.integers(1, 5))
        start = str(rng.choice([source, *populations])) if populations else source
        ends = [_chain(draft, rng, options, start, size)]
        while rng.random() < options.branches:
            ends.append(_chain(draft, rng, options, str(rng.choice([source, *populations])), size))
        kind = str(rng.choice(options.neurons))
        name = draft.add("n", neuron(kind, size, rng, options), (size,), *ends)
        if rng.random() < options.recurrent:
            back = str(rng.choice([name, *populations]))
            end = draft.add("rec", _linear(rng, size, draft.shapes[name][0]), (size,), name)
            if back != name:
                end = draft.add("rec", _linear(rng, draft.shapes[back][0], size), (1,), end)
            draft.edges.append((end, back))
        populations.append(name)
    draft.add("out", nir.Output(np.array(draft.shapes[populations[-1]])), (), populations[-1])
    graph = nir.NIRGraph(draft.nodes, draft.edges, type_check=False)
    if rng.random() < options.nesting:
        graph = nest(graph, rng)
    return dynamics(rng).attach(graph)


def dynamics(rng: Rng) -> Dynamics:
    """Euler steps (exponential factors are no dyadic numbers) with either reset."""
    order = "membrane first" if rng.random() < 0.1 else "synapse first"
    loops = 2 if rng.random() < 0.1 else 1
    common: dict[str, Any] = {"order": order, "recurrent_delay": loops}
    if rng.random() < 0.5:
        return Dynamics(DT, reset="value", comparison=str(rng.choice([">", ">="])), **common)
    spikes = int(rng.choice([1, 3]))
    delay = int(rng.integers(0, 2)) if spikes == 1 else 0
    residual = "blocks" if spikes == 1 and not delay and rng.random() < 0.3 else "fires"
    return Dynamics(
        DT,
        reset="subtract",
        spikes_per_step=spikes,
        reset_delay=delay,
        residual=residual,
        **common,
    )


def any_raster(rng: Rng, graph: nir.NIRGraph, steps: int = STEPS) -> NDArray[np.int64]:
    """Counts 0..2 for all Inputs of a graph."""
    inputs = [n for n in graph.nodes.values() if type(n).__name__ == "Input"]
    n_in = sum(int(np.prod(n.input_type["input"])) for n in inputs)
    return rng.integers(0, 3, (2, steps, n_in))


def _dyadic(rng: Rng, *shape: int) -> NDArray[np.float64]:
    return rng.integers(-8, 9, shape) / 4.0


def _power(rng: Rng, low: int, high: int, *shape: int) -> NDArray[np.float64]:
    return np.asarray(2.0 ** rng.integers(low, high + 1, shape), np.float64)


def _linear(rng: Rng, out: int, inp: int) -> nir.NIRNode:
    return nir.Linear(_dyadic(rng, out, inp))


def neuron(kind: str, size: int, rng: Rng, options: Options) -> nir.NIRNode:
    """A population of any kind with dyadic parameters."""
    taus = {
        name: DT * _power(rng, 1, 2, size)
        for name in {"LI": ["tau"], "LIF": ["tau"]}.get(kind, ["tau_syn", "tau_mem"])
    }
    fields: dict[str, Any] = {"r": _power(rng, -1, 2, size)}
    if kind not in ("I", "IF"):
        fields |= taus
        fields["v_leak"] = _dyadic(rng, size) / 4 if options.v_leak else np.zeros(size)
    else:
        fields["r"] = fields["r"] / DT
    if kind in ("IF", "LIF", "CubaLIF"):
        fields["v_threshold"] = _power(rng, -1, 1, size)
        offset = fields["v_threshold"] / 2 if options.v_reset else np.zeros(size)
        fields["v_reset"] = -offset * rng.integers(0, 2, size)
    if kind in ("CubaLI", "CubaLIF"):
        fields["w_in"] = _power(rng, -1, 1, size)
    return getattr(nir, kind)(**fields)


def _chain(draft: _Draft, rng: Rng, options: Options, start: str, size: int) -> str:
    """Linear nodes from ``start`` that end in ``size`` values."""
    name = start
    if len(draft.shapes[name]) == 3:
        name = _space(draft, rng, name)
    for extra in options.extras:
        if rng.random() < 0.3:
            name = _extra(draft, rng, extra, name)
    for last in [False] * int(rng.integers(0, options.chain)) + [True]:
        inp = draft.shapes[name][0]
        out = size if last else int(rng.integers(1, 5))
        affine = options.affine and rng.random() < 0.3
        weight = _dyadic(rng, out, inp)
        node = nir.Affine(weight, _dyadic(rng, out)) if affine else nir.Linear(weight)
        name = draft.add("w", node, (out,), name)
        if rng.random() < 0.3:
            name = draft.add("s", nir.Scale(_power(rng, -1, 1, out)), (out,), name)
    return name


def _extra(draft: _Draft, rng: Rng, kind: str, name: str) -> str:
    n = draft.shapes[name][0]
    if kind == "Delay":
        return draft.add("d", nir.Delay(DT * rng.integers(0, 3, n)), (n,), name)
    if kind == "Threshold":
        return draft.add("t", nir.Threshold(_dyadic(rng, n)), (n,), name)
    return draft.add("li", neuron(kind, n, rng, Options(v_leak=False)), (n,), name)


def _space(draft: _Draft, rng: Rng, name: str) -> str:
    """A convolution or pooling, and the flattening after it."""
    channels, height, width = draft.shapes[name]
    if rng.random() < 0.3:
        pool = rng.choice([nir.SumPool2d, nir.AvgPool2d])
        node = pool(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]))
        shape = (channels, height - 1, width - 1)
    else:
        out, stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        weight = _dyadic(rng, out, channels, 3, 3)
        node = nir.Conv2d((height, width), weight, stride, 1, 1, 1, _dyadic(rng, out))
        shape = (out, (height - 1) // stride + 1, (width - 1) // stride + 1)
    name = draft.add("space", node, shape, name)
    flat = (int(np.prod(shape)),)
    types = {"input": np.array(shape)}
    return draft.add("flat", nir.Flatten(types, 0, -1), flat, name)


def nest(graph: nir.NIRGraph, rng: Rng) -> nir.NIRGraph:
    """The same network with one neuron and what feeds it alone put into a nested graph."""
    neurons = [n for n, x in graph.nodes.items() if hasattr(x, "r")]
    name = str(rng.choice(neurons))
    node = graph.nodes[name]
    size = np.array(node.r.shape)
    sub = nir.NIRGraph(
        {"input": nir.Input(size), "cell": node, "output": nir.Output(size)},
        [("input", "cell"), ("cell", "output")],
        type_check=False,
    )
    nodes = {k: (sub if k == name else v) for k, v in graph.nodes.items()}
    return nir.NIRGraph(nodes, list(graph.edges), type_check=False)
