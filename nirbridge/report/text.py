"""What the commands print: Rich tables and trees of facts that other modules found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import nir
import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from nirbridge.check import Drift
from nirbridge.check.drift import NOT_ASKED
from nirbridge.check.ideal import Ideal
from nirbridge.deploy import Comparison
from nirbridge.deployment import Deployment
from nirbridge.graph.nodes import kind, parameters
from nirbridge.graph.shapes import Shape
from nirbridge.journal import Note
from nirbridge.report import tables
from nirbridge.report.facts import Inspection, stepping
from nirbridge.report.units import amount, counted, listed, seconds, spread
from nirbridge.targets import FORMATS, TARGETS, ChipSpec, Limit
from nirbridge.targets.fit import Demand, Use
from nirbridge.targets.power import clock
from nirbridge.usage import Usage


def graph_tree(
    graph: nir.NIRGraph, shapes: dict[str, tuple[Shape, Shape]], title: str, path: str = ""
) -> Tree:
    """The graph as a tree: nodes with shapes and parameters, nested graphs as branches."""
    tree = Tree(Text(title, style="bold"))
    for name, node in graph.nodes.items():
        targets = ", ".join(b for a, b in graph.edges if a == name)
        arrow = f" → {targets}" if targets else ""
        if isinstance(node, nir.NIRGraph):
            tree.add(graph_tree(node, shapes, f"{name} (NIRGraph){arrow}", f"{path}{name}."))
            continue
        inner, outer = shapes.get(path + name, ((), ()))
        shape = f"{inner}" if inner == outer else f"{inner} → {outer}"
        line = Text.assemble(
            (name, "bold cyan"), " ", (kind(node), "green"), f" {shape}", (arrow, "dim")
        )
        branch = tree.add(line)
        facts = _facts(node)
        if facts:
            branch.add(Text(facts, style="dim"))
    return tree


def _facts(node: nir.NIRNode) -> str:
    parts = []
    for name, value in parameters(node).items():
        if name in ("input_shape",) or isinstance(value, str):
            continue
        unit = seconds if name.startswith("tau") or name == "delay" else (lambda x: f"{x:.4g}")
        if np.size(value):
            parts.append(f"{name} {spread(value, unit)}")
    return ", ".join(parts)


def dynamics_line(found: Inspection) -> RenderableType:
    """How the source steps time, as far as it is known."""
    how = found.dynamics
    if how is not None:
        return Text(stepping(how))
    if not found.candidates:
        return Text("time step: not recorded, and not implied; say --dt SECONDS", style="yellow")
    lines = [Text(f"  {c}") for c in found.candidates]
    return Group(Text("time step: not recorded; candidates:", style="yellow"), *lines)


def inspection(found: Inspection, title: str) -> RenderableType:
    """Everything that ``nirbridge inspect`` shows."""
    return Group(
        graph_tree(found.graph, found.shapes, title),
        *(Text(f"repaired: {line}", style="yellow") for line in found.repairs),
        dynamics_line(found),
        fit_table(found.demand, TARGETS.values()),
    )


def fit_table(need: Demand, chips: Iterable[ChipSpec]) -> Table:
    """Channels and neurons against what each chip holds."""
    table = Table("target", "inputs", "hidden", "outputs", "counts fit", title="What fits")
    for chip in chips:
        cells = []
        for name, parts in (
            ("inputs", need.inputs),
            ("hidden", need.hidden),
            ("outputs", need.outputs),
        ):
            wanted, limit = sum(parts.values()), chip.limits()[name].value
            style = "red" if wanted > limit else ""
            cells.append(Text(f"{wanted} / {limit}", style=style))
        ok = not need.over(chip)
        table.add_row(chip.name, *cells, "yes" if ok else Text("no", style="red"))
    return table


def journal(notes: Iterable[Note]) -> RenderableType:
    """The journal, stage by stage: what the graph was and became, then node by node."""
    table = Table("node", "what", "size", box=None, pad_edge=False, show_header=False)
    stage = ""
    for note in notes:
        if note.stage != stage:
            stage = note.stage
            table.add_row(Text(stage, style="bold green"), "", "")
        size = amount(note.size, note.unit)
        table.add_row(Text(f"  {note.node}", style="cyan"), note.what, size)
    return table


def deployment(result: Deployment, place: str) -> RenderableType:
    """A short account of a conversion."""
    config = result.config
    pairs = int((config.weights_rec != 0).any(axis=2).sum())
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("target", config.target)
    table.add_row("neurons", f"{config.n_in} in, {config.n_hidden} hidden, {config.n_out} out")
    table.add_row("recurrent entries", str(pairs))
    table.add_row("time step", seconds(config.dt))
    table.add_row("method", result.method)
    late = max((p.latency for p in result.placement.outputs), default=0)
    table.add_row("latency", f"{counted(late, 'step')} later than the source")
    table.add_row("written to", place)
    return table


def comparison(result: Comparison) -> RenderableType:
    """What a device computed beside the simulation."""
    table = Table(title=f"{result.chip}: {_size(result)}")
    for column in ("read from the device", "values", "differ", "first difference"):
        table.add_column(column, justify="right" if column in ("values", "differ") else "left")
    for row in result.rows:
        x = row.first
        where = (
            "none"
            if x is None
            else f"sample {x.sample}, step {x.step}, neuron {x.neuron}: "
            f"{x.device} instead of {x.simulation}"
        )
        table.add_row(row.name, f"{row.values:,}", f"{row.differing:,}", where)
    verdict = "as in the simulation" if result.same else "NOT as in the simulation"
    lines: list[RenderableType] = [table, f"the device computes {verdict}"]
    return Group(*lines, *_clipped(result.clipped_inputs))


def _size(result: Comparison | Drift) -> str:
    return f"{counted(result.samples, 'sample')} of {counted(result.steps, 'step')}"


def _clipped(count: int) -> list[RenderableType]:
    text = f"{count} input spikes above 15 per channel and step were cut"
    return [Text(text, style="yellow")] if count else []


def drift(result: Drift) -> RenderableType:
    """The check: the error budget, population by population, what to turn, findings."""
    ladder, leading = tables.rungs(result), result.leading
    top = Table(title=f"Error budget: {_size(result)}")
    for k, column in enumerate(ladder.columns):
        top.add_column(column, justify="right" if k else "left")
    for cells, rung in zip(ladder.rows, result.rungs, strict=True):
        top.add_row(*cells, style="bold" if rung in leading else "")
    table = Table(title="Hidden populations: chip against the network as trained")
    for column in ("population", "spikes", "as trained", "ratio", "rate cosine", "first step"):
        table.add_column(column, justify="left" if column == "population" else "right")
    for row in result.rungs[-1].populations:
        table.add_row(
            row.population,
            f"{row.spikes:,}",
            f"{row.reference_spikes:,}",
            f"{row.count_ratio:.2f}",
            f"{row.rate_cosine:.4f}",
            "never differs" if row.first_step is None else str(row.first_step),
        )
    lines: list[RenderableType] = [top, table]
    if result.ideal is not None:
        lines.insert(0, _ideal(result.ideal))
    elif result.no_ideal != NOT_ASKED:
        lines.insert(0, Text(f"Not compared with continuous time: {result.no_ideal}"))
    lines += [Text(str(finding), style="yellow") for finding in result.findings]
    lines += _clipped(result.clipped_inputs)
    if result.silent:
        lines.append(Text(f"never fires on the chip: {listed(result.silent)}", style="yellow"))
    if result.undecided:
        share = f"{result.undecided:,} of {counted(result.samples, 'sample')}"
        lines.append(Text(f"undecided, all outputs alike, on both sides: {share}", style="yellow"))
    for rung in leading:
        what = f"{rung.turned} of {len(result.differing)} that differ turned for good with"
        knob = f". To shrink it: {rung.knob}" if rung.knob else ""
        lines.append(Text(f"{what}: {rung.adds}{knob}"))
    return Group(*lines)


def judged(result: Drift, tolerance: float) -> str:
    """Whether chip and trained network agree, as far as that can be said."""
    where = "BEYOND" if result.state(tolerance) == "bad" else "within"
    said = [
        f"{1 - result.agreement:.1%} of the decisions differ: {where} the tolerance of "
        f"{tolerance:.1%}"
    ]
    if result.undecided_mostly:
        said.append("which says nothing, as most samples are undecided")
    if result.tuned:
        said.append("on the very input that the integers were chosen on, which tests nothing")
    return ", ".join(said)


def _ideal(found: Ideal) -> RenderableType:
    """One line: what stepping itself changes."""
    rows = "; ".join(
        f"{d.population} {d.count_ratio:.2f} times the spikes, rate cosine {d.rate_cosine:.3f}"
        for d in found.populations
    )
    samples = counted(found.samples, "sample")
    return Text(
        f"Stepping itself, against NIR's continuous time on {samples}: {rows}; "
        f"{found.agreement:.0%} of the decisions agree"
    )


_TELLING = ("hidden", "aliases")  # details that are worth a line even where all is well


def usage(found: Sequence[Usage], title: str) -> RenderableType:
    """What a network takes up on each chip, used / limit, and why it does not fit."""
    table = Table("resource", *(each.chip.name for each in found), title=title)
    for name in dict.fromkeys(name for each in found for name in each.uses):
        table.add_row(name, *(_use(each.uses.get(name)) for each in found))
    table.add_section()
    table.add_row("fits", *("yes" if u.fits else Text("no", style="red") for u in found))
    lines: list[RenderableType] = [table]
    for each in found:
        told = {n: use.detail for n, use in each.uses.items() if n in _TELLING or not use.fits}
        notes = "; ".join(f"{name}: {detail}" for name, detail in told.items() if detail)
        if notes:
            lines.append(Text(f"{each.chip.name}: {notes}", style="dim"))
        lines += [Text(f"{each.chip.name}: {d}", style="red") for d in each.reasons]
    return Group(*lines)


def _use(use: Use | None) -> Text:
    if use is None or use.used is None:
        return Text("-" if use is None else f"? / {use.limit}")
    return Text(f"{use.used} / {use.limit}", style="" if use.fits else "red")


def targets(chips: Iterable[ChipSpec]) -> Table:
    """All limits of all chips, then the formats that they share, with what sources say."""
    table = Table("target", "limit", "value", "standing")
    table.add_column("source")
    for chip in chips:
        head = f"{chip.name}\n{chip.part}, {chip.arithmetic}"
        _limits(table, head, chip.limits() | clock(chip))
    _limits(table, "all of them", FORMATS)
    return table


def _limits(table: Table, head: str, limits: Mapping[str, Limit]) -> None:
    for i, (name, limit) in enumerate(limits.items()):
        source = Text(limit.source)
        if limit.note:
            source.append(f"\nnote: {limit.note}", style="yellow")
        table.add_row(head if i == 0 else "", name, str(limit), limit.standing, source)
    table.add_section()
