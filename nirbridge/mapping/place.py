"""Populations → hardware ids, Linear nodes → blocks of the chip's matrices, still in floats."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, Refused, diagnose, refuse_all
from nirbridge.dynamics import GRID_KEY, Dynamics
from nirbridge.graph.nodes import SPIKING, canonical_step, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.mapping.aliases import find_aliases
from nirbridge.mapping.order import alias_pairs, blocks, find_order, misplaced, reordered, sorting
from nirbridge.passes import Lowered
from nirbridge.passes.arrange import Arrange
from nirbridge.passes.dead import kept_neurons, original_neurons
from nirbridge.passes.relay import is_relay
from nirbridge.passes.schedule import latencies
from nirbridge.targets import ChipSpec
from nirbridge.targets.fit import Demand

Array = NDArray[np.float64]

SYNAPSE_KEY = "nirbridge_synapse"  # which of two synapses an LI node is, where τ does not tell


@dataclass(frozen=True)
class Population:
    """Neurons of one node: hardware ids ``first`` to ``first + size``, in the node's order.

    ``latency`` is how many steps after the source's own stepping its spikes come on the chip.
    ``kept`` lists the node's neurons in chip order, where some were removed as dead, or moved.
    ``end`` is the Output that an output population feeds, which ``readout`` says is read by the
    membrane. ``relay`` marks neurons that repeat others.
    """

    name: str
    first: int
    size: int
    latency: int = 0
    kept: tuple[int, ...] | None = None
    end: str = ""
    readout: bool = False
    relay: bool = False

    @property
    def ids(self) -> slice:
        """Columns of this population in a recording of all hidden (or all output) neurons."""
        return slice(self.first, self.first + self.size)

    def names(self) -> list[str]:
        """What to call each neuron: ``node[i]``, with the user's own index."""
        return [f"{self.name}[{i}]" for i in (self.kept or range(self.size))]


@dataclass(frozen=True)
class Placement:
    """Who sits where on the chip."""

    hidden: tuple[Population, ...]
    outputs: tuple[Population, ...]

    @property
    def populations(self) -> tuple[Population, ...]:
        """Hidden, then outputs."""
        return (*self.hidden, *self.outputs)

    @property
    def n_hidden(self) -> int:
        """Hidden neurons in use."""
        return sum(p.size for p in self.hidden)

    @property
    def n_out(self) -> int:
        """Output neurons in use."""
        return sum(p.size for p in self.outputs)

    @property
    def readouts(self) -> NDArray[np.bool_]:
        """Which output neurons are read by their membranes, (n_out,)."""
        return np.array([p.readout for p in self.outputs for _ in range(p.size)], bool)

    def hidden_names(self) -> list[str]:
        """What to call each hidden neuron."""
        return [name for p in self.hidden for name in p.names()]

    def output_names(self) -> list[str]:
        """What to call each output neuron."""
        return [name for p in self.outputs for name in p.names()]


@dataclass(frozen=True)
class Layer:
    """Neurons of one kind, hidden or output, in chip order.

    The step of each is I_k = A_k·I_k + x_k; v = B·v + Σ_k I_k + c; spike at v ≥ 1, with the
    gains folded into the weights. ``A`` (n, synapses), ``B`` (n,), ``c`` (n,), float64; a synapse
    that is not used has A = 0. ``drop`` (n,): what the membrane has less, one step after a spike,
    in thresholds (0 for readouts). ``most`` (n,): spikes per step, 0 for as many as fit.
    ``clears`` (n,): whether the reset leaves nothing of the membrane.
    """

    A: Array
    B: Array
    c: Array
    drop: Array
    most: NDArray[np.int64]
    clears: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.B)


