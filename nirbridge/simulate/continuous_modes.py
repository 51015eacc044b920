"""Exact solutions of a cascade of first-order stages, and where they cross zero.

A membrane, its synapse and what arrives there form a cascade: with (D + λ_0) v = g_1,
(D + λ_1) g_1 = g_2, …, and (D + λ_last) g_last = 0, the values g_0 = v, g_1, …, g_last at one
moment determine v for all time. A LIF neuron under a constant input has the rates (1/τ, 0), a
CubaLIF neuron (1/τ_mem, 1/τ_syn, 0); each stage of what feeds it adds its own rates. The solution
is v(s) = Σ_k g_k(0)·e_k(s), where e_k is the divided difference of x ↦ e^(x·s) over −λ_0 … −λ_k
(Opitz 1964; McCurdy, Ng and Parlett, Math. Comp. 43, 1984). Equal rates are no special case of it,
nor is a rate of zero: both are limits that a divided difference has.

Times are in bins (units of the raster's dt) and rates per bin, so all arrays have no dimension.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TINY = 1e-300  # keeps 0/0 away; (1 − e^−x)/x is one there
SERIES_BELOW = 1e-4  # where a difference would lose more digits than a series of four terms
TAYLOR_TERMS = 18  # of e^x for x up to 1/2: 2e-22 is left
ROOT_TOLERANCE = 1e-14  # of a crossing, in bins
ROOT_STEPS = 80


class Modes:
    """The cascades of a population: rates (K, n) per bin, those of neuron j in column j.

    The last rate is zero wherever there are two or more, since every signal holds a constant.
    """

    def __init__(self, rates: Array):
        self.rates = rates
        self.size = len(rates)
        if self.size == 3:
            self._large = np.maximum(rates[0], rates[1])
            self._small = np.minimum(rates[0], rates[1])

    @cached_property
    def tail(self) -> Modes:
        """The cascades without their first stage."""
        return Modes(self.rates[1:])

    def take(self, index: NDArray[np.int64]) -> Modes:
        """The cascades of some neurons."""
        return Modes(self.rates[:, index])

    def value(self, rows: Array, s: Any) -> Array:
        """g_0 after a time ``s``.

        Parameters
        ----------
        rows
            g_0 … g_(K−1) now, (K, n).
        s
            Bins from now, >= 0: a number, one per neuron (n,), or several times (m, 1).

        Returns
        -------
        Array
            (n,), or (m, n) for several times.

        """
        if self.size == 1:
            return np.asarray(rows[0] * np.exp(-self.rates[0] * s))
        if self.size > 3:
            return self._many(rows, s)
        first = rows[0] * np.exp(-self.rates[0] * s)
        if self.size == 2:
            return np.asarray(first + rows[1] * _rise(self.rates[0], s))
        both = _difference(self._large, self._small, s)
        return np.asarray(first + rows[1] * both + rows[2] * self._step(both, s))

    def _step(self, both: Array, s: Any) -> Array:
        """Divided difference over (−λ_0, −λ_1, 0), given that over the first two."""
        reach = self._large * s
        exact: Array = (_rise(self._small, s) - both) / np.maximum(self._large, TINY)
        if reach.min(initial=np.inf) >= SERIES_BELOW:
            return exact
        # h_m: the complete homogeneous polynomial of degree m in −λ_0·s and −λ_1·s
        x, y = -self._small * s, -reach
        h, power, total = np.ones_like(x), np.ones_like(x), np.full_like(x, 0.5)
        for factorial in (6.0, 24.0, 120.0):
            power = power * x
            h = h * y + power
            total = total + h / factorial
        return np.where(reach < SERIES_BELOW, total * s * s, exact)

    def _many(self, rows: Array, s: Any) -> Array:
        """Four and more stages: exponential of the bidiagonal matrix by scaling and squaring.

        With the largest rate taken out no entry is negative, so nothing cancels.
        """
        s = np.asarray(s, np.float64)
        rates = np.moveaxis(self.rates, 0, -1)  # (n, K)
        most = rates.max(axis=-1)
        spread = float(np.max((most - rates.min(axis=-1)) * s, initial=0.0))
        halvings = 1 + int(np.ceil(np.log2(1.0 + spread)))
        part = 0.5**halvings
        diagonal = ((most[:, None] - rates) * s[..., None] * part)[..., None]  # (…, n, K, 1)
        identity = np.eye(self.size)
        power = np.broadcast_to(identity, (*diagonal.shape[:-1], self.size))
        for k in range(TAYLOR_TERMS, 0, -1):  # Horner's rule
            product = diagonal * power
            product[..., :-1, :] += part * power[..., 1:, :]
            power = identity + product / k
        power = power * np.exp(-most * s * part)[..., None, None]
        for _ in range(halvings):
            power = power @ power
        scale = s[..., None] ** np.arange(self.size)  # the stages' time was taken as one
        first = power[..., 0, :] * scale
        return np.asarray((first * rows.T).sum(axis=-1))

    def bound(self, rows: Array, h: float) -> Array:
        """What g_0 cannot exceed within ``h`` bins where it starts at or below zero, (n,).

        No divided difference e_k exceeds its value s^k/k! for rates of zero.
        """
        total = rows[0] * np.exp(-self.rates[0] * h)
        weight = 1.0
        for k in range(1, self.size):
            weight *= h / k
            total = total + np.maximum(rows[k], 0.0) * weight
        return np.asarray(total)

    def first_rise(self, rows: Array, h: float) -> Array:
        """First time within ``h`` bins at which g_0 rises through zero, (n,); inf without one.

        By Rolle's theorem e^(λ_i·s)·g_i is monotonic between two zeros of g_(i+1), and g_last has
        none: the zeros of all stages are found from the last to the first, each alone between two
        borders. Where g_0 starts above zero and does not rise it is taken to start at zero.
        """
        start, end = np.zeros((1, rows.shape[1])), np.full((1, rows.shape[1]), h)
        edges = np.concatenate([start, end])
        stages = [self]
        while stages[-1].size > 2:
            stages.append(stages[-1].tail)
        for i in range(len(stages) - 1, 0, -1):
            zeros = _zeros(stages[i], rows[i:], edges, rising_only=False)
            zeros = np.sort(np.where(np.isfinite(zeros), zeros, 0.0), axis=0)
            edges = np.concatenate([start, zeros[zeros.any(axis=1)], end])
        found = _zeros(self, rows, edges, rising_only=True).min(axis=0, initial=np.inf)
        return np.where((rows[0] >= 0) & (rows[1] > 0), 0.0, found)


def _rise(rate: Array, s: Any) -> Array:
    """(1 − e^(−λs))/λ: the answer of one stage to a constant."""
    x = np.maximum(rate * s, TINY)
    return np.asarray(-np.expm1(-x) / x * s)


def _difference(large: Array, small: Array, s: Any) -> Array:
    """(e^(−small·s) − e^(−large·s))/(large − small), also for equal rates."""
    return np.asarray(np.exp(-small * s) * _rise(large - small, s))


def _zeros(modes: Modes, rows: Array, edges: Array, rising_only: bool) -> Array:
    """Zero of g_0 between each two neighbouring ``edges`` (m, n), inf without one: (m − 1, n)."""
    start = np.minimum(rows[0], 0.0) if rising_only else rows[0]
    values = np.stack([start, *(modes.value(rows, s) for s in edges[1:])])
    rising = (values[:-1] <= 0) & (values[1:] > 0)
    place = rising if rising_only else rising | ((values[:-1] > 0) & (values[1:] <= 0))
    found = np.full(place.shape, np.inf)
    if place.any():
        segment, neuron = np.nonzero(place)
        part = modes.take(neuron)
        low, high = edges[segment, neuron], edges[segment + 1, neuron]
        ends = (values[segment, neuron], values[segment + 1, neuron])
        found[place] = _solve(part, rows[:, neuron], low, high, *ends)
    return found


def _solve(
    modes: Modes, rows: Array, low: Array, high: Array, at_low: Array, at_high: Array
) -> Array:
    """Zero of g_0 between ``low`` and ``high``, where it has values of two signs, all (n,).

    Newton's method from the chord's zero on, with a bisection wherever it would leave the bracket.
    """
    rising = at_high > 0
    s = low + (high - low) * (at_low / (at_low - at_high))
    for _ in range(ROOT_STEPS):
        value = modes.value(rows, s)
        slope = modes.tail.value(rows[1:], s) - modes.rates[0] * value
        beyond = (value > 0) == rising
        high, low = np.where(beyond, s, high), np.where(beyond, low, s)
        with np.errstate(over="ignore"):  # as beyond the bracket as infinity is
            step = np.divide(value, slope, out=np.full_like(s, np.inf), where=slope != 0)
        inside = (s - step >= low) & (s - step <= high)
        new = np.where(inside, s - step, 0.5 * (low + high))
        moved = np.abs(new - s)
        s = new
        if np.minimum(moved, high - low).max() <= ROOT_TOLERANCE:
            break
    return s
