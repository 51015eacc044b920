"""The passes in their order: from any graph to one that a Xylo can hold."""

from __future__ import annotations

from dataclasses import dataclass

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.journal import Note
from nirbridge.passes.base import Pass
from nirbridge.passes.bias import FoldBias
from nirbridge.passes.dead import RemoveDead
from nirbridge.passes.dendrites import Dendrites
from nirbridge.passes.fuse import Fuse
from nirbridge.passes.inline import Inline
from nirbridge.passes.leak import GiveLeak
from nirbridge.passes.normalise import Normalise
from nirbridge.passes.outputs import SplitOutputs
from nirbridge.passes.prune import Prune
from nirbridge.passes.readout import Readout
from nirbridge.passes.schedule import Schedule
from nirbridge.passes.synapse import GiveSynapse
from nirbridge.passes.threshold import ThresholdNeurons
from nirbridge.passes.unroll import Unroll


def passes(exact: bool = True, balance: bool = True, fan_out: int = 2**31) -> tuple[Pass, ...]:
    """The whole list.

    ``exact``: neurons without a synapse get one that relays cancel, else the shortest one.
    ``balance``: paths of unequal length are made equal by relays, else only reported.
    ``fan_out``: most hidden neurons that a relay may feed.
    """
    return (
        Inline(),
        Prune(),
        Unroll(),
        ThresholdNeurons(),
        GiveLeak(),
        Readout(),
        FoldBias(),
        Fuse(),
        Dendrites(),
        Normalise(),
        RemoveDead(),
        GiveSynapse(exact),
        SplitOutputs(),
        Schedule(balance, fan_out),
    )


PASSES = passes()


@dataclass(frozen=True)
class Lowered:
    """A graph in the form that a Xylo can hold, how to step it, and how it came about."""

    graph: nir.NIRGraph
    dynamics: Dynamics
    journal: tuple[Note, ...]


def lower(
    graph: nir.NIRGraph, dynamics: Dynamics, chosen: tuple[Pass, ...] = PASSES
) -> Lowered:
    """Run the passes one after the other.

    Raises
    ------
    Refused
        NB4xx, NB608, naming the node that has no form on the chip.

    """
    notes: list[Note] = []
    graph = dynamics.attach(graph)
    for each in chosen:
        graph, made = each.run(graph, dynamics)
        notes += made
        dynamics = Dynamics.of(graph) or dynamics
    return Lowered(graph, dynamics, tuple(notes))


def source_names(graph: nir.NIRGraph) -> set[str]:
    """Names that the nodes of a source have once it is flat."""
    return set(inline(graph).nodes)
