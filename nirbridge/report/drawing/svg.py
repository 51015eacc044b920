"""Placed boxes and wires → SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import nir

from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.shapes import infer
from nirbridge.report.drawing.boxes import Known, View, view
from nirbridge.report.drawing.fold import LIMIT, folded
from nirbridge.report.drawing.labels import Rect, Text, Way, placed_labels, way
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
    head: str
    tip: str


@dataclass(frozen=True)
class Arrow:
    """A wire as the template draws it."""

    path: str
    head: str
    back: bool
    tip: str


def draw(
    graph: nir.NIRGraph,
    *,
    marks: Mapping[str, str] | None = None,
    dt: float | None = None,
    how: Dynamics | None = None,
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
    how
        Stepping under which time constants are written as they act
        (:func:`nirbridge.report.acting.acting`), by default as they stand in the graph.
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
        recorded = Dynamics.of(graph)
        dt = None if recorded is None else recorded.dt
    shapes, _ = infer(inline(graph))
    whole = view(graph, Known(shapes, marks or {}, dt, how))
    shown = folded(whole, limit, populations)
    return render(
        "drawing/graph.svg.j2",
        **_picture(place(shown), sorted(_roles(shown)), _left_out(whole, shown)),
        title=title or "NIR graph",
        description=describe(shown),
        standalone=standalone,
    )


def _left_out(whole: View, shown: View) -> str:
    """How much is folded, if anything."""
    return f"{whole.nodes} nodes in {shown.count} boxes" if shown.count < whole.count else ""


def describe(shown: View) -> str:
    """The drawing in words: each box and what it feeds."""
    said = []
    for key, box in shown.boxes.items():
        fed = [short(shown.boxes[w.target].name) for w in shown.wires if w.source == key]
        to = f" to {', '.join(fed)}" if fed else ""
        said.append(f"{short(box.name)} ({', '.join(box.text)}){to}")
    return "; ".join(said)


def _roles(shown: View) -> set[str]:
    inner = [box.inner for box in shown.boxes.values() if box.inner]
    return {b.role for b in shown.boxes.values()}.union(*(_roles(each) for each in inner))


def _picture(layout: Layout, roles: list[str], note: str) -> dict[str, object]:
    """What the template fills in."""
    width = max(layout.width, SMALL)
    shift = (width - layout.width) / 2
    shapes, ways = list(_shapes(layout, shift, 0)), list(_ways(layout, shift, 0))
    labels = placed_labels(ways, _taken(layout, shift, 0), width)
    loops = any(w.back for w in ways) or any(s.loop for s in shapes)
    keys, y = _legend(roles, loops, width, layout.height + 10)
    if note:
        y += LINE
    return {
        "width": width,
        "height": y + MARGIN,
        "shapes": shapes,
        "arrows": [_arrow(each) for each in ways],
        "labels": labels,
        "keys": keys,
        "note": Text(MARGIN, y, note, "small") if note else None,
    }


def _shapes(layout: Layout, dx: float, dy: float) -> Iterator[Shape]:
    """All boxes, outer ones first."""
    for placed in layout.boxes.values():
        x, y = placed.x + dx, placed.y + dy
        box = placed.box
        radius = ROUND.get(box.role, placed.height / 2)
        side = (x + placed.width, y + placed.height / 2)
        loop, head = _loop(*side) if box.loops else ("", "")
        tip = "\n".join([box.name, *box.text])
        if box.loops:
            tip += "\nalso feeds itself"
        texts = _texts(placed, x, y)
        size = (placed.width, placed.height)
        yield Shape(x, y, *size, radius, box.role, texts, loop, head, tip)
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
    rows += [(box.name, "name"), *((line, "line") for line in box.text)]
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


def _loop(x: float, y: float) -> tuple[str, str]:
    """An arrow from the side of a box back to it: line and head."""
    line = f"M{x:.1f} {y - 9:.1f}c{LOOP} -10 {LOOP} 28 6 18"
    return line, f"M{x + 1:.1f} {y + 9:.1f}l7 -4v8z"


def _taken(layout: Layout, dx: float, dy: float) -> Iterator[Rect]:
    """Where no words of wires may stand: boxes with their loops, and of open ones the heading."""
    for placed in layout.boxes.values():
        x, y = placed.x + dx, placed.y + dy
        right, bottom = x + placed.width, y + placed.height
        if placed.box.loops:
            yield right, y, right + LOOP, bottom
        if placed.inner is None:
            yield x, y, right, bottom
        else:
            left, top = _inner_place(placed, x, y)
            yield x, y, right, top + MARGIN
            yield from ((a, y, a + 2, bottom) for a in (x - 1, right - 1))
            yield x, bottom - 2, right, bottom
            yield from _taken(placed.inner, left, top)


def _ways(layout: Layout, dx: float, dy: float) -> Iterator[Way]:
    """All wires with their places in the whole drawing."""
    names = {key: short(placed.box.name) for key, placed in layout.boxes.items()}
    for route in layout.routes:
        wire = route.wire
        tip = f"{names[wire.source]} → {names[wire.target]}"
        if wire.via or wire.label:
            tip += f": {' · '.join(wire.via) or wire.label}"
        yield way(route, dx, dy, (id(layout), wire.source), tip)
    for placed in layout.boxes.values():
        if placed.inner:
            yield from _ways(placed.inner, *_inner_place(placed, placed.x + dx, placed.y + dy))


def _arrow(found: Way) -> Arrow:
    """The path and its head."""
    (x, y), sign = found.points[-1], found.down
    return Arrow(found.path, f"M{x:.1f} {y:.1f}l-4 {-7 * sign}h8z", found.back, found.tip)


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
