"""A group of neurons that share a scale → integers, within their number formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import INT8, SHIFT, THRESHOLD

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# A threshold of this size leaves the 16-bit membrane 128 thresholds wide, and makes the linear
# floor of the decays (one unit per step) less than half a per cent of a threshold.
WANTED_THRESHOLD = 256


@dataclass(frozen=True)
class Rounded:
    """Integers of one layer: ``weights`` as groups, ``shift`` common to all of them.

    ``overflow`` lists the neurons whose bias no threshold makes fit.
    """

    weights: tuple[Integers, ...]
    threshold: Integers
    bias: Integers
    shift: int
    overflow: Integers


def round_layer(
    groups: tuple[Array, ...], c: Array, bias_range: tuple[int, int], per_neuron: bool
) -> Rounded:
    """Round the weights into a layer, its thresholds and its biases with common scales.

    ``groups``: weight matrices (sources, n), and ``c`` (n,) the biases, all in thresholds. The
    threshold of a neuron is its scale, rounded down to an integer first, so that weights and
    biases keep their exact ratio to it. Where the bias would not fit, the threshold of that
    neuron alone is lowered.
    """
    stacked = np.concatenate(groups, axis=0)
    base = _scales(stacked, per_neuron)
    shift = _shift(base)
    wanted = np.where(np.isfinite(base), base * 2.0**shift, WANTED_THRESHOLD)
    for bound, side in ((bias_range[1], c > 0), (-bias_range[0], c < 0)):
        limit = np.divide(bound, np.abs(c), out=np.full(len(c), np.inf), where=side & (bound > 0))
        wanted = np.minimum(wanted, limit)
    # the last digit of 127/(127/n) may fall short of n
    threshold = np.clip(np.floor(wanted * (1 + 1e-12)), THRESHOLD.low, THRESHOLD.high)
    weights = tuple(
        np.clip(np.rint(w * threshold / 2.0**shift), -INT8.high, INT8.high).astype(np.int64)
        for w in groups
    )
    bias = np.rint(c * threshold).astype(np.int64)
    overflow = np.flatnonzero((bias < bias_range[0]) | (bias > bias_range[1]))
    return Rounded(weights, threshold.astype(np.int64), bias, shift, overflow)


def _scales(weights: Array, per_neuron: bool) -> Array:
    """Units per threshold (n,) that bring the largest weight to 127, before any shift.

    With ``per_neuron`` every target neuron has its own, else all share the smallest. Infinite
    for a neuron without weights.
    """
    largest = np.abs(weights).max(axis=0, initial=0.0)
    scale = np.divide(INT8.high, largest, out=np.full(len(largest), np.inf), where=largest > 0)
    return scale if per_neuron else np.full_like(scale, scale.min(initial=np.inf))


def _shift(base: Array) -> int:
    """Largest weight shift, 0..7, that keeps the median threshold at or below the wanted one."""
    finite = base[np.isfinite(base)]
    if not len(finite):
        return 0
    room = np.log2(WANTED_THRESHOLD / max(float(np.median(finite)), 2.0**-20))
    return int(np.clip(np.floor(room), SHIFT.low, SHIFT.high))
