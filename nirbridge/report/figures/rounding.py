"""Weights and time constants before and after rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.mapping.lift import chip_factor
from nirbridge.report.figures.spikes import time_scale
from nirbridge.report.figures.style import CHIP, LINE, SOFT, TRAINED, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.report.rounding import Decay, WeightGroup

BINS = 61
ALIKE = 0.02  # time constants that differ by less than 2 % share a mark
MARKERS = {"membrane": "o", "synapse": "s", "second synapse": "^"}
SHIFTS = np.arange(1, 16)


def weights(groups: Sequence[WeightGroup]) -> Figure:
    """How many weights have which value, in floats and as the chip holds them."""
    from nirbridge.report.figures.shown import Figure

    with styled():
        figure = Figure(figsize=(WIDTH, 0.8 + 1.2 * len(groups)), layout="constrained")
        rows = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
        for axes, group in zip(rows, groups, strict=True):
            both = np.concatenate([group.before, group.after])
            reach = float(np.abs(both).max(initial=0)) or 1.0
            edges = np.linspace(-reach, reach, BINS + 1)
            before, after = (np.histogram(x, edges)[0] for x in (group.before, group.after))
            axes.stairs(after, edges, fill=True, color=CHIP, alpha=0.55, label="on the chip")
            axes.stairs(before, edges, color=TRAINED, lw=1.4, label="before rounding")
            most = max(1, before.max(initial=0), after.max(initial=0))
            axes.set_yscale("symlog", linthresh=1)
            ticks = [0, *(10**k for k in range(int(np.log10(most)) + 1))]
            axes.set_yticks(ticks, [f"{n:,}" for n in ticks])
            axes.yaxis.minorticks_off()
            axes.set_ylim(0, 2 * most)
            axes.set_title(f"{group.title}, {group.unit} per spike")
            axes.set_ylabel("weights")
            axes.grid(axis="y")
            axes.locator_params(axis="x", nbins=6)
        rows[-1].set_xlabel("weight")
        figure.align_ylabels()
        keys = rows[0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside upper right", ncols=2)
    return figure


def decays(found: Sequence[Decay], dt: float) -> Figure:
    """Each neuron's time constants as trained, and the ones that the chip has instead."""
    from nirbridge.report.figures.shown import Figure

    with styled():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        axes = figure.add_subplot()
        longest = max(float(np.max([d.before.max(), d.after.max()])) for d in found)
        scale, unit = time_scale(longest)
        ends = [np.inf, 0.0]
        for kind, marker in MARKERS.items():
            parts = [d for d in found if d.kind == kind]
            if not parts:
                continue
            pairs = np.concatenate([np.stack([d.before, d.after], axis=1) for d in parts]) / scale
            alike = ALIKE * np.round(np.log(pairs) / ALIKE)
            found_at, count = np.unique(alike, axis=0, return_counts=True)
            x, y = np.exp(found_at).T
            area = 14 + 120 * np.sqrt(count / max(count.sum(), 1))
            fill = {"membrane": CHIP, "synapse": TRAINED}.get(kind, "none")
            axes.scatter(x, y, s=area, marker=marker, facecolor=fill, edgecolor=SOFT,
                         linewidth=0.7, alpha=0.8, label=kind)  # fmt: skip
            ends = [min(ends[0], x.min(), y.min()), max(ends[1], x.max(), y.max())]
        low, high = ends[0] / 1.6, ends[1] * 1.6
        axes.set_xscale("log")
        axes.set_yscale("log")
        known = -dt / np.log(chip_factor(SHIFTS)) / scale
        for tau in known[(known > low) & (known < high)]:
            axes.axhline(tau, color=LINE, lw=0.8, zorder=0)
        axes.plot([low, high], [low, high], color=SOFT, lw=0.9, ls=(0, (4, 3)), zorder=0)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        plain_ticks(axes, low, high)
        axes.set_xlabel(f"time constant as trained ({unit})")
        axes.set_ylabel(f"time constant on the chip ({unit})")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.2,
                    handletextpad=0.2)  # fmt: skip
    return figure


def plain_ticks(axes: object, low: float, high: float) -> None:
    """Ticks at 1, 2, 5, written as plain numbers, on both axes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = np.outer(powers, [1, 2, 5]).ravel()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    for axis in (axes.xaxis, axes.yaxis):  # type: ignore[attr-defined]
        axis.set_major_locator(FixedLocator(ticks.tolist()))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
