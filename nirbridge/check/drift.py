"""One input on three models: the network as trained, the lifted integers, the chip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.metrics import Difference, compare, count_distance, decisions
from nirbridge.diagnostics import refuse
from nirbridge.intformat import INPUT_SPIKES
from nirbridge.rasters import check_raster
from nirbridge.simulate import simulate, simulate_stepped

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment


@dataclass(frozen=True)
class Rung:
    """One model against the chip.

    ``output_l1``: mean over samples of the summed differences of output spike counts.
    ``agreement``: share of samples for which both decide alike.
    """

    model: str
    populations: tuple[Difference, ...]
    output_l1: float
    agreement: float
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        rows = [{**asdict(d), "count_ratio": _finite(d.count_ratio)} for d in self.populations]
        return {
            "model": self.model,
            "output_l1": self.output_l1,
            "agreement": self.agreement,
            "accuracy": self.accuracy,
            "populations": rows,
        }


@dataclass(frozen=True)
class Drift:
    """What the chip does differently, and from which model.

    ``against["float"]`` is the source network in its own steps, ``against["deployed"]`` the
    integers lifted to floats, which lack saturation and the linear floor of the decays.
    """

    samples: int
    steps: int
    against: Mapping[str, Rung]
    accuracy: float | None
    chip_spikes: int
    clipped_inputs: int

    @property
    def agreement(self) -> float:
        """Share of samples for which chip and float network decide alike."""
        return self.against["float"].agreement

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "accuracy": self.accuracy,
            "chip_spikes": self.chip_spikes,
            "clipped_inputs": self.clipped_inputs,
            "against": {name: rung.to_dict() for name, rung in self.against.items()},
        }


CHUNK = 64  # samples that are simulated, with all states recorded, at a time

Spikes = Mapping[str, NDArray[Any]]
Track = Callable[[list[int]], Iterable[int]]


def check(
    deployment: Deployment, raster: Any, labels: Any = None, track: Track | None = None
) -> Drift:
    """Run chip, float network and lifted integers on one raster and compare them.

    The chip answers some steps later than the float network; the raster is followed by as many
    silent steps, and its spikes are moved back by the latency of each population.

    Parameters
    ----------
    deployment
        What was converted.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in).
    labels
        Integers (B,), or one integer for a single sample; None for none.
    track
        Wraps the list of pieces of work, to show progress.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB804 for the labels.

    """
    counts = check_raster(raster, deployment.config.n_in)
    counts = counts if counts.ndim == 3 else counts[None]
    expected = check_labels(labels, len(counts), deployment.config.n_out)
    starts = list(range(0, len(counts), CHUNK)) or [0]
    pieces = [
        _run(deployment, counts[first : first + CHUNK])
        for first in (track(starts) if track else starts)
    ]
    source, lifted, chip = (
        {name: np.concatenate([piece[k][name] for piece in pieces]) for name in pieces[0][k]}
        for k in range(3)
    )
    outputs = [p.name for p in deployment.placement.outputs]
    populations = (*deployment.placement.hidden, *deployment.placement.outputs)
    steps = counts.shape[1]
    aligned = {p.name: chip[p.name][:, p.latency : p.latency + steps] for p in populations}
    return Drift(
        samples=len(counts),
        steps=steps,
        against={
            "float": _rung("float", source, aligned, outputs, expected),
            "deployed": _rung("deployed", lifted, chip, outputs, expected),
        },
        accuracy=_accuracy(decisions(_joined(aligned, outputs)), expected),
        chip_spikes=sum(int(x.sum()) for x in chip.values()),
        clipped_inputs=int(np.maximum(counts.astype(np.int64) - INPUT_SPIKES, 0).sum()),
    )


def _run(deployment: Deployment, counts: NDArray[Any]) -> tuple[Spikes, Spikes, Spikes]:
    """Spikes by population of the float network, the lifted integers and the chip.

    The latter two run on for as many steps as the chip's answer is late.
    """
    hidden, outputs = deployment.placement.hidden, deployment.placement.outputs
    longest = max((p.latency for p in (*hidden, *outputs)), default=0)
    tail = np.zeros((counts.shape[0], longest, counts.shape[2]), counts.dtype)
    padded = np.concatenate([counts, tail], axis=1)
    recording = simulate(deployment.config, padded, record=True)
    assert recording.spikes is not None
    chip: dict[str, NDArray[Any]] = {p.name: recording.spikes[:, :, p.ids] for p in hidden}
    chip |= {p.name: recording.output[:, :, p.ids] for p in outputs}
    source = simulate_stepped(deployment.source, counts, deployment.dynamics).spikes
    lifted = simulate_stepped(deployment.deployed, padded).spikes
    return _small(source), _small(lifted), chip


def _small(spikes: Spikes) -> Spikes:
    """Counts as integers, which take less memory."""
    return {name: x.astype(np.int32) for name, x in spikes.items()}


def _rung(
    model: str,
    reference: Spikes,
    found: Spikes,
    outputs: list[str],
    labels: NDArray[np.int64] | None,
) -> Rung:
    populations = tuple(
        compare(name, reference[name], found[name]) for name in found if name in reference
    )
    expected, got = _joined(reference, outputs), _joined(found, outputs)
    choice = decisions(expected)
    agreement = float(np.mean(choice == decisions(got))) if len(choice) else 1.0
    return Rung(
        model, populations, count_distance(expected, got), agreement, _accuracy(choice, labels)
    )


def _joined(spikes: Spikes, names: list[str]) -> NDArray[Any]:
    return np.concatenate([spikes[name] for name in names], axis=2)


def _accuracy(choice: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float | None:
    return None if labels is None or not len(labels) else float(np.mean(choice == labels))


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
