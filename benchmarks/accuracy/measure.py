"""One method on all networks of a task: accuracy, error budget, time, memory."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.methods import METHODS, Method
from benchmarks.accuracy.tasks import Task
from benchmarks.accuracy.tasks.all import TASKS
from nirbridge import Deployment, Refused, convert

ORACLE_SAMPLES = 3


@dataclass(frozen=True)
class Row:
    """One method on one network. ``losses``: decisions that each rung costs, by its name.

    ``seconds`` to make the deployment. ``megabytes``: the most that the process held by then over
    what it held before; all seeds of a task and a method share one process, so it never falls.
    """

    task: str
    method: str
    seed: int
    trained: float
    chip: float
    agreement: float
    losses: dict[str, float]
    spike_ratio: float
    seconds: float
    megabytes: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def measure(task: Task, method: Method, seeds: list[int], folder: Path) -> list[Row] | str:
    """Rows of one method, in a process of its own; the reason if it cannot be done."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, task.name, method.name, seeds, folder).result()


def _measure(task_name: str, method_name: str, seeds: list[int], folder: Path) -> list[Row] | str:
    task = next(t for t in TASKS if t.name == task_name)
    method = next(m for m in METHODS if m.name == method_name)
    cache = Cache(folder)
    data = cache.data(task)
    graphs = [cache.network(task, seed) for seed in seeds]
    for name in method.imports:
        import_module(name)
    convert(graphs[0], method="global").simulate(data.x_test[:1])  # imports and compiles
    before = _peak()
    made = []
    for graph, seed in zip(graphs, seeds, strict=True):
        start = time.perf_counter()
        try:
            deployment = method.make(graph, data, seed)
        except (Refused, ValueError) as error:
            return f"seed {seed}: {error}"
        made.append((deployment, time.perf_counter() - start, _peak() - before))
    return [
        row(task, method, seed, deployment, seconds, megabytes, cache)
        for seed, (deployment, seconds, megabytes) in zip(seeds, made, strict=True)
    ]


def row(
    task: Task,
    method: Method,
    seed: int,
    deployment: Deployment,
    seconds: float,
    megabytes: float,
    cache: Cache,
) -> Row:
    """The check of one deployment on the test data, after ``xylosim`` agreed on a few of them."""
    data = cache.data(task)
    if find_spec("xylosim"):
        as_xylosim(deployment, data.x_test[:ORACLE_SAMPLES])
    drift = deployment.check(data.x_test, data.y_test)
    assert drift.trained_accuracy is not None
    assert drift.accuracy is not None
    return Row(
        task.name,
        method.name,
        seed,
        drift.trained_accuracy,
        drift.accuracy,
        drift.agreement,
        {rung.model: rung.loss for rung in drift.rungs[1:]} if method.budget else {},
        drift.rungs[-1].spikes / max(drift.rungs[0].spikes, 1),
        seconds,
        megabytes,
    )


def as_xylosim(deployment: Deployment, x: Any) -> None:
    """Require the vendor's simulator to give the same output spikes as ours."""
    from benchmarks.xylosim_oracle import Oracle

    oracle = Oracle.of(deployment.config)
    given, found = deployment.chip_input(x), deployment.simulate(x).output
    for raster, spikes in zip(given, found, strict=True):
        oracle.reset()
        if not np.array_equal(oracle.run(raster)["output"], spikes):
            raise AssertionError("xylosim and nirbridge.simulate differ")


def _peak() -> float:
    """The most memory that this program has held, in megabytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # unlike ru_maxrss, not inherited from the program before
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
