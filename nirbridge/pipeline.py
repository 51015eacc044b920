"""The main job, top to bottom: a network in NIR → a verified configuration of a chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import nir
import numpy as np

from nirbridge.calibrate import best_step, calibrate, choose, random_spikes
from nirbridge.data import to_raster
from nirbridge.deployment import Deployment
from nirbridge.diagnostics import Refused, refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.fitting import PRUNED, check_prune, lower_to_fit, pruner, settle_biases, shaped
from nirbridge.graph.read import repairs
from nirbridge.graph.verify import verify
from nirbridge.intformat import INT16
from nirbridge.journal import Note
from nirbridge.mapping.lift import lift
from nirbridge.mapping.limits import violations
from nirbridge.origin import Origin
from nirbridge.progress import Track
from nirbridge.quantize import quantize
from nirbridge.quantize.fit import Form, fires_once, forms
from nirbridge.quantize.methods import FITTED, check_method
from nirbridge.rasters import check_raster
from nirbridge.targets import ChipSpec
from nirbridge.targets import target as find_target
from nirbridge.targets.fit import demand
from nirbridge.timing import check_taus, resolve, source_of_dt


def convert(
    graph: nir.NIRGraph,
    target: str | ChipSpec = "xylo-audio-2",
    dt: float | None = None,
    dynamics: Dynamics | None = None,
    method: str = "fit",
    calibration: Any = None,
    exact: bool | None = None,
    balance: bool | None = None,
    prune: str | None = None,
    track: Track | None = None,
    **words: Any,
) -> Deployment:
    """Turn a network into a configuration of a chip.

    Parameters
    ----------
    graph
        The network; it is not changed.
    target
        Name of the chip (``nirbridge.targets.TARGETS``), or its record.
    dt
        Time step in seconds. By default the graph's own record says it, or its parameters imply
        it.
    dynamics
        How the source steps time; by default the graph's own record.
    method
        How to quantise; a key of ``nirbridge.quantize.METHODS``.
    calibration
        Typical input without labels: a raster (T, n_in) or (B, T, n_in), or NIR's own data. With
        ``method="calibrate"`` forms, scales and rounding are chosen on it, and if it consists of
        events, dt as well. In any case the journal tells how often the chip's states saturate on
        it.
    exact
        Whether neurons without a synapse (LIF) keep their dynamics exactly, at the price of relay
        neurons. By default they do if the result fits the chip.
    balance
        Whether paths of unequal length are made equal by relay neurons; else the journal only
        says how far they are apart. By default they are if the result fits the chip.
    prune
        ``"fan-out"``: where there are too many recurrent weights for the chip, those of the
        smallest effect are removed, measured on the calibration raster, or else on random spikes;
        the journal says how many, and what they amount to.
    track
        Wraps the numbers of the steps of a calibration, to show progress.
    words
        Single fields of :class:`Dynamics` (``scheme``, ``reset``, ``spikes_per_step``, ...),
        which override those of the graph's record.

    Raises
    ------
    Refused
        With every reason of the stage that refuses: NB2xx (the graph), NB3xx (time), NB4xx (no
        form on the chip), NB5xx (method), NB6xx (it does not fit), NB8xx (calibration).

    """
    chip = find_target(target)
    check_method(method)
    check_prune(prune)
    if method == "calibrate" and calibration is None:
        raise refuse("NB502", node="calibration", limit="a raster", found="none")
    refuse_all(verify(graph))
    refuse_all(demand(graph).over(chip))
    how = resolve(graph, dt, dynamics, **words)
    if how.output_lag:  # of the source's log, not of its dynamics
        how = replace(how, output_lag=0)
    check_taus(graph, how)
    notes = [Note("read", "", sentence) for sentence in repairs(graph)]
    notes.append(Note("time", "", f"dt = {how.dt:g} s, {source_of_dt(graph, dt, dynamics)}"))
    if isinstance(calibration, nir.NIRGraphData):
        if method == "calibrate":
            at = partial(convert, target=target, exact=exact, balance=balance, prune=prune)
            step = best_step(
                graph, how, calibration, channels(graph), lambda g, d: at(g, dynamics=d)
            )
            graph, how, calibration, note = step
            notes.append(note)
        else:
            calibration = to_raster(calibration, channels(graph), how.dt)
    counts = None if calibration is None else check_raster(calibration, channels(graph))
    give_up = None if prune is None else pruner(graph, how, chip, counts)
    lowered, network = lower_to_fit(graph, how, chip, exact, balance, give_up)

    def deployment(form: Form | None = None) -> Deployment:
        formed, placed = shaped(lowered, network, chip, form)
        placed, moved = settle_biases(placed, chip)
        made = quantize(placed, chip, method, form)
        refuse_all(violations(made.config, chip, placed.placement.hidden_names()))
        spots = (placed.placement, formed.graph, how.dt, placed.aliases)
        return Deployment(
            config=made.config,
            lowered=formed.graph,
            shifted=lift(made.shifted, *spots),
            deployed=lift(made.rounded, *spots),
            journal=(*notes, *formed.journal, *moved, *made.notes),
            source=how.attach(graph),
            dynamics=how,
            placement=placed.placement,
            units=made.units,
            constant=placed.constant,
            method=method,
        )

    plain = method not in FITTED or network.grid is not None
    tried = [None] if plain else forms(network, thorough=method == "calibrate")
    made = [(str(form), found) for form in tried if (found := _possible(deployment, form))]
    if method == "calibrate":
        result = calibrate(made, np.asarray(counts), track)
    else:
        result = choose(made, random_spikes(channels(graph), fires_once(network)))
    if counts is not None:
        result = replace(result, journal=(*result.journal, *saturation(result, counts)))
        if method == "calibrate" or any(note.stage == PRUNED for note in result.journal):
            result = replace(result, origin=Origin().tuned_on(counts))
    return result


def _possible(
    deployment: Callable[[Form | None], Deployment], form: Form | None
) -> Deployment | None:
    """The deployment in that form; None if only others fit the chip."""
    try:
        return deployment(form)
    except Refused:
        if form is None or not form.once:
            raise
        return None


def channels(graph: nir.NIRGraph) -> int:
    """Input channels of a graph, all Inputs together."""
    return sum(demand(graph).inputs.values())


def saturation(deployment: Deployment, raster: Any) -> list[Note]:
    """How often the chip's states lie on their 16-bit rails while it runs a raster."""
    recording = deployment.simulate(raster, record=True)
    notes = []
    for name in ("i_syn", "i_syn_2", "v_mem", "i_syn_out", "v_mem_out"):
        values = getattr(recording, name)
        share = float(np.mean((values == INT16.low) | (values == INT16.high)))
        if share > 0:
            notes.append(Note("calibration", "", f"{name} saturated", share, "of all steps"))
    return notes
