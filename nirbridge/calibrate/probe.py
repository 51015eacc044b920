"""Input for networks of which nothing is known: random spikes of many rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLES, STEPS, PIECE = 24, 60, 10
SLOWEST, FASTEST = 0.02, 0.5  # spikes per step and channel, on average over a sample
SEED = 0


def random_spikes(n_in: int) -> NDArray[np.uint8]:
    """Spikes (24, 60, n_in), always the same: each sample with a rate of its own.

    A channel is on or off for ten steps at a time, so that samples differ and neurons see changes.
    """
    rng = np.random.default_rng(SEED)
    rate = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST), (SAMPLES, 1, 1)))
    on = rng.random((SAMPLES, STEPS // PIECE, n_in)) < 0.5
    chance = 2 * rate * np.repeat(on, PIECE, axis=1)
    return (rng.random(chance.shape) < chance).astype(np.uint8)
