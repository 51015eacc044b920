"""The passes in their order: from any graph to one that a Xylo can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import is_neuron, kind, shape_of
from nirbridge.journal import Note
from nirbridge.passes.base import Pass
from nirbridge.passes.bias import FoldBias
from nirbridge.passes.dead import RemoveDead
from nirbridge.passes.dendrites import Dendrites
from nirbridge.passes.fan_out import FanOut, Mask, Pair
from nirbridge.passes.fuse import Fuse
from nirbridge.passes.inline import Inline
from nirbridge.passes.leak import GiveLeak
from nirbridge.passes.normalise import Normalise
from nirbridge.passes.order import SynapseFirst
from nirbridge.passes.outputs import SplitOutputs
from nirbridge.passes.prune import Prune
from nirbridge.passes.readout import Readout
from nirbridge.passes.schedule import Schedule
from nirbridge.passes.synapse import GiveSynapse
from nirbridge.passes.threshold import ThresholdNeurons
from nirbridge.passes.unroll import Unroll

# Any network as populations, synapses and one matrix for each two of them, in thresholds.
NORMAL_FORM: tuple[Pass, ...] = (
    Inline(),
    Prune(),
    SynapseFirst(),
    Unroll(),
    ThresholdNeurons(),
    GiveLeak(),
    Readout(),
    FoldBias(),
    Fuse(),
    Dendrites(),
    Normalise(),
)


def passes(
    exact: bool = True,
    balance: bool = True,
    fan_out: int = 2**31,
    removed: Mapping[Pair, Mask] | None = None,
    late_outputs: int = 0,
) -> tuple[Pass, ...]:
    """The whole list.

    ``exact``: neurons without a synapse get one that relays cancel, else the shortest one.
    ``balance``: paths of unequal length are made equal by relays, else only reported.
    ``fan_out``: most hidden neurons that a relay may feed. ``removed``: weights that are given
    up. ``late_outputs``: steps that outputs wait, so that relays drive them.
    """
    return (
        *NORMAL_FORM,
        *([FanOut(removed)] if removed else []),
        RemoveDead(),
        GiveSynapse(exact),
        SplitOutputs(),
        Schedule(balance, fan_out, late_outputs),
        RemoveDead(),  # relays of which some are not needed
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
        before = _summary(graph)
        graph, made = each.run(graph, dynamics)
        after = _summary(graph)
        if made or after != before:
            notes.append(Note(each.name, "", f"{before} -> {after}" if after != before else after))
        notes += made
        dynamics = Dynamics.of(graph) or dynamics
    return Lowered(graph, dynamics, tuple(notes))


def _summary(graph: nir.NIRGraph) -> str:
    """A graph in a line: how many nodes of each kind, how many neurons."""
    flat = inline(graph)
    kinds = Counter(kind(node) for node in graph.nodes.values())
    neurons = sum(int(np.prod(shape_of(n))) for n in flat.nodes.values() if is_neuron(n))
    return ", ".join(f"{n} {name}" for name, n in sorted(kinds.items())) + f" ({neurons} neurons)"
