"""Trainings that survive an interruption."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
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
MOMENTS = ("exp_avg", "exp_avg_sq")  # what Adam keeps of each parameter


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
    whole = BytesIO()  # torch's own file ends in errors without a reason when the disk is full
    torch.save(content, whole)
    with replacing(path) as temporary:
        temporary.write_bytes(whole.getbuffer())


def resume(
    path: Path, mark: str, module: XyloModule, optimiser: torch.optim.Optimizer
) -> Progress | None:
    """Carry on from the checkpoint in a file; None if there is no such file.

    Raises
    ------
    Refused
        NB812 if it is damaged, or of another training.

    """
    if not path.exists():
        return None
    limit = "a checkpoint of this network, these data and these settings"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content["fingerprint"]
    except Exception as error:  # noqa: BLE001  # whatever torch raises over a damaged file
        said = f"{path.name}: {type(error).__name__}"
        raise refuse("NB812", node="checkpoint", limit=limit, found=said) from None
    if found != mark:
        raise refuse("NB812", node="checkpoint", limit=limit, found=f"{path.name} of another")
    try:
        progress = _progress(content, module)
        _restore(content, module, optimiser)
    except Exception as error:  # noqa: BLE001  # as above
        said = " ".join(f"{path.name}: {type(error).__name__}: {error}".split())[:120]
        raise refuse("NB812", node="checkpoint", limit="an undamaged one", found=said) from None
    return progress


def _progress(content: dict[str, Any], module: XyloModule) -> Progress:
    from nirbridge.torch.training import Progress, Score

    scores = [Score(*score) for score in content["scores"]]
    for score in scores:
        known = [x for x in score if x is not None]
        if score.loss is None or not all(isinstance(x, float) for x in known):
            raise ValueError("scores that are no numbers")
    best, epoch = content["best"], content["best_epoch"]
    if type(epoch) is not int or not 0 <= epoch < len(scores):
        raise ValueError(f"epoch {epoch!r} of {len(scores)}")
    _load(module, best)
    return Progress(best, scores, epoch)


def _restore(
    content: dict[str, Any], module: XyloModule, optimiser: torch.optim.Optimizer
) -> None:
    """Parameters, and what Adam remembers of each; its rates follow from the settings."""
    _load(module, content["parameters"])
    own = optimiser.state_dict()["param_groups"]
    state = content["optimiser"]["state"]
    trained = [p for group in optimiser.param_groups for p in group["params"]]
    for index, kept in state.items():
        shapes = {"step": torch.Size([]), **dict.fromkeys(MOMENTS, trained[index].shape)}
        if {name: value.shape for name, value in kept.items()} != shapes:
            raise ValueError("an optimiser of other parameters")
        if not all(value.isfinite().all() and value.is_floating_point() for value in kept.values()):
            raise ValueError("an optimiser that is not finite")
    optimiser.load_state_dict({"state": state, "param_groups": own})


def _load(module: XyloModule, parameters: dict[str, torch.Tensor]) -> None:
    """Load parameters of the module's names, shapes and ranges."""
    module.load_state_dict(parameters)
    before = [value.detach().clone() for value in module.parameters()]
    module.keep_in_range()
    for value, given in zip(module.parameters(), before, strict=True):
        if not torch.equal(value, given):  # nor is NaN equal to anything
            raise ValueError("parameters beyond their ranges")
