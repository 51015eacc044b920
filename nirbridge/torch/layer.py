"""The chip's step once more, for all steps at once: what a recording says about derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nirbridge.intformat import INT16
from nirbridge.torch.surrogate import spike_derivative

Tensor = torch.Tensor


class Layer:
    """Derivatives of a layer's steps, (T, B, n), from what was recorded."""

    def __init__(
        self,
        values: dict[str, Tensor],
        suffix: str,
        currents: Sequence[Tensor],
        v: Tensor,
        limit: int,
        *,
        v1: bool,
    ):
        self.currents, self.v = currents, v
        self.names = [f"dash_syn{suffix}", "dash_syn_2"][: len(currents)]
        self.dash_syn = [values[name] for name in self.names]
        self.dash_mem = values[f"dash_mem{suffix}"]
        self.threshold = values[f"threshold{suffix}"]
        self.keep_syn = [_kept(d) for d in self.dash_syn]
        self.keep_mem = _kept(self.dash_mem)
        self.v_before = delayed(v)
        # the membrane before it spikes, by the chip's rule, with the saturations on its way
        leak = -_lost(self.v_before, self.dash_mem)
        if v1:
            x = self.v_before + leak + sum(currents)
            passes = _inside(x)
        else:
            leak = torch.where(leak > INT16.high, leak - 2.0**16, leak)
            change = leak + sum(currents)
            biased = change.clamp(INT16.low, INT16.high) + values[f"bias{suffix}"]
            x = self.v_before + biased.clamp(INT16.low, INT16.high)
            passes = _inside(change) & _inside(biased) & _inside(x)
        self.u = x.clamp(INT16.low, INT16.high)
        self.open = passes.to(v)
        self.open_syn = [
            (keep * _unsaturated(i, d)).to(v)
            for i, d, keep in zip(currents, self.dash_syn, self.keep_syn, strict=True)
        ]
        most = torch.clamp(torch.floor(INT16.high / self.threshold), 1, limit)
        self.slope = spike_derivative(self.u, self.threshold, most)
        self.fired = (self.u - v) / self.threshold


def delayed(x: Tensor) -> Tensor:
    """The same one step later, from zeros."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _kept(dash: Tensor) -> Tensor:
    return 1.0 - 2.0**-dash


def _lost(x: Tensor, dash: Tensor) -> Tensor:
    """D(x, d) = floor(x / 2^d), at least 1 where x is positive."""
    shifted = torch.floor(x * 2.0**-dash)  # exact: a power of two, and fewer than 24 bits
    return torch.where((x > 0) & (shifted == 0), 1.0, shifted)


def _inside(x: Tensor) -> Tensor:
    return (x >= INT16.low) & (x <= INT16.high)


def _unsaturated(i: Tensor, dash: Tensor) -> Tensor:
    """Where a decayed current did not come from one of the rails."""
    rails = (torch.full_like(dash, x) for x in (INT16.low, INT16.high))
    low, high = (rail - _lost(rail, dash) for rail in rails)
    return (i > low) & (i < high)
