"""What ``nirbridge energy`` prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nirbridge.energy import MARGIN, Energy
from nirbridge.report import tables
from nirbridge.report.units import counted, quantity, seconds


def energy(found: Energy) -> RenderableType:
    """Cycles and clock, use of the chip, activity, and power with its sources."""
    activity = found.activity
    size = f"{counted(activity.samples, 'sample')} of {counted(activity.steps, 'step')}"
    what = f"{size} of {seconds(found.dt)}"
    return Group(
        Text(f"{found.chip}: {what}", style="bold"),
        _table(tables.cycles(found)),
        _clock(found),
        _table(tables.use(found.use, found.chip)),
        _table(tables.activity(found)),
        *_power(found),
    )


def _table(shown: tables.Table) -> Table:
    """A table of the page, for a terminal."""
    table = Table(
        title=shown.caption, title_justify="left", box=SIMPLE_HEAD, pad_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for k, column in enumerate(shown.columns):
        table.add_column(column, justify="right" if k >= shown.numbers else "left")
    for row in shown.rows:
        table.add_row(*map(str, row), style="bold" if row[0] == "total" else "")
    return table


def _clock(found: Energy) -> Text:
    text = Text(
        f"slowest clock that keeps real time, with {MARGIN:.0%} to spare: "
        f"{quantity(found.clock, 'Hz')} for this input, "
        f"{quantity(found.worst_clock, 'Hz')} if all spiked at once"
    )
    if found.default_clock is None:
        return text.append("; the chip's own clock is not known")
    text.append(f"; the chip has {quantity(found.default_clock, 'Hz')} by default: ")
    if found.worst_clock <= found.default_clock:
        return text.append("always enough")
    if found.clock <= found.default_clock:
        return text.append("enough for this input, not for the worst one", style="yellow")
    return text.append("NOT ENOUGH", style="red")


def _power(found: Energy) -> list[RenderableType]:
    power = found.power
    heading = (
        f"Power, estimated from published figures; an inference every "
        f"{found.steps_per_inference:.4g} steps, {power.rate:.4g} per second"
    )
    parts: list[RenderableType] = [Text(""), Text(heading, style="bold")]
    if power.active is not None:
        parts.append(_table(tables.power(found)))
    parts += [Text(f"assumed: {line}", style="yellow") for line in power.assumptions]
    return [*parts, _figures(found)] if power.figures else parts


def _figures(found: Energy) -> Table:
    table = _table(tables.sources(found))
    table.columns[1].justify, table.columns[1].no_wrap = "right", True
    return table
