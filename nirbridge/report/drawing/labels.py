"""Words beside the wires, where nothing else is; a wire that has no room keeps its tooltip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nirbridge.report.drawing.layout import MARGIN, Point, Route, text_width
from nirbridge.report.units import short

SIZE = 10.5  # points of the words
ABOVE, BELOW = 10.0, 3.0  # a line of text around its baseline
ASIDE = 5.0  # between a wire and its words
CLEAR, STRANGE = 2.0, 5.0  # around words, and from wires that are not theirs
SAMPLE = 3.0  # between points of a wire that are looked at

Rect = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Text:
    """A line of text: its middle, its baseline, its class in the style sheet."""

    x: float
    y: float
    words: str
    style: str
    full: str = ""


@dataclass(frozen=True, eq=False)
class Way:
    """A wire in the whole drawing: points, path, and those near which its words may stand.

    ``source`` tells wires apart that show the same signal; ``down`` is 1, or -1 for one that ends
    above where it starts.
    """

    route: Route
    points: tuple[Point, ...]
    path: str
    along: NDArray[np.float64]
    down: int
    source: tuple[int, str]
    tip: str

    @property
    def back(self) -> bool:
        """Whether it closes a loop."""
        return self.route.back


def way(route: Route, dx: float, dy: float, source: tuple[int, str], tip: str) -> Way:
    """A route, moved, as a path of straight and bent pieces."""
    points = [(x + dx, y + dy) for x, y in route.points]
    down = 1 if points[-1][1] > points[0][1] else -1
    ends = [*points[:-1], (points[-1][0], points[-1][1] - 6 * down)]
    path, along = f"M{ends[0][0]:.1f} {ends[0][1]:.1f}", []
    for (x0, y0), (x1, y1) in pairwise(ends):
        t = np.linspace(0, 1, 2 + int((abs(x1 - x0) + abs(y1 - y0)) / SAMPLE))
        if abs(x0 - x1) < 0.05:
            path += f"V{y1:.1f}"
            along.append(np.stack([x0 + 0 * t, y0 + t * (y1 - y0)], axis=1))
        else:
            bend = (y0 + y1) / 2
            path += f"C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}"
            x = x0 + (x1 - x0) * t**2 * (3 - 2 * t)  # Bézier's, as the end points stand twice
            y = y0 * (1 - t) ** 3 + 3 * bend * t * (1 - t) + y1 * t**3
            along.append(np.stack([x, y], axis=1))
    return Way(route, tuple(points), path, np.concatenate(along), down, source, tip)


def placed_labels(ways: Sequence[Way], taken: Iterable[Rect], width: float) -> list[Text]:
    """The words of all wires that have room for them beside their own wire, and only theirs.

    Of the wires that leave one box only one shows the shape, for it is that of all. ``taken``:
    where something else is; ``width``: of the drawing.
    """
    if not ways:
        return []
    rects = np.array([*taken, (-1.0, -1.0, -1.0, -1.0)])
    wires = np.concatenate([each.along for each in ways])
    whose = np.repeat(np.arange(len(ways)), [len(each.along) for each in ways])
    found: list[Text] = []
    labelled: set[tuple[int, str]] = set()
    for k, each in enumerate(ways):
        via = short(" · ".join(each.route.wire.via), 28)
        words = via or each.route.wire.label
        if not words or (not via and (each.back or each.source in labelled)):
            continue
        long = text_width(words, SIZE)
        for x, y, left in _spots(each, bool(via)):
            start = x - long if left else x
            rect = (start, y - ABOVE, start + long, y + BELOW)
            if (
                start >= MARGIN / 2
                and start + long <= width - MARGIN / 2
                and _apart(rect, rects)
                and _off(rect, wires[whose == k], CLEAR)
                and _off(rect, wires[whose != k], STRANGE)
            ):
                style = "wire nirb-left" if left else "wire"
                found.append(Text(x, y, words, style, words))
                rects = np.concatenate([rects, [rect]])
                if not via:
                    labelled.add(each.source)
                break
    return found


def _spots(each: Way, middle: bool) -> Iterator[tuple[float, float, bool]]:
    """Places beside a wire, the best first: point, baseline, and whether the words end there."""
    n = len(each.along)
    half, step = n // 2, max(1, n // 10)
    near = [round(pixels / SAMPLE) for pixels in (10, 15, 20, 26, 32)]
    if middle:
        places = [half + k * step for k in (0, -1, 1, -2, 2, -3, 3)]
    else:
        places = [*near, half, *(n - k for k in near)]
        (x, y), down = each.points[0], each.down  # beside the first piece, whichever way it bends
        baseline = y + 13 if down > 0 else y - 6
        yield x + ASIDE, baseline, False
        yield x - ASIDE, baseline, True
    for place in places:
        x, y = (float(value) for value in each.along[max(0, min(n - 1, place))])
        yield x + ASIDE, y + 4, False
        yield x - ASIDE, y + 4, True


def _apart(rect: Rect, rects: NDArray[np.float64]) -> bool:
    """Whether a rectangle touches no other."""
    left, top, right, bottom = _grown(rect, CLEAR)
    apart = (rects[:, 0] >= right) | (rects[:, 2] <= left)
    apart |= (rects[:, 1] >= bottom) | (rects[:, 3] <= top)
    return bool(apart.all())


def _off(rect: Rect, points: NDArray[np.float64], room: float) -> bool:
    """Whether points stay out of a rectangle and the room around it."""
    left, top, right, bottom = _grown(rect, room)
    x, y = points.T
    return not np.any((x > left) & (x < right) & (y > top) & (y < bottom))


def _grown(rect: Rect, room: float) -> Rect:
    left, top, right, bottom = rect
    return left - room, top - room, right + room, bottom + room
