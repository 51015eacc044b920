"""Who feeds whom in a flat graph, and which spikes arrive in the same step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import nir
import numpy as np

from nirbridge.graph.nodes import SPIKING, is_neuron, kind


@dataclass(frozen=True)
class Topology:
    """Relations between the nodes of a flat graph. Compute once, ask often.

    ``layer_delay`` is that of :class:`nirbridge.Dynamics`: 1 if each spike takes a step from one
    population to the next, 0 if only spikes that close a loop do.
    """

    graph: nir.NIRGraph
    layer_delay: int = 0

    @cached_property
    def sources(self) -> dict[str, list[str]]:
        """Nodes that feed each node, in the order of the graph's edges."""
        return self._neighbours(0)

    @cached_property
    def targets(self) -> dict[str, list[str]]:
        """Nodes that each node feeds, in the order of the graph's edges."""
        return self._neighbours(1)

    def _neighbours(self, end: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {name: [] for name in self.graph.nodes}
        for edge in self.graph.edges:
            found[edge[1 - end]].append(edge[end])
        return found

    @cached_property
    def neurons(self) -> list[str]:
        """Nodes with state, sorted so that signals of the same step flow forward.

        Ties are broken by name, so the order does not depend on the file's order.
        """
        remaining = sorted(n for n, x in self.graph.nodes.items() if is_neuron(x))
        ordered: list[str] = []
        while remaining:
            waiting = set(remaining)
            free = [
                b
                for b in remaining
                if not any(a in waiting and not self.delayed(a, b) for a in self.feeders[b])
            ]
            ordered += free
            remaining = [n for n in remaining if n not in free]
        return ordered

    @cached_property
    def feeders(self) -> dict[str, list[str]]:
        """Inputs and neurons whose signal reaches each neuron or Output without passing another."""
        return {
            name: self._stateless_ancestors(name)
            for name, node in self.graph.nodes.items()
            if is_neuron(node) or kind(node) == "Output"
        }

    def _stateless_ancestors(self, name: str) -> list[str]:
        found: set[str] = set()
        seen: set[str] = set()
        stack = list(self.sources[name])
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if is_neuron(self.graph.nodes[node]) or kind(self.graph.nodes[node]) == "Input":
                found.add(node)
            else:
                stack += self.sources[node]
        return sorted(found)

    @cached_property
    def depth(self) -> dict[str, int]:
        """Fewest spiking populations on a way from an Input to each neuron, itself included.

        Neurons that do not spike (LI, I, CubaLI) are the synapses of what they feed, and count
        with the nearest to the input of it.
        """
        spiking = {n for n, x in self.graph.nodes.items() if kind(x) in SPIKING}
        depth: dict[str, int] = {}
        front = [(n, 0) for n, x in self.graph.nodes.items() if kind(x) == "Input"]
        fed: dict[str, list[str]] = {}
        for b, sources in self.feeders.items():
            for a in sources:
                fed.setdefault(a, []).append(b)
        while front:
            arriving: list[tuple[str, int]] = []
            for a, level in front:
                for b in fed.get(a, []):
                    reached = level + (b in spiking)
                    if reached < depth.get(b, 2**31):
                        depth[b] = reached
                        arriving.append((b, reached))
            front = arriving
        found = {n: depth.get(n, len(self.graph.nodes)) for n in self.feeders}
        for name in [n for n in found if n not in spiking]:
            owners = [depth[b] for b in self._spiking_targets(name, fed, spiking) if b in depth]
            found[name] = min(owners, default=found[name] + 1)
        return found

    def _spiking_targets(
        self, name: str, fed: dict[str, list[str]], spiking: set[str]
    ) -> set[str]:
        """Spiking neurons that a non-spiking one reaches without passing another spiking one."""
        found: set[str] = set()
        seen: set[str] = set()
        stack = [name]
        while stack:
            for b in fed.get(stack.pop(), []):
                if b in spiking:
                    found.add(b)
                elif b not in seen:
                    seen.add(b)
                    stack.append(b)
        return found

    @cached_property
    def _component(self) -> dict[str, int]:
        """Number of the strongly connected component of neurons that each neuron is in.

        A neuron that is in no loop has a number of its own.
        """
        names = sorted(n for n, x in self.graph.nodes.items() if is_neuron(x))
        index = {name: i for i, name in enumerate(names)}
        reach = np.eye(len(names), dtype=bool)
        for b in names:
            for a in self.feeders[b]:
                if a in index:
                    reach[index[a], index[b]] = True
        for k in range(len(names)):  # Warshall's transitive closure
            reach |= reach[:, k : k + 1] & reach[k : k + 1, :]
        mutual = reach & reach.T
        return {name: int(np.argmax(mutual[i])) for name, i in index.items()}

    @cached_property
    def _delays(self) -> set[tuple[str, str]]:
        """Pairs of neurons whose signal takes one step."""
        nodes = self.graph.nodes
        pairs = [
            (a, b)
            for b in self.feeders
            if is_neuron(nodes[b])
            for a in self.feeders[b]
            if is_neuron(nodes[a])
        ]
        delays = {
            (a, b)
            for a, b in pairs
            if kind(nodes[a]) in SPIKING
            and (
                self.layer_delay
                or (self._component[a] == self._component[b] and self.depth[b] <= self.depth[a])
            )
        }
        return delays | self._open_loops([pair for pair in pairs if pair not in delays])

    def _open_loops(self, pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
        """Delays for loops that no delayed spike opens: where the walk by depth and name ends.

        Such loops hold only neurons that do not spike, or spikes that lead ever deeper.
        """
        delays: set[tuple[str, str]] = set()
        pending = set(pairs)
        remaining = {name for pair in pairs for name in pair}
        while remaining:
            free = {b for b in remaining if not any((a, b) in pending for a in remaining)}
            if not free:
                first = min(remaining, key=lambda n: (self.depth[n], n))
                free = {first}
                delays |= {(a, first) for a in remaining if (a, first) in pending}
            remaining -= free
        return delays

    def delayed(self, a: str, b: str) -> bool:
        """Whether the signal of neuron ``a`` reaches neuron ``b`` one step later.

        NIR says nothing about it; every simulator takes one step where a loop closes. The rule
        here: within a loop, a spike that does not lead deeper into the network takes one step.
        """
        return (a, b) in self._delays

    @cached_property
    def stateless_cycle(self) -> list[str]:
        """Names of the nodes of a cycle without a neuron; empty if there is none."""
        remaining = {n for n, x in self.graph.nodes.items() if not is_neuron(x)}
        while remaining:
            free = {n for n in remaining if remaining.isdisjoint(self.sources[n])}
            if not free:
                return sorted(n for n in remaining if not remaining.isdisjoint(self.targets[n]))
            remaining -= free
        return []

    @cached_property
    def from_input(self) -> set[str]:
        """Nodes that a signal from some Input reaches."""
        inputs = [n for n, x in self.graph.nodes.items() if kind(x) == "Input"]
        return _walk(inputs, self.targets)

    def towards(self, ends: Iterable[str]) -> set[str]:
        """Nodes on which any of ``ends`` depends, themselves included."""
        return _walk(ends, self.sources)


def _walk(starts: Iterable[str], neighbours: dict[str, list[str]]) -> set[str]:
    """All nodes that can be reached from ``starts``, themselves included."""
    seen: set[str] = set()
    stack = list(starts)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += neighbours[node]
    return seen
