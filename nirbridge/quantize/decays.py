"""Decay factors → bit shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import DASH
from nirbridge.mapping.lift import chip_factor

Array = NDArray[np.float64]

SHORTEST_SYNAPSE = 1  # with shift 0 a current is wiped before the membrane reads it


def exact_shift(factor: Array) -> Array:
    """Real-valued shift d = −log2(1 − α), whose decay 1 − 2^−d is the factor per step α."""
    return -np.log2(np.clip(1.0 - factor, 2.0**-64, None))


def rounded_shift(factor: Array, lowest: int) -> NDArray[np.int64]:
    """The nearest shift that the chip has, ``lowest`` to 15."""
    return np.clip(np.rint(exact_shift(factor)), lowest, DASH.high).astype(np.int64)


def tau_error(factor: Array, shift: NDArray[Any]) -> Array:
    """Relative error of the time constant −dt/ln α that the shift brings.

    For a factor of 0 (no memory) the step itself stands for the time constant; of an endless one,
    or one whose factor rounds to 1, all is lost: −1.
    """
    wanted, got = (
        np.where(x > 0, -1.0 / np.log(np.where(x > 0, x, 0.5)), 0.0)
        for x in (np.minimum(factor, 1 - 2.0**-53), chip_factor(shift))
    )
    return np.asarray((got - wanted) / np.maximum(wanted, 1.0), np.float64)
