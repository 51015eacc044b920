"""One call of a built torch network: its populations step by step, and the signals between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from nirbridge.graph.nodes import is_neuron, kind


@dataclass
class Run:
    """The states of one call, and the signals of the step."""

    network: Any
    batch: int
    like: Any
    states: dict[str, Any] = field(default_factory=dict)
    now: dict[Any, Any] = field(default_factory=dict)
    lines: dict[str, list[Any]] = field(default_factory=dict)
    delayed: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        net = self.network
        delay = net.dynamics.recurrent_delay
        self.value = {n: self._zeros(n) for n in net.topology.neurons}
        self.past = {n: [v] * delay for n, v in self.value.items()}

    def _zeros(self, name: str) -> Any:
        return self.like.new_zeros((self.batch, *self.network.shapes[name][0]))

    def step(self, signals: dict[str, Any]) -> Any:
        """Advance all populations by one step; what arrives at the Outputs."""
        import torch

        net = self.network
        self.now, self.delayed = dict(signals), {}
        for name, value in self.value.items():
            self.past[name] = [value, *self.past[name][:-1]]
        for name in net.topology.neurons:
            x = self._arriving(name)
            self.value[name], self.states[name] = net.part(name)(x, self.states.get(name))
        rows = [self._arriving(name) for name in net.outputs]
        for name, signal in self.delayed.items():
            self.lines[name] = [signal, *self.lines.get(name, [])]
        if len(rows) == 1:
            return rows[0]
        return torch.cat([row.reshape(self.batch, -1) for row in rows], dim=-1)

    def _arriving(self, name: str) -> Any:
        topology = self.network.topology
        late = frozenset(a for a in topology.feeders[name] if topology.delayed(a, name))
        return self._sum(name, late)

    def _sum(self, name: str, late: frozenset[str]) -> Any:
        sources = self.network.topology.sources[name]
        if not sources:
            return self._zeros(name)
        total = self._signal(sources[0], late)
        for other in sources[1:]:
            total = total + self._signal(other, late)
        return total

    def _signal(self, name: str, late: frozenset[str]) -> Any:
        node = self.network.graph.nodes[name]
        if kind(node) == "Input":
            return self.now[name]
        if is_neuron(node):
            return self.past[name][-1] if name in late else self.value[name]
        if kind(node) == "Delay":
            return self._delay(name, node, late)
        key = (name, late)
        if key not in self.now:
            self.now[key] = self.network.part(name)(self._sum(name, late))
        return self.now[key]

    def _delay(self, name: str, node: nir.NIRNode, late: frozenset[str]) -> Any:
        import torch

        signal = self._sum(name, late)
        self.delayed[name] = signal
        steps = np.rint(np.asarray(node.delay, np.float64) / self.network.dynamics.dt).astype(int)
        history = [signal, *self.lines.get(name, [])]
        out = torch.zeros_like(signal)
        for k, past in enumerate(history):
            mask = torch.as_tensor(steps == k)
            out = torch.where(mask, past, out)
        return out
