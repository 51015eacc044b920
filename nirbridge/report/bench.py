"""What ``nirbridge bench`` prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nirbridge.bench.compare import Bench, Row
from nirbridge.bench.picture import number
from nirbridge.report.text import percent, seconds

GOOD, BAD = "green", "red"


def comparison(found: Bench, graph: str) -> RenderableType:
    """The table of simulators, the cosines of each pair, and what to know about both."""
    parts: list[RenderableType] = [_figures(found, graph)]
    if len(found.inputs) > 1:
        parts.append(_by_input(found))
    if len(found.ran) > 1:
        parts.append(_cosines(found))
    return Group(*parts, *_remarks(found))


def _figures(found: Bench, graph: str) -> Table:
    samples = sum(len(each.counts) for each in found.inputs)
    steps = sorted({each.counts.shape[1] for each in found.inputs})
    what = "1 input" if len(found.inputs) == 1 else f"{len(found.inputs)} inputs"
    title = f"{graph}: {what}, {samples} samples of {' or '.join(map(str, steps[:4]))} steps"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("simulator", no_wrap=True)
    labelled = any(each.labels is not None for each in found.inputs)
    heads = ["accuracy"] if labelled else []
    heads += ["spikes per\nsample" if found.spiking else "sum per\nsample", "differs\nat step"]
    heads += ["equal\nsamples", "time per\nstep", "compile,\nwarm-up", "peak\nmemory"]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in found.rows:
        cells = _cells(row, found.reference) if row.samples else _failed(row, len(heads))
        table.add_row(row.simulator, *(cells if labelled or not row.samples else cells[1:]))
    return table


def _cells(row: Row, reference: str | None) -> list[RenderableType]:
    if row.simulator == reference:
        differs, equal = "–", "–"
    else:
        differs = "never" if row.first_step is None else str(row.first_step)
        equal = percent(row.equal_samples)
    return [
        percent(row.accuracy),
        f"{row.total / row.samples:.2f}",
        Text(differs, style=GOOD if differs == "never" else ""),
        equal,
        _short(row.step_s),
        _short(row.warm_up_s) if row.warm_up_s else "–",
        f"{row.peak_bytes / 2**20:.0f} MiB",
    ]


def _short(value: float) -> str:
    return seconds(float(f"{value:.3g}"))


def _failed(row: Row, columns: int) -> list[RenderableType]:
    return [Text(row.status, style=BAD), *[""] * (columns - 1)]


def _by_input(found: Bench) -> Table:
    """Accuracy where there are labels, else spikes: how much it depends on the input."""
    labelled = any(each.labels is not None for each in found.inputs)
    what = "Accuracy" if labelled else "Spikes per sample" if found.spiking else "Sum per sample"
    table = Table(title=f"{what}, input by input")
    table.add_column("input")
    for name in found.simulators:
        table.add_column(name, justify="right")
    for each in found.inputs:
        rows = found.of(each.name).rows
        table.add_row(each.name, *(_result(row, labelled) for row in rows))
    return table


def _result(row: Row, labelled: bool) -> RenderableType:
    if not row.samples:
        return Text(row.status, style=BAD)
    return percent(row.accuracy) if labelled else f"{row.total / row.samples:.2f}"


def _cosines(found: Bench) -> Table:
    """The lower half: the matrix is symmetric."""
    table = Table(title="Cosine of mean output rates", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for k in range(1, len(found.ran)):
        table.add_column(str(k), justify="right", no_wrap=True)
    cosines = found.cosines
    for k, a in enumerate(found.ran):
        values = [number(cosines[a].get(b, float("nan"))) for b in found.ran[:k]]
        table.add_row(f"{k + 1} {a}", *values)
    return table


def _remarks(found: Bench) -> list[RenderableType]:
    lines: list[RenderableType] = []
    notes: dict[str, list[str]] = {}
    for row in found.rows:
        if row.failures:
            where = f" on {row.failures} of {len(found.inputs)}" if len(found.inputs) > 1 else ""
            lines.append(Text(f"{row.simulator}: {row.status}{where}: {row.error}", style=BAD))
        for note in row.notes:
            notes.setdefault(note, []).append(row.simulator)
    for note, names in notes.items():
        lines.append(Text(f"{', '.join(names)}: {note}", style="dim"))
    if found.reference is not None:
        lines.append(Text(f"Differences are those from: {found.reference}", style="dim"))
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    lines.append(
        Text(
            f"Time per step and sample: median of {found.repeat} runs of the whole batch after "
            f"the first, {threads}. Peak memory: the whole process, with Python and framework.",
            style="dim",
        )
    )
    return lines
