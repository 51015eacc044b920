"""Where things sit on the chip: hidden neurons, and the matrices between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.report.figures.style import HUES, INK, LINE, SOFT, WIDTH, over, styled
from nirbridge.report.units import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nirbridge.mapping.config import XyloConfig
    from nirbridge.mapping.place import Placement

PIXELS = 400  # of a matrix that is drawn, along each side
FEWEST = 0.045  # share of an axis that a label needs
DIGITS = 50  # that fit side by side on the map
POSITIVE, NEGATIVE = (209, 105, 14), (11, 111, 184)  # orange, blue


def neuron_map(placement: Placement, limit: int, takes: int = 0, drives: int = 0) -> Figure:
    """The chip's hidden neurons in rows, by id; those in use in the hue of their population.

    ``takes``: only so many, from the first, can take input; ``drives``: only so many, up to the
    last in use, can drive outputs; both 0 if all can. They are framed.
    """
    from nirbridge.report.figures.shown import Figure

    limit = max(limit, placement.n_hidden, 1)
    columns = map_columns(limit)
    rows = -(-limit // columns)
    with styled():
        figure = Figure(figsize=(WIDTH, 0.55 + 4.1 * rows / columns), layout="constrained")
        axes = figure.add_subplot()
        _cells(axes, np.arange(placement.n_hidden, limit), columns, LINE)
        for k, p in enumerate(placement.hidden):
            hue = HUES[k % len(HUES)]
            _cells(axes, np.arange(p.first, p.first + p.size), columns, hue)
            spot = number_spot(p.first, p.size, columns, k + 1)
            if spot is not None:
                axes.text(*spot, str(k + 1), ha="center", va="center_baseline", color=over(hue),
                          fontsize=10 if p.size > 3 * columns else 8, fontweight="bold",
                          bbox={"fc": hue, "ec": "none", "pad": 0.8})  # fmt: skip
        last = placement.n_hidden
        if takes:
            axes.plot(*_frame(0, takes, columns).T, color=INK, lw=1.3, clip_on=False)
        if drives:
            frame = _frame(max(0, last - drives), last, columns)
            axes.plot(*frame.T, color=INK, lw=1.3, ls=(0, (2, 1.5)), clip_on=False)
        _map_axes(axes, rows, columns)
    return figure


def map_columns(limit: int) -> int:
    """Neurons in a row of the map."""
    return int(np.clip(10 * round(np.sqrt(2.5 * limit) / 10), 10, 50))


def _cells(axes: Axes, ids: NDArray[Any], columns: int, colour: str) -> None:
    """A square for each neuron, all as one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if len(ids):
        x, y = (ids % columns) + 0.07, (ids // columns) + 0.07
        corners = np.stack([x, y, x + 0.86, y, x + 0.86, y + 0.86, x, y + 0.86], axis=1)
        four = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO]
        path = Path(corners.reshape(-1, 2), np.tile(four, len(ids)))
        axes.add_patch(PathPatch(path, fc=colour, ec="none"))


