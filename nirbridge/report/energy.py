"""What ``nirbridge energy`` prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nirbridge.energy import MARGIN, Energy, Estimate
from nirbridge.report.units import counted, quantity, seconds, span

_PARTS = ("input", "recurrent", "output", "hidden", "readout", "total")


def energy(found: Energy) -> RenderableType:
    """Cycles and clock, use of the chip, activity, and power with its sources."""
    activity = found.activity
    size = f"{counted(activity.samples, 'sample')} of {counted(activity.steps, 'step')}"
    what = f"{size} of {seconds(found.dt)}"
    return Group(
        Text(f"{found.chip}: {what}", style="bold"),
        _cycles(found),
        _clock(found),
        _use(found),
        _activity(found),
        *_power(found),
    )


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    return table


def _cycles(found: Energy) -> Table:
    table = _table("clock cycles per step", "mean", "busiest", "all spike")
    columns = (found.activity.mean, found.activity.busiest, found.worst)
    for part in _PARTS:
        cells = [f"{getattr(each, part):,.0f}" for each in columns]
        table.add_row(part, *cells, style="bold" if part == "total" else "")
    if found.activity.mean.second_synapse is not None:
        cells = [f"{each.second_synapse or 0:,.0f}" for each in columns]
        table.add_row("beside them: second synapse", *cells)
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


def _use(found: Energy) -> Table:
    table = _table("resource", "used", "of", "share", "")
    table.columns[-1].justify = "left"
    for name, use in found.use.items():
        share = f"{use.share:.1%}" if use.limit else "-"
        table.add_row(name, f"{use.used or 0:,}", f"{use.limit:,}", share, use.unit)
    return table


def _activity(found: Energy) -> Table:
    rates, activity = found.rates, found.activity
    mean, most = (float(f()) if len(rates) else 0.0 for f in (rates.mean, rates.max))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("synaptic operations", f"{activity.operations:,.1f} per step")
    table.add_row("", f"{found.operations_per_second:,.0f} per second")
    table.add_row("spikes per hidden neuron", f"{mean:.4g} per second, {most:.4g} at most")
    table.add_row("silent hidden neurons", f"{activity.sparsity:.1%} in a step")
    return table


def _power(found: Energy) -> list[RenderableType]:
    power = found.power
    heading = (
        f"Power, estimated from published figures; an inference every "
        f"{found.steps_per_inference:.4g} steps, {power.rate:.4g} per second"
    )
    parts: list[RenderableType] = [Text(""), Text(heading, style="bold")]
    if power.active is not None:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value, unit in (
            ("idle", power.idle, "W"),
            ("dynamic", power.dynamic, "W"),
            ("active", power.active, "W"),
            ("energy per cycle", power.per_cycle, "J"),
            ("dynamic energy per inference", power.dynamic_energy, "J"),
            ("energy per inference", power.energy, "J"),
        ):
            table.add_row(name, span(value, unit))
        parts.append(table)
    parts += [Text(f"assumed: {line}", style="yellow") for line in power.assumptions]
    return [*parts, _figures(power)] if power.figures else parts


def _figures(power: Estimate) -> Table:
    table = _table("figure", "value", "condition", "source")
    for k, column in enumerate(table.columns):
        column.justify, column.no_wrap = ("right", True) if k == 1 else ("left", False)
        column.overflow = "fold"
    for figure in power.figures:
        source = f"derived from {figure.source}" if figure.derived else figure.source
        value = f"{figure.value:.3g} {figure.unit}"
        table.add_row(figure.quantity, value, figure.condition, source)
    return table
