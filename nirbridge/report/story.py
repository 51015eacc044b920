"""Everything that a report tells, gathered before a word or a line of it is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check import TOLERANCE, Drift
from nirbridge.check.metrics import UNDECIDED
from nirbridge.diagnostics import Diagnostic, refuse
from nirbridge.energy import Energy, utilisation
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.read import repairs
from nirbridge.graph.shapes import infer
from nirbridge.progress import Track
from nirbridge.rasters import check_raster
from nirbridge.report import verdict
from nirbridge.report.evidence import Sample, record
from nirbridge.report.facts import nodes
from nirbridge.report.provenance import Provenance, provenance
from nirbridge.report.rounding import WeightRow, weight_rows
from nirbridge.targets import TARGETS, ChipSpec
from nirbridge.targets.fit import Use

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

SCHEMA, SCHEMA_VERSION = "nirbridge/report", 1
RANDOM, TRAINED, NONE = "random spikes", "the trained network", "none"


@dataclass(frozen=True)
class Confusion:
    """How often each answer was given (columns) for each label (rows), by one model.

    ``names``: of the answers, the same for rows and columns.
    """

    title: str
    rows: str
    names: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Story:
    """What a report shows.

    ``source``: what the input was; ``random`` if it was made up, for want of any. ``tolerance``:
    share of decisions that may differ. ``samples``: those shown step by step. ``energy``: what the
    input costs on the chip; None for random spikes, and for a chip of which nothing is known.
    """

    title: str
    deployment: Deployment
    drift: Drift
    source: str
    random: bool
    tolerance: float
    samples: tuple[Sample, ...]
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
    def state(self) -> str:
        """``good``, ``bad`` or ``open``; see :func:`nirbridge.report.verdict.state`."""
        return verdict.state(self)

    @property
    def verdict(self) -> str:
        """All in a sentence, and what to know beside it."""
        return " ".join([verdict.sentence(self), *verdict.caveats(self)])

    @property
    def badge(self) -> str:
        """The state in a word or two."""
        return verdict.badge(self)

    @property
    def imported(self) -> bool:
        """Whether the integers came from elsewhere, without the network that was trained."""
        return self.deployment.method.startswith("imported")

    @property
    def reference(self) -> str:
        """What the chip is compared with."""
        return "the same integers without the chip's limits" if self.imported else TRAINED

    @property
    def as_trained(self) -> str:
        """What is compared with, as a title of columns."""
        return "without limits" if self.imported else "as trained"

    @property
    def slowness(self) -> float:
        """How many times the chip's own clock is too slow for real time on this input."""
        clock = None if self.energy is None else self.energy.default_clock
        return 0.0 if self.energy is None or not clock else self.energy.clock / clock

    @property
    def heads(self) -> tuple[str, ...]:
        """The Outputs, in the order in which their neurons stand side by side."""
        return tuple(sorted(p.end for p in self.deployment.placement.outputs))

    @property
    def answers(self) -> tuple[str, ...]:
        """What to call each answer, and at the end that there is none."""
        ends = sorted(self.deployment.placement.outputs, key=lambda p: p.end)
        named = [(p.end, k) for p in ends for k in range(p.size)]
        alone = len(ends) == 1
        return (*(str(k) if alone else f"{end}[{k}]" for end, k in named), NONE)

    @property
    def confusions(self) -> tuple[Confusion, ...]:
        """With labels, of the trained network and the chip; else the chip against the network."""
        trained, chip = (self.drift.rungs[k].choices for k in (0, -1))
        labels = self.drift.labels
        if labels is None:
            title = f"Answers of the chip, by those {self.as_trained}"
            return (self._confusion(title, self.as_trained, trained, chip),)
        return (
            self._confusion(f"Answers {self.as_trained}, by label", "label", labels, trained),
            self._confusion("Answers of the chip, by label", "label", labels, chip),
        )

    def _confusion(self, title: str, rows: str, given: Any, answered: Any) -> Confusion:
        """Without the row and column of no answer where there always is one."""
        names = self.answers
        if UNDECIDED not in (*given, *answered):
            names = names[:-1]
        return Confusion(title, rows, names, tally(given, answered, len(names)))

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
            "verdict": {
                "state": self.state,
                "badge": self.badge,
                "sentence": verdict.sentence(self),
                "caveats": list(verdict.caveats(self)),
                "tolerance": self.tolerance,
            },
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
            "answers": list(self.answers[:-1]),
            "differing_samples": list(self.drift.differing),
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
            "origin": d.origin.to_dict(),
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
    ideal: int = 1,
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
    ideal
        How many of the first samples the check runs in continuous time as well.
    made_by
        Files and command, for those who want to make the report again.
    track
        Wraps pieces of work, to show progress.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, which must have a step, NB804 for the labels, NB806 for a
        tolerance that is no share.

    """
    if not 0 <= tolerance <= 1:
        limit = "a share of samples, 0 to 1"
        raise refuse("NB806", node="tolerance", limit=limit, found=repr(tolerance)[:60])
    random = raster is None
    if raster is None:
        from nirbridge.calibrate import random_spikes

        raster = random_spikes(deployment.n_in, deployment.dynamics.spikes_per_step == 1)
    counts = check_raster(raster, deployment.n_in)
    counts = counts if counts.ndim == 3 else counts[None]
    if not counts.size:
        limit, found = "at least one step of one sample", f"shape {counts.shape}"
        raise refuse("NB801", node="raster", limit=limit, found=found)
    if drift is None:
        drift = deployment.check(counts, labels, ideal, track)
    known = deployment.config.target in TARGETS
    return Story(
        title=title or "network",
        deployment=deployment,
        drift=drift,
        source=RANDOM if random else source or "a raster",
        random=random,
        tolerance=tolerance,
        samples=tuple(record(deployment, counts[k], k) for k in _worth_showing(drift)),
        energy=None if random or not known else deployment.energy(counts),
        violations=tuple(deployment.config.violations() if known else ()),
        provenance=provenance() if made_by is None else made_by,
    )


def _worth_showing(drift: Drift) -> list[int]:
    """The first sample, and the first that the chip decides otherwise."""
    return sorted({0, *drift.differing[:1]})


def tally(rows: Any, columns: Any, classes: int) -> tuple[tuple[int, ...], ...]:
    """How often each pair comes, as a square table; −1 for no answer is the last of them."""
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
