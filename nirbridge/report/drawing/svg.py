"""Placed boxes and wires → SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.shapes import infer
from nirbridge.report.drawing.boxes import View, view
from nirbridge.report.drawing.fold import LIMIT, folded
from nirbridge.report.drawing.layout import (
    BOLD,
    LINE,
    LOOP,
    MARGIN,
    PAD,
    TITLE,
    WIDE,
    Layout,
    Placed,
    Route,
    place,
    text_width,
)
from nirbridge.report.templates import render
from nirbridge.report.units import short

LEGEND = {
    "end": "input, output",
    "map": "weights and maps",
    "neuron": "neurons that spike",
    "filter": "state without spikes",
    "group": "several nodes",
}
ROUND = {"neuron": 13.0, "filter": 13.0, "map": 2.0, "group": 6.0}
SWATCH, GAP = 16.0, 14.0
LONGEST = 60  # characters of a name that are tried to fit
SMALL = 320.0  # least width of a drawing, for its legend


@dataclass(frozen=True)
class Text:
    """A line of text: its middle, its baseline, its class in the style sheet."""

    x: float
    y: float
    words: str
    style: str
    full: str = ""


@dataclass(frozen=True)
class Shape:
    """A box as the template draws it."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    role: str
    texts: tuple[Text, ...]
    loop: str
    tip: str


@dataclass(frozen=True)
class Arrow:
    """A wire as the template draws it."""

    path: str
    head: str
    back: bool
    label: Text | None


def draw(
    graph: nir.NIRGraph,
    *,
    marks: Mapping[str, str] | None = None,
    dt: float | None = None,
    limit: int = LIMIT,
    populations: bool = False,
    title: str = "",
    standalone: bool = True,
) -> str:
    """Draw a graph from top to bottom, with the shapes of signals and the time constants.

    Parameters
    ----------
    graph
        A graph that was read or verified, nested or not; it is not changed.
    marks
        A word on some nodes, by dotted name.
    dt
        Time step in seconds, by default the one that the graph records: time constants much
        shorter are written as no memory.
    limit
        Boxes beyond which the graph is folded.
    populations
        Whether synapses and parallel maps are folded into one box anyway.
    title
        What the drawing shows, for those who cannot see it.
    standalone
        Whether the style sheet is included, as a file of its own needs it.

    Returns
    -------
    str
        SVG; names in it are escaped.

    """
    if dt is None:
        how = Dynamics.of(graph)
        dt = None if how is None else how.dt
    shapes, _ = infer(inline(graph))
    whole = view(graph, shapes, marks, dt)
    shown = folded(whole, limit, populations)
    layout = place(shown)
    note = ""
    if shown.count < whole.count:
        note = f"{whole.nodes} nodes in {shown.count} boxes"
    return render(
        "drawing/graph.svg.j2",
        **_picture(layout, sorted(_roles(shown)), note),
        title=title or "NIR graph",
        description=describe(shown),
        standalone=standalone,
    )


def describe(shown: View) -> str:
    """The drawing in words: each box and what it feeds."""
    said = []
    for key, box in shown.boxes.items():
        fed = [short(shown.boxes[w.target].name) for w in shown.wires if w.source == key]
        to = f" to {', '.join(fed)}" if fed else ""
        said.append(f"{short(box.name)} ({', '.join(box.lines)}){to}")
    return "; ".join(said)


def _roles(shown: View) -> set[str]:
    inner = [box.inner for box in shown.boxes.values() if box.inner]
    return {b.role for b in shown.boxes.values()}.union(*(_roles(each) for each in inner))


def _picture(layout: Layout, roles: list[str], note: str) -> dict[str, object]:
    """What the template fills in."""
    width = max(layout.width, SMALL)
    shift = (width - layout.width) / 2
    shapes, arrows = list(_shapes(layout, shift, 0)), list(_arrows(layout, shift, 0))
    loops = any(a.back for a in arrows) or any(s.loop for s in shapes)
    keys, y = _legend(roles, loops, width, layout.height + 10)
    if note:
        y += LINE
    return {
        "width": width,
        "height": y + MARGIN,
        "shapes": shapes,
        "arrows": arrows,
        "keys": keys,
        "note": Text(MARGIN, y, note, "small") if note else None,
    }


def _shapes(layout: Layout, dx: float, dy: float) -> Iterator[Shape]:
    """All boxes, outer ones first."""
    for placed in layout.boxes:
        x, y = placed.x + dx, placed.y + dy
        box = placed.box
        radius = ROUND.get(box.role, placed.height / 2)
        loop = _loop(x + placed.width, y + placed.height / 2) if box.loops else ""
        tip = "\n".join([box.name, *box.lines])
        if box.loops:
            tip += "\neach neuron also feeds itself"
        yield Shape(
            x, y, placed.width, placed.height, radius, box.role, _texts(placed, x, y), loop, tip
        )
        if placed.inner:
            yield from _shapes(placed.inner, *_inner_place(placed, x, y))


