"""What nodes send each other between two events: constants, or what a cascade puts out.

Inputs, spikes and delayed spikes are constant between two events. What a neuron without threshold
sends (I, LI, CubaLI) is the state of a cascade (see :mod:`~nirbridge.simulate.continuous_modes`).
A linear node maps each g_k of a signal by itself, so a whole population is one signal as long as
all its channels share one list of rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import nir
import numpy as np

from nirbridge.graph.apply import apply
from nirbridge.graph.nodes import kind
from nirbridge.graph.shapes import Shape
from nirbridge.simulate.continuous_modes import Array, Modes

Rates = tuple[float, ...]
CONSTANT: Rates = (0.0,)


@dataclass(frozen=True)
class Signal:
    """The values g_0 … g_(K−1) of a cascade with the given rates; g_0 is the signal itself.

    ``rates``: per bin, from high to low, the last is zero. ``rows``: (K, *shape).
    """

    rates: Rates
    rows: Array

    def over(self, rates: Rates) -> Signal:
        """The same signal with more rates."""
        if rates == self.rates:
            return self
        return Signal(rates, np.tensordot(change_of_rates(self.rates, rates), self.rows, axes=1))

    def at(self, s: Array) -> Array:
        """Values at the times ``s`` (m,) in bins from now, (m, n) with the channels in C order."""
        rows = self.rows.reshape(len(self.rows), -1)
        if self.rates == CONSTANT:
            return rows[:1].repeat(len(s), axis=0)
        return Modes(np.reshape(self.rates, (-1, 1))).value(rows, s[:, None])


def constant(value: Array) -> Signal:
    """The signal that keeps ``value`` (*shape) until the next event."""
    return Signal(CONSTANT, value[None])


@lru_cache(maxsize=4096)
def change_of_rates(rates: Rates, wanted: Rates) -> Array:
    """Matrix from the g_k of a cascade to the h_j of the same solution over other rates.

    With h_0 = g_0 and h_(j+1) = (D + Λ_j) h_j, where D g_k = −λ_k·g_k + g_(k+1). Falling Λ keep
    each h_j within the size of the drive that it stands for. In exact arithmetic: what Λ_j takes
    out of h_(j+1) must not come back as a rounding error.

    Parameters
    ----------
    rates
        λ_k, (K,).
    wanted
        Λ_j, (J,): the λ_k and more.

    Returns
    -------
    Array
        (J, K).

    """
    exact = [Fraction(rate) for rate in rates]
    row = [Fraction(int(k == 0)) for k in range(len(rates))]
    found = []
    for rate in map(Fraction, wanted):
        found.append([float(x) for x in row])
        before = [Fraction(0), *row]
        row = [(rate - own) * x + y for own, x, y in zip(exact, row, before, strict=False)]
    return np.array(found)


def ones(rates: Rates) -> Array:
    """The constant one as a cascade over ``rates``: 1, Λ_0, Λ_0·Λ_1, … (K,)."""
    return np.asarray(np.cumprod([1.0, *rates[:-1]]), np.float64)


def join(many: Iterable[Sequence[float]]) -> Rates:
    """Each rate as often as the one among ``many`` that has it most often, from high to low."""
    counts: Counter[float] = Counter()
    for rates in many:
        counts |= Counter(rates)
    return tuple(sorted(counts.elements(), reverse=True))


def add(signals: list[Signal], shape: Shape) -> Signal:
    """Sum of signals that arrive at one node; zero without any."""
    if not signals:
        return constant(np.zeros(shape))
    if len(signals) == 1:
        return signals[0]
    rates = join({signal.rates for signal in signals})
    total = signals[0].over(rates)
    for signal in signals[1:]:
        total = Signal(rates, total.rows + signal.over(rates).rows)
    return total


class Stateless:
    """A node without state as a map of signals."""

    def __init__(self, node: nir.NIRNode, shape: Shape):
        self.node = node
        self.linear = node
        self.bias: Array | None = None
        if getattr(node, "bias", None) is not None:
            self.linear = copy(node)
            self.linear.bias = np.zeros_like(node.bias)
            self.bias = _exactly(node, np.zeros((1, *shape)))[0]

    def __call__(self, signal: Signal) -> Signal:
        """What the node sends when ``signal`` arrives."""
        if signal.rates == CONSTANT:
            return Signal(CONSTANT, _exactly(self.node, signal.rows))
        rows = _exactly(self.linear, signal.rows)
        if self.bias is not None:
            one = ones(signal.rates)
            rows = rows + one.reshape(-1, *[1] * self.bias.ndim) * self.bias
        return Signal(signal.rates, rows)


def _exactly(node: nir.NIRNode, rows: Array) -> Array:
    if kind(node) == "Threshold":  # one while what arrives is above
        return np.asarray(rows > node.threshold, np.float64)
    return np.asarray(apply(node, rows), np.float64)
