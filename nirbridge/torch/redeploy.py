"""Trained parameters → a deployment: integers, graphs and journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nirbridge.deployment import Deployment
from nirbridge.diagnostics import refuse_all
from nirbridge.finetuning import Settings
from nirbridge.journal import Note
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.lift import Applied, lift
from nirbridge.mapping.limits import violations
from nirbridge.mapping.place import Grid
from nirbridge.torch.module import DECAYS, XyloModule, units
from nirbridge.torch.run import TRAINED

if TYPE_CHECKING:
    from nirbridge.torch.training import Score

METADATA_KEY = "nirbridge_finetune"
SUFFIX = "+finetune"


def redeployed(
    module: XyloModule, settings: Settings, scores: Sequence[Score], best: int, held: int
) -> Deployment:
    """A deployment of what a module has learned.

    ``scores``: on ``held`` samples, before and after each epoch, of which ``best`` is taken.
    """
    start, config = module.deployment, module.to_config()
    names = start.placement.hidden_names()
    refuse_all(violations(config, config.target, names))
    hidden, outputs = (x.astype(np.int64) for x in units(replace(start, config=config)))
    shifts = (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out)
    rounded = Applied.of(config, Grid(hidden, outputs, shifts))
    applied = _in_floats(module, rounded), rounded
    if start.constant:
        applied = applied[0].constant_as_bias(), applied[1].constant_as_bias()
    shifted, deployed = (
        lift(a, start.placement, start.lowered, config.dt, config.aliases) for a in applied
    )
    history = [score._asdict() for score in scores]
    record = {**settings.to_dict(), "best_epoch": best, "held_samples": held, "history": history}
    deployed.metadata[METADATA_KEY] = json.dumps(record)
    return replace(
        start,
        config=config,
        shifted=shifted,
        deployed=deployed,
        method=start.method.removesuffix(SUFFIX) + SUFFIX,
        journal=(*start.journal, *_notes(start.config, config, settings, scores, best, held)),
    )


def _in_floats(module: XyloModule, rounded: Applied) -> Applied:
    """The parameters before rounding, in units of their thresholds."""

    def value(name: str) -> NDArray[np.float64]:
        with torch.no_grad():
            return np.asarray(getattr(module, name).cpu().numpy(), np.float64)

    readouts = module.deployment.placement.readouts
    unit, unit_out = value("threshold"), np.where(readouts, 1.0, value("threshold_out"))
    return replace(
        rounded,
        weights_in=value("weights_in") / unit[:, None],
        weights_rec=value("weights_rec") / unit[:, None],
        weights_out=value("weights_out") / unit_out,
        bias=value("bias") / unit,
        bias_out=value("bias_out") / unit_out,
        grid=None,
    )


def _notes(
    before: XyloConfig,
    after: XyloConfig,
    settings: Settings,
    scores: Sequence[Score],
    best: int,
    held: int,
) -> list[Note]:
    """What was done, what it gained, and how many integers it changed."""
    first, taken = scores[0], scores[best]
    done = f"{len(scores) - 1} epochs, of which {best} is taken; {settings.said()}"
    notes = [Note("finetune", "", done)]
    where = f"on {held} samples" + (" kept apart" if settings.validation else "")
    for name, of in (("accuracy", ""), ("hard", " of perturbed chips")):
        a, b = getattr(first, name), getattr(taken, name)
        if a is not None and b is not None:
            text = f"{a:.1%} -> {b:.1%} right decisions{of} {where}"
            notes.append(Note("finetune", "", text, b - a, "of the decisions gained"))
    text = f"loss {first.loss:.4g} -> {taken.loss:.4g} {where}"
    notes.append(Note("finetune", "", text))
    for name in TRAINED:
        old, new = getattr(before, name), getattr(after, name)
        changed = int((old != new).sum())
        if changed:
            kind = "shift" if name in DECAYS else "integer"
            largest = int(np.abs(new.astype(np.int64) - old.astype(np.int64)).max())
            text = f"{name}: changed by up to {largest}"
            notes.append(Note("finetune", "", text, float(changed), f"{kind}s of {old.size}"))
    return notes
