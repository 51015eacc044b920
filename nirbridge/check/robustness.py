"""Accuracy over many perturbed chips: random mismatch, and the worst within a bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.drift import check_labels
from nirbridge.check.metrics import decisions
from nirbridge.check.models import padded
from nirbridge.diagnostics import diagnose, refuse, refuse_all
from nirbridge.intformat import INT8, INT16, THRESHOLD
from nirbridge.mapping.config import XyloConfig
from nirbridge.optional import need
from nirbridge.rasters import check_samples
from nirbridge.simulate import simulate
from nirbridge.simulate.integer import cores

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

CHUNK = 256  # samples that are simulated at a time

_FORMATS = {
    "weights_in": INT8,
    "weights_rec": INT8,
    "weights_out": INT8,
    "threshold": THRESHOLD,
    "threshold_out": THRESHOLD,
    "bias": INT16,
    "bias_out": INT16,
}
GROUPS = {
    "weights": ("weights_in", "weights_rec", "weights_out"),
    "thresholds": ("threshold", "threshold_out"),
    "biases": ("bias", "bias_out"),
}
ALL = tuple(GROUPS)


@dataclass(frozen=True)
class Level:
    """Accuracy of chips that are perturbed by one size.

    ``kind``: ``random`` (relative Gaussian noise; ``level`` is its standard deviation) or
    ``attack`` (the most damaging perturbation within ``level``, a single chip). ``mean``, ``sd``
    and ``worst``: over ``draws`` chips, shares of samples.
    """

    kind: str
    level: float
    draws: int
    mean: float
    sd: float
    worst: float


@dataclass(frozen=True)
class Robustness:
    """``clean``: accuracy of the chip as it is; ``levels``: of perturbed ones."""

    samples: int
    clean: float
    levels: tuple[Level, ...]

    def at(self, level: float, kind: str = "random") -> Level:
        """The row of that level."""
        return next(x for x in self.levels if (x.level, x.kind) == (level, kind))

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """What all chips share; small enough to be sent to every worker once."""

    deployment: Deployment
    counts: NDArray[Any]
    labels: NDArray[np.int64]
    seed: int
    perturbs: tuple[str, ...]


def robustness(
    deployment: Deployment,
    raster: Any,
    labels: Any,
    levels: Sequence[float],
    draws: int = 50,
    seed: int = 0,
    attack: Iterable[float] = (),
    perturbs: Sequence[str] = ALL,
    dask: Any = None,
) -> Robustness:
    """Perturb weights, thresholds and biases, run each chip on the raster, count right decisions.

    Random: each integer Θ becomes Θ·(1 + level·N(0, 1)), rounded and kept in the range of its
    number format (metric i of arXiv 2106.05009). The same draws serve every level.

    Parameters
    ----------
    deployment
        The chip.
    raster
        Integers >= 0, (B, T, n_in).
    labels
        Integers (B,).
    levels
        Relative standard deviations.
    draws
        Perturbed chips per level.
    seed
        Of the draws.
    attack
        Relative bounds of the most damaging perturbation, found on the whole raster
        (:func:`nirbridge.torch.robust.attack`, metric ii); needs torch.
    perturbs
        What is perturbed, of ``weights``, ``thresholds`` and ``biases``.
    dask
        A ``distributed.Client`` on whose workers the chips run; by default on threads here.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB804 for the labels, NB806 for a level, a number of draws or
        what is perturbed, NB903 for an attack without torch.

    """
    counts = check_samples(raster, deployment.n_in)
    wanted = check_labels(labels, len(counts), deployment.config.n_out)
    if wanted is None:
        raise refuse("NB804", node="labels", limit=f"{len(counts)} labels", found="none")
    levels, bounds = list(levels), list(attack)
    refuse_all(_wrong([*levels, *bounds], draws))
    names = parameters(perturbs)
    job = Job(deployment, padded(deployment.placement, counts), wanted, seed, names)
    tasks = [(level, draw) for level in levels for draw in range(draws)]
    found = np.array(_spread(job, [(0.0, 0), *tasks], dask))
    rows = found[1:].reshape(len(levels), draws)
    made = [_level("random", level, row) for level, row in zip(levels, rows, strict=True)]
    made += [_level("attack", bound, _attacked(job, counts, bound)) for bound in bounds]
    return Robustness(len(counts), float(found[0]), tuple(made))


def _wrong(levels: list[float], draws: int) -> Iterable[Any]:
    for level in levels:
        if not (isinstance(level, (int, float)) and isfinite(level) and level >= 0):
            yield diagnose("NB806", node="levels", limit="numbers >= 0", found=repr(level)[:60])
    if not isinstance(draws, int) or draws < 1:
        yield diagnose("NB806", node="draws", limit="1 or more", found=repr(draws)[:60])


def _level(kind: str, level: float, shares: NDArray[np.float64]) -> Level:
    return Level(
        kind, level, len(shares), float(shares.mean()), float(shares.std()), float(shares.min())
    )


def _spread(job: Job, tasks: list[tuple[float, int]], dask: Any) -> list[float]:
    """Accuracies, in the order of the tasks; the kernel lets threads run side by side."""
    if dask is not None:
        shared = dask.scatter(job, broadcast=True)
        return list(dask.gather(dask.map(accuracy, tasks, job=shared, pure=False)))
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(partial(accuracy, job=job), tasks))


def accuracy(task: tuple[float, int], job: Job) -> float:
    """Share of right decisions of the chip that is drawn for (level, draw)."""
    level, draw = task
    rng = np.random.default_rng([job.seed, draw])
    config = perturb(job.deployment, level, rng, job.perturbs)
    chip = replace(job.deployment, config=config)
    place, right = chip.placement, 0
    late = max((p.latency for p in place.populations), default=0)
    steps = job.counts.shape[1] - late
    for first in range(0, len(job.counts), CHUNK):
        piece = slice(first, first + CHUNK)
        given = chip.chip_input(job.counts[piece])
        said = chip.decode(simulate(config, given, record=bool(place.readouts.any()), threads=1))
        parts = [
            said[p.end][:, p.latency : p.latency + steps]
            for p in sorted(place.outputs, key=lambda p: p.end)
        ]
        right += int((decisions(np.concatenate(parts, axis=2)) == job.labels[piece]).sum())
    return right / len(job.labels)


def parameters(perturbs: Sequence[str]) -> tuple[str, ...]:
    """The arrays of a configuration in groups of parameters; NB806 for an unknown group."""
    refuse_all(
        diagnose("NB806", node="perturbs", limit=", ".join(ALL), found=repr(group)[:60])
        for group in perturbs
        if group not in GROUPS
    )
    return tuple(name for group in ALL if group in perturbs for name in GROUPS[group])


def perturb(
    deployment: Deployment,
    level: float,
    rng: np.random.Generator,
    names: Sequence[str] = tuple(_FORMATS),
) -> XyloConfig:
    """The configuration with relative Gaussian noise on weights, thresholds and biases.

    Rounded and kept in range. Thresholds of outputs that are read by their membranes mean nothing
    and stay.
    """
    config = deployment.config
    made: dict[str, Any] = {}
    for name in names:
        value, number = getattr(config, name), _FORMATS[name]
        noisy = np.rint(value * (1.0 + level * rng.standard_normal(value.shape)))
        made[name] = np.clip(noisy, number.low, number.high).astype(number.dtype)
    readouts = deployment.placement.readouts
    fixed = made.get("threshold_out", config.threshold_out)
    made["threshold_out"] = np.where(readouts, config.threshold_out, fixed)
    return replace(config, **made)


def _attacked(job: Job, counts: NDArray[Any], bound: float) -> NDArray[np.float64]:
    """Accuracy under the attack, as an array of one."""
    need("torch")
    from nirbridge.torch.robust import attacked_accuracy

    return np.array([attacked_accuracy(replace(job, counts=counts), bound)])
