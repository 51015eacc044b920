"""The passes in their order: from any graph to one that a Xylo can hold."""

from __future__ import annotations

from dataclasses import dataclass

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.journal import Note
from nirbridge.passes.base import Pass
from nirbridge.passes.bias import FoldBias
from nirbridge.passes.fuse import Fuse
from nirbridge.passes.inline import Inline
from nirbridge.passes.leak import GiveLeak
from nirbridge.passes.normalise import Normalise
from nirbridge.passes.synapse import GiveSynapse
from nirbridge.passes.unroll import Unroll

PASSES: tuple[Pass, ...] = (
    Inline(),
    Unroll(),
    GiveLeak(),
    FoldBias(),
    GiveSynapse(),
    Fuse(),
    Normalise(),
)


@dataclass(frozen=True)
class Lowered:
    """A graph in the form that a Xylo can hold, how to step it, and how it came about."""

    graph: nir.NIRGraph
    dynamics: Dynamics
    journal: tuple[Note, ...]


def lower(
    graph: nir.NIRGraph, dynamics: Dynamics, passes: tuple[Pass, ...] = PASSES
) -> Lowered:
    """Run the passes one after the other.

    Raises
    ------
    Refused
        NB4xx, naming the node that has no form on the chip.

    """
    notes: list[Note] = []
    for each in passes:
        graph, made = each.run(graph, dynamics)
        notes += made
    return Lowered(dynamics.attach(graph), dynamics, tuple(notes))