@dataclass(frozen=True)
class Grid:
    """Scales of a network that is made of integers already: lowering what was lifted.

    ``hidden`` and ``outputs`` (n,): units per threshold or volt. ``shifts``: of input, recurrent
    and output weights. ``aliases``: populations with an alias in another, by number; None if not
    known.
    """

    hidden: NDArray[np.int64]
    outputs: NDArray[np.int64]
    shifts: tuple[int, int, int]
    aliases: tuple[tuple[int, int], ...] | None = None

    def to_json(self, placement: Placement, aliases: Iterable[tuple[int, int]]) -> str:
        """The record for a graph's metadata, by population."""
        names = [p.name for p in placement.hidden]
        units = {p.name: self.hidden[p.ids].tolist() for p in placement.hidden}
        units |= {p.name: self.outputs[p.ids].tolist() for p in placement.outputs}
        pairs = [(names[a], names[b]) for a, b in sorted(aliases)]
        return json.dumps({"units": units, "shifts": list(self.shifts), "aliases": pairs})

    @classmethod
    def of(cls, graph: nir.NIRGraph, placement: Placement) -> Grid | None:
        """The record in a graph's metadata, if it fits the populations as they are."""
        text = graph.metadata.get(GRID_KEY)
        try:
            record = json.loads(text) if isinstance(text, str) else None
            if record is None or any(
                len(record["units"][p.name]) != p.size for p in placement.populations
            ):
                return None
            hidden, outputs = (
                np.array([u for p in part for u in record["units"][p.name]], np.int64)
                for part in (placement.hidden, placement.outputs)
            )
            a, b, c = (int(s) for s in record["shifts"])
            number = {p.name: k for k, p in enumerate(placement.hidden)}
            pairs = record.get("aliases")
            aliases = None if pairs is None else tuple((number[x], number[y]) for x, y in pairs)
        except (ValueError, KeyError, TypeError, OverflowError):
            return None
        return cls(hidden, outputs, (a, b, c), aliases)


@dataclass(frozen=True)
class Network:
    """The network in the chip's layout, in floating point: what the quantiser rounds.

    ``weights_in`` (n_in, n_hidden, 2), ``weights_rec`` (n_hidden, n_hidden, 2), ``weights_out``
    (n_hidden, n_out): the jump of a current per spike, in thresholds (in volts for readouts).
    ``aliases`` (n_hidden,): whom each neuron's spikes are added to, or −1. ``constant``: whether
    the last input channel stands for the biases.
    """

    placement: Placement
    dynamics: Dynamics
    weights_in: Array
    weights_rec: Array
    weights_out: Array
    hidden: Layer
    outputs: Layer
    aliases: NDArray[np.int32]
    grid: Grid | None = None
    constant: bool = False

    @property
    def n_in(self) -> int:
        """Number of input channels."""
        return int(self.weights_in.shape[0])


def channels(graph: nir.NIRGraph) -> dict[str, slice]:
    """Input channels of each Input, side by side in the order of their names."""
    found, first = {}, 0
    for name in sorted(n for n, x in graph.nodes.items() if kind(x) == "Input"):
        size = int(np.prod(graph.nodes[name].input_type["input"]))
        found[name] = slice(first, first + size)
        first += size
    return found


def place(lowered: Lowered, chip: ChipSpec) -> Network:
    """Give every neuron its id: hidden populations in topological order, then the outputs.

    Where input or outputs reach only some hidden neurons, in the order nearest to it with which
    they reach all they must; where there is none with aliases, one without.

    Raises
    ------
    Refused
        NB402 or NB608, for what is left in the graph that has no place, NB601 to NB603 where
        there are too many channels or neurons, NB609 to NB611 where no order does.

    """
    graph, dynamics = lowered.graph, lowered.dynamics
    topology = Topology(graph, dynamics.layer_delay)
    refuse_all(_misfits(graph, topology))
    placement = _placement(graph, topology)
    refuse_all(_over(placement, channels(graph), chip))
    for aliased in (True, False) if chip.aliases.value else (False,):
        network = _network(lowered, topology, placement, aliased)
        order = find_order(blocks(network, chip), chip, alias_pairs(placement, network.aliases))
        if order is not None:
            return reordered(network, order)
    raise Refused(misplaced(blocks(network, chip), chip))


