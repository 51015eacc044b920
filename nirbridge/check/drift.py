"""The error budget: one input on every model from the trained network to the chip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.findings import Finding, Findings
from nirbridge.check.ideal import Ideal, against_ideal
from nirbridge.check.ladder import Rung, climb
from nirbridge.check.metrics import UNDECIDED
from nirbridge.check.models import MODELS, Run, chip_run
from nirbridge.diagnostics import Refused, refuse
from nirbridge.intformat import INPUT_SPIKES
from nirbridge.progress import Track
from nirbridge.rasters import check_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.deployment import Deployment

TOLERANCE = 0.1  # share of samples that the chip may decide otherwise, unless another is said
NOT_ASKED = "not asked for"
CHUNK = 64  # samples that are simulated, with all states recorded, at a time


@dataclass(frozen=True)
class Drift:
    """What the chip does differently, and which change costs how much.

    ``ideal`` compares the trained network with NIR's continuous time, on the first samples, if
    that was asked for and can be followed; ``no_ideal`` says why not. ``rungs`` lead from the
    trained network to the chip; their losses add up to ``1 − agreement``. ``findings`` lists
    neurons that saturate, never fire or fire at their cap, and weights that became 0, by the
    user's own names; ``silent`` the populations that never fire on the chip. ``tuned``: whether the
    integers were chosen on this very raster, which then tests nothing. ``input_spikes``: all of
    it; ``clipped_inputs``: those that the chip does not take, beyond 15 per channel and step.
    ``labels``: those that were given.
    """

    samples: int
    steps: int
    rungs: tuple[Rung, ...]
    findings: tuple[Finding, ...]
    silent: tuple[str, ...]
    tuned: bool
    input_spikes: int
    clipped_inputs: int
    ideal: Ideal | None = None
    no_ideal: str = NOT_ASKED
    labels: tuple[int, ...] | None = None

    def rung(self, model: str) -> Rung:
        """The rung of that name."""
        return next(r for r in self.rungs if r.model == model)

    @property
    def agreement(self) -> float:
        """Share of samples for which chip and trained network decide alike."""
        return self.rungs[-1].agreement

    @property
    def accuracy(self) -> float | None:
        """Accuracy of the chip."""
        return self.rungs[-1].accuracy

    @property
    def trained_accuracy(self) -> float | None:
        """Accuracy of the network as trained."""
        return self.rungs[0].accuracy

    @property
    def differing(self) -> tuple[int, ...]:
        """Samples that the chip decides otherwise than the trained network."""
        trained, chip = (self.rungs[k].choices for k in (0, -1))
        return tuple(k for k, (a, b) in enumerate(zip(trained, chip, strict=True)) if a != b)

    @property
    def largest(self) -> Rung | None:
        """The rung, the first of equals, where most samples turned for good; None if none did."""
        return next(iter(self.leading), None)

    @property
    def leading(self) -> tuple[Rung, ...]:
        """All rungs where as many samples turned for good as on none other; none if none did."""
        most = max(rung.turned for rung in self.rungs)
        return tuple(rung for rung in self.rungs if most and rung.turned == most)

    @property
    def undecided(self) -> int:
        """Samples on which neither the trained network nor the chip decides anything."""
        trained, chip = (self.rungs[k].choices for k in (0, -1))
        return sum(a == b == UNDECIDED for a, b in zip(trained, chip, strict=True))

    @property
    def undecided_mostly(self) -> bool:
        """Whether more than half of the samples are undecided on both sides."""
        return 2 * self.undecided > self.samples

    def state(self, tolerance: float = TOLERANCE) -> str:
        """``good`` where no more decisions differ than tolerated, ``bad`` where more do.

        ``open`` where that says nothing: most samples are undecided on both sides, or the integers
        were chosen on this input.
        """
        if 1 - self.agreement > tolerance:
            return "bad"
        return "open" if self.undecided_mostly or self.tuned else "good"

    def _repr_html_(self) -> str:
        """The error budget, for a notebook."""
        from nirbridge.report.notebook import drift_html

        return drift_html(self)

    def plot(self) -> Figure:
        """The error budget as a chart of Matplotlib's: percentage points of decisions lost."""
        from nirbridge.report.figures.budget import budget

        return budget(self)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "accuracy": self.accuracy,
            "trained_accuracy": self.trained_accuracy,
            "agreement": self.agreement,
            "largest": None if self.largest is None else self.largest.model,
            "undecided": self.undecided,
            "rungs": [rung.to_dict() for rung in self.rungs],
            "ideal": None if self.ideal is None else asdict(self.ideal),
            "no_ideal": self.no_ideal,
            "findings": [asdict(f) for f in self.findings],
            "silent": list(self.silent),
            "tuned": self.tuned,
            "input_spikes": self.input_spikes,
            "clipped_inputs": self.clipped_inputs,
        }


