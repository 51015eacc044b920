"""Derivatives that stand in for those of spiking, which are zero or infinite."""

from __future__ import annotations

import torch

SLOPE = 5.0  # how fast the derivative falls with the distance from a threshold, in thresholds


def spike_derivative(
    u: torch.Tensor, threshold: torch.Tensor, most: torch.Tensor
) -> torch.Tensor:
    """dn/du for n = min(floor(u/θ), most): largest where the count changes.

    A fast sigmoid (Zenke and Ganguli 2018, SuperSpike) around each multiple of the threshold up
    to ``most``·θ: 1/(1 + s·|x − k|)²/θ with x = u/θ and k the nearest such multiple.

    Parameters
    ----------
    u
        Membranes before spiking, (..., n), in integer units.
    threshold
        (n,), in integer units.
    most
        Spikes that fit in one step, (n,), at least 1.

    """
    x = u / threshold
    nearest = torch.minimum(torch.clamp(torch.round(x), min=1.0), most)
    return 1.0 / ((1.0 + SLOPE * (x - nearest).abs()) ** 2 * threshold)


def straight_through(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Rounded and limited to ``low``..``high``; the gradient is that of ``values`` itself."""
    whole = torch.clamp(torch.round(values), low, high)
    return whole.detach() + (values - values.detach())  # in this order nothing is lost


def shift_derivative(dash: torch.Tensor) -> torch.Tensor:
    """dα/dd of the factor α = 1 − 2^−d that is kept of a state per step."""
    return float(torch.log(torch.tensor(2.0))) * 2.0**-dash
