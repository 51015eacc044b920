"""The example networks on handwritten digits, by the very code that made ``graphs/*.nir``."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path

from benchmarks.accuracy.tasks import Data, Task, Trained

MAKE = Path(__file__).resolve().parents[3] / "graphs" / "make"


def load() -> Data:
    """The digits and their spikes: 1010 samples to train, 433 to test."""
    _reach_make()
    import digits  # the one in graphs/make

    return Data(*digits.load())


def train(script: str, seed: int, data: Data) -> Trained:
    """Run one script of ``graphs/make`` with another seed, writing nothing."""
    _reach_make()
    import digits
    import training

    module = importlib.import_module(script)
    graph, run = module.train(seed, digits.Digits(*data))
    accuracy = training.accuracy(training.count(run, data.x_test), data.y_test)
    return Trained(module.EXAMPLE.dynamics.attach(graph), accuracy)


def _reach_make() -> None:
    """The scripts are no package: they import one another from their own folder."""
    if str(MAKE) not in sys.path:
        sys.path.insert(0, str(MAKE))


TASKS = (
    Task("feedforward", "digits, 16-60-60-8, CubaLIF (snnTorch)", load, partial(train, "cuba")),
    Task(
        "recurrent",
        "digits, 16-63-8, recurrent, learned time constants (snnTorch)",
        load,
        partial(train, "recurrent"),
    ),
    Task("conv", "digits, 1x4x4, two convolutions, LIF (snnTorch)", load, partial(train, "conv")),
)
