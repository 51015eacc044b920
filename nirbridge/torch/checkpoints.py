"""Trainings that survive an interruption."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse
from nirbridge.files import replacing
from nirbridge.finetuning import Loss, Settings

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment
    from nirbridge.torch.module import XyloModule
    from nirbridge.torch.training import Progress

SCHEMA = "nirbridge/finetuning 1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: how far the training came, its parameters and its optimiser."""

    progress: Progress
    parameters: dict[str, torch.Tensor]
    optimiser: dict[str, Any]


def fingerprint(
    deployment: Deployment, x: NDArray[Any], y: NDArray[Any], settings: Settings, loss: Loss | None
) -> str:
    """What tells a training from others: where it starts, data and settings, but not its length."""
    how = {k: v for k, v in settings.to_dict().items() if k not in ("epochs", "patience")}
    said = json.dumps([SCHEMA, how, getattr(loss, "__qualname__", str(type(loss)))])
    digest = hashlib.sha256(said.encode())
    digest.update(deployment.config.to_json().encode())
    for array in (x, y):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write(
    path: Path,
    mark: str,
    progress: Progress,
    module: XyloModule,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint, which replaces the one before when it is complete."""
    content = {
        "fingerprint": mark,
        "best": progress.best,
        "scores": [tuple(score) for score in progress.scores],
        "best_epoch": progress.best_epoch,
        "parameters": module.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def read(path: Path, mark: str) -> Checkpoint | None:
    """The checkpoint in a file; None if there is no such file.

    Raises
    ------
    Refused
        NB812 if it is damaged, or of another training.

    """
    from nirbridge.torch.training import Progress, Score

    if not path.exists():
        return None
    limit = "a checkpoint of this network, these data and these settings"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content["fingerprint"]
        scores = [Score(*score) for score in content["scores"]]
        progress = Progress(content["best"], scores, content["best_epoch"])
        checkpoint = Checkpoint(progress, content["parameters"], content["optimiser"])
    except Exception as error:  # noqa: BLE001  # whatever torch raises over a damaged file
        said = f"{path.name}: {type(error).__name__}"
        raise refuse("NB812", node="checkpoint", limit=limit, found=said) from None
    if found != mark:
        raise refuse("NB812", node="checkpoint", limit=limit, found=f"{path.name} of another")
    return checkpoint


def restore(
    checkpoint: Checkpoint, module: XyloModule, optimiser: torch.optim.Optimizer
) -> None:
    """Carry on from a checkpoint."""
    module.load_state_dict(checkpoint.parameters)
    optimiser.load_state_dict(checkpoint.optimiser)