def sort_neurons(lowered: Lowered, chip: ChipSpec) -> Lowered:
    """The same network with neurons sorted within populations, for what :func:`place` refuses."""
    graph = lowered.graph
    topology = Topology(graph, lowered.dynamics.layer_delay)
    network = _network(lowered, topology, _placement(graph, topology), aliased=False)
    orders = {
        block.name: original_neurons(graph.nodes[block.name])[sorting(block)]
        for block in blocks(network, chip)
    }
    changed, notes = Arrange(orders).run(graph, lowered.dynamics)
    return replace(lowered, graph=changed, journal=(*lowered.journal, *notes))


def _network(
    lowered: Lowered, topology: Topology, placement: Placement, aliased: bool
) -> Network:
    graph, dynamics = lowered.graph, lowered.dynamics
    spans = {p.name: p for p in placement.populations}
    inputs = channels(graph)
    h, o = placement.n_hidden, placement.n_out
    weights_in = np.zeros((sum(s.stop - s.start for s in inputs.values()), h, 2))
    weights_rec, weights_out = np.zeros((h, h, 2)), np.zeros((h, o))
    for link in chip_links(graph, topology):
        source, target = link.source, spans[link.target]
        block = (_gain(graph, link, dynamics)[:, None] * graph.nodes[link.name].weight).T
        if source in inputs:
            weights_in[inputs[source], target.ids, link.synapse] = block
        elif target in placement.outputs:
            weights_out[spans[source].ids, target.ids] = block
        else:
            weights_rec[spans[source].ids, target.ids, link.synapse] = block
    aliases = np.full(h, -1, np.int32)
    grid = Grid.of(graph, placement)
    if aliased:
        spots = [p.ids for p in placement.hidden]
        known = None if grid is None else grid.aliases
        aliases, weights_rec, weights_out = find_aliases(spots, weights_rec, weights_out, known)
    return Network(
        placement,
        dynamics,
        weights_in,
        weights_rec,
        weights_out,
        _layer(graph, topology, placement.hidden, dynamics, 2),
        _layer(graph, topology, placement.outputs, dynamics, 1),
        aliases,
        grid,
    )


@dataclass(frozen=True)
class ChipLink:
    """A Linear node as a block of a matrix: source, target neuron, and which of its synapses."""

    name: str
    source: str
    target: str
    synapse: int


def synapses(graph: nir.NIRGraph, topology: Topology, name: str) -> list[str]:
    """The LI nodes that are the synapses of a neuron, shortest time constant first.

    Those that were lifted from a chip may carry their place instead.
    """

    def key(synapse: str) -> tuple[str, float, str]:
        node = graph.nodes[synapse]
        return str(node.metadata.get(SYNAPSE_KEY, "")), float(np.mean(node.tau)), synapse

    return sorted((a for a in topology.sources[name] if kind(graph.nodes[a]) == "LI"), key=key)


def chip_links(graph: nir.NIRGraph, topology: Topology) -> list[ChipLink]:
    """The Linear nodes of a lowered graph, sorted by name."""
    links = []
    for name in sorted(n for n, x in graph.nodes.items() if kind(x) == "Linear"):
        (source,), (target,) = topology.sources[name], topology.targets[name]
        owner = next((b for b in topology.targets[target] if is_neuron(graph.nodes[b])), None)
        if owner is None:
            links.append(ChipLink(name, source, target, 0))
        else:
            place = synapses(graph, topology, owner).index(target)
            links.append(ChipLink(name, source, owner, place))
    return links


def _gain(graph: nir.NIRGraph, link: ChipLink, dynamics: Dynamics) -> Array:
    """What one unit of weight adds to the current that the membrane integrates."""
    node = graph.nodes[link.target]
    step = canonical_step(node, dynamics.override(node))
    if kind(node) in ("CubaLIF", "CubaLI"):
        return step.gs * step.gm
    topology = Topology(graph)
    name = synapses(graph, topology, link.target)[link.synapse]
    return canonical_step(graph.nodes[name], dynamics).gm * step.gm


