"""What a neuron does with one spike, as sums of decays, and how near the chip can come to it.

A current that keeps A per step feeds a membrane that keeps B: t steps after a spike the membrane
has h(t) = Σ_s A^s·B^(t−s), which is symmetric in A and B. The scalar product of two such responses
has a closed form, Σ_t h(A,B)·h(C,D) = (1 − ABCD) / ((1−AC)(1−AD)(1−BC)(1−BD)) (Cauchy's identity
for complete symmetric polynomials), so a fit needs no simulation. A membrane alone, as after a
reset, is h(B, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import DASH
from nirbridge.mapping.lift import chip_factor
from nirbridge.quantize.decays import SHORTEST_SYNAPSE, exact_shift

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Weights of the parts of the misfit, chosen by hand on networks of benchmarks.accuracy.
CHARGE = 0.1  # squared error of the whole charge, beside that of the response
RESET = 0.1  # of the reset, beside the response to a spike
EXCESS = 0.01  # squared gains above 1: they saturate the currents and coarsen the weights
RATE = 0.75  # how far the gain of a neuron whose reset stays as it is follows the reset's charge
SEARCH = 2  # shifts beyond the exact ones that are tried
ENDLESS = 1 - 2.0**-30  # factor per step whose memory is as good as endless, on any chip


@dataclass(frozen=True)
class Fit:
    """The best decays of one neuron.

    ``dash_mem`` and ``dash_syn`` (2,) shifts; ``gain`` (2,): what each synapse gets of a trained
    weight; ``loop`` (2,): weights from the neuron to itself, in thresholds, that mend its reset.
    ``misfit`` and ``reset``: root of the squared error of the response and of the reset, relative.
    ``tie``: another choice was as good.
    """

    dash_mem: int
    dash_syn: tuple[int, int]
    gain: tuple[float, float]
    loop: tuple[float, float]
    misfit: float
    reset: float
    tie: bool = False


def overlap(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Σ_t h(a, b)·h(c, d) over all steps."""
    product = (1 - a * c) * (1 - a * d) * (1 - b * c) * (1 - b * d)
    return np.asarray((1 - a * b * c * d) / product, np.float64)


def charge(a: Array, b: Array) -> Array:
    """Σ_t h(a, b)."""
    return np.asarray(1 / ((1 - a) * (1 - b)), np.float64)


@dataclass(frozen=True)
class _Choices:
    """Shifts to try: ``membrane`` (m,), ``synapses`` (m, k), as numbers and as factors."""

    dash_mem: Integers
    dash_syn: Integers

    @property
    def b(self) -> Array:
        return chip_factor(self.dash_mem)

    @property
    def a(self) -> Array:
        return chip_factor(self.dash_syn)


@lru_cache(maxsize=2**16)  # the forms that are tried share most fits
def fit_neuron(A: float, B: float, drop: float | None, synapses: int, loop: bool) -> Fit:
    """Shifts and gains with which the chip answers a spike most nearly as I = A·I + x; v = B·v + I.

    Parameters
    ----------
    A, B
        Factors per step of the synapse and of the membrane, 0 <= A, B < 1.
    drop
        What the membrane has less, one step after the neuron fired, in thresholds (on the chip
        B of that step); None if the neuron does not fire.
    synapses
        1, or 2 if the second synapse may help.
    loop
        Whether a connection of the neuron to itself may mend its reset (it acts one step late,
        as the reset does). Without one the gain makes up for a part of the reset's error.

    """
    A, B = min(A, ENDLESS), min(B, ENDLESS)
    choices = _choices(A, B, synapses)
    gain, misfit, excess = _responses(choices, A, B)
    score = misfit + EXCESS * excess
    loops, error = np.zeros_like(gain), np.zeros_like(misfit)
    if drop is not None:
        loops, error, more = _resets(choices, B, drop, loop)
        score = score + RESET * error + EXCESS * more
    order = np.argsort(score, kind="stable")
    best = int(order[0])
    tie = len(order) > 1 and bool(score[order[1]] <= score[best] * (1 + 1e-9))

    syn = choices.dash_syn[best]
    if drop and B and not loop:
        gain = gain * _rate(float(choices.b[best]), B, drop)
    return Fit(
        int(choices.dash_mem[best]),
        (int(syn[0]), int(syn[-1])),
        _pair(gain[best], syn, choices.a[best]),
        _pair(loops[best], syn, choices.a[best]),
        float(np.sqrt(max(misfit[best], 0.0))),
        float(np.sqrt(max(error[best], 0.0))),
        tie,
    )


def _rate(b: float, B: float, drop: float) -> float:
    """Factor on the gain by which a strongly driven neuron keeps its rate.

    That rate is the charge that arrives over the charge that a reset takes, here b/(1 − b), in
    the source drop/(1 − B); the first spike after silence, though, knows of no reset.
    """
    ratio = (b / (1 - b)) / (drop / (1 - B)) if b else 1.0
    return float(np.clip(ratio, 0.5, 2.0) ** RATE)


