"""What each change on the way to the chip costs."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from nirbridge.report.figures.style import COSTS, INK, MENDS, SOFT, WIDTH, styled
from nirbridge.report.units import points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.check.drift import Drift

LABEL = 0.28  # of the span of all bars: room for a number beside one
NARROW = 1.0  # percentage points that the axis spans at least


def budget(drift: Drift) -> Figure:
    """A bar for each rung of the ladder: percentage points of decisions lost, or won back."""
    from nirbridge.report.figures.shown import Figure

    rungs = drift.rungs[1:]
    losses = [100 * rung.loss for rung in rungs]
    with styled():
        figure = Figure(figsize=(WIDTH, 0.75 + 0.46 * len(rungs)), layout="constrained")
        axes = figure.add_subplot()
        colours = [COSTS if loss > 0 else MENDS for loss in losses]
        axes.barh(range(len(rungs)), losses, color=colours, height=0.58)
        low, high = min(0.0, *losses), max(0.0, *losses)
        if high - low < NARROW:
            high = low + NARROW
        room = high - low
        for y, loss in enumerate(losses):
            side = "right" if loss < 0 else "left"
            x = loss + 0.02 * room * (-1 if loss < 0 else 1)
            axes.text(x, y, points(loss / 100), ha=side, va="center", fontsize=8.5, color=INK)
        axes.axvline(0, color=SOFT, lw=0.8)
        axes.set_xlim(low - (LABEL * room if low < 0 else 0), high + LABEL * room)
        axes.set_yticks(range(len(rungs)), [fill(rung.adds, 27) for rung in rungs])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("decisions that no longer agree\n(percentage points of all samples)")
    return figure
