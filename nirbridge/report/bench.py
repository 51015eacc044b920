"""What ``nirbridge bench`` prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nirbridge.bench.compare import Bench, Row
from nirbridge.bench.picture import number
from nirbridge.report.units import counted, percent, seconds

GOOD, BAD = "green", "red"


def comparison(found: Bench, graph: str) -> RenderableType:
    """The table of simulators, the cosines of each pair, and what to know about both."""
    parts: list[RenderableType] = [_heading(_what(found, graph)), _figures(found)]
    if len(found.inputs) > 1:
        unit = "Accuracy" if _labelled(found) else f"{_unit(found).capitalize()} per sample"
        parts += [_heading(f"{unit}, input by input"), _by_input(found)]
    if len(found.ran) > 1:
        parts += [_heading("Cosine of mean output rates"), _cosines(found)]
    return Group(*parts, *_remarks(found))


def _heading(text: str) -> Text:
    """A line above a table: a table's own title is wrapped where the table is narrow."""
    return Text(text, style="bold")


def _what(found: Bench, graph: str) -> str:
    samples = sum(len(each.counts) for each in found.inputs)
    steps = sorted({each.counts.shape[1] for each in found.inputs})
    what = f"{counted(len(found.inputs), 'input')}, {counted(samples, 'sample')}"
    return f"{graph}: {what} of {' or '.join(map(str, steps[:4]))} steps"


def _labelled(found: Bench) -> bool:
    return any(each.labels is not None for each in found.inputs)


def _unit(found: Bench) -> str:
    return "spikes" if found.spiking else "sum"


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _figures(found: Bench) -> Table:
    table = _table()
    table.add_column("simulator", no_wrap=True)
    heads = ["accuracy"] if _labelled(found) else []
    heads += [f"{_unit(found)}/\nsample", "differs\nat step"]
    heads += ["equal\nsamples", "time/\nstep", "compile\nwarm-up", "peak\nmemory"]
    for head in heads:  # the first also holds what kept a simulator from running
        table.add_column(head, justify="right", no_wrap=head is not heads[0])
    for k, row in enumerate(found.rows, 1):
        cells = _cells(row, found) if row.samples else _failed(row, len(heads))
        table.add_row(f"{k} {row.simulator}", *cells)
    return table


def _cells(row: Row, found: Bench) -> list[RenderableType]:
    if row.simulator == found.reference:
        differs, equal = "–", "–"
    else:
        differs = "never" if row.first_step is None else str(row.first_step)
        equal = percent(row.equal_samples)
    accuracy = [_accuracy(row, found)] if _labelled(found) else []
    return [
        *accuracy,
        f"{row.total / row.samples:.2f}",
        Text(differs, style=GOOD if differs == "never" else ""),
        equal,
        _short(row.step_s),
        _short(row.warm_up_s) if row.warm_up_s else "–",
        f"{row.peak_bytes / 2**20:.0f} MiB",
    ]


def _accuracy(row: Row, found: Bench) -> str:
    """In percent; as a count where it is of fewer samples than that of the others."""
    fewer = row.samples < sum(len(each.counts) for each in found.inputs)
    if fewer and row.accuracy is not None and all(i.labels is not None for i in found.inputs):
        return f"{round(row.accuracy * row.samples)} of {row.samples}"
    return percent(row.accuracy)


def _short(value: float) -> str:
    return seconds(float(f"{value:.3g}"))


def _failed(row: Row, columns: int) -> list[RenderableType]:
    return [Text(row.status, style=BAD), *[""] * (columns - 1)]


def _by_input(found: Bench) -> Table:
    """Accuracy where there are labels, else spikes: how much it depends on the input."""
    table = _table()
    table.add_column("input")
    for k in range(1, len(found.simulators) + 1):
        table.add_column(str(k), justify="right")
    for each in found.inputs:
        rows = found.of(each.name).rows
        table.add_row(Text(each.name), *(_result(row, _labelled(found)) for row in rows))
    return table


def _result(row: Row, labelled: bool) -> RenderableType:
    if not row.samples:
        return Text(row.status, style=BAD)
    return percent(row.accuracy) if labelled else f"{row.total / row.samples:.2f}"


def _cosines(found: Bench) -> Table:
    """The lower half: the matrix is symmetric."""
    table, cosines, ran = _table(), found.cosines, found.ran
    numbers = {name: k for k, name in enumerate(found.simulators, 1)}
    table.add_column("", no_wrap=True)
    for name in ran[:-1]:
        table.add_column(str(numbers[name]), justify="right", no_wrap=True)
    for k, a in enumerate(ran):
        values = [number(cosines[a].get(b, float("nan"))) for b in ran[:k]]
        table.add_row(f"{numbers[a]} {a}", *values)
    return table


def _remarks(found: Bench) -> list[RenderableType]:
    lines: list[RenderableType] = []
    notes: dict[str, list[str]] = {}
    for row in found.rows:
        if row.failures:
            of = len(found.inputs)
            where = f" on {row.failures} of {of} inputs" if of > 1 else ""
            lines.append(Text(f"{row.simulator}: {row.status}{where}: {row.error}", style=BAD))
        for note in row.notes:
            notes.setdefault(note, []).append(row.simulator)
    for note, names in notes.items():
        lines.append(Text(f"{', '.join(names)}: {note}", style="dim"))
    if found.reference is not None:
        lines.append(Text(f"Differences are those from: {found.reference}", style="dim"))
    threads = counted(found.threads, "thread")
    lines.append(
        Text(
            f"Time per step and sample: median of {found.repeat} runs of the whole batch after "
            f"the first, {threads}. Peak memory: the whole process, with Python and framework.",
            style="dim",
        )
    )
    return lines
