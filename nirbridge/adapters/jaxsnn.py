"""jaxsnn: a chain of Linear and CubaLIF layers, solved from spike to spike in continuous time.

An importer only. Measured on jaxsnn 0.3.0: V' = (I − V)/τ_mem, I' = −I/τ_syn; a spike adds its
row of weights, (in, out), to I; at V = 1 (the threshold here) V becomes v_reset. Its solver knows
τ_mem = τ_syn and τ_mem = 2·τ_syn, and takes any other ratio for one of these; a layer has one value
of each parameter; its v_leak is stored and never used. Its own import of NIR takes τ for
milliseconds, weights for (in, out), the first neuron's parameters for all, and neither r nor w_in.

In NIR a spike is a pulse of length dt. Here it is a jump of the same charge in the middle of that
pulse, so spike times are those of :func:`nirbridge.simulate_continuous` to second order in dt/τ.
"""

from __future__ import annotations

import logging
from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import DIFFERS, is_cell
from nirbridge.diagnostics import Diagnostic, Refused, diagnose, refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.verify import verify
from nirbridge.optional import need
from nirbridge.simulate.continuous import SpikeTimes

MOST = 2**16  # events of one layer; each step of the solver looks at all of them
INSTEAD = "build for another framework, or call simulate_continuous"
RATIOS = (1.0, 2.0)
SAME = 1e-6  # relative; time constants come from files in single precision