def check(
    deployment: Deployment,
    raster: Any,
    labels: Any = None,
    ideal: int = 0,
    track: Track | None = None,
) -> Drift:
    """Run every model between the trained network and the chip on one raster.

    The chip answers some steps later than the trained network; the raster is followed by as many
    silent steps, and spikes are moved back by the latency of each population.

    Parameters
    ----------
    deployment
        What was converted.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in).
    labels
        Integers (B,), or one integer for a single sample; None for none.
    ideal
        How many of the first samples to run in continuous time as well, which takes some tenths
        of a second each, and is given up beyond ``nirbridge.check.ideal.EVENTS`` events.
    track
        Wraps the list of pieces of work, to show progress.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB804 for the labels.

    """
    counts = check_samples(raster, deployment.n_in)
    expected = check_labels(labels, len(counts), deployment.config.n_out)
    starts = list(range(0, len(counts), CHUNK)) or [0]
    runs: list[list[Run]] = [[] for _ in MODELS]
    found = Findings(deployment)
    for first in track(starts) if track else starts:
        piece = counts[first : first + CHUNK]
        for model, done in zip(MODELS[:-1], runs[:-1], strict=True):
            done.append(_small(model.run(deployment, piece)))
        chip, recording = chip_run(deployment, piece)
        runs[-1].append(_small(chip))
        found.add(recording, runs[0][-1])
    compared, why = _ideal(deployment, counts[:ideal])
    return Drift(
        samples=len(counts),
        steps=counts.shape[1],
        rungs=climb(deployment, [_joined(done) for done in runs], expected),
        findings=found.result(),
        silent=found.silent(),
        tuned=deployment.origin.knows(counts),
        input_spikes=int(counts.sum(dtype=np.int64)),
        clipped_inputs=int(np.maximum(counts.astype(np.int64) - INPUT_SPIKES, 0).sum()),
        ideal=compared,
        no_ideal=why,
        labels=None if expected is None else tuple(expected.tolist()),
    )


def _ideal(deployment: Deployment, counts: NDArray[Any]) -> tuple[Ideal | None, str]:
    """The comparison with continuous time, or why there is none: the check stands without it."""
    if not len(counts):
        return None, NOT_ASKED
    try:
        return against_ideal(deployment, counts), ""
    except Refused as refusal:
        first = refusal.diagnostics[0]
        where = ", ".join(filter(None, (first.code, first.node)))
        return None, f"exact simulation: {first.limit}; found: {first.found} ({where})"


def _small(run: Run) -> Run:
    """Spike counts as small integers, which take less memory."""
    return Run({name: x.astype(np.int16) for name, x in run.spikes.items()}, run.outputs)


def _joined(runs: list[Run]) -> Run:
    spikes, outputs = (
        {
            name: np.concatenate([getattr(run, part)[name] for run in runs])
            for name in getattr(runs[0], part)
        }
        for part in ("spikes", "outputs")
    )
    return Run(spikes, outputs)


def check_labels(labels: Any, samples: int, classes: int) -> NDArray[np.int64] | None:
    """Labels as int64 (B,), or None.

    Raises
    ------
    Refused
        NB804 if there is not one label 0..classes−1 for each sample.

    """
    if labels is None:
        return None
    array = np.atleast_1d(np.asarray(labels))
    limit = f"{samples} integers 0..{classes - 1}"
    if array.dtype.kind not in "iu" or array.shape != (samples,):
        raise refuse(
            "NB804", node="labels", limit=limit, found=f"{array.dtype} of shape {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise refuse("NB804", node="labels", limit=limit, found=f"{array.min()}..{array.max()}")
    return array.astype(np.int64)
