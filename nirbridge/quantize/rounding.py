"""A layer of neurons in floats → integers, within their number formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import INT8, INT16, SHIFT, THRESHOLD
from nirbridge.mapping.lift import chip_factor

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

# A threshold of this size leaves the 16-bit membrane 128 thresholds wide, and makes the linear
# floor of the decays (one unit per step) less than half a per cent of a threshold.
WANTED_THRESHOLD = 256

# Spikes per step and source for which a membrane that is read may not saturate.
READOUT_RATE = 0.2

# From here on a scale is rounded to a whole number, which keeps ratios between weights exact.
WHOLE = 32


@dataclass(frozen=True)
class Plan:
    """A layer whose decays are chosen, and its weights as the chip is to apply them.

    ``groups``: weights (sources, n) by matrix and synapse, in thresholds (volts for readouts),
    the gain of the chip's synapse included; ``c`` (n,) biases likewise. ``dash_syn``
    (n, synapses) and ``dash_mem`` (n,): shifts. ``relay`` and ``readout`` (n,) mark neurons that
    repeat others, which need exact ratios, and neurons that are read by their membranes.
    ``units`` (n,) and ``shifts`` (one per group): a scale that is known already, or None.
    """

    groups: tuple[Array, ...]
    c: Array
    dash_syn: Integers
    dash_mem: Integers
    relay: Mask
    readout: Mask
    units: Integers | None = None
    shifts: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Rounded:
    """Integers of one layer.

    ``units`` (n,): integer units per threshold, or per volt for readouts. ``overflow`` lists the
    neurons whose bias no scale makes fit, ``clipped`` counts weights that were limited.
    """

    weights: tuple[Integers, ...]
    units: Integers
    threshold: Integers
    bias: Integers
    shifts: tuple[int, ...]
    overflow: Integers
    clipped: int


def round_layer(plan: Plan, bias_range: tuple[int, int], per_neuron: bool) -> Rounded:
    """Round the weights into a layer, its thresholds and its biases with common scales.

    The threshold of a neuron is its scale, rounded down to an integer first, so that weights and
    biases keep their exact ratio to it. Where the bias would not fit, the threshold of that
    neuron alone is lowered.
    """
    if plan.units is not None and plan.shifts is not None:
        units, shifts = plan.units, plan.shifts
    else:
        units, shift = choose_scale(plan, bias_range, per_neuron)
        shifts = (shift,) * len(plan.groups)
    exact = [
        np.rint(w * units / 2.0**shift) for w, shift in zip(plan.groups, shifts, strict=True)
    ]
    weights = tuple(np.clip(w, -INT8.high - 1, INT8.high).astype(np.int64) for w in exact)
    clipped = sum(int(np.sum(a != b)) for a, b in zip(weights, exact, strict=True))
    bias = np.rint(plan.c * units).astype(np.int64)
    overflow = np.flatnonzero((bias < bias_range[0]) | (bias > bias_range[1]))
    threshold = np.where(plan.readout, THRESHOLD.high, units)
    return Rounded(weights, units, threshold, bias, shifts, overflow, clipped)


def choose_scale(
    plan: Plan,
    bias_range: tuple[int, int],
    per_neuron: bool,
    height: int | None = None,
) -> tuple[Integers, int]:
    """Units per threshold for each neuron, and the weight shift of the layer.

    ``height``: median threshold to come near to from above, by default 256 with all eight bits of
    the weights used; a given one is kept to, if need be at the price of bits.
    """
    base = _scales(plan, per_neuron)
    shift = _shift(base, height or WANTED_THRESHOLD)
    own = np.isfinite(base) & ~(plan.relay | plan.readout)
    if height is not None and own.any():
        base = np.where(own, base * min(1.0, height / float(np.median(base[own]))), base)
    whole = np.where(base >= WHOLE, np.floor(base * (1 + 1e-12)), base)
    wanted = np.where(np.isfinite(base), whole * 2.0**shift, height or WANTED_THRESHOLD)
    for bound, side in ((bias_range[1], plan.c > 0), (-bias_range[0], plan.c < 0)):
        if bound > 0:
            wanted = np.minimum(wanted, limited(bound, np.where(side, np.abs(plan.c), 0)))
    wanted = np.where(plan.readout, np.minimum(wanted, _readout_limit(plan)), wanted)
    # the last digit of 127/(127/n) may fall short of n
    units = np.clip(np.floor(wanted * (1 + 1e-12)), THRESHOLD.low, THRESHOLD.high)
    return units.astype(np.int64), shift


def _scales(plan: Plan, per_neuron: bool) -> Array:
    """Units per threshold (n,) that bring the largest weight to 127, before any shift.

    With ``per_neuron`` every target neuron has its own, else all share the smallest, but for
    relays and readouts. Infinite for a neuron without weights.
    """
    largest = np.abs(np.concatenate(plan.groups, axis=0)).max(axis=0, initial=0.0)
    scale = limited(INT8.high, largest)
    if per_neuron:
        return scale
    alike = ~(plan.relay | plan.readout)
    return np.where(alike, scale[alike].min(initial=np.inf), scale)


def _shift(base: Array, height: int) -> int:
    """Largest weight shift, 0..7, that keeps the median threshold at or below the wanted one."""
    finite = base[np.isfinite(base)]
    if not len(finite):
        return 0
    room = np.log2(height / max(float(np.median(finite)), 2.0**-20))
    return int(np.clip(np.floor(room), SHIFT.low, SHIFT.high))


def _readout_limit(plan: Plan) -> Array:
    """Units per volt at which the membrane fits 16 bits under a typical rate of spikes."""
    synapses = plan.dash_syn.shape[1]
    keep = chip_factor(plan.dash_syn)
    charge = np.abs(plan.c)
    for i, weights in enumerate(plan.groups):
        kept = keep[:, i % synapses]
        charge = charge + READOUT_RATE * np.abs(weights).sum(axis=0) * kept / (1 - kept)
    largest = charge / (1 - chip_factor(plan.dash_mem))
    return limited(INT16.high, largest)


def limited(limit: float, largest: Array) -> Array:
    """Scale (n,) that brings each ``largest`` to ``limit``; infinite for 0 and what is as good."""
    scale = np.full(len(largest), np.inf)
    with np.errstate(over="ignore"):
        np.divide(limit, largest, out=scale, where=largest > 0)
    return scale
