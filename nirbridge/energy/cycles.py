"""Clock cycles of one time step, after the closed form that the vendor's tools evaluate.

With p_s and p_h the probabilities that an input channel and a hidden neuron have at least one
spike in a step, F the recurrent targets of a neuron, a the share of neurons with an alias::

    input        Σ_channels (1 + 3.5 p_s N_ien)
    recurrent    Σ_hidden (3 + 7 F p_h)
    output       Σ_oen p_h (1 + 8 N_out)
    hidden       N_h (19 + 2 max(p, a²) + 3 max(p a, a²) + p + a max(p, a)),  p the mean of p_h
    readout      12 N_out

N_ien and N_oen count the hidden neurons with input and output weights, or all of them, as the chip
does it. Several spikes of a neuron in one step cost what one costs. The vendor counts the targets
on the first synapse only, and so does this.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.mapping import XyloConfig
from nirbridge.targets.power import ChipPower

MARGIN = 0.2  # the vendor's, of the clock above what the cycles need

Chances = NDArray[np.floating[Any]] | float


@dataclass(frozen=True)
class Cycles:
    """Mean clock cycles of a step, by what they are spent on.

    ``second_synapse``: operations beside them, which take no cycles of their own; None if the
    network has no second synapse.
    """

    input: float
    recurrent: float
    output: float
    hidden: float
    readout: float
    second_synapse: float | None = None

    @property
    def total(self) -> float:
        """Cycles of a step."""
        return self.input + self.recurrent + self.output + self.hidden + self.readout

    def to_dict(self) -> dict[str, Any]:
        """The parts and their sum, for JSON."""
        return {**asdict(self), "total": self.total}


def cycles(
    config: XyloConfig, chip: ChipPower, inputs: Chances = 1.0, hidden: Chances = 1.0
) -> Cycles:
    """Cycles of a step at given activity; of the worst case by default.

    Parameters
    ----------
    config
        The chip's integers.
    chip
        What is known of the chip's clock.
    inputs
        Probability 0..1 of at least one spike in a step, (n_in,) or for all channels.
    hidden
        The same of the hidden neurons, (n_hidden,) or for all.

    """
    p_s = np.broadcast_to(np.asarray(inputs, np.float64), config.n_in)
    p_h = np.broadcast_to(np.asarray(hidden, np.float64), config.n_hidden)
    n, (taking, fan_out, driving) = config.n_hidden, _wiring(config, chip)
    reached, followed = float(p_s.sum()) * taking, float(p_h @ fan_out)
    second = 1.5 * reached + 5 * followed + n if config.uses_second else None
    return Cycles(
        input=config.n_in + 3.5 * reached,
        recurrent=3 * n + 7 * followed,
        output=float(p_h[driving].sum()) * (1 + 8 * config.n_out),
        hidden=float(_update(config, p_h)),
        readout=12.0 * config.n_out,
        second_synapse=second,
    )


def busiest(
    config: XyloConfig, chip: ChipPower, inputs: NDArray[Any], hidden: NDArray[Any]
) -> Cycles:
    """Cycles of the busiest of some steps.

    Parameters
    ----------
    config, chip
        As for :func:`cycles`.
    inputs
        Input spikes (S, n_in) of S steps.
    hidden
        The hidden spikes (S, n_hidden) that arrive in them, of the step before.

    """
    taking, fan_out, driving = _wiring(config, chip)
    each = 7.0 * fan_out + (1 + 8 * config.n_out) * driving
    load = 3.5 * taking * (inputs > 0).sum(axis=1) + (hidden > 0) @ each
    load += _update(config, hidden > 0)
    k = int(load.argmax())
    return cycles(config, chip, (inputs[k] > 0).astype(float), (hidden[k] > 0).astype(float))


def _update(config: XyloConfig, hidden: NDArray[Any]) -> Any:
    """Cycles in which the hidden neurons are stepped, from the chances (…, n_hidden) of a spike."""
    if not config.n_hidden:
        return np.zeros(hidden.shape[:-1])
    p, a = hidden.mean(axis=-1), float((config.aliases >= 0).mean())
    alone, both = np.maximum(p, a * a), np.maximum(p * a, a * a)
    return config.n_hidden * (19 + 2 * alone + 3 * both + p + a * np.maximum(p, a))


def slowest_clock(total: float, dt: float, margin: float = MARGIN) -> float:
    """The clock in Hz that does ``total`` cycles within each step of ``dt`` seconds."""
    return total * (1 + margin) / dt


def _wiring(
    config: XyloConfig, chip: ChipPower
) -> tuple[int, NDArray[np.integer[Any]], NDArray[np.bool_]]:
    """N_ien, the targets F (n_hidden,) of each neuron, and which neurons (n_hidden,) are N_oen."""
    fan_out = (config.weights_rec[:, :, 0] != 0).sum(axis=1)
    if chip.visits_all:
        return config.n_hidden, fan_out, np.ones(config.n_hidden, bool)
    taking = int((config.weights_in != 0).any(axis=(0, 2)).sum())
    return taking, fan_out, (config.weights_out != 0).any(axis=1)

