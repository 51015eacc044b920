"""Data and trained networks in a folder: what is not there is made, and what is there is read."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import nir
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tasks import Data, Task
from nirbridge import read, write
from nirbridge.check.metrics import decisions
from nirbridge.simulate import simulate_stepped

MOST_APART = 0.01
"""Accuracy by which a trained model and its graph may differ.

A recurrent network turns the last bit of one sum into other spikes; one that feeds forward gives
the same decisions.
"""


@dataclass(frozen=True)
class Cache:
    """A folder per task, with ``data.npz`` and, for each seed, a graph and a small record."""

    folder: Path

    def data(self, task: Task) -> Data:
        """The task's data."""
        path = self.folder / task.name / "data.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **task.load()._asdict())
        with np.load(path) as stored:
            return Data(**stored)

    def network(self, task: Task, seed: int, retrain: bool = False) -> nir.NIRGraph:
        """The network of one seed, trained if need be."""
        path = self.folder / task.name / f"seed{seed}.nir"
        if retrain or not path.exists():
            data = self.data(task)
            start = time.perf_counter()
            trained = task.train(seed, data)
            seconds = time.perf_counter() - start
            new = path.with_suffix(".new.nir")
            write(trained.graph, new)
            found = _checked(task, read(new), trained.accuracy, data)
            record = {"framework": trained.accuracy, "stepped": found, "seconds": seconds}
            path.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8")
            new.rename(path)  # last: a graph that is there is complete, and was checked
            print(f"{task.name} {seed}: {record}", flush=True)
        return read(path)

    def record(self, task: Task, seed: int) -> dict[str, float]:
        """What training said: accuracies, seconds."""
        path = self.folder / task.name / f"seed{seed}.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _checked(task: Task, graph: nir.NIRGraph, trained: float, data: Data) -> float:
    """Accuracy of the graph, which must be that of the model that was trained."""
    found = accuracy(simulate_stepped(graph, data.x_test).output, data.y_test)
    if abs(found - trained) > MOST_APART:
        raise AssertionError(f"{task.name}: {found} as a graph, {trained} as trained")
    return found


def accuracy(output: NDArray[np.generic], labels: NDArray[np.int64]) -> float:
    """Share of samples (B, T, n) whose label has the largest sum over time."""
    return float(np.mean(decisions(output) == labels))
