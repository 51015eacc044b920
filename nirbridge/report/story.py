"""Everything that a report tells, gathered before a word or a line of it is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check import Drift
from nirbridge.diagnostics import Diagnostic, Refused, refuse
from nirbridge.energy import Energy, utilisation
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.read import repairs
from nirbridge.graph.shapes import infer
from nirbridge.progress import Track
from nirbridge.rasters import check_raster
from nirbridge.report.evidence import WINDOW, Sample, record
from nirbridge.report.facts import nodes
from nirbridge.report.provenance import Provenance, provenance
from nirbridge.report.rounding import WeightRow, weight_rows
from nirbridge.report.units import counted, percent
from nirbridge.targets import TARGETS, ChipSpec
from nirbridge.targets.fit import Use

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

SCHEMA, SCHEMA_VERSION = "nirbridge/report", 1
TOLERANCE = 0.1
RANDOM = "random spikes"


@dataclass(frozen=True)
class Confusion:
    """How often each answer was given (columns) for each label (rows), by one model."""

    title: str
    rows: str
    table: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Story:
    """What a report shows.

    ``source``: what the input was; ``random`` if it was made up, for want of any. ``tolerance``:
    share of decisions that may differ. ``samples``: those shown step by step. ``no_ideal``: why
    there is no comparison with continuous time, if there is none. ``energy``: what the input
    costs on the chip; None for random spikes, and for a chip of which nothing is known.
    """

    title: str
    deployment: Deployment
    drift: Drift
    source: str
    random: bool
    tolerance: float
    samples: tuple[Sample, ...]
    no_ideal: str
    energy: Energy | None
    violations: tuple[Diagnostic, ...]
    provenance: Provenance

    @property
    def chip(self) -> ChipSpec | None:
        """The chip's record, if it is one of the known ones."""
        return TARGETS.get(self.deployment.config.target)

    @property
    def chip_title(self) -> str:
        """What to call the chip."""
        return self.deployment.config.target if self.chip is None else self.chip.title

    @property
    def within(self) -> bool:
        """Whether chip and trained network differ no more than tolerated."""
        return 1 - self.drift.agreement <= self.tolerance

    @property
    def state(self) -> str:
        """``good``, ``bad``, or ``open`` where only random spikes were there to judge by."""
        if self.violations:
            return "bad"
        if self.random:
            return "open"
        return "good" if self.within else "bad"

    @property
    def verdict(self) -> str:
        """All in one sentence."""
        drift, chip = self.drift, self.chip_title
        if self.violations:
            return (
                f"The configuration does not fit {chip}: {len(self.violations)} rules are broken."
            )
        same = f"decides as the trained network on {percent(drift.agreement)}"
        if self.random:
            return (
                f"The network fits {chip} and, on random spikes, {same} of {drift.samples} "
                "samples; how well it does its task takes typical input to say."
            )
        what = f"On {counted(drift.samples, 'sample')} the chip {same}"
        if drift.accuracy is not None:
            was = percent(drift.trained_accuracy)
            what += f" and is right on {percent(drift.accuracy)} ({was} as trained)"
        if drift.agreement == 1 or drift.largest is None:
            return f"{what}."
        return f"{what}; most of the difference comes from: {drift.largest.adds}."

    @property
    def confusions(self) -> tuple[Confusion, ...]:
        """With labels, of the trained network and the chip; else the chip against the network."""
        classes = self.deployment.config.n_out
        trained, chip = (self.drift.rungs[k].choices for k in (0, -1))
        labels = self.drift.labels
        if labels is None:
            return (
                Confusion(
                    "Answers of the chip, by that of the trained network",
                    "as trained",
                    tally(trained, chip, classes),
                ),
            )
        return (
            Confusion("Answers as trained, by label", "label", tally(labels, trained, classes)),
            Confusion("Answers of the chip, by label", "label", tally(labels, chip, classes)),
        )

    @property
    def differing(self) -> tuple[int, ...]:
        """Samples that the chip decides otherwise."""
        trained, chip = (self.drift.rungs[k].choices for k in (0, -1))
        return tuple(k for k, (a, b) in enumerate(zip(trained, chip, strict=True)) if a != b)

    @property
    def weights(self) -> tuple[WeightRow, ...]:
        """What rounding did to each matrix."""
        return weight_rows(self.deployment)

    @property
    def use(self) -> dict[str, Use]:
        """How much of the chip is taken, by the names of its limits."""
        return {} if self.chip is None else utilisation(self.deployment.config, self.chip)

    @property
    def marks(self) -> dict[str, str]:
        """What the rewrite made new, and what it turned into something else, by node."""
        before = {n: kind(x) for n, x in inline(self.deployment.source).nodes.items()}
        found = {}
        for name, node in self.deployment.deployed.nodes.items():
            if name not in before:
                found[name] = "new"
            elif before[name] != kind(node):
                found[name] = f"was {before[name]}"
        return found

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain values, for JSON."""
        d = self.deployment
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "title": self.title,
            "verdict": {"state": self.state, "sentence": self.verdict, "tolerance": self.tolerance},
            "target": {"name": d.config.target, "title": self.chip_title},
            "method": d.method,
            "dt": d.config.dt,
            "dynamics": d.dynamics.to_dict(),
            "input": {
                "source": self.source,
                "random": self.random,
                "samples": self.drift.samples,
                "steps": self.drift.steps,
            },
            "drift": self.drift.to_dict(),
            "confusions": [asdict(c) for c in self.confusions],
            "differing_samples": list(self.differing),
            "shown_samples": [_shown(sample) for sample in self.samples],
            "graphs": {
                name: nodes(graph, infer(inline(graph))[0])
                for name, graph in (("before", d.source), ("after", d.deployed))
            },
            "journal": [note.to_dict() for note in d.journal],
            "repairs": repairs(d.source),
            "placement": asdict(d.placement),
            "weights": [asdict(row) for row in self.weights],
            "use": {name: use.to_dict() for name, use in self.use.items()},
            "energy": None if self.energy is None else self.energy.to_dict(),
            "diagnostics": [each.to_dict() for each in self.violations],
            "provenance": self.provenance.to_dict(),
        }


def gather(
    deployment: Deployment,
    raster: Any = None,
    labels: Any = None,
    *,
    title: str = "",
    source: str = "",
    drift: Drift | None = None,
    tolerance: float = TOLERANCE,
    made_by: Provenance | None = None,
    track: Track | None = None,
) -> Story:
    """Run the chip and all models before it, and gather what a report shows.

    Parameters
    ----------
    deployment
        What was converted.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in); by default random spikes, always the same.
    labels
        Integers (B,), or None.
    title
        What to call the network.
    source
        What to call the input: a file's name.
    drift
        The check of the same raster and labels, if it is there already.
    tolerance
        Share of samples that the chip may decide otherwise.
    made_by
        Files and command, for those who want to make the report again.
    track
        Wraps pieces of work, to show progress.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, which must have a step, NB804 for the labels.

    """
    random = raster is None
    if raster is None:
        from nirbridge.calibrate import random_spikes

        raster = random_spikes(deployment.n_in, deployment.dynamics.spikes_per_step == 1)
    counts = check_raster(raster, deployment.n_in)
    counts = counts if counts.ndim == 3 else counts[None]
    if not counts.size:
        limit, found = "at least one step of one sample", f"shape {counts.shape}"
        raise refuse("NB801", node="raster", limit=limit, found=found)
    no_ideal = "not asked for"
    if drift is None:
        drift, no_ideal = _checked(deployment, counts, labels, track)
    known = deployment.config.target in TARGETS
    return Story(
        title=title or "network",
        deployment=deployment,
        drift=drift,
        source=RANDOM if random else source or "a raster",
        random=random,
        tolerance=tolerance,
        samples=tuple(record(deployment, counts[k], k) for k in _worth_showing(drift)),
        no_ideal=no_ideal,
        energy=None if random or not known else deployment.energy(counts),
        violations=tuple(deployment.config.violations() if known else ()),
        provenance=provenance() if made_by is None else made_by,
    )


def _checked(
    deployment: Deployment, counts: Any, labels: Any, track: Track | None
) -> tuple[Drift, str]:
    """The check, with the first sample in continuous time; or why that was left out."""
    if counts.shape[1] > WINDOW:
        return deployment.check(counts, labels, track=track), f"of more than {WINDOW:,} steps"
    try:
        return deployment.check(counts, labels, ideal=1, track=track), ""
    except Refused as refusal:
        drift = deployment.check(counts, labels, track=track)  # raises it again, if it is no ideal
        first = refusal.diagnostics[0]
        return drift, f"{first.code}, {first.rule}; found: {first.found}"


def _worth_showing(drift: Drift) -> list[int]:
    """The first sample, and the first that the chip decides otherwise."""
    trained, chip = (drift.rungs[k].choices for k in (0, -1))
    differs = [k for k, (a, b) in enumerate(zip(trained, chip, strict=True)) if a != b][:1]
    return sorted({0, *differs})


def tally(rows: Any, columns: Any, classes: int) -> tuple[tuple[int, ...], ...]:
    """How often each pair comes, as a square table."""
    table: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.asarray(rows, int), np.asarray(columns, int)), 1)
    return tuple(tuple(row) for row in table.tolist())


def _shown(sample: Sample) -> dict[str, Any]:
    """A sample in figures: spikes of each population, and the traces as they are drawn."""
    return {
        "number": sample.number,
        "steps": sample.steps,
        "of_steps": sample.of_steps,
        "spikes": [
            {
                "population": s.name,
                "role": s.role,
                "latency": s.latency,
                "chip": int(np.sum(s.chip)),
                "trained": None if s.trained is None else float(np.sum(s.trained)),
            }
            for s in sample.spikes
        ],
        "traces": [
            {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in vars(trace).items()
            }
            for trace in sample.traces
        ],
    }
