"""Neurons that repeat the spikes of others, exactly."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics, annotate
from nirbridge.intformat import HIDDEN_SPIKES

RELAY_KEY = "nirbridge_relay"


def is_relay(node: nir.NIRNode) -> bool:
    """Whether a population was made to repeat another."""
    return RELAY_KEY in node.metadata


def relay_neurons(size: int, dynamics: Dynamics) -> tuple[nir.CubaLIF, NDArray[np.float64]]:
    """A population whose spikes are its input, and the identity matrix of its size.

    Its membrane has no memory and its current halves per step: I[t] = ½·I[t−1] + ½·x[t]. Driven
    by x[t] = 2·s[t] − s[t−1], I[t] = s[t], and it fires s[t] times. The second term is the
    relay's own spikes, one step later, or those of another relay.
    """
    one = np.ones(size)
    node = nir.CubaLIF(
        dynamics.tau(0.5) * one, dynamics.tau(0.0) * one, one, 0 * one, one, 0 * one, one
    )
    annotate(
        node,
        reset="subtract",
        spikes_per_step=HIDDEN_SPIKES,
        comparison=">=",
        reset_delay=0,
        residual="fires",
    )
    node.metadata[RELAY_KEY] = "1"
    return node, np.eye(size)
