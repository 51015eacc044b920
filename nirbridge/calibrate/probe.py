"""Input for networks of which nothing is known: random spikes of many rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import INPUT_SPIKES

SAMPLES, STEPS, PIECE = 24, 60, 10
SLOWEST = 0.02  # spikes per step and channel, on average over a sample
FASTEST = {True: 0.5, False: 3.0}  # for networks with one spike per step, with many
SEED = 0


def random_spikes(n_in: int, once: bool) -> NDArray[np.uint8]:
    """Spikes (24, 60, n_in), always the same: each sample with a rate of its own.

    ``once``: at most one per step, as the neurons of the network send them; else counts. A channel
    is on or off for ten steps at a time, so that samples differ and neurons see changes.
    """
    rng = np.random.default_rng(SEED)
    rate = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST[once]), (SAMPLES, 1, 1)))
    on = rng.random((SAMPLES, STEPS // PIECE, n_in)) < 0.5
    mean = 2 * rate * np.repeat(on, PIECE, axis=1)
    if once:
        return (rng.random(mean.shape) < mean).astype(np.uint8)
    return np.minimum(rng.poisson(mean), INPUT_SPIKES).astype(np.uint8)