def _layer(
    graph: nir.NIRGraph,
    topology: Topology,
    populations: tuple[Population, ...],
    dynamics: Dynamics,
    most: int,
) -> Layer:
    parts: list[tuple[Array, ...]] = []
    for population in populations:
        node = graph.nodes[population.name]
        how = dynamics.override(node)
        step = canonical_step(node, how)
        A = np.zeros((population.size, most))
        if kind(node) in ("CubaLIF", "CubaLI"):
            A[:, 0] = step.A
        for k, name in enumerate(synapses(graph, topology, population.name)):
            A[:, k] = canonical_step(graph.nodes[name], dynamics).B
        one = np.ones(population.size)
        fires = kind(node) in SPIKING
        # a reset to a value takes at least a threshold, which is all that is known beforehand
        drop = (one if how.reset_delay else step.B) * fires
        clears = one * (fires and how.reset == "value")
        parts.append((A, step.B, step.c, drop, one * (how.spikes_per_step or 0), clears))
    if not parts:
        none = np.zeros(0)
        return Layer(np.zeros((0, most)), none, none, none, none.astype(int), none.astype(bool))
    A, B, c, drop, spikes, clears = (np.concatenate([p[k] for p in parts]) for k in range(6))
    return Layer(A, B, c, drop, spikes.astype(np.int64), clears.astype(bool))


def _placement(graph: nir.NIRGraph, topology: Topology) -> Placement:
    late: Mapping[str, int] = latencies(graph)
    ends = {
        topology.sources[n][0]: n for n in sorted(graph.nodes) if kind(graph.nodes[n]) == "Output"
    }
    dendrites = {
        n for n in topology.neurons if any(is_neuron(graph.nodes[b]) for b in topology.targets[n])
    }

    def populations(names: list[str]) -> tuple[Population, ...]:
        found, first = [], 0
        for name in names:
            node = graph.nodes[name]
            kept = kept_neurons(node)
            found.append(
                Population(
                    name,
                    first,
                    len(node.r),
                    late.get(name, 0),
                    None if kept is None else tuple(kept.tolist()),
                    ends.get(name, ""),
                    kind(node) not in SPIKING,
                    is_relay(node),
                )
            )
            first += len(node.r)
        return tuple(found)

    # the order of the layers, which on the chip all step at once; of a lifted graph, its own
    order = Topology(graph).neurons
    before = {name: i for i, name in enumerate(_grid_order(graph))}
    order = sorted(order, key=lambda n: before.get(n, len(before)))
    hidden = [n for n in order if n not in ends and n not in dendrites]
    return Placement(populations(hidden), populations(list(ends)))


def _grid_order(graph: nir.NIRGraph) -> list[str]:
    """Populations of a lifted graph as they were placed; none of another."""
    text = graph.metadata.get(GRID_KEY)
    try:
        return list(json.loads(text)["units"]) if isinstance(text, str) else []
    except (ValueError, KeyError, TypeError):
        return []


def _over(
    placement: Placement, inputs: dict[str, slice], chip: ChipSpec
) -> list[Diagnostic]:
    """Counts that the chip cannot hold, before any matrix is made of them."""
    parts = (
        {name: s.stop - s.start for name, s in inputs.items()},
        {p.name: p.size for p in placement.hidden},
        {p.name: p.size for p in placement.outputs},
    )
    return Demand(*parts).over(chip)


def _misfits(graph: nir.NIRGraph, topology: Topology) -> list[Diagnostic]:
    """What no pass has brought into the chip's form."""
    problems = []
    ends = [n for n in sorted(graph.nodes) if kind(graph.nodes[n]) == "Output"]
    fed = [topology.sources[end][0] for end in ends]
    for end, name in zip(ends, fed, strict=True):
        if fed.count(name) > 1 or len(topology.targets[name]) > 1:
            found = f"{name} feeds {', '.join(topology.targets[name])}"
            problems.append(
                diagnose("NB402", node=end, limit="a population of its own", found=found)
            )
        count = len(synapses(graph, topology, name))
        if count > 1:
            limit = "one synapse per output neuron"
            problems.append(diagnose("NB608", node=name, limit=limit, found=f"{count} synapses"))
    return problems
