"""The rungs of the ladder: each model's figures, and where decisions turned for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.advice import advice
from nirbridge.check.metrics import UNDECIDED, Difference, answers, compare, output_distance
from nirbridge.check.models import MODELS, Run

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

Choices = NDArray[np.int64]


@dataclass(frozen=True)
class Rung:
    """One model of the ladder, against the network as it was trained.

    Attributes
    ----------
    model, adds, knob
        Its name, what it changes from the rung before, and what to turn to change less; empty
        if nothing is left to turn.
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
        What ``agreement`` is less than on the rung before, negative if it is more: decisions lost
        less decisions won back. The losses add up to what the chip lacks of full agreement.
    turned
        Samples that turned for good: decided as by the trained network on the rung before, and
        otherwise on this one and all after it. The numbers add up to the samples that the chip
        decides otherwise.
    undecided
        Samples for which all its outputs say the same, as if they are silent.
    choices
        What it decides for each sample: the output with the largest sum over time, −1 if none.

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
    turned: int
    undecided: int
    choices: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON; not the choices, which are as many as samples."""
        rows = [{**asdict(d), "count_ratio": _finite(d.count_ratio)} for d in self.populations]
        found = {**asdict(self), "populations": rows}
        del found["choices"]
        return found


def climb(
    deployment: Deployment, runs: Sequence[Run], labels: Choices | None
) -> tuple[Rung, ...]:
    """A rung for each of :data:`nirbridge.check.models.MODELS`, of its run on all samples."""
    trained = runs[0]
    choices = np.stack([answers(run.output) for run in runs])
    alike = [float(x.mean()) if x.size else 1.0 for x in choices == choices[0]]
    turned = turning(choices)
    rungs = []
    for k, (model, run, chosen) in enumerate(zip(MODELS, runs, choices, strict=True)):
        populations = tuple(
            compare(name, trained.spikes[name], run.spikes[name]) for name in trained.spikes
        )
        rungs.append(
            Rung(
                model=model.name,
                adds=model.adds,
                knob=advice(model.name, deployment),
                spikes=sum(d.spikes for d in populations),
                populations=populations,
                output_l1=output_distance(trained.output, run.output),
                agreement=alike[k],
                accuracy=_accuracy(chosen, labels),
                loss=alike[max(k - 1, 0)] - alike[k],
                turned=turned[k],
                undecided=int((chosen == UNDECIDED).sum()),
                choices=tuple(chosen.tolist()),
            )
        )
    return tuple(rungs)


def turning(choices: Choices) -> list[int]:
    """How many samples turned for good on each rung, from choices (rungs, samples).

    A sample that is decided otherwise on the last rung turned on the one after the last that still
    decided as the first.
    """
    alike = choices == choices[:1]
    first_after = len(alike) - np.argmax(alike[::-1], axis=0)
    found: list[int] = np.bincount(first_after, minlength=len(alike) + 1)[: len(alike)].tolist()
    return found


def _accuracy(chosen: Choices, labels: Choices | None) -> float | None:
    return None if labels is None or not len(labels) else float(np.mean(chosen == labels))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