def number_spot(first: int, size: int, columns: int, number: int) -> tuple[float, float] | None:
    """Where on the map a population's number stands: in the row of which it has most.

    None where it has too few neurons side by side for the digits.
    """
    ids = np.arange(first, first + size)
    if not size:
        return None
    rows, counts = np.unique(ids // columns, return_counts=True)
    wide = rows[counts == counts.max()]
    row = int(wide[len(wide) // 2])
    own = ids[ids // columns == row] % columns
    if len(own) < len(str(number)) * columns / DIGITS:
        return None
    return float(own[0] + own[-1] + 1) / 2, row + 0.5


def _map_axes(axes: Axes, rows: int, columns: int) -> None:
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    step = max(1, rows // 5)
    ids = range(0, rows, step)
    axes.set_yticks(np.arange(0, rows, step) + 0.5, [str(row * columns) for row in ids])
    axes.set_xticks(np.arange(0, columns, 10) + 0.5, [f"+{c}" for c in range(0, columns, 10)])
    axes.tick_params(length=0)
    axes.set_ylabel("hidden neuron")


def _frame(first: int, end: int, columns: int) -> NDArray[Any]:
    """Corners (n, 2) of the line round the cells ``first`` to ``end`` of a map in rows."""
    top, bottom = first // columns, -(-end // columns)
    left, right = first % columns, end % columns or columns
    if bottom - top == 1:  # in one row
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    else:
        corners = [
            (left, top), (columns, top), (columns, bottom - 1), (right, bottom - 1),
            (right, bottom), (0, bottom), (0, top + 1), (left, top + 1), (left, top),
        ]  # fmt: skip
    return np.array(corners, float)


def matrix(config: XyloConfig, placement: Placement) -> Figure:
    """All weights: rows are what sends (inputs, hidden), columns what receives."""
    from nirbridge.report.figures.shown import Figure

    n_in, n_hidden, n_out = config.n_in, config.n_hidden, config.n_out
    whole = np.zeros((n_in + n_hidden, n_hidden + n_out), np.int16)
    whole[:n_in, :n_hidden] = _stronger(config.weights_in)
    whole[n_in:, :n_hidden] = _stronger(config.weights_rec)
    whole[n_in:, n_hidden:] = config.weights_out
    rows = [("input", 0, n_in)]
    rows += [(p.name, n_in + p.first, p.size) for p in placement.hidden]
    columns = [(p.name, p.first, p.size) for p in placement.hidden]
    columns += [(p.name, n_hidden + p.first, p.size) for p in placement.outputs]
    tall, wide = whole.shape
    with styled():
        height = float(np.clip(3.6 * tall / max(wide, 1), 1.6, 4.6))
        figure = Figure(figsize=(WIDTH, height + 1.5), layout="constrained")
        axes, scale = figure.subplots(2, 1, height_ratios=[height, 0.13])
        axes.imshow(_coloured(whole), extent=(0, wide, tall, 0), aspect="auto")
        for part, across in ((rows, False), (columns, True)):
            _bounds(axes, part, across)
        axes.axhline(n_in, color=SOFT, lw=1)
        axes.axvline(n_hidden, color=SOFT, lw=1)
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(LINE)
        axes.set_xlabel("to")
        axes.set_ylabel("from")
        axes.xaxis.set_label_position("top")
        _scale(scale, two_synapses(config) > 0)
    return figure


def two_synapses(config: XyloConfig) -> int:
    """Connections that have a weight on both synapses of a neuron; the drawing shows one."""
    return sum(int((w != 0).all(axis=2).sum()) for w in (config.weights_in, config.weights_rec))


def _scale(axes: Axes, two: bool) -> None:
    """What ink which weight has."""
    axes.imshow(_coloured(np.arange(-128, 128)[None]), extent=(-128, 128, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.set_xticks([-127, -64, -16, 0, 16, 64, 127])
    axes.tick_params(length=2, labelsize=8)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(LINE)
    axes.set_xlabel("weight" + (" (of two synapses the stronger)" if two else ""))


def _stronger(weights: NDArray[Any]) -> NDArray[Any]:
    """Of both synapses the weight that is larger (a, b, 2) → (a, b)."""
    first, second = weights[..., 0].astype(np.int16), weights[..., 1].astype(np.int16)
    return np.where(np.abs(second) > np.abs(first), second, first)


def block_size(shape: tuple[int, ...]) -> int:
    """Weights along a side that share one dot."""
    return max(1, -(-max(shape) // PIXELS))


def _coloured(weights: NDArray[Any]) -> NDArray[np.uint8]:
    """Blue below zero, orange above, the more the stronger, nothing at 0: RGBA."""
    n = block_size(weights.shape)
    if n > 1:
        tall, wide = (-(-s // n) * n for s in weights.shape)
        padded = np.zeros((tall, wide), weights.dtype)
        padded[: weights.shape[0], : weights.shape[1]] = weights
        blocks = (
            padded.reshape(tall // n, n, wide // n, n).swapaxes(1, 2).reshape(tall // n, -1, n * n)
        )
        strongest = np.abs(blocks).argmax(axis=2)
        weights = np.take_along_axis(blocks, strongest[..., None], axis=2)[..., 0]
    image = np.zeros((*weights.shape, 4), np.uint8)
    image[weights > 0, :3] = POSITIVE
    image[weights < 0, :3] = NEGATIVE
    strength = np.sqrt(np.abs(weights) / 127.0)
    image[..., 3] = np.where(weights == 0, 0, 50 + 205 * np.minimum(strength, 1)).astype(np.uint8)
    return image


def _bounds(axes: Axes, parts: list[tuple[str, int, int]], across: bool) -> None:
    """A line between populations, and their names; small ones that are neighbours share a label."""
    total = sum(size for _, _, size in parts) or 1
    least = total * FEWEST * (1.6 if across else 1)
    labels: list[tuple[list[str], float, float]] = []
    for k, (name, first, size) in enumerate(parts):
        if k:
            (axes.axvline if across else axes.axhline)(first, color=LINE, lw=0.7)
        names, start = [name], float(first)
        if labels and size < least and labels[-1][2] - labels[-1][1] < least:
            old, start, _ = labels.pop()
            names = [*old, name]
        labels.append((names, start, first + size))
    middles, words, last = [], [], -np.inf
    for names, start, end in labels:
        middle = (start + end) / 2
        if middle - last >= least:
            middles.append(middle)
            words.append(_shared(names))
            last = middle
    if across:
        axes.set_xticks(middles, words, rotation=40, ha="right", rotation_mode="anchor")
    else:
        axes.set_yticks(middles, words)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)


def _shared(names: list[str]) -> str:
    """One name, or the first and how many more."""
    more = len(names) - 1
    return f"{short(names[0], 10)} and {more} more" if more else short(names[0], 12)
