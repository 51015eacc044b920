"""What to turn so that a rung of the ladder costs less: only what was not turned already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nirbridge.mapping.lift import fires_once

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

NOTHING = ""


def advice(model: str, deployment: Deployment) -> str:
    """What to turn, for one model of the ladder; empty if nothing is left to turn.

    It names methods and options as the command line and Python share them.
    """
    tips = {
        "lowered": _lowered,
        "reset": _reset,
        "decays": _decays,
        "rounded": _rounded,
        "chip": _chip,
    }
    imported = deployment.method.startswith("imported")
    return NOTHING if imported or model not in tips else tips[model](deployment)


def _method(deployment: Deployment) -> str:
    return deployment.method.partition("+")[0]


def _lowered(_: Deployment) -> str:
    return (
        "train without biases, loops over several layers and neurons without synapses; in Python, "
        "convert with exact=True or balance=True if the chip has room"
    )


def _reset(deployment: Deployment) -> str:
    """What of the training's own steps is not yet as on the chip."""
    how, tips = deployment.dynamics, []
    if how.reset != "subtract":
        tips.append("reset by subtraction")
    if how.reset_delay:
        tips.append("a reset in the step of the spike")
    if how.residual == "blocks":
        tips.append("membranes that may fire again at once")
    if how.spikes_per_step is not None and not fires_once(deployment.config.threshold).all():
        tips.append("any number of spikes per step")
    return f"train with {' and '.join(tips)}" if tips else NOTHING


def _decays(deployment: Deployment) -> str:
    tips = "another time step (dt), or time constants near powers of two of it"
    return tips if _method(deployment) in ("fit", "calibrate") else f"method fit, {tips}"


def _rounded(deployment: Deployment) -> str:
    tuned = "+" in deployment.method
    better = {
        "global": "method fit or calibrate",
        "channel": "method fit or calibrate",
        "fit": "method calibrate with typical input",
    }.get(_method(deployment), NOTHING)
    tips = [better, NOTHING if tuned else "fine-tuning", "fewer outlying weights in training"]
    *first, last = filter(None, tips)
    return f"{', '.join(first)} or {last}" if first else last


def _chip(deployment: Deployment) -> str:
    calibrated = _method(deployment) == "calibrate"
    tips = "smaller currents in training, and at most 15 spikes per input and step"
    return tips if calibrated else f"{tips}, or method calibrate with typical input"
