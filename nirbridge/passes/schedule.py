"""The source's time → the chip's, where every spike from neuron to neuron takes one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import LINEAR, is_neuron, kind
from nirbridge.graph.topology import Topology
from nirbridge.journal import Note
from nirbridge.passes.base import Names, Rewritten, rebuilt, steps_of
from nirbridge.passes.outputs import SplitOutputs
from nirbridge.passes.relay import relay_neurons

LATENCY_KEY = "nirbridge_latency"

RESERVE = 4  # of a relay's fan-out: itself, the next relay and copies of that


@dataclass(frozen=True)
class _Link:
    """A Linear, the population behind it, its owner (the neuron, past a synapse), its delay.

    ``delay``: steps that a spike takes in the source, of which ``explicit`` by a Delay node.
    ``least``: steps that it takes on the chip without relays.
    """

    name: str
    source: str
    owner: str
    delay: int
    explicit: int
    least: int
    from_input: bool


@dataclass(frozen=True)
class Schedule:
    """s(t − D) → s'(t − D − L_target + L_source): each population p runs L_p steps later.

    On the chip a spike takes one step from neuron to neuron and none from an input channel to a
    hidden neuron. L is the fewest steps by which each population can lag. A link that would come
    too early, because another path is longer or because it has a Delay, goes through relay
    neurons, one per neuron and step; with ``balance=False`` only Delays do. A relay that would
    feed more than ``fan_out`` neurons is doubled. ``late_outputs``: steps that outputs wait beside,
    so that relays drive them, whose place on the chip is free. A loop that is
    shorter in the source than on the chip cannot be kept: its spikes come late, and the note
    says by how much.
    """

    balance: bool = True
    fan_out: int = 2**31
    late_outputs: int = 0

    name: ClassVar[str] = "schedule"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = SplitOutputs.ensures
    ensures: ClassVar[tuple[str, ...]] = (*SplitOutputs.ensures, "scheduled")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Find the latencies, put in the relays, and make the layer delay explicit."""
        topology = Topology(graph, dynamics.layer_delay)
        links = _links(graph, topology, dynamics)
        latency = _latencies(topology, links, dict.fromkeys(_outputs(graph), self.late_outputs))
        nodes = {n: x for n, x in graph.nodes.items() if kind(x) != "Delay"}
        edges = [e for e in graph.edges if set(e) <= set(nodes)]
        notes: list[Note] = []
        if self.late_outputs:
            text = f"outputs wait {self.late_outputs} step, so that relays at the end drive them"
            notes.append(Note(self.name, "", text))
        relays = _Relays(nodes, edges, dynamics, self.fan_out - RESERVE)
        late = _lateness(links, latency)
        for (source, owner), steps in late.items():
            if steps:
                text = f"spikes of {source} close a loop and come late"
                notes.append(Note(self.name, owner, text, float(steps), "steps"))
        for link in links:
            spare = _spare(link, latency) + late[link.source, link.owner]
            hops = spare if self.balance else min(spare, link.explicit)
            if hops < spare:
                text = f"spikes of {link.source} come early: paths of different length meet"
                notes.append(Note(self.name, link.owner, text, float(spare - hops), "steps"))
            forced = 1 if link.from_input and link.least else 0
            relays.feed(link.name, relays.after(link.source, hops + forced))
        notes += relays.notes(self.name) + _early_biases(self.name, graph, latency)
        result = rebuilt(graph, nodes, edges)
        result.metadata[LATENCY_KEY] = json.dumps(latency)
        return replace(dynamics, layer_delay=1, recurrent_delay=1).attach(result), notes


def latencies(graph: nir.NIRGraph) -> Mapping[str, int]:
    """Steps by which each population of a scheduled graph lags the source."""
    text = graph.metadata.get(LATENCY_KEY)
    return {} if text is None else {str(k): int(v) for k, v in json.loads(text).items()}


def _early_biases(stage: str, graph: nir.NIRGraph, latency: Mapping[str, int]) -> list[Note]:
    """A bias acts from step 0, which is L steps before the source's step 0 of a late population."""
    return [
        Note(stage, name, "its bias acts before its first input can come", float(steps), "steps")
        for name, steps in latency.items()
        if steps and np.any(np.asarray(getattr(graph.nodes[name], "v_leak", 0)) != 0)
    ]


def _spare(link: _Link, latency: Mapping[str, int]) -> int:
    """Steps by which a link would come too early without relays."""
    return latency[link.owner] - latency.get(link.source, 0) + link.delay - link.least


