"""``bench``: from a graph and its inputs to the comparison, top to bottom."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nir

from nirbridge.bench import simulators
from nirbridge.bench.compare import Bench
from nirbridge.bench.inputs import Input, sizes
from nirbridge.bench.job import Job, Result
from nirbridge.diagnostics import refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import SPIKING, kind
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify
from nirbridge.graph.write import write
from nirbridge.timing import resolve

Progress = Callable[[list[int]], Iterable[int]]


def bench(
    graph: nir.NIRGraph,
    raster: Any,
    labels: Any = None,
    *,
    on: Iterable[str] | None = None,
    dt: float | None = None,
    dynamics: Dynamics | None = None,
    samples: int | None = None,
    threads: int = 1,
    repeat: int = 3,
    timeout: float = 300.0,
    ideal: int = 10,
    jobs: int = 1,
    dask: str | None = None,
    track: Progress | None = None,
    **words: Any,
) -> Bench:
    """Run one graph on every simulator, each in a process of its own, and compare the answers.

    A simulator that is missing, refuses, fails, crashes or takes too long has a row that says so;
    the others go on. All compute on the processor, in single precision but for continuous time
    and the chip's integers.

    Parameters
    ----------
    graph
        Any well-formed NIR graph.
    raster
        Spike counts, integers >= 0, (T, n_in) or (B, T, n_in); or one or several
        :class:`Input`, with different names.
    labels
        Integers (B,), or one integer for a single sample; None for none.
    on
        Names of simulators (:func:`nirbridge.bench.names`); by default all that are installed.
    dt, dynamics, words
        How the graph is stepped, as for :func:`nirbridge.convert`.
    samples
        Only the first samples of each input.
    threads
        Most threads of a simulator.
    repeat
        How often each is run after the first time, which is not counted.
    timeout
        Seconds after which a simulator's process is stopped.
    ideal
        Samples to run in continuous time, some tenths of a second each.
    jobs
        Processes at a time on this machine. More than one disturb each other's timings.
    dask
        Address of a Dask scheduler whose workers run the processes instead.
    track
        Wraps the list of pieces of work, to show progress.

    Raises
    ------
    Refused
        NB2xx for the graph, NB3xx for its dynamics, NB801, NB802 and NB804 for an input, NB806 for
        a simulator or number that cannot be, NB810 for a cluster that does not answer.

    """
    wanted = simulators.chosen(on)
    for name, value in (
        ("samples", 1 if samples is None else samples), ("threads", threads), ("repeat", repeat),
        ("ideal", ideal), ("jobs", jobs),
    ):  # fmt: skip
        _at_least_one(name, value)
    if not 0 < timeout < 1e8:
        raise refuse("NB806", node="timeout", limit="seconds > 0", found=repr(timeout))
    refuse_all(verify(graph))
    how = resolve(graph, dt, dynamics, **words)
    given = _named(raster, labels)
    inputs = tuple(each.checked(*sizes(graph), samples) for each in given)
    content = _file(how.attach(graph))
    work = [
        Job(name, each.name, content, each.counts, threads, repeat, timeout, ideal)
        for each in inputs
        for name in wanted
    ]
    found = _in_order(work, _followed(_results(work, jobs, dask), len(work), track))
    return Bench(wanted, inputs, found, how, _spiking(graph), threads, repeat)


def _at_least_one(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise refuse("NB806", node=name, limit="a whole number >= 1", found=repr(value))


def _named(raster: Any, labels: Any) -> list[Input]:
    if isinstance(raster, Input):
        return [raster]
    several = isinstance(raster, Sequence) and raster and isinstance(raster[0], Input)
    given = list(raster) if several else [Input("input", raster, labels)]
    names = [each.name for each in given]
    if len(set(names)) < len(names):
        found = ", ".join(sorted({n for n in names if names.count(n) > 1}))
        raise refuse("NB806", node="inputs", limit="different names", found=f"twice: {found}")
    return given


def _file(graph: nir.NIRGraph) -> bytes:
    """The graph as the bytes of a .nir file: it travels to other processes and machines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        write(graph, path)
        return path.read_bytes()


def _results(work: list[Job], jobs: int, dask: str | None) -> Iterator[Result]:
    from nirbridge.bench import pool

    return pool.run_local(work, jobs) if dask is None else pool.run_dask(work, dask)


def _followed(results: Iterator[Result], n: int, track: Progress | None) -> Iterator[Result]:
    places = list(range(n))
    for _ in track(places) if track else places:
        yield next(results)


def _in_order(work: list[Job], results: Iterator[Result]) -> tuple[Result, ...]:
    found = {(r.simulator, r.input): r for r in results}
    return tuple(found[job.simulator, job.input] for job in work)


def _spiking(graph: nir.NIRGraph) -> bool:
    """Whether all that reaches the Outputs are spikes of populations."""
    flat = inline(graph)
    topology = Topology(flat)
    ends = [n for n, x in flat.nodes.items() if kind(x) == "Output"]
    return all(kind(flat.nodes[source]) in SPIKING for n in ends for source in topology.sources[n])
