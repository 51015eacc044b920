"""What the simulators' answers have in common: accuracy, counts, cosines, first differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.bench.inputs import Input
from nirbridge.bench.job import RAN, Result
from nirbridge.check.metrics import compare, cosine, decisions
from nirbridge.dynamics import Dynamics

REFERENCE = "stepped"
ROUNDING = 1e-4  # of the largest value: outputs that are membranes differ by float32's rounding


@dataclass(frozen=True)
class Row:
    """One simulator over all inputs.

    Attributes
    ----------
    simulator, version
        Its name, and the version of its package.
    status, error
        As in :class:`nirbridge.bench.Result`; of the first input that it did not run, if any.
    failures
        Inputs that it did not run.
    samples
        Samples that it ran.
    accuracy
        Share of the labelled ones that it gets right; None without labels.
    total
        Output spikes, or the sum of the output's values.
    rate_cosine
        Cosine between its mean output rates and those of the reference, on the samples that both
        ran; None if it or the reference has none.
    first_step
        First step at which any sample differs from the reference; None if none does.
    equal_samples, agreement
        Share of samples without a difference, and of samples decided alike; None without a
        reference.
    step_s
        Seconds per step and sample, the median over inputs and repeats.
    import_s, build_s, warm_up_s
        Seconds to import, to build, and that the first run took longer than the others.
    peak_bytes
        Most memory that its process held.
    notes
        What to know about the figures.

    """

    simulator: str
    version: str
    status: str
    error: str
    failures: int
    samples: int
    accuracy: float | None
    total: float
    rate_cosine: float | None
    first_step: int | None
    equal_samples: float | None
    agreement: float | None
    step_s: float
    import_s: float
    build_s: float
    warm_up_s: float
    peak_bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Bench:
    """What :func:`nirbridge.bench` gives back.

    Attributes
    ----------
    simulators
        Names, in the order of the results.
    inputs
        Rasters (B, T, n_in) and labels (B,) that were run.
    results
        One for each simulator and input.
    dynamics
        How the graph is stepped.
    spiking
        Whether the Outputs send spikes; otherwise they send values.
    threads, repeat
        As they were asked for.

    """

    simulators: tuple[str, ...]
    inputs: tuple[Input, ...]
    results: tuple[Result, ...]
    dynamics: Dynamics
    spiking: bool
    threads: int
    repeat: int

    @property
    def ran(self) -> tuple[str, ...]:
        """Simulators that gave an answer to at least one input."""
        found = {r.simulator for r in self.results if r.ran}
        return tuple(name for name in self.simulators if name in found)

    @property
    def reference(self) -> str | None:
        """What the others are compared with: the stepped model if it ran, else the first."""
        return REFERENCE if REFERENCE in self.ran else next(iter(self.ran), None)

    @property
    def rows(self) -> tuple[Row, ...]:
        """One line per simulator, all inputs together."""
        return tuple(self._row(name) for name in self.simulators)

    @property
    def cosines(self) -> dict[str, dict[str, float]]:
        """Cosine of the mean output rates of each pair that ran, on the samples that both ran.

        A pair without a common input is left out.
        """
        found: dict[str, dict[str, float]] = {}
        for a in self.ran:
            pairs = {b: self._cosine(a, b) for b in self.ran}
            found[a] = {b: value for b, value in pairs.items() if value is not None}
        return found

    def of(self, name: str) -> Bench:
        """The same of one input alone, by its name."""
        return Bench(
            self.simulators,
            tuple(i for i in self.inputs if i.name == name),
            tuple(r for r in self.results if r.input == name),
            self.dynamics, self.spiking, self.threads, self.repeat,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON."""
        parts = [(i, self.of(i.name)) for i in self.inputs]
        return {
            "dynamics": self.dynamics.to_dict(),
            "outputs": "spikes" if self.spiking else "values",
            "reference": self.reference,
            "threads": self.threads,
            "repeat": self.repeat,
            "simulators": [asdict(row) for row in self.rows],
            "cosines": self.cosines,
            "inputs": [
                {
                    "name": i.name,
                    "samples": len(i.counts),
                    "steps": i.counts.shape[1],
                    "labels": i.labels is not None,
                    "simulators": [asdict(row) for row in part.rows],
                    "cosines": part.cosines,
                }
                for i, part in parts
            ],
            "runs": [result.to_dict() for result in self.results],
        }

    def heat_map(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write a picture of :attr:`cosines`: .png, .svg or .pdf.

        Raises
        ------
        Refused
            NB805 if the file exists and ``force`` is not set, NB806 for another suffix, NB807 for
            a place that cannot be.

        """
        from nirbridge.bench.picture import write

        write(self, Path(path), force)

    def _answers(self, a: str, b: str) -> Iterator[tuple[Input, NDArray[Any], NDArray[Any]]]:
        """Outputs of two simulators for each input, on the samples that both ran."""
        outputs = {(r.simulator, r.input): r.output for r in self.results if r.ran}
        for each in self.inputs:
            one, other = outputs.get((a, each.name)), outputs.get((b, each.name))
            if one is not None and other is not None:
                n = min(len(one), len(other))
                yield each, one[:n], other[:n]

    def _cosine(self, a: str, b: str) -> float | None:
        sums = [
            np.stack([x.sum(axis=(0, 1), dtype=np.float64) for x in (one, other)])
            for _, one, other in self._answers(a, b)
        ]
        if not sums:
            return None
        one, other = np.sum(sums, axis=0)
        return 1.0 if np.array_equal(one, other) else min(1.0, cosine(one, other))

    def _row(self, name: str) -> Row:
        mine = [r for r in self.results if r.simulator == name]
        ran = [r for r in mine if r.ran]
        failed = [r for r in mine if not r.ran]
        answers = list(self._answers(name, name))
        steps, equal, agree = self._against_reference(name)
        right = [
            decisions(x) == each.labels[: len(x)]
            for each, x, _ in answers
            if each.labels is not None
        ]
        return Row(
            simulator=name,
            version=next((r.version for r in ran), ""),
            status=failed[0].status if failed else RAN,
            error=failed[0].error if failed else "",
            failures=len(failed),
            samples=sum(len(x) for _, x, _ in answers),
            accuracy=float(np.mean(np.concatenate(right))) if right else None,
            total=float(sum(x.sum(dtype=np.float64) for _, x, _ in answers)),
            rate_cosine=None if self.reference is None else self._cosine(name, self.reference),
            first_step=min(steps, default=None),
            equal_samples=_mean(equal),
            agreement=_mean(agree),
            step_s=_median([r.step_s for r in ran]),
            import_s=_median([r.import_s for r in ran]),
            build_s=_median([r.build_s for r in ran]),
            warm_up_s=_median([r.warm_up_s for r in ran]),
            peak_bytes=max((r.peak_bytes for r in ran), default=0),
            notes=tuple(dict.fromkeys(note for r in ran for note in r.notes)),
        )

    def _against_reference(self, name: str) -> tuple[list[int], list[Any], list[Any]]:
        """First different step per input, and per sample whether it is equal, and decided alike."""
        steps: list[int] = []
        equal: list[Any] = []
        agree: list[Any] = []
        if self.reference is None:
            return steps, equal, agree
        for each, wanted, found in self._answers(self.reference, name):
            close = found if self.spiking else _snapped(wanted, found)
            first = compare(each.name, wanted, close).first_step
            steps += [] if first is None else [first]
            equal.append((wanted == close).all(axis=(1, 2)))
            agree.append(decisions(wanted) == decisions(found))
        return steps, equal, agree


def _snapped(wanted: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    """Values with those that differ by rounding only put to what they should be."""
    near = np.abs(wanted - found) <= ROUNDING * np.abs(wanted).max(initial=0)
    return np.where(near, wanted, found)


def _mean(parts: list[Any]) -> float | None:
    return float(np.mean(np.concatenate(parts))) if parts else None


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else 0.0