def _inner_place(placed: Placed, x: float, y: float) -> tuple[float, float]:
    assert placed.inner is not None
    left = x + (placed.width - placed.inner.width) / 2
    return left, y + placed.height - placed.inner.height - PAD / 2


def _texts(placed: Placed, x: float, y: float) -> tuple[Text, ...]:
    """Mark, name and lines, from top to bottom, cut to the width of the box."""
    box, middle = placed.box, x + placed.width / 2
    rows = [(box.mark, "mark")] if box.mark else []
    rows += [(box.name, "name"), *((line, "line") for line in box.lines)]
    texts, baseline = [], y + PAD - 3
    for words, style in rows:
        baseline += TITLE if style == "name" else LINE
        points = {"name": BOLD, "mark": 10.0}.get(style, 11.0)
        room = max(placed.width, WIDE) if placed.inner else placed.width
        texts.append(Text(middle, baseline - 2, _cut(words, points, room - PAD), style, words))
    return tuple(texts)


def _cut(words: str, points: float, room: float) -> str:
    """A text as it is, or its beginning and end, so that it is no wider than there is room."""
    most = min(len(words), LONGEST)
    while most > 4 and text_width(short(words, most), points) > room:
        most -= 1
    return short(words, most)


def _loop(x: float, y: float) -> str:
    """An arrow from the side of a box back to it."""
    return f"M{x:.1f} {y - 9:.1f}c{LOOP} -10 {LOOP} 28 3 18"


def _arrows(layout: Layout, dx: float, dy: float) -> Iterator[Arrow]:
    leaving = Counter(r.wire.source for r in layout.routes if not r.back)
    arriving = Counter(r.wire.target for r in layout.routes)
    returning = {r.wire.source for r in layout.routes if r.back}
    labelled: set[str] = set()
    for route in layout.routes:
        source, words = route.wire.source, short(" · ".join(route.wire.via), 28)
        at = "middle" if words else "start"
        crowded = leaving[source] > 1 and route.wire.target in returning
        if not words and not route.back and not crowded:
            if leaving[source] > 1 and arriving[route.wire.target] == 1:
                at = "end"
            if at == "end" or source not in labelled:  # else another wire shows the same shape
                words = route.wire.label
                labelled.add(source)
        yield _arrow(route, dx, dy, words, at)
    for placed in layout.boxes:
        if placed.inner:
            yield from _arrows(placed.inner, *_inner_place(placed, placed.x + dx, placed.y + dy))


def _arrow(route: Route, dx: float, dy: float, words: str, at: str) -> Arrow:
    """The path, its head, and what is written at one of its ends or beside its longest part."""
    points = [(x + dx, y + dy) for x, y in route.points]
    sign = 1 if points[-1][1] > points[0][1] else -1
    x, y = points[-1]
    points[-1] = (x, y - 6 * sign)
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.05:
            path += f"V{y1:.1f}"
        else:
            bend = (y0 + y1) / 2
            path += f"C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}"
    head = f"M{x:.1f} {y:.1f}l-4 {-7 * sign}h8z"
    style = "wire"
    if at == "middle":
        (x0, y0), (x1, y1) = max(pairwise(points), key=lambda p: abs(p[1][1] - p[0][1]))
        spot = ((x0 + x1) / 2 + 5, (y0 + y1) / 2 + 3)
    else:
        spot, bend = (
            ((points[0][0], points[0][1] + 13), points[1][0])
            if at == "start"
            else ((x, y - 8), points[-2][0])
        )
        left = bend > spot[0] + 1  # else the wire would run through it
        spot = (spot[0] + (-5 if left else 5), spot[1])
        style = "wire nirb-left" if left else "wire"
    return Arrow(path, head, route.back, Text(*spot, words, style, words) if words else None)


def _legend(
    roles: list[str], loops: bool, width: float, y: float
) -> tuple[list[tuple[str, float, float, str]], float]:
    """Role, place and words of each key; and how far down they reach."""
    words = [(role, LEGEND[role]) for role in LEGEND if role in roles]
    if loops:
        words.append(("back", "closes a loop: one step later"))
    keys, x = [], MARGIN
    for role, text in words:
        wide = SWATCH + 6 + text_width(text, 10.5)
        if x + wide > width - MARGIN and x > MARGIN:
            x, y = MARGIN, y + LINE + 3
        keys.append((role, x, y, text))
        x += wide + GAP
    return keys, y + LINE
