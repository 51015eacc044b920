"""Rasters and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.report.evidence import Sample, Spikes, Trace
from nirbridge.report.figures.style import BOTH, CHIP, INK, LINE, SOFT, TRAINED, WIDTH, styled
from nirbridge.report.units import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TALL = 4.9  # inches of all rasters together, as two traces beside them
ROWS, COLUMNS = 160, 400  # neurons of a population and steps that a raster shows
GROUPS = 6  # hidden populations with a raster of their own
LEFT, RIGHT, TOP, BOTTOM, SPACE = 0.92, 0.12, 0.3, 0.42, 0.09  # inches around and between rasters

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Layer:
    """Marks (columns, rows) of one colour in a raster."""

    colour: str
    marks: Mask


@dataclass(frozen=True)
class Band:
    """One population's raster: its name, its neurons, the marks of those shown by colour."""

    name: str
    size: int
    layers: tuple[Layer, ...]

    @property
    def shown(self) -> int:
        """Neurons that have a row."""
        return int(self.layers[0].marks.shape[1])


def bands(sample: Sample) -> list[Band]:
    """Input, hidden and output spikes: in both, on the chip only, as trained only.

    Nothing is pooled, for then almost every mark would be in both: of many neurons some are
    shown, of many steps the first.
    """
    hidden = [s for s in sample.spikes if s.role == "hidden"]
    others = {r: [s for s in sample.spikes if s.role == r] for r in ("input", "output")}
    if len(hidden) > GROUPS:
        hidden = [_joined(hidden)]
    return [_band(s) for s in (*others["input"], *hidden, *others["output"])]


def _joined(parts: list[Spikes]) -> Spikes:
    """Many populations as one, in the order of the chip."""
    known = [p for p in parts if p.trained is not None] or parts
    trained = None
    if known[0].trained is not None:
        trained = np.concatenate([np.asarray(p.trained) for p in known], axis=1)
    chip = np.concatenate([p.chip for p in known], axis=1)
    return Spikes("hidden", "hidden", 0, chip, trained)


def _band(s: Spikes) -> Band:
    if s.role == "input" or s.trained is None:
        return plain_band(s.name, s.chip[:COLUMNS], INK if s.role == "input" else CHIP)
    chip, trained = (chosen(np.asarray(x)[:COLUMNS] > 0) for x in (s.chip, s.trained))
    layers = (
        Layer(BOTH, chip & trained),
        Layer(TRAINED, trained & ~chip),
        Layer(CHIP, chip & ~trained),
    )
    return Band(s.name, s.chip.shape[1], layers)


def plain_band(name: str, counts: NDArray[Any], colour: str) -> Band:
    """Spike counts (T, n) in one colour."""
    return Band(name, counts.shape[1], (Layer(colour, chosen(np.asarray(counts) > 0)),))


