"""Lower and place a network the best way that fits a chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.calibrate import random_spikes
from nirbridge.calibrate.fan_out import prune_to_fit
from nirbridge.diagnostics import Diagnostic, Refused, refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.journal import Note
from nirbridge.mapping.constant import with_constant_channel
from nirbridge.mapping.fits import fits
from nirbridge.mapping.place import Network, place, sort_neurons
from nirbridge.passes import Lowered, lower, passes
from nirbridge.passes.base import Pass
from nirbridge.passes.fan_out import Mask, Pair
from nirbridge.passes.lower import NORMAL_FORM
from nirbridge.passes.pacemaker import Pacemakers
from nirbridge.passes.twin import TwinSynapses
from nirbridge.quantize.fit import Form
from nirbridge.targets import ChipSpec
from nirbridge.targets.fit import demand

PRUNE = ("fan-out",)
TOO_MANY = {"NB604", "NB605"}  # what pruning can mend

Placed = tuple[Lowered, Network]
Removed = Mapping[Pair, Mask]
Way = Callable[[Removed | None], Placed]


def lower_to_fit(
    graph: nir.NIRGraph,
    how: Dynamics,
    chip: ChipSpec,
    exact: bool | None = None,
    balance: bool | None = None,
    prune: Callable[[Way], Placed] | None = None,
) -> Placed:
    """Lower and place; what the caller leaves open is done the best way that fits the chip.

    Where none fits, because there are too many recurrent weights and for no other reason,
    ``prune`` (see :func:`pruner`) is tried as well.

    Raises
    ------
    Refused
        NB4xx and NB6xx of the cheapest way, if none fits; if some have too many recurrent weights
        and nothing else, of the cheapest of those.

    """
    choices = product(
        (True, False) if exact is None else (exact,),
        (True, False) if balance is None else (balance,),
    )
    ways = [
        partial(_placed, graph, how, chip, chosen)
        for chosen in sorted(choices, key=lambda c: (c.count(False), c))
    ]
    crowded: list[Way] = []
    problems: list[Diagnostic] = []
    for way in ways:
        placed, found = _tried(partial(way, None), chip)
        if placed is not None:
            return placed
        if {d.code for d in found} <= TOO_MANY:
            crowded.append(way)
            problems = found
        elif not crowded:
            problems = found
    if prune is not None:
        for each in crowded:
            placed, problems = _tried(partial(prune, each), chip)
            if placed is not None:
                return placed
    raise Refused(problems)


def pruner(
    graph: nir.NIRGraph, how: Dynamics, chip: ChipSpec, counts: NDArray[Any] | None
) -> Callable[[Way], Placed]:
    """What places a network without the recurrent weights that matter least on a raster.

    ``counts`` (B, T, n_in) or (T, n_in); without any, on random spikes.
    """
    normal = lower(graph, how, NORMAL_FORM)
    raster = counts
    if raster is None:
        n_in = sum(demand(graph).inputs.values())
        raster = random_spikes(n_in, how.spikes_per_step == 1)
    on = "random spikes" if counts is None else "the calibration raster"
    text = f"effects of recurrent weights by the mean spike rates of their sources on {on}"

    def prune(way: Way) -> Placed:
        each = raster if raster.ndim == 3 else raster[None]
        lowered, network = prune_to_fit(normal.graph, normal.dynamics, chip, way, each)
        journal = (*lowered.journal, Note("fan-out", "", text))
        return replace(lowered, journal=journal), network

    return prune


def shaped(lowered: Lowered, network: Network, chip: ChipSpec, form: Form | None) -> Placed:
    """The network with what a fitted form, or a chip without biases, needs.

    That is second synapses, and biases as weights: a constant channel does not reach outputs.
    """
    steps: list[Pass] = []
    if form is not None:
        steps.append(TwinSynapses(chip.synapses.value > 1))
    no_biases = not chip.bias_bits.value and bool(network.outputs.c.any())
    if no_biases or (form is not None and form.once):
        steps.append(Pacemakers(chip.fan_out.value, 1.0 if chip.bias_bits.value else 1.5))
    if not steps:
        return lowered, network
    graph, journal = lowered.graph, lowered.journal
    for each in steps:
        graph, notes = each.run(graph, lowered.dynamics)
        journal = (*journal, *notes)
    formed = replace(lowered, graph=graph, journal=journal)
    placed = place(formed, chip)
    refuse_all(fits(placed, chip))
    return formed, placed


def settle_biases(network: Network, chip: ChipSpec) -> tuple[Network, list[Note]]:
    """Leave the biases to the quantiser, unless the chip has none or they are out of its range."""
    largest = max(np.abs(network.hidden.c).max(initial=0), np.abs(network.outputs.c).max(initial=0))
    if largest == 0 or (chip.bias_bits.value and largest <= chip.bias_range[1]):
        return network, []
    return with_constant_channel(network, chip)


def check_prune(prune: str | None) -> None:
    """Refuse (NB806) a way of pruning that does not exist."""
    if prune is not None and prune not in PRUNE:
        raise refuse("NB806", node="prune", limit=", ".join(PRUNE), found=repr(prune))


def _tried(way: Callable[[], Placed], chip: ChipSpec) -> tuple[Placed | None, list[Diagnostic]]:
    """What was placed if it fits, and else why it does not."""
    try:
        placed = way()
    except Refused as refusal:
        return None, list(refusal.diagnostics)
    problems = fits(placed[1], chip)
    return (None if problems else placed), problems


def _placed(
    graph: nir.NIRGraph,
    how: Dynamics,
    chip: ChipSpec,
    chosen: tuple[bool, bool],
    removed: Removed | None,
) -> Placed:
    """Placed as it is, or else, where populations have no order, with what makes one.

    That is neurons in another order within their populations, then relays that drive the outputs.
    """
    exact, balance = chosen
    first: Refused | None = None
    for late_outputs in (0, 1) if balance else (0,):
        words = (exact, balance, chip.fan_out.value, removed, late_outputs)
        lowered = lower(graph, how, passes(*words))
        for change in (lambda x: x, partial(sort_neurons, chip=chip)):
            try:
                changed = change(lowered)
                return changed, place(changed, chip)
            except Refused as refusal:
                first = first or refusal
                if any(d.code != "NB611" for d in refusal.diagnostics):
                    raise first from None
    assert first is not None
    raise first
