"""Who feeds whom in a flat graph, and which spikes arrive in the same step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.nodes import is_neuron, kind


@dataclass(frozen=True)
class Topology:
    """Relations between the nodes of a flat graph. Compute once, ask often."""

    graph: nir.NIRGraph

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
        """Nodes with state, sorted so that spikes of the same step flow forward.

        Ties are broken by name, so the order does not depend on the file's order.
        """
        remaining = sorted(n for n, x in self.graph.nodes.items() if is_neuron(x))
        ordered: list[str] = []
        while remaining:
            free = [
                b
                for b in remaining
                if not any(a in remaining and not self.delayed(a, b) for a in self.feeders[b])
            ]
            ordered += free
            remaining = [n for n in remaining if n not in free]
        return ordered

    @cached_property
    def feeders(self) -> dict[str, list[str]]:
        """Inputs and neurons whose signal reaches each neuron or Output without passing another."""
        result = {}
        for name, node in self.graph.nodes.items():
            if is_neuron(node) or kind(node) == "Output":
                result[name] = self._stateless_ancestors(name)
        return result

    def _stateless_ancestors(self, name: str) -> list[str]:
        seen: set[str] = set()
        stack = list(self.sources[name])
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if not (is_neuron(self.graph.nodes[node]) or kind(self.graph.nodes[node]) == "Input"):
                stack += self.sources[node]
        return sorted(
            n for n in seen if is_neuron(self.graph.nodes[n]) or kind(self.graph.nodes[n]) == "Input"
        )

    @cached_property
    def depth(self) -> dict[str, int]:
        """Fewest neurons on a way from an Input to each neuron (the first layer has depth 1)."""
        depth: dict[str, int] = {}
        front = [n for n, x in self.graph.nodes.items() if kind(x) == "Input"]
        level = 0
        while front:
            level += 1
            front = [
                b for b, a in self.feeders.items() if b not in depth and not set(a).isdisjoint(front)
            ]
            depth.update(dict.fromkeys(front, level))
        return {n: depth.get(n, len(self.graph.nodes)) for n in self.feeders}

    @cached_property
    def _reach(self) -> tuple[dict[str, int], NDArray[np.bool_]]:
        names = sorted(n for n, x in self.graph.nodes.items() if is_neuron(x))
        index = {name: i for i, name in enumerate(names)}
        reach = np.zeros((len(names), len(names)), bool)
        for b in names:
            for a in self.feeders[b]:
                if a in index:
                    reach[index[a], index[b]] = True
        for k in range(len(names)):  # Warshall's transitive closure
            reach |= reach[:, k : k + 1] & reach[k : k + 1, :]
        return index, reach

    def delayed(self, a: str, b: str) -> bool:
        """Whether spikes of neuron ``a`` reach neuron ``b`` one step later because they close a loop.

        NIR says nothing about it; every simulator takes one step where a loop closes. The rule
        here: within a loop, a spike that does not lead deeper into the network takes one step.
        """
        index, reach = self._reach
        i, j = index[a], index[b]
        return bool(reach[j, i]) and self.depth[b] <= self.depth[a]

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
        seen: set[str] = set()
        stack = [n for n, x in self.graph.nodes.items() if kind(x) == "Input"]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack += self.targets[node]
        return seen
