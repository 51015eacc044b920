"""``finetune``: train a deployment on, through the arithmetic of its chip. Torch comes in late."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.drift import check_labels
from nirbridge.check.robustness import ALL, parameters
from nirbridge.diagnostics import diagnose, refuse, refuse_all
from nirbridge.files import check_new
from nirbridge.optional import need
from nirbridge.progress import Track
from nirbridge.rasters import check_raster, check_samples

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

Loss = Callable[[Any, Any], Any]

# Open or closed ranges of the numbers, for the refusal and in words.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "epochs": ("a whole number >= 0", lambda n: isinstance(n, int) and n >= 0),
    "batch": ("a whole number >= 1", lambda n: isinstance(n, int) and n >= 1),
    "patience": ("a whole number >= 1", lambda n: isinstance(n, int) and n >= 1),
    "seed": ("a whole number >= 0", lambda n: isinstance(n, int) and n >= 0),
    "rate": ("a number > 0", lambda x: 0 < x < math.inf),
    "validation": ("a share >= 0 and < 1", lambda x: 0 <= x < 1),
    "noise": ("a number >= 0", lambda x: 0 <= x < math.inf),
    "adversarial": ("a number >= 0", lambda x: 0 <= x < math.inf),
    "beta": ("a number >= 0", lambda x: 0 <= x < math.inf),
}


@dataclass(frozen=True)
class Settings:
    """How to train; see :func:`finetune`."""

    epochs: int = 20
    rate: float = 3e-3
    batch: int = 64
    validation: float = 0.1
    patience: int = 5
    seed: int = 0
    decays: bool = False
    noise: float = 0.0
    adversarial: float = 0.0
    beta: float = 0.25
    perturbs: tuple[str, ...] = ALL

    def __post_init__(self) -> None:
        refuse_all(
            diagnose("NB806", node=name, limit=limit, found=repr(getattr(self, name))[:60],
                     remedy="give such a value")
            for name, (limit, holds) in _RANGES.items()
            if not _number(getattr(self, name)) or not holds(getattr(self, name))
        )
        parameters(self.perturbs)

    def said(self) -> str:
        """The settings that differ from what is usual, in words."""
        return ", ".join(
            f"{f.name} {getattr(self, f.name)}"
            for f in fields(self)
            if f.name in ("seed", "rate") or getattr(self, f.name) != f.default
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def finetune(
    deployment: Deployment,
    x: Any,
    y: Any,
    epochs: int = 20,
    *,
    rate: float = 3e-3,
    batch: int = 64,
    validation: float = 0.1,
    patience: int = 5,
    seed: int = 0,
    decays: bool = False,
    noise: float = 0.0,
    adversarial: float = 0.0,
    beta: float = 0.25,
    perturbs: Sequence[str] = ALL,
    loss: Loss | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Any = None,
    track: Track | None = None,
) -> Deployment:
    """Train a deployment on through the chip's own arithmetic, and deploy what came out.

    Forward the chip itself runs, bit for bit; backward, rounding and spikes have surrogate
    gradients (:class:`nirbridge.torch.XyloModule`). The same arguments give the same result.

    Parameters
    ----------
    deployment
        Where to start from; it is not changed.
    x
        Integers >= 0, (B, T, n_in): samples to train on.
    y
        Labels, integers (B,), or with ``loss`` what that takes, (B, ...).
    epochs
        Most passes over the samples.
    rate
        Learning rate of Adam, relative to the size of the weights (root mean square of each
        matrix, in thresholds); for thresholds and biases, to 0.1 thresholds.
    batch
        Samples per step of the optimiser.
    validation
        Share of the samples that are kept apart. The epoch that does best on them is what is given
        back, the start included. With 0 the samples themselves judge.
    patience
        Epochs without a better one after which to stop.
    seed
        Of the split, the order of the samples and the noise.
    decays
        Whether the bit shifts of the decays are trained too.
    noise
        Relative standard deviation of Gaussian noise on weights, thresholds and biases, drawn for
        each batch.
    adversarial
        Relative bound within which the most damaging perturbation of the same parameters is
        searched for each batch, by 10 steps of projected gradient ascent; the Kullback-Leibler
        divergence that it causes is added to the loss (arXiv 2106.05009).
    beta
        Weight of that divergence.
    perturbs
        What ``noise`` and ``adversarial`` perturb, of ``weights``, ``thresholds``, ``biases``.
    loss
        (answer, y) → scalar tensor, where ``answer`` (B, T, n_out) is what the outputs say in the
        source's time: spikes, or volts. By default the cross-entropy on spike counts (mean volts).
    checkpoint
        A file that is written after each epoch, and continued from if it is there.
    device
        Of torch; CUDA by default where there is one.
    track
        Wraps the list of epochs, to show progress.

    Returns
    -------
    Deployment
        With the trained integers, graphs that say what they compute, ``+finetune`` behind its
        method's name, and the training in its journal and in the metadata of ``deployed``.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB804 for the labels, NB806 for a setting, NB812 for a
        checkpoint of another training, NB807 if there cannot be one, NB903 without torch.

    """
    settings = Settings(
        epochs, rate, batch, validation, patience, seed, decays, noise, adversarial, beta,
        tuple(perturbs),
    )  # fmt: skip
    counts, wanted = check_data(deployment, x, y, labels=loss is None)
    need("torch")
    from nirbridge.torch.training import train

    place = None if checkpoint is None else Path(checkpoint)
    if place is not None:
        check_new(place, force=True)
    result = train(deployment, counts, wanted, settings, loss, place, device, track)
    return replace(result, origin=result.origin.tuned_on(counts))


def check_data(
    deployment: Deployment, x: Any, y: Any, labels: bool = True
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples (B, T, n_in) with one label (or, without ``labels``, one target) each.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB804 for the labels.

    """
    counts = check_raster(x, deployment.n_in)
    if counts.ndim != 3:
        found = f"shape {counts.shape}"
        raise refuse("NB801", node="raster", limit="samples (B, T, n_in)", found=found)
    check_samples(counts)
    if y is None:
        limit = f"{len(counts)} labels"
        raise refuse("NB804", node="labels", limit=limit, found="none", remedy="give labels y")
    if labels:
        wanted = check_labels(y, len(counts), deployment.config.n_out)
        assert wanted is not None
        return counts, wanted
    targets = np.asarray(y)
    if targets.ndim == 0 or len(targets) != len(counts):
        limit = f"{len(counts)} targets"
        raise refuse("NB804", node="labels", limit=limit, found=f"shape {targets.shape}")
    return counts, targets
