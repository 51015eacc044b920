"""The ideal: NIR's own equations, advanced exactly from event to event.

τ_syn·dI/dt = −I + w_in·S; τ_mem·dv/dt = (v_leak − v) + R·I; a spike where v rises through θ, then
the reset. A LIF has its input in place of I, an IF and an I have dv/dt = R·I, and LI, CubaLI and I
no threshold. A count n in a raster's bin is a current of amplitude n held for the bin's length dt;
a spike within the graph is the same pulse, amplitude 1 and length dt, from the moment of its
emission (the NIR paper's exact simulation, arXiv 2311.14641). All states are zero at the start.

Events are the borders of the pulses, the moments at which delayed ones arrive, and the crossings.
Between two of them every state has a closed form (:mod:`nirbridge.simulate.continuous_modes`), so
neither states nor spike times depend on any step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Refused, refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.verify import verify
from nirbridge.rasters import check_raster
from nirbridge.simulate.continuous_modes import Array
from nirbridge.simulate.continuous_network import Network
from nirbridge.simulate.continuous_signals import constant

SAME_TIME = 1e-9  # bins; a spike this close before a border counts as on it


@dataclass(frozen=True)
class SpikeTimes:
    """Spikes of one population, in the order of their samples and times.

    ``times``: (m,) in seconds. ``ids``: (m,) neurons, in C order for several axes. ``samples``:
    (m,) places in the batch. ``n``: neurons in the population.
    """

    times: Array
    ids: NDArray[np.int64]
    samples: NDArray[np.int64]
    n: int


@dataclass(frozen=True)
class ContinuousRecording:
    """What the ideal simulation gives back; arrays (T, n), or (B, T, n) for a batch.

    ``dt``: length of a bin in s. ``duration``: in s. ``times``: (T,) of the samples in s.
    ``outputs``: what arrives at each Output at these times, by node name; at the ends of the bins
    (the default) each spike's pulse is seen once, so this equals what a stepped simulation sends
    if it has the same counts. ``spikes``: spike times by node name. ``events``: intervals with a
    closed form that it took. With ``record=True``, ``i`` and ``v``: synaptic currents and
    membranes at these times. Values at the moment of an event are those just before it.
    """

    dt: float
    duration: float
    times: Array
    outputs: Mapping[str, Array]
    spikes: Mapping[str, SpikeTimes]
    events: int
    batch: int | None = None
    i: Mapping[str, Array] = field(default_factory=dict)
    v: Mapping[str, Array] = field(default_factory=dict)

    @property
    def output(self) -> Array:
        """What arrives at the Output; with several, side by side in the order of their names."""
        return np.concatenate([self.outputs[name] for name in sorted(self.outputs)], axis=-1)

    def binned(self, dt: float | None = None) -> dict[str, NDArray[np.int64]]:
        """Spike counts in bins of ``dt`` seconds (the raster's by default), by node name.

        Returns
        -------
        dict
            (T, n), or (B, T, n) for a batch. A spike at a border counts to the bin that begins.

        """
        width = self.dt if dt is None else Dynamics(dt).dt
        size = int(np.ceil(self.duration / width - SAME_TIME))
        found = {}
        for name, spikes in self.spikes.items():
            counts = np.zeros((1 if self.batch is None else self.batch, size, spikes.n), np.int64)
            bins = np.floor(spikes.times / width + SAME_TIME).astype(np.int64)
            np.add.at(counts, (spikes.samples, np.minimum(bins, size - 1), spikes.ids), 1)
            found[name] = counts[0] if self.batch is None else counts
        return found


def simulate_continuous(
    graph: nir.NIRGraph,
    raster: Any,
    dt: float,
    *,
    reset: str | None = None,
    record: bool = False,
    sample_times: Any = None,
    max_spikes: int = 1000,
    max_events: int | None = None,
) -> ContinuousRecording:
    """Run the ideal, event-driven model of a graph on a raster of spike counts.

    Exact up to float64 rounding for all NIR primitives: LIF, IF, CubaLIF and their linear
    connections, recurrence, fan-in, delays of inputs and spikes, and neurons without threshold
    (I, LI, CubaLI) that feed each other or neurons with one.

    Parameters
    ----------
    graph
        Any well-formed NIR graph. Time constants and delays are in seconds.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in). Channels of several Inputs lie side by side in
        the order of their names, those of an Input with several axes in C order.
    dt
        Length of a bin and of each spike's pulse in seconds.
    reset
        ``value``: v becomes v_reset at a spike, as NIR says. ``subtract``: it loses θ, and so
        becomes zero, as it is θ at that moment. By default as the graph's metadata say, else
        ``value``. A node that is an exception to the graph's metadata remains one.
    record
        Whether to record currents and membranes.
    sample_times
        When to record outputs, currents and membranes: (m,) seconds, rising, within the raster.
        By default the end of each bin.
    max_spikes
        Most spikes of one neuron within dt; more are refused, since a network that runs away
        would never come to an end.
    max_events
        Most events (borders of pulses, arrivals, crossings) of one sample; more are refused. By
        default any number. Time is about proportional to them.

    Raises
    ------
    Refused
        NB2xx for a graph that is not well-formed, NB304 for a wrong dt or reset, NB801 and NB802
        for a raster that does not fit, NB806 for wrong sample times. NB305 for what has no closed
        form (loops without an IF, LIF or CubaLIF; a Threshold or Delay node behind an I, LI or
        CubaLI; too many different time constants in one graded signal), NB306 beyond ``max_spikes``
        or ``max_events``.

    Examples
    --------
    An IF neuron that a constant current charges by 1.2 thresholds per bin of 1 ms:

    >>> one = np.ones(1)
    >>> nodes = {"in": nir.Input(np.array([1])), "if": nir.IF(1200 * one, one, 0 * one)}
    >>> nodes["out"] = nir.Output(np.array([1]))
    >>> graph = nir.NIRGraph(nodes, [("in", "if"), ("if", "out")])
    >>> found = simulate_continuous(graph, np.ones((3, 1), int), dt=1e-3)
    >>> print(1e3 * found.spikes["if"].times)
    [0.83333333 1.66666667 2.5       ]
    >>> found.binned()["if"].ravel().tolist()
    [1, 1, 1]

    """
    refuse_all(verify(graph))
    flat = inline(graph)
    Dynamics(dt, reset=reset or "value")  # refuses what is no length of time and no known word
    network = Network(flat, dt, reset)
    counts = check_raster(raster, network.n_in)
    samples = _sample_times(sample_times, counts.shape[-2], dt)
    batch = counts if counts.ndim == 3 else counts[None]
    parts = list(batch) or [np.zeros((0, network.n_in), np.int64)]  # gives an empty batch's shapes
    bounds = (max_spikes, np.inf if max_events is None else max_events)
    runs = [_Run(network, part, samples, record, bounds).run() for part in parts]
    if counts.ndim == 2:
        return runs[0]
    return replace(_merge(runs, len(batch)), duration=batch.shape[1] * dt)


def _sample_times(wanted: Any, bins: int, dt: float) -> Array:
    """Times of the samples in bins."""
    if wanted is None:
        return np.arange(1.0, bins + 1)
    times = np.asarray(wanted, np.float64)
    limit = f"rising seconds from 0 to {bins * dt:g}, (m,)"
    if times.ndim != 1:
        raise refuse("NB806", node="sample_times", limit=limit, found=f"shape {times.shape}")
    scaled = times / dt
    whole = np.rint(scaled)
    scaled = np.where(np.abs(scaled - whole) <= SAME_TIME * np.maximum(whole, 1), whole, scaled)
    inside = np.isfinite(scaled) & (scaled >= 0) & (scaled <= bins)
    if not inside.all() or np.any(np.diff(scaled) < 0):
        bad = times[~inside] if not inside.all() else times[1:][np.diff(scaled) < 0]
        raise refuse("NB806", node="sample_times", limit=limit, found=f"{bad[0]}")
    return scaled


def _merge(runs: list[ContinuousRecording], batch: int) -> ContinuousRecording:
    """One recording of all samples of a batch."""
    spikes = {}
    for name, first in runs[0].spikes.items():
        parts = [run.spikes[name] for run in runs]
        spikes[name] = SpikeTimes(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.repeat(np.arange(len(parts)), [len(part.times) for part in parts]),
            first.n,
        )
    outputs, i, v = (
        {name: np.stack([part[name] for part in parts])[:batch] for name in parts[0]}
        for parts in (
            [run.outputs for run in runs],
            [run.i for run in runs],
            [run.v for run in runs],
        )
    )
    events = sum(run.events for run in runs)
    return replace(runs[0], spikes=spikes, batch=batch, events=events, outputs=outputs, i=i, v=v)


class _Run:
    """One sample: the queue of events, the clock, and what is recorded. Times in bins."""

    def __init__(
        self,
        network: Network,
        counts: NDArray[np.integer[Any]],
        samples: Array,
        record: bool,
        bounds: tuple[float, float],
    ):
        self.network, self.counts, self.samples = network, counts, samples
        self.max_spikes, self.max_events = bounds
        self.now, self.end, self.events, self.sampled = 0.0, float(len(counts)), 0, 0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.number = count()
        self.times: dict[str, list[Array]] = {name: [] for name in network.spiking}
        self.ids: dict[str, list[NDArray[np.int64]]] = {name: [] for name in network.spiking}
        self.populations = network.populations if record else {}
        self.outputs = self._empty({n: int(np.prod(network.shapes[n][1])) for n in network.outputs})
        self.v = self._empty({name: len(p.v) for name, p in self.populations.items()})
        self.i = self._empty({n: len(p.v) for n, p in self.populations.items() if p.has_synapse})
        network.start()
        self._queue_inputs()

    def _empty(self, sizes: dict[str, int]) -> dict[str, Array]:
        return {name: np.zeros((len(self.samples), n)) for name, n in sizes.items()}

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Let something happen at a time; what is past the end is dropped."""
        if time < self.end:
            heappush(self.queue, (time, next(self.number), act))

    def _queue_inputs(self) -> None:
        """Queue the bins whose counts differ from those of the bin before, for each Input."""
        first = 0
        for name in self.network.inputs:
            shape = self.network.shapes[name][0]
            part = self.counts[:, first : first + int(np.prod(shape))].astype(np.float64)
            first += part.shape[1]
            before = np.concatenate([np.zeros((1, part.shape[1])), part[:-1]])
            for t in np.flatnonzero((part != before[: len(part)]).any(axis=1)):
                signal = constant(part[t].reshape(shape))
                self.at(float(t), partial(self.network.send, name, signal))

    def run(self) -> ContinuousRecording:
        """Go from event to event."""
        for name, population in self.network.spiking.items():
            self._fire(name, np.flatnonzero(population.v > population.threshold))
        while self.now < self.end:
            self._process()
            self.network.settle()
            until = min(self.queue[0][0], self.end) if self.queue else self.end
            rises = {n: p.first_rises(until - self.now) for n, p in self.network.spiking.items()}
            first = min([np.inf, *(float(times.min(initial=np.inf)) for times in rises.values())])
            self._advance(min(self.now + first, until), min(first, until - self.now))
            for name, times in rises.items():
                if first < np.inf:
                    self._fire(name, np.flatnonzero(times == first))
        return self._recording()

    def _advance(self, until: float, s: float) -> None:
        """Record the samples up to a time that is ``s`` bins away, and go there."""
        last = int(np.searchsorted(self.samples, until, side="right"))
        if last > self.sampled:
            place = slice(self.sampled, last)
            self._sample(place, np.minimum(self.samples[place] - self.now, s))
            self.sampled = last
        for population in self.network.populations.values():
            population.advance(s)
        self.now = until
        self.events += 1
        if self.events > self.max_events:
            raise self._endless("", f"{self.max_events:,} events")

    def _sample(self, place: slice, s: Array) -> None:
        for name, rows in self.outputs.items():
            rows[place] = self.network.arriving(name).at(s)
        for name, rows in self.v.items():
            rows[place] = self.populations[name].membranes(s[:, None])
        for name, rows in self.i.items():
            rows[place] = self.populations[name].currents(s[:, None])

    def _fire(self, name: str, ids: NDArray[np.int64]) -> None:
        """Record spikes now, reset the neurons, and send their pulses."""
        if not len(ids):
            return
        population = self.network.spiking[name]
        self.times[name].append(np.full(len(ids), self.now))
        self.ids[name].append(ids)
        population.v[ids] = population.v_reset[ids]
        self._pulse(name, ids, 1)
        if population.active[ids].max() > self.max_spikes:
            raise self._endless(name, f"{self.max_spikes:,} spikes of a neuron within dt")
        self.at(self.now + 1, partial(self._pulse, name, ids, -1))

    def _endless(self, name: str, limit: str) -> Refused:
        now = self.now * self.network.dt
        return refuse("NB306", node=name, limit=f"at most {limit}", found=f"more after {now:.3g} s")

    def _pulse(self, name: str, ids: NDArray[np.int64], change: int) -> None:
        population = self.network.spiking[name]
        population.active[ids] += change
        self.network.send(name, population.sent())

    def _process(self) -> None:
        """Carry out what is due now, and pass on what changes at the delays."""
        while self.queue and self.queue[0][0] <= self.now:
            heappop(self.queue)[2]()
        waiting = deque(self.network.delays)
        while waiting:
            name = waiting.popleft()
            if self._delay(name):
                waiting.extend(n for n in self.network.delays if n not in waiting)

    def _delay(self, name: str) -> bool:
        """Queue what a Delay receives; whether it passes some of it on without any delay."""
        line = self.network.delays[name]
        values = self.network.arriving(name).rows[0]
        changed = values != line.last
        line.last = values
        at_once = False
        for delay, where in line.groups:
            if changed[where].any():
                if delay == 0:
                    self._release(name, where, values[where])
                    at_once = True
                else:
                    release = partial(self._release, name, where, values[where])
                    self.at(self.now + delay, release)
        return at_once

    def _release(self, name: str, where: tuple[NDArray[np.int64], ...], values: Array) -> None:
        line = self.network.delays[name]
        line.put(where, values)
        self.network.send(name, constant(line.value))

    def _recording(self) -> ContinuousRecording:
        dt = self.network.dt
        spikes = {}
        for name, population in self.network.spiking.items():
            times = np.concatenate([np.zeros(0), *self.times[name]]) * dt
            ids = np.concatenate([np.zeros(0, np.int64), *self.ids[name]])
            spikes[name] = SpikeTimes(times, ids, np.zeros(len(ids), np.int64), len(population.v))
        return ContinuousRecording(
            dt, self.end * dt, self.samples * dt, self.outputs, spikes, self.events, None,
            self.i, self.v,
        )  # fmt: skip
