"""The error budget: one input on every model from the trained network to the chip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.findings import Finding, Findings
from nirbridge.check.metrics import Difference, compare, decisions, output_distance
from nirbridge.check.models import MODELS, Run, chip_run, kept
from nirbridge.diagnostics import refuse
from nirbridge.intformat import INPUT_SPIKES
from nirbridge.progress import Track
from nirbridge.rasters import check_samples
from nirbridge.simulate import simulate_continuous

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.deployment import Deployment

CHUNK = 64  # samples that are simulated, with all states recorded, at a time


@dataclass(frozen=True)
class Rung:
    """One model of the ladder, against the network as it was trained.

    Attributes
    ----------
    model, adds, knob
        Its name, what it changes from the rung before, and what to turn to change less.
    spikes
        All spikes of the hidden populations that both have.
    populations
        The same population by population.
    output_l1
        Mean over samples of the summed differences of the outputs' sums over time.
    agreement
        Share of samples for which it decides as the trained network does.
    accuracy
        Share of samples that it gets right; None without labels.
    loss
        Share of decisions that agreed with the trained network on the rung before and no longer
        do: the rung's part of the whole. Negative if it repairs some.
    choices
        What it decides for each sample: the output with the largest sum over time.

    """

    model: str
    adds: str
    knob: str
    spikes: int
    populations: tuple[Difference, ...]
    output_l1: float
    agreement: float
    accuracy: float | None
    loss: float
    choices: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON; not the choices, which are as many as samples."""
        rows = [{**asdict(d), "count_ratio": _finite(d.count_ratio)} for d in self.populations]
        found = {**asdict(self), "populations": rows}
        del found["choices"]
        return found


@dataclass(frozen=True)
class Ideal:
    """The trained network against the same equations in continuous time.

    ``samples``: how many were compared. ``populations``: spikes of the trained network
    (``spikes``) and of the ideal (``reference_spikes``). ``agreement``: share of decisions.
    """

    samples: int
    populations: tuple[Difference, ...]
    agreement: float


@dataclass(frozen=True)
class Drift:
    """What the chip does differently, and which change costs how much.

    ``ideal`` compares the trained network with NIR's continuous time, on the first samples, if
    that was asked for. ``rungs`` lead from the trained network to the chip; their losses add up to
    ``1 − agreement``. ``findings`` lists neurons that saturate, never fire or fire at their cap,
    and weights that became 0, by the user's own names. ``labels``: those that were given.
    """

    samples: int
    steps: int
    rungs: tuple[Rung, ...]
    findings: tuple[Finding, ...]
    clipped_inputs: int
    ideal: Ideal | None = None
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
    def largest(self) -> Rung | None:
        """The rung that costs most decisions; None if none costs any."""
        worst = max(self.rungs[1:], key=lambda r: r.loss)
        return worst if worst.loss > 0 else None

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
            "rungs": [rung.to_dict() for rung in self.rungs],
            "ideal": None if self.ideal is None else asdict(self.ideal),
            "findings": [asdict(f) for f in self.findings],
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
        of a second each.
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
    joined = [_joined(done) for done in runs]
    return Drift(
        samples=len(counts),
        steps=counts.shape[1],
        rungs=_rungs(joined, expected),
        findings=found.result(),
        clipped_inputs=int(np.maximum(counts.astype(np.int64) - INPUT_SPIKES, 0).sum()),
        ideal=_ideal(deployment, counts[:ideal], joined[0]) if ideal else None,
        labels=None if expected is None else tuple(expected.tolist()),
    )


def _ideal(deployment: Deployment, counts: NDArray[Any], trained: Run) -> Ideal:
    """Compare the trained network with the continuous one on a few samples."""
    how = deployment.dynamics
    found = simulate_continuous(deployment.source, counts, how.dt, reset=how.reset)
    binned, n = found.binned(), len(counts)
    populations = tuple(
        compare(p.name, kept(binned[p.name], p), trained.spikes[p.name][:n])
        for p in deployment.placement.hidden
        if p.name in trained.spikes
    )
    ends = sorted(trained.outputs)
    ideal = np.concatenate([found.outputs[end] for end in ends], axis=2)
    same = decisions(ideal) == decisions(_outputs(trained)[:n])
    return Ideal(n, populations, float(np.mean(same)))


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


def _rungs(runs: list[Run], labels: NDArray[np.int64] | None) -> tuple[Rung, ...]:
    trained = runs[0]
    wanted = _outputs(trained)
    choice = decisions(wanted)
    rungs: list[Rung] = []
    for model, run in zip(MODELS, runs, strict=True):
        got = _outputs(run)
        chosen = decisions(got)
        agreement = float(np.mean(choice == chosen)) if len(choice) else 1.0
        accuracy = None
        if labels is not None and len(labels):
            accuracy = float(np.mean(chosen == labels))
        populations = tuple(
            compare(name, trained.spikes[name], run.spikes[name]) for name in trained.spikes
        )
        rungs.append(
            Rung(
                model=model.name,
                adds=model.adds,
                knob=model.knob,
                spikes=sum(d.spikes for d in populations),
                populations=populations,
                output_l1=output_distance(wanted, got),
                agreement=agreement,
                accuracy=accuracy,
                loss=(rungs[-1].agreement if rungs else 1.0) - agreement,
                choices=tuple(chosen.tolist()),
            )
        )
    return tuple(rungs)


def _outputs(run: Run) -> NDArray[Any]:
    return np.concatenate([run.outputs[name] for name in sorted(run.outputs)], axis=2)


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


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