def _pair(row: Array, dash: Integers, factor: Array) -> tuple[float, float]:
    """Gains of both synapses without the solver's last digits; 0 for one that is not there."""
    if len(row) == 2 and dash[0] == dash[1]:
        row = np.full(2, row.mean())
    parts = len(row) if len(set(dash.tolist())) == 1 else 1
    exact = 1 / (factor * parts)
    row = np.where(np.abs(row - exact) < 1e-8, exact, np.where(np.abs(row) < 1e-8, 0.0, row))
    return (float(row[0]), float(row[1]) if len(row) == 2 else 0.0)


def _choices(A: float, B: float, synapses: int) -> _Choices:
    # longer memories than the chip's longest, or endless ones, get that
    own, other = (int(min(float(exact_shift(np.float64(x))), DASH.high)) for x in (B, A))
    membrane = range(max(0, own - SEARCH), min(DASH.high, own + 1 + SEARCH) + 1)
    longest = min(DASH.high, max(own, other) + 1 + SEARCH)
    shifts = range(SHORTEST_SYNAPSE, max(longest, SHORTEST_SYNAPSE) + 1)
    rows = [
        (m, *s) for m in membrane for s in combinations_with_replacement(shifts, synapses)
    ]
    table = np.array(rows, np.int64)
    return _Choices(table[:, 0], table[:, 1:])


def _responses(choices: _Choices, A: float, B: float) -> tuple[Array, Array, Array]:
    """Best gains (m, k), squared misfit (m,) and squared excess of the gains (m,)."""
    wanted_a, wanted_b = np.float64(A), np.float64(B)
    size, total = overlap(wanted_a, wanted_b, wanted_a, wanted_b), charge(wanted_a, wanted_b)
    a, b = choices.a, choices.b[:, None]
    match = a * overlap(a, b, wanted_a, wanted_b) / size
    area = a * charge(a, b) / total
    gain = _least_squares(_gram(choices) / size, match, area, np.float64(1.0))
    misfit = _misfit(gain, _gram(choices) / size, match, area, 1.0, 1.0)
    scaled = np.abs(gain).sum(axis=1) / (1 / a[:, 0])
    return gain, misfit, np.clip(scaled - 1, 0, None) ** 2


def _resets(
    choices: _Choices, B: float, drop: float, loop: bool
) -> tuple[Array, Array, Array]:
    """Best self-connections (m, k), squared misfit of the reset (m,), their squared size (m,).

    From one step after the spike the membrane of the source is lower by drop·B^k, that of the
    chip by b·b^k less what the self-connection brings.
    """
    b, zero, wanted = choices.b, np.float64(0.0), np.float64(B)
    size = max(drop, 2.0**-10) ** 2 * overlap(wanted, zero, wanted, zero)
    total = max(drop, 2.0**-10) * charge(wanted, zero)
    cross = overlap(b, zero, wanted, zero)
    error = drop**2 * overlap(wanted, zero, wanted, zero)
    error = (error - 2 * drop * b * cross + b * b * overlap(b, zero, b, zero)) / size
    area = (b * charge(b, zero) - drop * charge(wanted, zero)) / total
    if not loop:
        none = np.zeros(choices.dash_syn.shape)
        return none, error + CHARGE * area**2, np.zeros(len(b))
    a, column = choices.a, b[:, None]
    match = a * (
        column * overlap(a, column, column, zero) - drop * overlap(a, column, wanted, zero)
    )
    areas = a * charge(a, column) / total
    gram = _gram(choices) / size
    weight = _least_squares(gram, match / size, areas, area)
    left = _misfit(weight, gram, match / size, areas, error, area)
    return weight, left, (weight**2).sum(axis=1)


def _gram(choices: _Choices) -> Array:
    a, b = choices.a, choices.b[:, None, None]
    one, other = a[:, :, None], a[:, None, :]
    return one * other * overlap(one, b, other, b)


def _least_squares(gram: Array, match: Array, area: Array, target: Array) -> Array:
    """Minimum of w·G·w − 2·m·w + CHARGE·(Σ area·w − target)², by row; equal rows share."""
    matrix = gram + CHARGE * area[:, :, None] * area[:, None, :]
    right = match + CHARGE * area * np.broadcast_to(target, len(match))[:, None]
    size = matrix.shape[1]
    # two synapses alike have no single best split: the least bit of damping halves it
    damping = 1e-11 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(size)
    return np.asarray(np.linalg.solve(matrix + damping, right[..., None])[..., 0], np.float64)


def _misfit(
    weight: Array, gram: Array, match: Array, area: Array, size: Array | float, total: Array | float
) -> Array:
    quadratic = np.einsum("mi,mij,mj->m", weight, gram, weight)
    left = size - 2 * (weight * match).sum(axis=1) + quadratic
    return np.asarray(
        np.maximum(left, 0) + CHARGE * ((area * weight).sum(axis=1) - total) ** 2, np.float64
    )
