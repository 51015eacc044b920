"""Trained parameters → a deployment: integers, graphs and journal."""

from __future__ import annotations

import json
from dataclasses import replace

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

METADATA_KEY = "nirbridge_finetune"
SUFFIX = "+finetune"

Scores = list[tuple[float | None, float]]


def redeployed(
    module: XyloModule, settings: Settings, scores: Scores, best: int, held: int
) -> Deployment:
    """A deployment of what a module has learned.

    ``scores``: share of right decisions and loss on ``held`` samples, before and after each
    epoch, of which ``best`` is taken.
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
    history = [{"accuracy": share, "loss": loss} for share, loss in scores]
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
    scores: Scores,
    best: int,
    held: int,
) -> list[Note]:
    """What was done, what it gained, and how many integers it changed."""
    share, loss = scores[0]
    share_now, loss_now = scores[best]
    notes = [Note("finetune", "", f"{len(scores) - 1} epochs, of which {best} is taken; "
                  f"{settings.said()}")]
    what = f"on {held} samples" + (" kept apart" if settings.validation else "")
    if share is not None and share_now is not None:
        text = f"{share:.1%} -> {share_now:.1%} right decisions {what}"
        notes.append(Note("finetune", "", text, share_now - share, "of the decisions gained"))
    notes.append(Note("finetune", "", f"loss {loss:.4g} -> {loss_now:.4g} {what}"))
    for name in TRAINED:
        old, new = getattr(before, name), getattr(after, name)
        changed = int((old != new).sum())
        if changed:
            kind = "shift" if name in DECAYS else "integer"
            largest = int(np.abs(new.astype(np.int64) - old.astype(np.int64)).max())
            text = f"{name}: changed by up to {largest}"
            notes.append(Note("finetune", "", text, float(changed), f"{kind}s of {old.size}"))
    return notes