def chosen(marks: Mask) -> Mask:
    """Marks (T, n) of at most ROWS neurons, evenly spread."""
    n = marks.shape[1]
    return marks if n <= ROWS else marks[:, np.arange(ROWS) * n // ROWS]


def raster(sample: Sample) -> Figure:
    """All spikes of a sample, the chip's over those of the trained network."""
    return stacked(bands(sample), min(sample.steps, COLUMNS), sample.dt)


def stacked(parts: list[Band], steps: int, dt: float | None) -> Figure:
    """Rasters one above the other, on one axis of time (in steps, if ``dt`` is None)."""
    from nirbridge.report.figures.shown import Figure

    rows = [float(np.clip(p.size, 10, 70)) for p in parts]
    heights = [r * min(0.055, TALL / sum(rows)) for r in rows]
    tall = TOP + BOTTOM + sum(heights) + SPACE * (len(parts) - 1)
    scale, unit = time_scale(steps * dt) if dt is not None else (1.0, "steps")
    step = 1.0 if dt is None else dt / scale
    with styled():
        figure = Figure(figsize=(WIDTH, tall))
        y = tall - TOP
        for k, (part, height) in enumerate(zip(parts, heights, strict=True)):
            y -= height
            box = (LEFT / WIDTH, y / tall, 1 - (LEFT + RIGHT) / WIDTH, height / tall)
            axes = figure.add_axes(box)
            y -= SPACE
            _draw(axes, part, step, 72 * height)
            axes.set_xlim(0, max(steps, 1) * step)
            last = k == len(parts) - 1
            axes.tick_params(bottom=last, labelbottom=last)
            axes.spines["bottom"].set_visible(last)
            if last:
                axes.set_xlabel(f"time ({unit})" if dt is not None else "time step")
        _keys(figure, parts, tall)
    return figure


def time_scale(duration: float) -> tuple[float, str]:
    """Seconds per unit, and the unit, in which a duration is a handy number."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if duration >= 2 * scale:
            return scale, unit
    return 1e-6, "µs"


def _draw(axes: Axes, part: Band, step: float, points: float) -> None:
    """Each run of marks in a row as one piece of one path per colour."""
    rows = max(1, part.shown)
    for layer in part.layers:
        starts, ends = _runs(layer.marks)
        y = starts[:, 1] + 0.5
        x = np.stack([starts[:, 0], ends], axis=1) * step
        corners = np.stack([x, np.repeat(y[:, None], 2, axis=1)], axis=2)
        _segments(axes, corners, layer.colour, max(0.5, 0.82 * points / rows))
    axes.set_ylim(rows, 0)
    axes.set_yticks([])
    axes.spines["left"].set_color(LINE)
    some = f"{part.shown} of " if part.shown < part.size else ""
    label = f"{short(part.name, 13)}\n{some}{part.size:,}"
    axes.text(-0.02, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=8)


def _segments(axes: Axes, corners: NDArray[Any], colour: str, width: float) -> None:
    """Lines (n, 2 ends, 2 coordinates) as one path, which takes a tenth of the room of many."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if len(corners):
        codes = np.tile([Path.MOVETO, Path.LINETO], len(corners))
        path = Path(corners.reshape(-1, 2), codes)
        axes.add_patch(PathPatch(path, fill=False, ec=colour, lw=width, capstyle="butt"))


def _runs(marks: Mask) -> tuple[NDArray[Any], NDArray[Any]]:
    """Runs of marks along time: start (column, row) and end (exclusive)."""
    edge = np.diff(np.pad(marks.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edge == 1)
    _, ends = np.nonzero(edge == -1)
    return np.stack([starts, rows], axis=1), ends


def _keys(figure: Figure, parts: list[Band], tall: float) -> None:
    """What the colours say, above the first raster."""
    words = {BOTH: "in both", TRAINED: "as trained only", CHIP: "on the chip only"}
    seen = {layer.colour for part in parts for layer in part.layers}
    if TRAINED not in seen:
        return
    x = LEFT / WIDTH
    for colour, text in words.items():
        figure.text(x, 1 - 0.17 / tall, "■", color=colour, fontsize=9, va="center")
        figure.text(x + 0.035, 1 - 0.17 / tall, text, fontsize=8.5, va="center")
        x += 0.05 + 0.0158 * len(text)


def trace(found: Trace, dt: float) -> Figure:
    """Membrane and current of a neuron, on the chip over the trained network."""
    from nirbridge.report.figures.shown import Figure

    steps = len(found.chip_membrane)
    scale, unit = time_scale(steps * dt)
    time = (np.arange(steps) + 1) * dt / scale
    mark = "o" if steps == 1 else ""  # no line goes through one point
    with styled():
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        pairs = (
            (upper, "membrane", found.trained_membrane, found.chip_membrane),
            (lower, "current", found.trained_current, found.chip_current),
        )
        for axes, name, before, after in pairs:
            if before is not None:
                axes.plot(time, before, color=TRAINED, lw=2.4, alpha=0.75, marker=mark,
                          label="as trained")  # fmt: skip
            axes.plot(time, after, color=CHIP, lw=1.2, marker=mark, ms=3, label="on the chip")
            axes.set_ylabel(f"{name}\n({found.unit})")
            axes.grid(axis="y")
            axes.set_xlim(0, 1.01 * time[-1])
        if found.unit == "thresholds":
            upper.axhline(1, color=SOFT, lw=0.8, ls=(0, (4, 3)))
        _spike_ticks(upper, found, time)
        lower.set_xlabel(f"time ({unit})")
        figure.align_ylabels()
        upper.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1,
                     handlelength=1.6, columnspacing=1.4)  # fmt: skip
    return figure


def _spike_ticks(axes: Axes, found: Trace, time: NDArray[Any]) -> None:
    """A row of ticks for the spikes of each, in the head room of the axes."""
    low, high = axes.get_ylim()
    room = 0.09 * (high - low)
    for row, (counts, colour) in enumerate(
        ((found.chip_spikes, CHIP), (found.trained_spikes, TRAINED))
    ):
        if counts is not None and np.any(counts):
            at = np.repeat(time[np.asarray(counts) > 0][:, None], 2, axis=1)
            ends = high + room * (0.25 + row) + np.array([0, 0.7 * room])
            _segments(axes, np.stack([at, np.broadcast_to(ends, at.shape)], axis=2), colour, 1.6)
    axes.set_ylim(low, high + 2.2 * room)
