"""Time constants as they act in steps, whatever the integration scheme makes of those in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics

NO_MEMORY = 0.1  # steps: a shorter time constant leaves nothing from one step to the next


def acting(tau: Any, how: Dynamics) -> NDArray[np.float64]:
    """−dt/ln(factor per step), in seconds; 0 for none.

    Under exponential stepping that is the time constant itself. Euler's factor is 1 − dt/τ, with
    which a state decays faster than exp(−dt/τ): 400 µs act as 348 µs in steps of 100 µs.
    """
    factor = how.factor(np.asarray(tau, np.float64))
    found = np.zeros(factor.shape)
    kept = factor > 0
    found[kept] = -how.dt / np.log(np.minimum(factor[kept], 1 - 1e-15))
    return remembered(found, how.dt)


def remembered(tau: Any, dt: float | None) -> NDArray[np.float64]:
    """Time constants in seconds, 0 where they are too short to count in steps of ``dt``."""
    values = np.asarray(tau, np.float64)
    return values if dt is None else np.where(values < NO_MEMORY * dt, 0.0, values)
