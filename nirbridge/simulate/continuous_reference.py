"""The ideal model by brute force: NIR's equations as they stand, in small Runge-Kutta steps.

Slow and approximate, but with none of the closed forms, root isolation and queues of
:mod:`nirbridge.simulate.continuous`, which the tests hold against it.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.graph.apply import apply
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.simulate.continuous_modes import Array
from nirbridge.simulate.continuous_network import FIRING, GRADED

State = dict[str, Array]  # (2, *shape): current and voltage of each neuron node
Spike = tuple[float, str, int]  # time in s, node, neuron in C order

SAME = 1e-9  # bins; events so close together count as one
HALVINGS = 34  # of a step: the time of a spike is right to 1e-10 steps


class BruteForce:
    """One sample on a graph.

    Parameters
    ----------
    graph
        Any graph that :func:`~nirbridge.simulate.continuous.simulate_continuous` takes.
    dt
        Length of a bin in seconds.
    substeps
        Steps per bin. The error falls with their fourth power.

    """

    def __init__(self, graph: nir.NIRGraph, dt: float, substeps: int = 16):
        self.flat, self.dt, self.substeps = inline(graph), dt, substeps
        self.sources = Topology(self.flat).sources
        self.dynamics = Dynamics.of(self.flat) or Dynamics(dt)
        self.inputs = self._of("Input")
        self.firing, self.neurons = self._of(*FIRING), self._of(*FIRING, *GRADED)
        self.log: dict[str, list[tuple[float, Array]]] = {name: [] for name in self._of("Delay")}
        self.now: dict[str, Array] = {}  # what the Inputs send in this bin
        self.spikes: list[Spike] = []
        self.lasting: list[Spike] = []  # those whose pulses have not ended

    def _of(self, *kinds: str) -> list[str]:
        return sorted(name for name, node in self.flat.nodes.items() if kind(node) in kinds)

    def run(self, counts: NDArray[np.integer[Any]]) -> tuple[list[Spike], State]:
        """All spikes in the order of time, and the state at the end; counts (T, n_in)."""
        y = {n: np.zeros((2, *self.flat.nodes[n].r.shape)) for n in self.neurons}
        shapes = [tuple(self.flat.nodes[n].input_type["input"]) for n in self.inputs]
        borders = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
        for t, row in enumerate(counts):
            parts = [p.reshape(s) for p, s in zip(np.split(row, borders), shapes, strict=True)]
            self.now = {n: p.astype(float) for n, p in zip(self.inputs, parts, strict=True)}
            for k in range(self.substeps):
                now = (t + k / self.substeps) * self.dt
                end = (t + (k + 1) / self.substeps) * self.dt
                while now < end - SAME * self.dt:
                    y, now = self._interval(now, end, y)
        return self.spikes, y

    def _interval(self, t: float, end: float, y: State) -> tuple[State, float]:
        """Go to ``end``, or to the first event before it."""
        sent: dict[str, Array] = {}
        for name, log in self.log.items():
            value = self._arriving(name, t, y, sent)
            if not log or np.any(log[-1][1] != value):
                log.append((t, value))
        soon = t + SAME * self.dt
        self.lasting = [spike for spike in self.lasting if spike[0] + self.dt > soon]
        borders = [end, *(when + self.dt for when, _, _ in self.lasting)]
        for name, log in self.log.items():
            borders += [t0 + d for t0, _ in log for d in self.flat.nodes[name].delay.flat]
        h = min(border for border in borders if border > soon) - t
        later = self._step(t, y, h)
        if not self._above(later):
            return later, t + h
        low, high = 0.0, h
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            crossed = bool(self._above(self._step(t, y, middle)))
            low, high = (low, middle) if crossed else (middle, high)
        y = self._step(t, y, high)
        for name, j in self._above(y):
            node = self.flat.nodes[name]
            by_value = self.dynamics.override(node).reset == "value"
            y[name][1].flat[j] = node.v_reset.flat[j] if by_value else 0.0
            self.spikes.append((t + high, name, j))
            self.lasting.append(self.spikes[-1])
        return y, t + high

    def _above(self, y: State) -> list[tuple[str, int]]:
        return [
            (name, int(j))
            for name in self.firing
            for j in np.flatnonzero(y[name][1] > self.flat.nodes[name].v_threshold)
        ]

    def _step(self, t: float, y: State, h: float) -> State:
        """The classical Runge-Kutta step; no pulse begins or ends within it."""
        k1 = self._slope(t, y)
        k2 = self._slope(t, {n: x + h / 2 * k1[n] for n, x in y.items()})
        k3 = self._slope(t, {n: x + h / 2 * k2[n] for n, x in y.items()})
        k4 = self._slope(t, {n: x + h * k3[n] for n, x in y.items()})
        return {n: x + h / 6 * (k1[n] + 2 * k2[n] + 2 * k3[n] + k4[n]) for n, x in y.items()}

    def _slope(self, t: float, y: State) -> State:
        """dI/dt and dv/dt; ``t`` says which pulses last."""
        found: State = {}
        sent: dict[str, Array] = {}
        for name in self.neurons:
            node = self.flat.nodes[name]
            i, v = y[name]
            x, di = self._arriving(name, t, y, sent), np.zeros_like(i)
            if kind(node).startswith("Cuba"):
                x, di = i, (node.w_in * x - i) / node.tau_syn
            dv = node.r * x
            if kind(node) not in ("I", "IF"):
                tau = node.tau_mem if kind(node).startswith("Cuba") else node.tau
                dv = (node.v_leak - v + dv) / tau
            found[name] = np.stack([di, dv])
        return found

    def _arriving(self, name: str, t: float, y: State, sent: dict[str, Array]) -> Array:
        values = [self._sent(source, t, y, sent) for source in self.sources[name]]
        return np.asarray(np.sum(values, axis=0), np.float64)

    def _sent(self, name: str, t: float, y: State, sent: dict[str, Array]) -> Array:
        """What a node sends at ``t``; ``sent`` keeps what is known already."""
        if name not in sent:
            node = self.flat.nodes[name]
            if name in self.now:
                sent[name] = self.now[name]
            elif name in self.firing:
                sent[name] = self._pulses(name, t)
            elif name in self.neurons:
                sent[name] = y[name][1]
            else:
                sent[name] = self._passed(node, name, t, self._arriving(name, t, y, sent))
        return sent[name]

    def _pulses(self, name: str, t: float) -> Array:
        total = np.zeros(self.flat.nodes[name].r.shape)
        for when, source, j in self.lasting:
            if source == name and when + self.dt > t + SAME * self.dt:
                total.flat[j] += 1
        return total

    def _passed(self, node: nir.NIRNode, name: str, t: float, x: Array) -> Array:
        """What a node without neurons makes of what arrives."""
        if kind(node) == "Threshold":
            return np.asarray(x > node.threshold, np.float64)
        if kind(node) != "Delay":
            return np.asarray(apply(node, x[None])[0], np.float64)
        out = np.zeros_like(x)
        for when, values in self.log[name]:
            out = np.where(when + node.delay <= t + SAME * self.dt, values, out)
        return np.where(node.delay == 0, x, out)
