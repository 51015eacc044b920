"""Choose a form, then improve its integers, always by what the chip does on the raster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.calibrate.score import Judge, Score
from nirbridge.calibrate.search import fit_outputs, search
from nirbridge.deployment import Deployment
from nirbridge.diagnostics import refuse
from nirbridge.journal import Note
from nirbridge.progress import Track

TRIES = 2000
SEED = 0
# Neuron steps that all tries together may take; larger networks get fewer tries. On two cores
# this is about a minute.
WORK = 2e10

Form = tuple[str, Deployment]


def calibrate(
    forms: Sequence[Form],
    raster: NDArray[Any],
    track: Track | None = None,
    tries: int | None = None,
    seed: int = SEED,
) -> Deployment:
    """The best of several deployments of a network, improved on a raster.

    1. Form: spikes per step, height of the thresholds, size of resets; 2. thresholds of the
    outputs; 3. rounding and thresholds by random search, judged by the chip. The journal says
    what each step gained. Deterministic for a seed.

    Parameters
    ----------
    forms
        Deployments of the same network on the same chip, with what is particular of each. They
        share the source, its dynamics and the placement.
    raster
        (B, T, n_in) or (T, n_in) counts of typical input, which need no labels.
    track
        Wraps the numbers of the tries, to show progress.
    tries
        Proposals of step 3; by default 2000, fewer for large networks or rasters.
    seed
        Of the proposals.

    Raises
    ------
    Refused
        NB801 for a raster without steps or samples.

    """
    counts = raster if raster.ndim == 3 else raster[None]
    if not counts.size:
        raise refuse("NB801", node="calibration", limit="one step, one sample", found=counts.shape)
    scores = _scores(forms, counts)
    best = int(np.argmin([s.total for s in scores]))
    label, chosen = forms[best]
    notes = [
        _note(f"from {forms[0][0]}: {scores[0]}", scores[0]),
        _note(f"form: {label}: {scores[best]}", scores[best]),
    ]
    judge = Judge(chosen, counts)
    config, score = _outputs(chosen, judge, scores[best])
    notes.append(_note(f"thresholds of the outputs: {score}", score))
    number = _tries(chosen, counts) if tries is None else tries
    numbers = list(range(number))
    steps = numbers if track is None else track(numbers)
    config, score = search(config, chosen.placement, judge, score, steps, seed)
    notes.append(_note(f"rounding and thresholds, {number} tries: {score}", score))
    return chosen.with_config(config, "calibrate", notes)


def choose(forms: Sequence[Form], raster: NDArray[Any]) -> Deployment:
    """The form nearest to the trained network on random spikes; the first one of equals."""
    if len(forms) == 1:
        return forms[0][1]
    distances = [s.distance for s in _scores(forms, raster)]
    best = int(np.argmin(distances))
    label, chosen = forms[best]
    text = f"form, by outputs and hidden spikes on random spikes: {label}"
    note = Note("fit", "", text, distances[best], "of their counts")
    return replace(chosen, journal=(*chosen.journal, note))


def _scores(forms: Sequence[Form], counts: NDArray[Any]) -> list[Score]:
    judge = Judge(forms[0][1], counts)
    return [judge.score(d.config, d) for _, d in forms]


def _outputs(chosen: Deployment, judge: Judge, score: Score) -> tuple[Any, Score]:
    config = fit_outputs(chosen.config, chosen.placement, judge)
    found = judge.score(config)
    return (config, found) if found.total < score.total else (chosen.config, score)


def _tries(chosen: Deployment, counts: NDArray[Any]) -> int:
    config = chosen.config
    synapses = np.count_nonzero(config.weights_rec.any(axis=2)) / max(config.n_hidden, 1)
    work = counts.shape[0] * counts.shape[1] * config.n_hidden * (8 + 0.1 * synapses)
    return int(np.clip(WORK / max(work, 1.0), 50, TRIES))


def _note(text: str, score: Score) -> Note:
    return Note("calibrate", "", text, score.total, "in all")
