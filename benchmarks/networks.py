"""Generated chip networks: ones that reach every rule, and ones of a size to time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import THRESHOLD
from nirbridge.mapping import XyloConfig
from nirbridge.simulate import simulate
from nirbridge.targets import TARGETS

Rng = np.random.Generator

N_IN, N_OUT = 16, 8  # of the networks to time


def any_config(rng: Rng, target: str = "xylo-audio-2") -> XyloConfig:
    """A network with extreme values: rails, all shifts and decays, biases, aliases.

    Biases are 0 if ``target`` has none; other limits of the chip are not kept.

    Most are small, so that single neurons matter; some are larger than the lanes that the kernel
    works on at once, and than the chip's outputs.
    """
    n_in = int(rng.integers(1, 6))
    n_hidden = int(rng.integers(*_pick(rng, [(1, 13), (13, 71), (100, 180)], [0.84, 0.10, 0.06])))
    n_out = int(rng.integers(*_pick(rng, [(1, 5), (5, 41)], [0.9, 0.1])))
    spread = int(rng.choice([4, 30, 128]))
    highest_threshold = int(rng.choice([8, 200, 5000, 32767]))

    def weights(*shape: int) -> NDArray[np.int8]:
        present = rng.random(shape) < rng.choice([0.02, 0.2, 0.7, 1.0])
        return np.where(present, rng.integers(-spread, spread, shape), 0).astype(np.int8)

    def dashes(n: int) -> NDArray[np.int64]:
        return rng.integers(0, rng.choice([3, 6, 15]), n, endpoint=True)

    def thresholds(n: int) -> NDArray[np.int16]:
        return rng.integers(1, highest_threshold, n, endpoint=True).astype(np.int16)

    def biases(n: int) -> NDArray[np.int64]:
        top = rng.choice([0, 1, 100, 32767]) if TARGETS[target].bias_bits.value else 0
        return rng.integers(-top, top, n, endpoint=True)

    w_in, w_rec = weights(n_in, n_hidden, 2), weights(n_hidden, n_hidden, 2)
    if rng.random() < 0.4:
        w_in[:, :, 1] = 0
        w_rec[:, :, 1] = 0
    has_alias = rng.random(n_hidden) < rng.choice([0.0, 0.3, 1.0])
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
        aliases=np.where(has_alias, rng.integers(0, n_hidden, n_hidden), -1),
        weight_shift_in=int(shifts[0]),
        weight_shift_rec=int(shifts[1]),
        weight_shift_out=int(shifts[2]),
        dt=1e-3,
        target=target,
    )


def any_raster(rng: Rng, n_in: int, steps: int) -> NDArray[np.uint8]:
    """Sparse or dense counts (steps, n_in), also above the 15 that the chip takes."""
    top = rng.choice([1, 3, 15, 40, 255])
    present = rng.random((steps, n_in)) < rng.choice([0.05, 0.3, 0.9])
    return np.where(present, rng.integers(1, top, (steps, n_in), endpoint=True), 0).astype(np.uint8)


def timed_config(kind: str, n_hidden: int, activity: float, rng: Rng) -> XyloConfig:
    """16 inputs, ``n_hidden`` neurons, 8 outputs; the neurons about as active as the inputs.

    ``dense``: all recurrent weights. ``fan-out 32``: 32 random targets per neuron.
    ``three layers``: feed-forward, thirds of the hidden neurons. The threshold of each layer is
    searched for, so that it fires ``activity`` spikes per neuron and step on such an input: a
    silent or an exploding network would time something that nobody runs.
    """
    third = n_hidden // 3
    layers = [slice(0, n_hidden)]
    w_in = np.zeros((N_IN, n_hidden, 2), np.int8)
    w_rec = np.zeros((n_hidden, n_hidden, 2), np.int8)
    if kind == "dense":  # inhibition on average, of the same strength at any size
        w_rec[:, :, 0] = _weights(rng, -240 / n_hidden, 160 / np.sqrt(n_hidden), w_rec.shape[:2])
    elif kind == "fan-out 32":
        for row in w_rec:
            row[rng.choice(n_hidden, 32, replace=False), 0] = _weights(rng, -4, 40, (32,))
    else:
        layers = [slice(0, third), slice(third, 2 * third), slice(2 * third, n_hidden)]
        for a, b in pairwise(layers):
            w_rec[a, b, 0] = _weights(rng, 2, 30, (a.stop - a.start, b.stop - b.start))
    w_in[:, layers[0], 0] = _weights(rng, 15, 40, (N_IN, layers[0].stop))
    w_out = _weights(rng, 0, 30, (n_hidden, N_OUT))
    threshold = np.full(n_hidden, THRESHOLD.high, np.int16)
    raster = timed_raster(rng, activity, 400)
    for layer in layers:
        low, high = THRESHOLD.low, THRESHOLD.high
        while high - low > 1:
            threshold[layer] = middle = (low + high) // 2
            spikes = simulate(_timed(w_in, w_rec, w_out, threshold), raster, record=True).spikes
            assert spikes is not None
            low, high = (middle, high) if spikes[:, layer].mean() > activity else (low, middle)
    return _timed(w_in, w_rec, w_out, threshold)


def timed_raster(rng: Rng, activity: float, *shape: int) -> NDArray[np.uint8]:
    """Single spikes with the given probability per channel and step, ``shape`` + (16,)."""
    return (rng.random((*shape, N_IN)) < activity).astype(np.uint8)


def _pick(rng: Rng, choices: list[tuple[int, int]], odds: list[float]) -> tuple[int, int]:
    return choices[int(rng.choice(len(choices), p=odds))]


def _weights(rng: Rng, mean: float, spread: float, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Normal weights in whole numbers, none of them 0."""
    values = np.clip(np.rint(rng.normal(mean, spread, shape)), -127, 127)
    return np.where(values == 0, 1, values).astype(np.int8)


def _timed(w_in: Any, w_rec: Any, w_out: Any, threshold: Any) -> XyloConfig:
    n_hidden = len(threshold)
    return XyloConfig(
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=w_out,
        dash_mem=np.full(n_hidden, 3),
        dash_syn=np.full(n_hidden, 2),
        dash_syn_2=np.full(n_hidden, 2),
        dash_mem_out=np.full(N_OUT, 3),
        dash_syn_out=np.full(N_OUT, 2),
        threshold=threshold,
        threshold_out=np.full(N_OUT, 500, np.int16),
        bias=np.zeros(n_hidden, np.int16),
        bias_out=np.zeros(N_OUT, np.int16),
        aliases=np.full(n_hidden, -1),
        dt=1e-3,
    )
