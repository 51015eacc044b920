"""The cosines of a bench as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.files import check_new, check_suffix, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.bench.compare import Bench

SUFFIXES = (".png", ".svg", ".pdf")


def check_picture(path: Path, force: bool) -> None:
    """Whether :func:`write` will be able to write there; best asked before simulating.

    Raises
    ------
    Refused
        NB806 for another suffix than .png, .svg, .pdf; NB805 if the file exists; NB807 if there is
        no such directory.

    """
    check_suffix(path, SUFFIXES)
    check_new(path, force)


def write(found: Bench, path: Path, force: bool) -> None:
    """Write the heat map, whole or not at all; raises as :func:`check_picture`."""
    check_picture(path, force)
    figure = heat_map(found)
    with replacing(path, force) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format=path.suffix[1:], dpi=150)


def heat_map(found: Bench) -> Figure:
    """The matrix of cosines, the value in each cell; what did not run is named below it."""
    from matplotlib.figure import Figure

    names = found.ran
    values = np.array([[found.cosines[a].get(b, np.nan) for b in names] for a in names])
    values = values.reshape(len(names), len(names))
    side = 2.2 + 0.62 * max(3, len(names))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.add_subplot()
    low = _low_end(values)
    image = axes.imshow(values, cmap="viridis", vmin=low, vmax=1.0)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for (row, column), value in np.ndenumerate(values):
        light = (value - low) / (1 - low) < 0.6
        axes.text(column, row, number(value), ha="center", va="center", fontsize=8,
                  color="white" if light else "black")  # fmt: skip
    axes.set_title("Cosine of mean output rates", loc="left", fontsize=12, pad=22)
    axes.text(0, 1.02, _subtitle(found), transform=axes.transAxes, fontsize=8.5, color="0.35")
    missing = [name for name in found.simulators if name not in names]
    if missing:
        figure.supxlabel("did not run: " + ", ".join(missing), fontsize=8.5, color="0.35")
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.outline.set_visible(False)
    return figure


def number(value: float) -> str:
    """A cosine with four decimals; nearly equal is 0.9999, only equal is 1."""
    if np.isnan(value):
        return "–"
    if value == 1:
        return "1"
    return f"{min(value, 0.9999):.4f}"


def _low_end(values: np.ndarray) -> float:
    """Where the colours begin: a tenth below the smallest, for differences to be seen."""
    least = float(np.nanmin(values, initial=1.0))
    return float(np.floor(min(least, 0.9) * 10) / 10)


def _subtitle(found: Bench) -> str:
    samples = sum(len(each.counts) for each in found.inputs)
    steps = sorted({each.counts.shape[1] for each in found.inputs})
    names = ", ".join(each.name for each in found.inputs[:3])
    more = f" and {len(found.inputs) - 3} more" if len(found.inputs) > 3 else ""
    return f"{names}{more}: {samples} sample(s) of {' or '.join(map(str, steps[:3]))} steps"