def build(graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> JaxsnnModel:
    """A graph as a ``jaxsnn.event.Topology``, called as the models of the other frameworks are.

    Raises
    ------
    Refused
        NB903 without jaxsnn, the codes of verification for a malformed graph, NB904 for what
        jaxsnn cannot compute; with ``strict`` also because it takes no steps.

    """
    logging.getLogger("jaxsnn").addHandler(logging.NullHandler())  # else it takes over the root's
    need("jaxsnn")
    refuse_all(verify(graph))
    flat = inline(graph)
    chain = _chain(flat)
    refuse_all([d for name in chain for d in _unlike(name, flat.nodes[name], dynamics)])
    model = JaxsnnModel(flat, chain, dynamics)
    if strict:
        refuse_all(model.differences)
    return model


class JaxsnnModel:
    """A chain in jaxsnn.

    ``weights`` are what its projections have, by node: (in, out), with r, w_in and the threshold
    of the neurons behind them; ``differences`` says why its spikes are not those of a stepped
    model. :meth:`spike_times` gives its spikes, a call counts those of the last layer per step.
    """

    def __init__(self, flat: nir.NIRGraph, chain: list[str], dynamics: Dynamics):
        self.graph, self.dynamics = flat, dynamics
        self.input, self.maps, self.neurons = chain[0], chain[1:-1:2], chain[2:-1:2]
        self.weights: dict[str, Any] = {}
        self.parameters: dict[str, dict[str, float]] = {}
        for before, name in zip(self.maps, self.neurons, strict=True):
            node = flat.nodes[name]
            gain = node.r * node.w_in * dynamics.dt / node.tau_syn / node.v_threshold
            weight = np.asarray(flat.nodes[before].weight, np.float64)
            self.weights[before] = (weight * np.asarray(gain, np.float64)[:, None]).T
            self.parameters[name] = _parameters(node, dynamics)
        self.differences = [_difference(name) for name in self.neurons]

    def topology(self, duration: float, events: int) -> Any:
        """The ``jaxsnn.event.Topology``, with room for so many events in each layer."""
        import jax.numpy as jnp
        from jaxsnn.event.modules import LIF, Linear, Source
        from jaxsnn.event.modules.lif import LIFParameters
        from jaxsnn.event.topology import Topology

        made = Topology(t_max=duration)
        first = self.weights[self.maps[0]]
        made.add({self.input: Source(len(first))})
        last = self.input
        for before, name in zip(self.maps, self.neurons, strict=True):
            weight = jnp.asarray(self.weights[before])
            delay = self.dynamics.dt / 2  # the middle of a pulse
            parameters = LIFParameters(**self.parameters[name])
            made.add({before: Linear(pre_weights=weight, min_delay=delay)})
            made.add({name: LIF(weight.shape[1], events, parameters)})
            made.connect([(last, before), (before, name)])
            last = name
        return made

    def spike_times(self, x: Any) -> dict[str, SpikeTimes]:
        """Spikes of each population for counts (T, B, n), from rest, in seconds.

        Raises
        ------
        Refused
            NB904 if a layer has more events than the solver can hold.

        """
        import jax

        rows = np.asarray(x)
        rows = rows.reshape(*rows.shape[:2], -1)
        times, ids = _events(rows, self.dynamics.dt)
        room, full = 2 * times.shape[1], self.neurons
        with jax.enable_x64(True):
            while room <= MOST:
                found = self._solve(times, ids, len(rows) * self.dynamics.dt, room)
                full = [n for n in self.neurons if np.any(np.asarray(found[n].idx)[:, -1] >= 0)]
                if not full:
                    return {n: self._spikes(n, found[n]) for n in self.neurons}
                room *= 2
        limit, remedy = f"{MOST} events in a layer", "pass shorter rasters"
        raise refuse(DIFFERS, node=full[0], limit=limit, found="more", remedy=remedy)

    def _solve(self, times: Any, ids: Any, duration: float, room: int) -> Any:
        import jax
        import jax.numpy as jnp
        from jaxsnn.event.types import Spike

        init, apply = self.topology(duration, room).done()
        zero, there = jnp.zeros(times.shape), jnp.asarray(ids >= 0)
        sent = Spike(jnp.asarray(times), jnp.asarray(ids), zero, zero.astype(int), there)
        return jax.jit(apply)({self.input: sent}, init(jax.random.PRNGKey(0)))

    def _spikes(self, name: str, events: Any) -> SpikeTimes:
        """A layer's record holds what it received as well; its own are marked."""
        samples, places = np.nonzero(np.asarray(events.internal))
        times, ids = (np.asarray(v)[samples, places] for v in (events.time, events.idx))
        size = self.graph.nodes[name].v_threshold.size
        return SpikeTimes(times, ids.astype(np.int64), samples.astype(np.int64), size)

    def __call__(self, x: Any) -> Any:
        """(T, B, ...) counts in, (T, B, n) float32 counts of the last layer out, from rest."""
        last = self.spike_times(x)[self.neurons[-1]]
        out = np.zeros((*np.shape(x)[:2], last.n), np.float32)
        steps = np.minimum((last.times / self.dynamics.dt).astype(int), len(out) - 1)
        np.add.at(out, (steps, last.samples, last.ids), 1)
        return out


def _events(rows: Any, dt: float) -> tuple[Any, Any]:
    """Counts (T, B, n) as times and channels (B, m), the latter −1 behind the last event."""
    steps, samples, channels = np.nonzero(rows)
    counts = rows[steps, samples, channels].astype(int)
    steps, samples, channels = (np.repeat(v, counts) for v in (steps, samples, channels))
    most = max(int(np.bincount(samples, minlength=1).max()), 1)
    times = np.full((rows.shape[1], most), len(rows) * dt)
    ids = np.full(times.shape, -1)
    for b in range(len(times)):
        own = samples == b
        times[b, : own.sum()], ids[b, : own.sum()] = steps[own] * dt, channels[own]
    return times, ids


def _chain(flat: nir.NIRGraph) -> list[str]:
    """Input, then Linear and CubaLIF by turns, then Output.

    Raises
    ------
    Refused
        NB904 for any other node or wiring.

    """
    found = []
    after: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for a, b in flat.edges:
        after[a].append(b)
    starts = [n for n, x in flat.nodes.items() if kind(x) == "Input"]
    wanted: tuple[str, ...] = ("Input",)
    name = starts[0]
    while True:
        found.append(name)
        node = flat.nodes[name]
        if kind(node) not in wanted:
            raise _no(name, f"{' or '.join(wanted)} after {found[-2]}", kind(node))
        if kind(node) == "Output":
            break
        if len(after[name]) != 1 or after[name][0] in found:
            raise _no(name, "one layer after another, without loops", f"leads to {after[name]}")
        name = after[name][0]
        wanted = ("Linear", "Affine") if "Linear" not in wanted else ("CubaLIF",)
        if kind(node) == "CubaLIF":
            wanted = ("Linear", "Affine", "Output")
    others = sorted(set(flat.nodes) - set(found))
    if others:
        raise _no(others[0], "one chain from one Input to one Output", "a node beside it")
    return found


def _no(node: str, limit: str, found: object) -> Refused:
    return refuse(DIFFERS, node=node, limit=f"jaxsnn: {limit}", found=found, remedy=INSTEAD)


def _unlike(name: str, node: nir.NIRNode, dynamics: Dynamics) -> list[Diagnostic]:
    """Parameters that jaxsnn cannot have."""
    found: list[tuple[str, object]] = []
    if kind(node) == "Affine" and np.any(node.bias):
        found.append(("no biases", f"up to {np.abs(node.bias).max():g}"))
    if not is_cell(node):
        return [_said(name, *words) for words in found]
    ratio = np.asarray(node.tau_mem, np.float64) / node.tau_syn
    if not any(np.allclose(ratio, r, rtol=SAME, atol=0) for r in RATIOS):
        words = f"from {ratio.min():g} to {ratio.max():g}"
        found.append(("τ_mem/τ_syn of 1 or of 2, which its solver has", words))
    if not np.all(node.v_threshold > 0):
        found.append(("thresholds above 0", f"{node.v_threshold.min():g}"))
        return [_said(name, *words) for words in found]
    reset = _reset(node, dynamics)
    for what, values in (("τ_mem", node.tau_mem), ("v_reset in thresholds", reset)):
        low, high = float(np.min(values)), float(np.max(values))
        if high - low > SAME * max(abs(low), abs(high)):
            found.append((f"one {what} per layer", f"from {low:g} to {high:g}"))
    if np.any(node.v_leak):
        found.append(("v_leak = 0", f"up to {np.abs(node.v_leak).max():g}"))
    return [_said(name, *words) for words in found]


def _said(name: str, limit: str, found: object) -> Diagnostic:
    return diagnose(DIFFERS, node=name, limit=f"jaxsnn: {limit}", found=found, remedy=INSTEAD)


def _reset(node: nir.NIRNode, dynamics: Dynamics) -> Any:
    """In thresholds; one that is subtracted at the moment of the spike leaves 0."""
    if dynamics.override(node).reset == "subtract":
        return np.zeros(node.v_threshold.shape)
    return np.asarray(node.v_reset, np.float64) / node.v_threshold


def _parameters(node: nir.NIRNode, dynamics: Dynamics) -> dict[str, float]:
    """Of a layer, with potentials in thresholds; its solver rounds the ratio of the two τ."""
    tau = float(np.mean(node.tau_mem))
    ratio = round(tau / float(np.mean(node.tau_syn)))
    reset = float(np.mean(_reset(node, dynamics)))
    return {"tau_mem": tau, "tau_syn": tau / ratio, "v_th": 1.0, "v_reset": reset}


def _difference(name: str) -> Diagnostic:
    return diagnose(
        DIFFERS,
        node=name,
        limit="jaxsnn: continuous time, a spike is a jump of the synaptic current",
        found="a graph that is stepped, with spikes held for a step",
        remedy="compare its spike times with simulate_continuous, not with the stepped model",
    )
