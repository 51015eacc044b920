"""The tables of a page, and the figures at its top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nirbridge.check import Drift
from nirbridge.check.findings import LOST
from nirbridge.energy import MARGIN, Energy
from nirbridge.report.units import amount, counted, percent, points, quantity, seconds, span

if TYPE_CHECKING:
    from nirbridge.report.evidence import Sample
    from nirbridge.report.story import Confusion, Story
    from nirbridge.targets.fit import Use

SILENT = "neurons never fire on the chip"


@dataclass(frozen=True)
class Table:
    """A table: its caption, its columns, its rows. Columns from ``numbers`` on hold numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    numbers: int = 1


@dataclass(frozen=True)
class Tile:
    """One figure at the top of the page."""

    name: str
    value: str
    note: str


def tiles(story: Story) -> Iterator[Tile]:
    """What most readers want to know first."""
    d, drift, energy = story.deployment, story.drift, story.energy
    if drift.accuracy is not None and not story.random:
        note = f"{percent(drift.trained_accuracy)} {story.as_trained}"
        yield Tile("accuracy on the chip", percent(drift.accuracy), note)
    note = "random spikes" if story.random else f"of {counted(drift.samples, 'sample')}"
    yield Tile("decided alike", percent(drift.agreement), note)
    hidden = f"of {story.chip.hidden.value:,}" if story.chip else ""
    yield Tile("hidden neurons", f"{d.config.n_hidden:,}", hidden)
    if energy is not None and energy.power.dynamic_energy is not None:
        value = span(energy.power.dynamic_energy, "J")
        yield Tile("dynamic energy", value, "per inference, estimated")
    if energy is not None:
        own = energy.default_clock
        note = "for real time" if own is None else f"the chip has {quantity(own, 'Hz')}"
        yield Tile("clock needed", quantity(energy.clock, "Hz"), note)
    late = max((p.latency for p in d.placement.outputs), default=0)
    yield Tile("latency", counted(late, "step"), f"of {seconds(d.config.dt)} each")


def rungs(drift: Drift) -> Table:
    """The ladder of models."""
    labelled = drift.accuracy is not None
    columns = (
        "each line adds", *(["accuracy"] if labelled else []), "agrees", "net cost", "turned",
        "hidden spikes", "output error",
    )  # fmt: skip
    rows = tuple(
        (
            rung.adds,
            *([percent(rung.accuracy)] if labelled else []),
            percent(rung.agreement),
            "" if rung is drift.rungs[0] else points(rung.loss),
            "" if rung is drift.rungs[0] else f"{rung.turned:,}",
            f"{rung.spikes:,}",
            f"{rung.output_l1:.2f}",
        )
        for rung in drift.rungs
    )
    caption = "One change at a time; turned: decided otherwise here and on all lines below"
    return Table(caption, columns, rows)


def shades(found: Confusion) -> list[list[float]]:
    """How dark each cell of a confusion is: its share of its row, 0..1."""
    table = np.array(found.table, float)
    total = table.sum(axis=1, keepdims=True)
    shares: list[list[float]] = (table / np.where(total == 0, 1, total)).tolist()
    return shares


def populations(story: Story) -> Table:
    """Spikes of the hidden populations, chip against the trained network."""
    rows = tuple(
        (
            row.population,
            f"{row.spikes:,}",
            f"{row.reference_spikes:,}",
            f"{row.count_ratio:.2f}",
            f"{row.rate_cosine:.4f}",
            "never" if row.first_step is None else row.first_step,
        )
        for row in story.drift.rungs[-1].populations
    )
    columns = (
        "population",
        "spikes",
        story.as_trained,
        "ratio",
        "rate cosine",
        "differs from step",
    )
    return Table(f"Hidden spikes on {counted(story.drift.samples, 'sample')}", columns, rows)


def heading(story: Story, sample: Sample) -> str:
    """Which sample is shown, and what became of it."""
    labels, k = story.drift.labels, sample.number
    trained, chip = (story.answers[story.drift.rungs[i].choices[k]] for i in (0, -1))
    if trained == chip:
        said = f"chip and {story.reference} both decide {chip}"
    else:
        said = f"the chip decides {chip}, {story.reference} {trained}"
    label = "" if labels is None else f"; its label is {story.answers[labels[k]]}"
    first = "The first that is decided otherwise, sample" if trained != chip and k else "Sample"
    return f"{first} {k}: {said}{label}"


def journal(story: Story) -> Table:
    """What each pass and the quantiser did."""
    rows = tuple(
        (note.stage, note.node, note.what, amount(note.size, note.unit))
        for note in story.deployment.journal
    )
    columns = ("stage", "node", "what was done", "size")
    return Table("Every step of the conversion; a size is an approximation", columns, rows, 3)


def use(found: Mapping[str, Use], chip: str) -> Table:
    """How much of the chip is taken."""
    rows = tuple(
        (u.unit, f"{u.used or 0:,}", f"{u.limit:,}", percent(u.share) if u.limit else "-")
        for u in found.values()
    )
    caption = f"How much of {chip} is taken"
    return Table(caption, ("resource", "used", "of", "share"), rows)


