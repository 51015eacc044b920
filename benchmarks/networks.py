"""Generated chip networks: ones that reach every rule, and ones of a size to time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.mapping import XyloConfig

Rng = np.random.Generator


def any_config(rng: Rng) -> XyloConfig:
    """A small network with extreme values: rails, all shifts, all decays, biases, aliases."""
    n_in, n_hidden, n_out = rng.integers(1, 6), rng.integers(1, 13), rng.integers(1, 5)
    spread = rng.choice([4, 30, 128])
    high_threshold = rng.choice([8, 200, 5000, 32767])

    def weights(*shape: int) -> NDArray[np.int8]:
        values = rng.integers(-spread, spread, shape, endpoint=False)
        return (values * (rng.random(shape) < rng.choice([0.2, 0.7, 1.0]))).astype(np.int8)

    def dashes(n: int) -> NDArray[np.int64]:
        return rng.integers(0, rng.choice([3, 6, 15]), n, endpoint=True)

    def thresholds(n: int) -> NDArray[np.int16]:
        return rng.integers(1, high_threshold, n, endpoint=True).astype(np.int16)

    def biases(n: int) -> NDArray[np.int64]:
        top = rng.choice([1, 100, 32767])
        return rng.integers(-top, top, n) * (rng.random() < 0.6)

    w_in, w_rec = weights(n_in, n_hidden, 2), weights(n_hidden, n_hidden, 2)
    if rng.random() < 0.4:
        w_in[:, :, 1] = 0
        w_rec[:, :, 1] = 0
    aliases = rng.integers(0, n_hidden, n_hidden)
    aliases[rng.random(n_hidden) > rng.choice([0.0, 0.3, 1.0])] = -1
    shifts = rng.integers(0, rng.choice([0, 3, 7]), 3, endpoint=True)
    return XyloConfig(
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=weights(n_hidden, n_out),
        dash_mem=dashes(n_hidden),
        dash_syn=dashes(n_hidden),
        dash_syn_2=dashes(n_hidden),
        dash_mem_out=dashes(n_out),
        dash_syn_out=dashes(n_out),
        threshold=thresholds(n_hidden),
        threshold_out=thresholds(n_out),
        bias=biases(n_hidden),
        bias_out=biases(n_out),
        aliases=aliases,
        weight_shift_in=int(shifts[0]),
        weight_shift_rec=int(shifts[1]),
        weight_shift_out=int(shifts[2]),
        dt=1e-3,
    )


def any_raster(rng: Rng, n_in: int, steps: int) -> NDArray[np.uint8]:
    """Sparse or dense counts, also above the 15 that the chip takes."""
    top = rng.choice([1, 3, 15, 40, 255])
    present = rng.random((steps, n_in)) < rng.choice([0.05, 0.3, 0.9])
    return (rng.integers(1, top, (steps, n_in), endpoint=True) * present).astype(np.uint8)


def timed_config(kind: str, n_hidden: int, rng: Rng) -> XyloConfig:
    """16 inputs, ``n_hidden``, 8 outputs, at a balanced level of activity.

    ``dense``: all recurrent weights. ``fan-out 32``: 32 random targets per neuron.
    ``three layers``: feed-forward, thirds of the hidden neurons.
    """
    w_rec = np.zeros((n_hidden, n_hidden, 2), np.int8)
    scale = 127
    if kind == "dense":
        w_rec[:, :, 0] = np.clip(rng.normal(-2, 20, (n_hidden, n_hidden)), -scale, scale)
    elif kind == "fan-out 32":
        for row in range(n_hidden):
            targets = rng.choice(n_hidden, min(32, n_hidden), replace=False)
            w_rec[row, targets, 0] = np.clip(rng.normal(-4, 50, len(targets)), -scale, scale)
    else:
        third = n_hidden // 3
        for a in (0, third):
            block = rng.normal(4, 30, (third, third))
            w_rec[a : a + third, a + third : a + 2 * third, 0] = np.clip(block, -scale, scale)
    w_in = np.zeros((16, n_hidden, 2), np.int8)
    reached = n_hidden // 3 if kind == "three layers" else n_hidden
    w_in[:, :reached, 0] = np.clip(rng.normal(15, 40, (16, reached)), -scale, scale)
    threshold = int(40 * np.sqrt(n_hidden)) if kind == "dense" else 250
    return XyloConfig(
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=rng.integers(-60, 60, (n_hidden, 8)).astype(np.int8),
        dash_mem=np.full(n_hidden, 3),
        dash_syn=np.full(n_hidden, 2),
        dash_syn_2=np.full(n_hidden, 2),
        dash_mem_out=np.full(8, 3),
        dash_syn_out=np.full(8, 2),
        threshold=np.full(n_hidden, threshold, np.int16),
        threshold_out=np.full(8, 500, np.int16),
        bias=np.zeros(n_hidden, np.int16),
        bias_out=np.zeros(8, np.int16),
        aliases=np.full(n_hidden, -1),
        dt=1e-3,
    )


def timed_raster(rng: Rng, activity: float, *shape: int) -> NDArray[Any]:
    """Single spikes with the given probability per channel and step."""
    return (rng.random((*shape, 16)) < activity).astype(np.uint8)