def _lateness(links: list[_Link], latency: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Steps by which the spikes of one population come late at another.

    Links of different delays between two populations keep their distance from each other.
    """
    late: dict[tuple[str, str], int] = {}
    for link in links:
        pair = (link.source, link.owner)
        late[pair] = max(late.get(pair, 0), -_spare(link, latency))
    return late


def _links(graph: nir.NIRGraph, topology: Topology, dynamics: Dynamics) -> list[_Link]:
    outputs = _outputs(graph)
    found = []
    for name in sorted(n for n, x in graph.nodes.items() if kind(x) in LINEAR):
        (before,), (target,) = topology.sources[name], topology.targets[name]
        delay = 0
        if kind(graph.nodes[before]) == "Delay":
            delay = int(steps_of(graph.nodes[before], dynamics.dt).flat[0])
            (before,) = topology.sources[before]
        owner = next((b for b in topology.targets[target] if is_neuron(graph.nodes[b])), target)
        from_input = kind(graph.nodes[before]) == "Input"
        closes = not from_input and topology.delayed(before, target)
        if owner != target and topology.delayed(target, owner):
            closes = True
        least = int(not from_input or owner in outputs)
        steps = (1 if dynamics.layer_delay else dynamics.recurrent_delay) if closes else 0
        found.append(_Link(name, before, owner, delay + steps, delay, least, from_input))
    return found


def _outputs(graph: nir.NIRGraph) -> set[str]:
    return {a for a, b in graph.edges if kind(graph.nodes[b]) == "Output"}


def _latencies(topology: Topology, links: list[_Link], wait: Mapping[str, int]) -> dict[str, int]:
    """Longest ways along the links that close no loop; populations in topological order.

    ``wait``: steps more, by population.
    """
    latency: dict[str, int] = {}
    order = topology.neurons
    place = {name: i for i, name in enumerate(order)}
    for name in order:
        ways = [0]
        for link in links:
            if link.owner != name:
                continue
            if link.from_input:
                ways.append(link.least - link.delay)
            elif place[link.source] < place[name]:
                ways.append(latency[link.source] + link.least - link.delay)
        latency[name] = max(ways) + wait.get(name, 0)
    return latency


class _Relays:
    """Chains of relay populations, one per source, made as far as they are needed.

    A relay that would feed more neurons than the chip's fan-out allows gets a copy, which feeds
    the rest.
    """

    def __init__(
        self,
        nodes: dict[str, nir.NIRNode],
        edges: list[tuple[str, str]],
        dynamics: Dynamics,
        fan_out: int,
    ):
        self.nodes, self.edges, self.dynamics = nodes, edges, dynamics
        self.names = Names(nodes)
        self.chains: dict[str, list[str]] = {}
        self.fan_out = fan_out
        self.before: dict[str, str] = {}  # who feeds each relay
        self.copies: dict[str, list[str]] = {}
        self.used: dict[str, NDArray[np.int64]] = {}  # targets of each neuron of a copy

    def feed(self, name: str, source: str) -> None:
        """Make ``source`` the source of a Linear; two Linears that then run side by side add up."""
        self.edges[:] = [e for e in self.edges if e[1] != name]
        (target,) = (b for a, b in self.edges if a == name)
        weight = np.asarray(self.nodes[name].weight)
        for copy, rows in self._share_out(source, weight):
            part = np.where(rows[:, None], weight, 0.0)
            same = [a for a, b in self.edges if b == target and (copy, a) in self.edges]
            if same:
                total = np.asarray(self.nodes[same[0]].weight) + part
                self.nodes[same[0]] = nir.Linear(total)
                continue
            if name in self.nodes and not any(b == name for _, b in self.edges):
                wanted = name
            else:
                wanted = self.names.new(name)
                self.edges.append((wanted, target))
            self.nodes[wanted] = nir.Linear(part)
            self.edges.append((copy, wanted))
        if not any(b == name for _, b in self.edges):
            del self.nodes[name]
            self.edges.remove((name, target))

    def _share_out(
        self, source: str, weight: NDArray[np.float64]
    ) -> list[tuple[str, NDArray[np.bool_]]]:
        """Copies of a relay, and which rows of a Linear each of them feeds."""
        rest = np.ones(len(weight), bool)
        if source not in self.before:
            return [(source, rest)]
        shares = []
        while rest.any():
            for copy in self.copies[source]:
                took = self._take(copy, weight != 0, rest)
                if took.any():
                    shares.append((copy, took))
                    rest = rest & ~took
            if rest.any():
                self._copy(source)
        return shares

    def _take(
        self, copy: str, nonzero: NDArray[np.bool_], rest: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """As many rows as the copy can still feed; one at least if it feeds nothing yet."""
        took = np.zeros(len(rest), bool)
        used = self.used[copy]
        for row in np.flatnonzero(rest):
            more = used + nonzero[row]
            if more.max(initial=0) <= self.fan_out or not used.any():
                took[row], used = True, more
        self.used[copy] = used
        return took

    def _copy(self, source: str) -> None:
        name = self._relay(self.before[source], f"{source}+")
        self.copies[source].append(name)

    def after(self, source: str, hops: int) -> str:
        """The population that repeats ``source`` after so many relays."""
        chain = self.chains.setdefault(source, [source])
        while len(chain) <= hops:
            name = self._relay(chain[-1], f"{source}.relay{len(chain)}")
            self.copies[name] = [name]
            chain.append(name)
        return chain[hops]

    def _relay(self, last: str, wanted: str) -> str:
        """A population that repeats ``last`` one step later."""
        node = self.nodes[last]
        size = int(np.prod(node.input_type["input"])) if kind(node) == "Input" else len(node.r)
        name = self.names.new(wanted)
        self.nodes[name], identity = relay_neurons(size, self.dynamics)
        for start, weight in ((last, 2 * identity), (name, -identity)):
            link = self.names.new(f"{start}>{name}")
            self.nodes[link] = nir.Linear(weight)
            self.edges += [(start, link), (link, name)]
        self.before[name] = last
        self.used[name] = np.zeros(size, np.int64)
        return name

    def notes(self, stage: str) -> list[Note]:
        """The cost, in neurons."""
        found = []
        for source, chain in self.chains.items():
            made = [copy for name in chain[1:] for copy in self.copies[name]]
            if made:
                size = len(self.nodes[made[0]].r)
                text = f"{len(made)} relay population(s) of {size}"
                found.append(Note(stage, source, text, float(size * len(made)), "neurons"))
        return found