def cycles(found: Energy) -> Table:
    """Clock cycles of a step, part by part."""
    columns = (found.activity.mean, found.activity.busiest, found.worst)
    parts = ("input", "recurrent", "output", "hidden", "readout", "total")
    rows = tuple((p, *(f"{getattr(each, p):,.0f}" for each in columns)) for p in parts)
    if found.activity.mean.second_synapse is not None:
        beside = tuple(f"{each.second_synapse or 0:,.0f}" for each in columns)
        rows = (*rows, ("beside them: second synapse", *beside))
    return Table("Clock cycles per step", ("part", "mean", "busiest", "all spike"), rows)


def activity(found: Energy) -> Table:
    """What was measured in the simulation, and the clock that it needs."""
    rates = found.rates if len(found.rates) else np.zeros(1)
    clock = "not known" if found.default_clock is None else quantity(found.default_clock, "Hz")
    rows = (
        ("synaptic operations per step", f"{found.activity.operations:,.1f}"),
        ("synaptic operations per second", f"{found.operations_per_second:,.0f}"),
        ("spikes per hidden neuron and second", f"{rates.mean():,.1f}"),
        ("the same, of the busiest neuron", f"{rates.max():,.1f}"),
        ("hidden neurons that are silent in a step", percent(found.activity.sparsity)),
        (f"slowest clock for this input, {MARGIN:.0%} to spare", quantity(found.clock, "Hz")),
        ("the same if all spiked at once", quantity(found.worst_clock, "Hz")),
        ("the chip's own clock", clock),
    )
    return Table("Activity and clock", ("measured on the input", "value"), rows)


def power(found: Energy) -> Table:
    """The estimate."""
    p = found.power
    rows = (
        ("idle power", span(p.idle, "W")),
        ("dynamic power", span(p.dynamic, "W")),
        ("active power", span(p.active, "W")),
        ("energy per clock cycle", span(p.per_cycle, "J")),
        ("dynamic energy per inference", span(p.dynamic_energy, "J")),
        ("energy per inference", span(p.energy, "J")),
    )
    columns = ("estimated from published figures", "lowest to highest")
    return Table("Power and energy", columns, rows)


def sources(found: Energy) -> Table:
    """Where the estimate comes from."""
    rows = tuple(
        (
            figure.quantity,
            f"{figure.value:.3g} {figure.unit}",
            figure.condition,
            f"derived from {figure.source}" if figure.derived else figure.source,
        )
        for figure in found.power.figures
    )
    return Table("Published figures", ("figure", "value", "condition", "source"), rows, 99)


def placement(story: Story) -> Table:
    """Who sits where."""
    d = story.deployment
    rows = []
    for name, part in (("hidden", d.placement.hidden), ("output", d.placement.outputs)):
        for k, p in enumerate(part):
            what = "relay" if p.relay else "read by the membrane" if p.readout else name
            number = k + 1 if name == "hidden" else ""
            ids = f"{p.first} to {p.first + p.size - 1}"
            rows.append((number, p.name, what, ids, p.size, p.latency))
    columns = ("", "population", "as", "neurons", "size", "latency in steps")
    return Table("Where each population sits", columns, tuple(rows), 3)


def weights(story: Story) -> Table:
    """What rounding did to each matrix."""
    rows = tuple(
        (
            row.node,
            row.matrix,
            f"{row.shape[0]} → {row.shape[1]}",
            f"{row.entries:,}",
            f"{row.lost:,}",
            percent(row.rms),
            percent(row.largest),
        )
        for row in story.weights
    )
    columns = ("node", "matrix", "shape", "weights", "became 0", "RMS error", "largest error")
    caption = "Rounding of the weights; errors over the root mean square of the weights"
    return Table(caption, columns, rows, 2)


def findings(story: Story) -> Table:
    """What the check found, and what the chip cannot hold."""
    rows: list[tuple[Any, ...]] = [
        (each.node, each.what, each.count, "" if each.what == LOST else ", ".join(each.names))
        for each in story.drift.findings
    ]
    places = {p.name: p for p in story.deployment.placement.populations}
    rows += [(name, SILENT, places[name].size, "all") for name in story.drift.silent]
    if story.drift.clipped_inputs:
        what = "input spikes beyond 15 per channel and step were cut"
        rows.append(("input", what, story.drift.clipped_inputs, ""))
    columns = ("node", "finding", "how many", "for example")
    return Table("What to look at", columns, tuple(rows), 99)


def lost_weights(story: Story) -> Table:
    """Places in their matrices of weights that became 0."""
    rows = tuple(
        (each.node, f"{', '.join(each.names)}{' …' if each.count > len(each.names) else ''}")
        for each in story.drift.findings
        if each.what == LOST
    )
    return Table("Weights that became 0: [to, from]", ("node", "for example"), rows, 99)


def diagnostics(story: Story) -> Table:
    """Rules that the configuration breaks."""
    rows = tuple(
        (each.code, each.node, each.rule, each.limit, each.found, each.remedy)
        for each in story.violations
    )
    columns = ("code", "node", "rule", "limit", "found", "remedy")
    return Table("Broken rules", columns, rows, 99)


def files(story: Story) -> Table:
    """What was read, by the conversion and by the report."""
    known = dict.fromkeys((*story.deployment.origin.files, *story.provenance.files))
    rows = tuple((each.name, f"{each.size:,}", each.sha256) for each in known)
    return Table("Files that were read", ("file", "bytes", "SHA-256"), rows, 99)
