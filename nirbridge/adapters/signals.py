"""Signals between layers: what may happen to one, and what is said of one that is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nirbridge.adapters.base import UNTRACED
from nirbridge.adapters.running import tensors
from nirbridge.diagnostics import Refused, refuse

INPUT, OUTPUT = "input", "output"
MEMBRANE = ":membrane"
"""Behind the name of a layer: its membrane, where that is a signal of its own."""

SAME = {"detach", "clone", "contiguous", "to", "float", "type", "requires_grad_", "stack"}
FRESH = {"zeros_like", "ones_like", "empty_like", "rand_like", "new_zeros", "full_like"}
SUMS = {"add", "__add__", "__radd__", "__iadd__", "add_"}
SHAPES = {"flatten", "reshape", "view", "squeeze", "unsqueeze"}
SWAPS = {"transpose", "swapaxes", "permute"}
STEPS = {"__getitem__", "select", "unbind", "__iter__"}


@dataclass(frozen=True)
class Lost:
    """What became of a signal that cannot be followed."""

    where: str
    why: str
    remedy: str = "write this step as a layer, or leave it out of the model that is exported"


UNREAD = "send its spikes; without a reset (snnTorch: reset_mechanism='none') also its membrane"

Sources = frozenset[str] | Lost


@dataclass(frozen=True)
class Reshape:
    """A function between layers that changed the shape of a signal."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def lost(name: str, what: Lost) -> Refused:
    """The refusal of a layer whose input cannot be followed."""
    where = f" in {what.where or 'the model'}" if what.where != name else ""
    return refuse(
        UNTRACED,
        node=name,
        limit="an input from layers, sums and reshapes",
        found=f"{what.why}{where}",
        remedy=what.remedy,
    )


def shape_of(signal: Any) -> tuple[int, ...]:
    """Of a tensor, or of a list with one tensor per step."""
    if isinstance(signal, list):
        return (len(signal), *signal[0].shape)
    return tuple(signal.shape)


def first(args: Any) -> Any:
    """The first tensor."""
    for tensor in tensors(args):
        return tensor
    raise TypeError("a layer was called without a tensor")
