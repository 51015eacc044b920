"""The network in steps, in floating point: what it was trained with.

One step of one population is I = A·I + gs·x; v = B·v + gm·I + c; spike; reset. Which A, gs, B, gm
and c follow from the NIR parameters, and when spikes, resets and loops act, is what
:class:`nirbridge.Dynamics` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse_all
from nirbridge.dynamics import Dynamics, memoryless
from nirbridge.graph.apply import Signal, apply
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import SPIKING, canonical_step, is_neuron, kind, shape_of
from nirbridge.graph.shapes import Shape, infer
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify
from nirbridge.rasters import check_raster
from nirbridge.simulate import stepped_plan

Getter = Callable[[], Signal]


@dataclass(frozen=True)
class FloatRecording:
    """What a floating-point simulation gives back; (T, n), or (B, T, n) for a batch.

    ``outputs`` holds what arrives at each Output, ``spikes`` the counts of each spiking
    population, by node name. With ``record=True``, ``i`` holds the synaptic currents (neurons
    with a synapse) and ``v`` the membranes after the reset. Signals of several axes are
    flattened (C order).
    """

    outputs: Mapping[str, NDArray[Any]]
    spikes: Mapping[str, NDArray[Any]]
    i: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    v: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def output(self) -> NDArray[Any]:
        """What arrives at the Output; with several, side by side in the order of their names."""
        return np.concatenate([self.outputs[name] for name in sorted(self.outputs)], axis=-1)


def simulate_stepped(
    graph: nir.NIRGraph,
    raster: Any,
    dynamics: Dynamics | None = None,
    record: bool = False,
    *,
    dtype: type[np.floating[Any]] = np.float64,
    threads: int | None = None,
) -> FloatRecording:
    """Run a graph step by step on a raster of spike counts.

    Networks of populations that are joined by linear maps within the step run compiled; the first
    call on a machine takes some seconds for that. With Delay nodes, with maps that are too large
    as matrices, and where Numba is told not to compile (``NUMBA_DISABLE_JIT``), the readable rules
    are run instead: the same arithmetic, but sums may be rounded in another order.

    Parameters
    ----------
    graph
        Any well-formed NIR graph; its nodes may carry exceptions to ``dynamics``.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in). Channels of several Inputs lie side by side in
        the order of their names, those of an Input with several axes in C order.
    dynamics
        How to step; by default the record in the graph's metadata.
    record
        Whether to record currents and membranes.
    dtype
        Precision of all states: ``float64``, or ``float32`` as in the frameworks.
    threads
        Most threads for a batch; by default as many as the process may use. The readable rules
        use one.

    Raises
    ------
    Refused
        NB2xx for a graph that is not well-formed, NB301 without any dynamics, NB801 and NB802
        for a raster that does not fit.

    """
    return _simulate(graph, raster, dynamics, record, dtype, threads, compiled=True)


def simulate_readably(
    graph: nir.NIRGraph, raster: Any, *, dtype: type[np.floating[Any]] = np.float64
) -> FloatRecording:
    """As :func:`simulate_stepped`, by the readable rules: for a few steps, without compiling."""
    return _simulate(graph, raster, None, False, dtype, None, compiled=False)


def _simulate(
    graph: nir.NIRGraph,
    raster: Any,
    dynamics: Dynamics | None,
    record: bool,
    dtype: type[np.floating[Any]],
    threads: int | None,
    *,
    compiled: bool,
) -> FloatRecording:
    """As :func:`simulate_stepped`; ``compiled=False`` runs the readable rules on any network."""
    from nirbridge.timing import resolve  # which itself reads graphs

    dtype = np.dtype(dtype).type
    refuse_all(verify(graph))
    flat = inline(graph)
    how = resolve(flat, dynamics=dynamics)
    shapes, _ = infer(flat)
    counts = check_raster(raster, sum(_size(shapes[n][0]) for n in _inputs(flat)))
    batched = counts.ndim == 3
    samples = counts if batched else counts[None]
    topology = Topology(flat, how.layer_delay)
    prepared = _prepared(flat, how, topology, shapes, dtype) if compiled else None
    if prepared is None:
        recording = _Network(flat, how, topology, shapes, dtype).run(samples, record)
    else:
        recording = _run_compiled(prepared, samples, how.output_lag, record, threads)
    return recording if batched else _unbatched(recording)


def _prepared(
    flat: nir.NIRGraph,
    dynamics: Dynamics,
    topology: Topology,
    shapes: dict[str, tuple[Shape, Shape]],
    dtype: type[np.floating[Any]],
) -> stepped_plan.Network | None:
    """The network for the kernel, if it takes it. The raster plays no part in that.

    So a sample gives the same numbers alone and in a batch, cut short and whole.
    """
    from numba import config as numba_config  # a slow import, so not at that of the package

    if numba_config.DISABLE_JIT or dtype not in (np.float32, np.float64):
        return None
    try:
        return stepped_plan.Network(flat, dynamics, topology, shapes, dtype)
    except stepped_plan.DoesNotFit:
        return None


def _run_compiled(
    network: stepped_plan.Network,
    counts: NDArray[Any],
    lag: int,
    record: bool,
    threads: int | None,
) -> FloatRecording:
    """Run the kernel on tables for this raster, and name what it has recorded."""
    batch, steps, _ = counts.shape
    highest = counts.max(initial=0)
    plan = network.plan(batch * steps, record, graded_input=highest > 1)
    # Writeable, although nobody writes: the kernel is compiled for one kind of array only.
    number = np.uint8 if highest <= np.iinfo(np.uint8).max else network.dtype
    spikes = np.require(counts, number, ["C", "A", "W"])
    records = tuple(np.empty(size, network.dtype) for size in plan.sizes)
    _share(plan, spikes, records, max(1, min(batch, threads or _cores())))
    found = [
        {
            name: values[at : at + batch * steps * size].reshape(batch, steps, size)
            for name, (at, size) in place.items()
        }
        for place, values in zip(plan.places, records, strict=True)
    ]
    if lag:
        found[0] = {name: _late(values) for name, values in found[0].items()}
    return FloatRecording(*found)


def _share(
    plan: stepped_plan.Plan,
    spikes: NDArray[Any],
    records: tuple[NDArray[Any], ...],
    workers: int,
) -> None:
    """Share the batch among threads; the kernel releases Python's lock."""
    from nirbridge.simulate.stepped_kernel import run

    batch = len(spikes)
    tables = (plan.populations, plan.terms, plan.slots)
    bounds = pairwise(batch * k // workers for k in range(workers + 1))
    pieces: list[tuple[Any, ...]] = [
        (spikes, a, b, plan.scratch(b - a), tables, plan.arrays, records) for a, b in bounds
    ]
    first, *others = pieces
    if not others:
        run(*first)
        return
    with ThreadPoolExecutor(len(others)) as pool:
        running = [pool.submit(run, *piece) for piece in others]
        run(*first)
    for one in running:
        one.result()


def _late(values: NDArray[Any]) -> NDArray[Any]:
    """An output one step later."""
    return np.concatenate([np.zeros_like(values[:, :1]), values[:, :-1]], axis=1)


def _cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _inputs(flat: nir.NIRGraph) -> list[str]:
    return sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")


def _size(shape: Shape) -> int:
    return int(np.prod(shape))


def _unbatched(recording: FloatRecording) -> FloatRecording:
    parts = (recording.outputs, recording.spikes, recording.i, recording.v)
    return FloatRecording(*({name: x[0] for name, x in part.items()} for part in parts))


class _Population:
    """State and step of one neuron node for a batch."""

    def __init__(self, node: nir.NIRNode, dynamics: Dynamics, batch: int, dtype: Any):
        own = memoryless(dynamics) if kind(node) == "Threshold" else dynamics.override(node)
        step = canonical_step(node, own)
        self.A, self.gs, self.B, self.gm, self.c = (
            x.astype(dtype) for x in (step.A, step.gs, step.B, step.gm, step.c)
        )
        self.has_synapse = hasattr(node, "tau_syn")
        self.spiking = kind(node) in SPIKING
        self.how = own
        if self.spiking:
            self.threshold = np.asarray(step.threshold, dtype)
            self.v_reset = np.asarray(step.v_reset, dtype)
        shape = (batch, *shape_of(node))
        self.i = np.zeros(shape, dtype)
        self.v = np.zeros(shape, dtype)
        self.value = np.zeros(shape, dtype)  # what the node sends: spikes, or the membrane
        self.past = [self.value] * own.recurrent_delay  # of the last steps, the newest first

    def advance(self, x: Signal) -> None:
        if self.has_synapse:
            before = self.i
            self.i = self.A * self.i + self.gs * x
            x = self.i if self.how.order == "synapse first" else before
        held = self._held()
        self.v = self.B * self.v + self.gm * x + self.c
        self.value = self._fire(held) if self.spiking else self.v

    def _held(self) -> Signal | None:
        """Resets that act before the comparison: late ones, and those that a residual holds."""
        if self.spiking and self.how.reset_delay:
            return self.past[0]
        if self.spiking and self.how.residual == "blocks":
            return (self.v > self.threshold).astype(self.v.dtype)
        return None

    def _fire(self, held: Signal | None) -> Signal:
        how = self.how
        if held is not None:
            self.v = self.v - self.threshold * held
        above = self.v >= self.threshold if how.comparison == ">=" else self.v > self.threshold
        spikes = above.astype(self.v.dtype)
        if how.reset == "value":
            self.v = np.where(above, self.v_reset, self.v)
        elif not how.reset_delay:
            if how.spikes_per_step != 1:
                spikes = self._count(above)
            self.v = self.v - self.threshold * (spikes if held is None else spikes - held)
        return spikes

    def _count(self, above: NDArray[np.bool_]) -> Signal:
        """How many thresholds fit into v, at most as many as the record allows."""
        ratio = self.v / self.threshold
        count = np.floor(ratio) if self.how.comparison == ">=" else np.ceil(ratio) - 1
        limit = self.how.spikes_per_step or np.inf
        return np.where(above, np.minimum(np.maximum(count, 1), limit), 0).astype(self.v.dtype)


class _DelayLine:
    """A Delay node: each element of the signal comes out a whole number of steps later."""

    def __init__(self, node: nir.NIRNode, dt: float, inputs: Getter):
        self.steps = np.rint(np.asarray(node.delay, np.float64) / dt).astype(int)
        self.inputs = inputs
        self.past: list[Signal] = []  # the newest first

    def value(self) -> Signal:
        now = self.inputs()
        out = np.where(self.steps == 0, now, np.zeros_like(now))
        for k, signal in enumerate(self.past, 1):
            out = np.where(self.steps == k, signal, out)
        return out

    def advance(self) -> None:
        longest = int(self.steps.max(initial=0))
        self.past = [self.inputs(), *self.past][:longest]


def _cast(flat: nir.NIRGraph, dtype: Any) -> nir.NIRGraph:
    """A copy whose weights have the precision of the simulation, so that no step converts them."""
    nodes = {}
    for name, node in flat.nodes.items():
        nodes[name] = copy(node)
        for key in ("weight", "bias", "scale"):
            if hasattr(node, key):
                setattr(nodes[name], key, np.asarray(getattr(node, key), dtype))
    return nir.NIRGraph(nodes, list(flat.edges), metadata=dict(flat.metadata), type_check=False)


class _Network:
    """A flat graph turned into functions that fetch the input of each population."""

    def __init__(
        self,
        flat: nir.NIRGraph,
        dynamics: Dynamics,
        topology: Topology,
        shapes: dict[str, tuple[Shape, Shape]],
        dtype: Any,
    ):
        self.dynamics, self.topology, self.shapes, self.dtype = dynamics, topology, shapes, dtype
        self.flat = _cast(flat, dtype)
        self.inputs = _inputs(flat)

    def run(self, counts: NDArray[Any], record: bool) -> FloatRecording:
        batch, steps, _ = counts.shape
        nodes = self.flat.nodes
        self.now: dict[str, Signal] = {}
        self.populations = {
            n: _Population(nodes[n], self.dynamics, batch, self.dtype)
            for n in self.topology.neurons
        }
        self.delays: list[_DelayLine] = []
        self._getters: dict[tuple[str, frozenset[str]], Getter] = {}
        fetch = {n: self._input_of(n) for n in self.topology.feeders}
        outputs = [n for n, x in nodes.items() if kind(x) == "Output"]
        spiking = [n for n in self.topology.neurons if kind(nodes[n]) in SPIKING]
        made: dict[str, dict[str, list[Signal]]] = {
            "outputs": {n: [] for n in outputs},
            "spikes": {n: [] for n in spiking},
            "i": {n: [] for n, p in self.populations.items() if record and p.has_synapse},
            "v": {n: [] for n in self.populations if record},
        }
        for t in range(steps):
            self._present(counts[:, t])
            for population in self.populations.values():
                population.past = [population.value, *population.past[:-1]]
            for name, population in self.populations.items():
                population.advance(fetch[name]())
            for name, row in made["outputs"].items():
                row.append(fetch[name]())
            for name, row in made["spikes"].items():
                row.append(self.populations[name].value)
            for part in ("i", "v"):
                for name, row in made[part].items():
                    row.append(getattr(self.populations[name], part))
            for line in self.delays:
                line.advance()
        found = {
            part: {name: self._stack(rows, name, batch) for name, rows in content.items()}
            for part, content in made.items()
        }
        if self.dynamics.output_lag:
            found["outputs"] = {name: _late(values) for name, values in found["outputs"].items()}
        return FloatRecording(**found)

    def _stack(self, rows: list[Signal], name: str, batch: int) -> NDArray[Any]:
        size = int(np.prod(self.shapes[name][1]))
        if not rows:
            return np.zeros((batch, 0, size), self.dtype)
        return np.stack([row.reshape(batch, size) for row in rows], axis=1)

    def _present(self, counts: NDArray[Any]) -> None:
        """Show one step of the raster to the Inputs."""
        first = 0
        for name in self.inputs:
            shape: Shape = self.shapes[name][0]
            size = int(np.prod(shape))
            part = counts[:, first : first + size].astype(self.dtype)
            self.now[name] = part.reshape(len(counts), *shape)
            first += size

    def _input_of(self, name: str) -> Getter:
        """Function that gives the sum of all that arrives at a neuron or Output in this step."""
        topology = self.topology
        late = frozenset(a for a in topology.feeders[name] if topology.delayed(a, name))
        batch_shape = self.shapes[name][0] if name in self.shapes else ()
        return self._sum([self._getter(a, late) for a in topology.sources[name]], batch_shape)

    def _sum(self, getters: list[Getter], shape: Shape) -> Getter:
        if not getters:
            return lambda: np.zeros((1, *shape), self.dtype)
        if len(getters) == 1:
            return getters[0]
        first, *rest = getters

        def total() -> Signal:
            value = first()
            for getter in rest:
                value = value + getter()
            return value

        return total

    def _getter(self, name: str, late: frozenset[str]) -> Getter:
        """Function that gives what ``name`` sends, neurons in ``late`` as of the step before."""
        node = self.flat.nodes[name]
        if kind(node) == "Input":
            return lambda: self.now[name]
        if is_neuron(node):
            population = self.populations[name]
            return (lambda: population.past[-1]) if name in late else (lambda: population.value)
        key = (name, late)
        if key not in self._getters:
            inputs = self._sum(
                [self._getter(a, late) for a in self.topology.sources[name]],
                self.shapes[name][0] if name in self.shapes else (),
            )
            if kind(node) == "Delay":
                line = _DelayLine(node, self.dynamics.dt, inputs)
                self.delays.append(line)
                self._getters[key] = line.value
            else:
                self._getters[key] = lambda: apply(node, inputs())
        return self._getters[key]
