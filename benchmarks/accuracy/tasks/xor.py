"""Temporal XOR: whether two patterns, some time apart, are the same or different ones.

16 channels, 100 steps. Pattern A is 20 steps of random counts 0 to 15 on the first eight channels,
B on the others. Each sample shows two of them, 30 ± 20 steps apart; 10 silent steps are left at the
latest end. The delays of the test samples are drawn anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tasks import Data, Task, Trained

CHANNELS = 16
STEPS = 100
PATTERN = 20  # steps
DELAY = (10, 50)  # steps of silence between the two, both ends included
TRAIN, TEST = 400, 200
SEED = 30
EPOCHS = 20
RATE = 3e-3


def load() -> Data:
    """The same samples at each call."""
    rng = np.random.default_rng(SEED)
    patterns = np.zeros((2, PATTERN, CHANNELS), np.uint8)
    half = CHANNELS // 2
    patterns[0, :, :half] = rng.integers(0, 15, (PATTERN, half), endpoint=True)
    patterns[1, :, half:] = rng.integers(0, 15, (PATTERN, half), endpoint=True)
    return Data(*_samples(patterns, TRAIN, rng), *_samples(patterns, TEST, rng))


def _samples(
    patterns: NDArray[np.uint8], number: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Counts (N, T, 16) and labels: 1 where the two patterns differ; all four pairs alike often."""
    pairs = rng.permutation(np.arange(number) % 4)
    first, second = pairs // 2, pairs % 2
    x = np.zeros((number, STEPS, CHANNELS), np.uint8)
    starts = PATTERN + rng.integers(*DELAY, number, endpoint=True)
    for sample, a, b, start in zip(x, first, second, starts, strict=True):
        sample[:PATTERN] = patterns[a]
        sample[start : start + PATTERN] = patterns[b]
    return x, (first != second).astype(np.int64)


def train(seed: int, data: Data) -> Trained:
    """A SynNet with six time constants, 2 to 64 steps, in either hidden layer."""
    from benchmarks.accuracy import synnet  # needs PyTorch

    shape = synnet.Shape((CHANNELS, 32, 32, 2), (6, 6, 1), dt=1e-3, gain=0.3)
    return synnet.train(shape, seed, data, epochs=EPOCHS, rate=RATE)


TASKS = (Task("xor", "temporal XOR, SynNet 16-32-32-2 (PyTorch)", load, train),)
