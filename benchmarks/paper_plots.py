"""What the plots of the NIR paper's tasks share: colours for all eyes, sizes, the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Okabe and Ito's palette, which stays apart for all kinds of colour vision; black is the reference.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
REFERENCE = "black"
MAP = "cividis"


def figure(rows: int = 1, columns: int = 1, *, width: float = 8, height: float = 4.5) -> Any:
    """A Matplotlib figure and its axes; drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn, drawn.subplots(rows, columns, squeeze=False)


def save(drawn: Any, folder: Path, name: str) -> Path:
    """Write a figure as PNG and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name}.png"
    drawn.savefig(place, dpi=120)
    return place


def matrix(axes: Any, values: Any, labels: list[str], columns: list[str], title: str) -> None:
    """A table of cosines as colours, each with its number."""
    lowest = np.floor(values.min() * 20) / 20
    shown = axes.imshow(values, cmap=MAP, vmin=lowest, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    dark = (lowest + 1) / 2
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            colour = "white" if value < dark else "black"
            axes.text(j, i, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.figure.colorbar(shown, ax=axes, label="cosine")
