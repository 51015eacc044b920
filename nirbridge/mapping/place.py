"""Populations → hardware ids, Linear nodes → blocks of the chip's matrices, still in floats."""

from __future__ import annotations

from dataclasses import dataclass, field

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import SPIKING, canonical_step, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.passes.lower import Lowered

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Neurons of one node: hardware ids ``first`` to ``first + size``, in the node's order.

    ``latency`` is how many steps after the source's own stepping its spikes come on the chip;
    ``skew`` is how much later the slowest path to it is than the fastest, 0 where all agree.
    """

    name: str
    first: int
    size: int
    latency: int = 0
    skew: int = 0

    @property
    def ids(self) -> slice:
        """Columns of this population in a recording of all hidden (or all output) neurons."""
        return slice(self.first, self.first + self.size)


@dataclass(frozen=True)
class Placement:
    """Who sits where on the chip."""

    hidden: tuple[Population, ...]
    outputs: tuple[Population, ...]

    @property
    def n_hidden(self) -> int:
        """Hidden neurons in use."""
        return sum(p.size for p in self.hidden)

    @property
    def n_out(self) -> int:
        """Output neurons in use."""
        return sum(p.size for p in self.outputs)

    def hidden_names(self) -> list[str]:
        """What to call each hidden neuron: ``node[i]``."""
        return [f"{p.name}[{i}]" for p in self.hidden for i in range(p.size)]

    def output_names(self) -> list[str]:
        """What to call each output neuron."""
        return [f"{p.name}[{i}]" for p in self.outputs for i in range(p.size)]


@dataclass(frozen=True)
class Layer:
    """Neurons of one kind, hidden or output, in chip order.

    The step of each is I_k = A_k·I_k + x_k; v = B·v + Σ_k I_k + c; spike at v ≥ 1, with the
    gains folded into the weights. ``A`` (n, synapses), ``B`` (n,), ``c`` (n,), float64.
    """

    A: Array
    B: Array
    c: Array

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.B)


@dataclass(frozen=True)
class Network:
    """The network in the chip's layout, in floating point: what the quantiser rounds.

    ``weights_in`` (n_in, n_hidden, 2), ``weights_rec`` (n_hidden, n_hidden, 2), ``weights_out``
    (n_hidden, n_out): the jump of a current per spike, in thresholds.
    """

    placement: Placement
    dynamics: Dynamics
    weights_in: Array
    weights_rec: Array
    weights_out: Array
    hidden: Layer
    outputs: Layer
    n_in: int = field(default=0)


def place(lowered: Lowered) -> Network:
    """Give every neuron its id: hidden populations in topological order, then the outputs.

    Raises
    ------
    Refused
        NB402 to NB405, if the graph has not the shape Input → hidden → outputs → Output.

    """
    graph, dynamics = lowered.graph, lowered.dynamics
    topology = Topology(graph, dynamics.layer_delay)
    refuse_all(_misfits(graph, topology))
    ends = [n for n in graph.nodes if kind(graph.nodes[n]) == "Output"]
    output_names = [topology.feeders[n][0] for n in sorted(ends)]
    placement = _placement(graph, topology, output_names)
    spans = {p.name: p for p in (*placement.hidden, *placement.outputs)}
    inputs = next(n for n, x in graph.nodes.items() if kind(x) == "Input")
    n_in = int(np.prod(graph.nodes[inputs].input_type["input"]))
    h, o = placement.n_hidden, placement.n_out
    weights_in, weights_rec = np.zeros((n_in, h, 2)), np.zeros((h, h, 2))
    weights_out = np.zeros((h, o))
    for name, node in graph.nodes.items():
        if kind(node) != "Linear":
            continue
        (source,), (target,) = topology.sources[name], topology.targets[name]
        step = canonical_step(graph.nodes[target], dynamics.override(graph.nodes[target]))
        block = ((step.gs * step.gm)[:, None] * np.asarray(node.weight, np.float64)).T
        if kind(graph.nodes[source]) == "Input":
            weights_in[:, spans[target].ids, 0] = block
        elif spans[target] in placement.outputs:
            weights_out[spans[source].ids, spans[target].ids] = block
        else:
            weights_rec[spans[source].ids, spans[target].ids, 0] = block
    layers = [
        _layer([graph.nodes[p.name] for p in part], dynamics, synapses)
        for part, synapses in ((placement.hidden, 2), (placement.outputs, 1))
    ]
    return Network(
        placement, dynamics, weights_in, weights_rec, weights_out, layers[0], layers[1], n_in
    )


def _layer(nodes: list[nir.NIRNode], dynamics: Dynamics, synapses: int) -> Layer:
    steps = [canonical_step(node, dynamics.override(node)) for node in nodes]

    def joined(parts: list[Array]) -> Array:
        return np.concatenate(parts) if parts else np.zeros(0)

    A = joined([s.A for s in steps])
    return Layer(
        np.repeat(A[:, None], synapses, axis=1),
        joined([s.B for s in steps]),
        joined([s.c for s in steps]),
    )


def _placement(graph: nir.NIRGraph, topology: Topology, output_names: list[str]) -> Placement:
    latency, skew = _latencies(topology, output_names)

    def populations(names: list[str]) -> tuple[Population, ...]:
        found, first = [], 0
        for name in names:
            size = int(np.prod(np.shape(graph.nodes[name].r)))
            found.append(Population(name, first, size, latency[name], skew[name]))
            first += size
        return tuple(found)

    hidden = [n for n in topology.neurons if n not in output_names]
    return Placement(populations(hidden), populations(output_names))


def _latencies(
    topology: Topology, output_names: list[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Steps by which each population's spikes lag the source's, and the spread over its paths.

    On the chip every spike from neuron to neuron takes a step. Where the source's spike takes a
    step as well (``topology.delayed``), nothing is added.
    """
    latency: dict[str, int] = {}
    skew: dict[str, int] = {}
    for name in topology.neurons:
        arrivals = [
            0
            if kind(topology.graph.nodes[a]) == "Input"
            else latency[a] + (0 if topology.delayed(a, name) else 1)
            for a in topology.feeders[name]
            if a in latency or kind(topology.graph.nodes[a]) == "Input"
        ]
        latency[name] = max(arrivals, default=0)
        skew[name] = latency[name] - min(arrivals, default=0)
    for name in topology.neurons:  # loops through later populations
        for a in topology.feeders[name]:
            if a in latency and topology.delayed(a, name):
                skew[name] = max(skew[name], abs(latency[a] - latency[name]))
    del output_names
    return latency, skew


def _misfits(graph: nir.NIRGraph, topology: Topology) -> list[Diagnostic]:
    """Why the graph has not the chip's shape."""
    by_kind: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        by_kind.setdefault(kind(node), []).append(name)
    problems = []
    if len(by_kind.get("Input", [])) != 1:
        found = f"{len(by_kind.get('Input', []))} Inputs"
        problems.append(diagnose("NB405", limit="one Input", found=found))
    ends = set(by_kind.get("Output", []))
    for end in sorted(ends):
        direct = topology.sources[end]
        spiking = [n for n in direct if kind(graph.nodes[n]) in SPIKING]
        if len(direct) != 1 or len(spiking) != 1:
            text = ", ".join(f"{n} ({kind(graph.nodes[n])})" for n in direct) or "nothing"
            problems.append(
                diagnose("NB402", node=end, limit="one spiking population", found=text)
            )
            continue
        name = spiking[0]
        others = [t for t in topology.targets[name] if t != end]
        if others:
            text = f"it also feeds {', '.join(others)}"
            problems.append(diagnose("NB403", node=name, limit="one Output", found=text))
        if any(kind(graph.nodes[a]) == "Input" for a in topology.feeders[name]):
            problems.append(
                diagnose("NB404", node=name, limit="a hidden population", found="the Input")
            )
    silent = [n for n, x in graph.nodes.items() if is_neuron(x) and kind(x) != "CubaLIF"]
    problems += [
        diagnose("NB401", node=n, limit="CubaLIF", found=kind(graph.nodes[n])) for n in silent
    ]
    return problems
