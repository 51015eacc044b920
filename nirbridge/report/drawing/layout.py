"""Views → places: layers from top to bottom, few crossings, boxes above what they feed.

The usual way of layered drawings (Sugiyama, Tagawa, Toda 1981): turn loops round, give every box
a layer, lead long wires through the layers between, order each layer by its neighbours' middle,
then place by least squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nirbridge.report.drawing.boxes import Box, View, Wire

LINE, PAD, TITLE = 15.0, 10.0, 18.0  # heights of a line, of the space around, of a name
NARROW, WIDE = 84.0, 236.0  # of a box
GAP_X, GAP_Y = 26.0, 40.0
LANE = 14.0  # width that a wire takes in a layer that it only passes
LOOP = 26.0  # beside a box that feeds itself
MARGIN = 8.0
BOLD = 14.5  # points of a plain font as wide as the bold one of 13 in which names are written
SWEEPS = 24

Point = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """A box at its place: left, top, width, height; ``inner`` is placed relative to it."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    inner: Layout | None = None


@dataclass(frozen=True)
class Route:
    """A wire through its points, from box to box. ``back``: it closes a loop."""

    wire: Wire
    points: tuple[Point, ...]
    back: bool


@dataclass(frozen=True)
class Layout:
    """Boxes and wires with their places, and the size of the whole."""

    boxes: dict[str, Placed]
    routes: tuple[Route, ...]
    width: float
    height: float


def text_width(text: str, points: float) -> float:
    """Width of a text in a plain sans-serif font, at its widest usual one (DejaVu Sans)."""
    narrow, broad = "iljtfr.,:;|!'()[]· ", "mwMW@%→"
    ems = (
        0.38 if c in narrow
        else 1.0 if c in broad or ord(c) >= 0x2E80
        else 0.72 if c.isupper()
        else 0.64
        for c in text
    )  # fmt: skip
    return points * sum(ems)


def place(view: View) -> Layout:
    """Give every box and wire of a view its place."""
    inner = {key: place(box.inner) for key, box in view.boxes.items() if box.inner}
    sizes = {key: _size(box, inner.get(key)) for key, box in view.boxes.items()}
    back = _back(view)
    rank = ranks(view)
    layers, chains = _layers(view, rank, back)
    _order(layers, chains)
    width = {key: size[0] + 2 * LOOP * bool(view.boxes[key].loops) for key, size in sizes.items()}
    middle = _middles(layers, chains, width)
    tops, height = _tops(layers, sizes)
    boxes = {
        key: Placed(
            box, middle[key] - sizes[key][0] / 2, tops[rank[key]], *sizes[key], inner.get(key)
        )
        for key, box in view.boxes.items()
    }
    routes = _routes(view, chains, boxes, middle, tops, layers, sizes, back)
    right = max((middle[k] + width.get(k, LANE) / 2 for k in middle), default=0.0)
    right = max([right, *(_label_end(r) for r in routes)])
    return Layout(boxes, routes, right + MARGIN, height + MARGIN)


def _size(box: Box, inner: Layout | None) -> tuple[float, float]:
    """Width and height that the texts, and what is inside, need."""
    texts = [text_width(box.name, BOLD), *(text_width(line, 11) for line in box.text)]
    texts.append(text_width(box.mark, 10))
    width = min(WIDE, max(NARROW, *texts) + 2 * PAD)
    height = TITLE + LINE * (len(box.text) + bool(box.mark)) + 2 * PAD - 4
    if inner is None:
        return width, height
    return max(width, inner.width + PAD), height + inner.height + PAD


def _back(view: View) -> set[tuple[str, str]]:
    """Wires that close a loop, seen in a walk that starts at the Inputs."""
    targets: dict[str, list[str]] = {key: [] for key in view.boxes}
    fed: set[str] = set()
    for wire in view.wires:
        targets[wire.source].append(wire.target)
        fed.add(wire.target)
    starts = sorted(view.boxes, key=lambda k: (k in fed, view.boxes[k].role != "end"))
    found: set[tuple[str, str]] = set()
    done: set[str] = set()
    for start in starts:
        path: list[tuple[str, int]] = [(start, 0)] if start not in done else []
        on_path = {start}
        while path:
            key, k = path.pop()
            if k == len(targets[key]):
                done.add(key)
                on_path.discard(key)
                continue
            path.append((key, k + 1))
            after = targets[key][k]
            if after in on_path:
                found.add((key, after))
            elif after not in done:
                path.append((after, 0))
                on_path.add(after)
    return found


def ranks(view: View) -> dict[str, int]:
    """Layer of each box: the longest way to it, loops turned round."""
    back = _back(view)
    edges = [_forward(w, back) for w in view.wires if w.source != w.target]
    rank = dict.fromkeys(view.boxes, 0)
    waiting = {**dict.fromkeys(rank, 0), **Counter(b for _, b in edges)}
    free = [key for key, n in waiting.items() if n == 0]
    after: dict[str, list[str]] = {key: [] for key in rank}
    for a, b in edges:
        after[a].append(b)
    while free:
        key = free.pop()
        for b in after[key]:
            rank[b] = max(rank[b], rank[key] + 1)
            waiting[b] -= 1
            if waiting[b] == 0:
                free.append(b)
    return rank


def _forward(wire: Wire, back: set[tuple[str, str]]) -> tuple[str, str]:
    ends = (wire.source, wire.target)
    return (ends[1], ends[0]) if ends in back else ends


Chains = dict[Wire, list[str]]


def _layers(
    view: View, rank: dict[str, int], back: set[tuple[str, str]]
) -> tuple[list[list[str]], Chains]:
    """Boxes of each layer with lanes for wires that pass it, and each wire from lane to lane."""
    layers: list[list[str]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for key, depth in rank.items():
        layers[depth].append(key)
    chains: Chains = {}
    for number, wire in enumerate(view.wires):
        top, bottom = _forward(wire, back)
        if top == bottom:
            continue
        lanes = []
        for depth in range(rank[top] + 1, rank[bottom]):
            lanes.append(f"\0{number}.{depth}")  # no name of a box
            layers[depth].append(lanes[-1])
        chains[wire] = [top, *lanes, bottom]
    return layers, chains


def _neighbours(chains: Chains) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            above.setdefault(b, []).append(a)
            below.setdefault(a, []).append(b)
    return above, below


def _order(layers: list[list[str]], chains: Chains) -> None:
    """Sort each layer by the mean place of its neighbours, down and up, and keep the best."""
    above, below = _neighbours(chains)
    best = [list(layer) for layer in layers]
    fewest = _crossings(layers, below)
    for sweep in range(SWEEPS):
        near, walk = (above, layers) if sweep % 2 == 0 else (below, layers[::-1])
        place_of = {key: i for layer in layers for i, key in enumerate(layer)}
        for layer in walk:
            wanted = {
                k: sum(place_of[n] for n in near[k]) / len(near[k]) if k in near else place_of[k]
                for k in layer
            }
            layer.sort(key=lambda k: wanted[k])
            place_of |= {key: i for i, key in enumerate(layer)}
        found = _crossings(layers, below)
        if found < fewest:
            fewest, best = found, [list(layer) for layer in layers]
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order


def _crossings(layers: list[list[str]], below: dict[str, list[str]]) -> int:
    place_of = {key: i for layer in layers for i, key in enumerate(layer)}
    total = 0
    for layer in layers:
        ends = [(i, place_of[b]) for i, key in enumerate(layer) for b in below.get(key, [])]
        total += sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i]
        )
    return total


def _middles(layers: list[list[str]], chains: Chains, width: dict[str, float]) -> dict[str, float]:
    """Middle of each box and lane: near its neighbours', without overlap, from MARGIN on."""
    above, below = _neighbours(chains)
    middle: dict[str, float] = {}
    for layer in layers:
        middle |= dict(zip(layer, _spaced([0.0] * len(layer), layer, width), strict=True))
    for sweep in range(SWEEPS):
        both = sweep >= SWEEPS - 4
        walk = layers if sweep % 2 == 0 else layers[::-1]
        for layer in walk:
            wanted = []
            for key in layer:
                near = above.get(key, []) if sweep % 2 == 0 else below.get(key, [])
                if both or not near:
                    near = above.get(key, []) + below.get(key, [])
                wanted.append(sum(middle[n] for n in near) / len(near) if near else middle[key])
            middle |= dict(zip(layer, _spaced(wanted, layer, width), strict=True))
    for layer in layers[1:]:  # straight lines where a box has one neighbour, and is its only one
        wanted = [
            middle[above[k][0]] if _alone(k, above) and _alone(above[k][0], below) else middle[k]
            for k in layer
        ]
        middle |= dict(zip(layer, _spaced(wanted, layer, width), strict=True))
    left = min((m - width.get(k, LANE) / 2 for k, m in middle.items()), default=0.0)
    return {key: m - left + MARGIN for key, m in middle.items()}


def _alone(key: str, near: dict[str, list[str]]) -> bool:
    return len(near.get(key, [])) == 1


def _spaced(wanted: Sequence[float], layer: list[str], width: dict[str, float]) -> list[float]:
    """Places nearest to the wanted ones (least squares) that keep order and distance.

    With the distances taken off this is isotonic regression, by pooling adjacent violators.
    """
    offsets = [0.0]
    for a, b in pairwise(layer):
        gap = GAP_X if a in width or b in width else GAP_X / 2
        offsets.append(offsets[-1] + (width.get(a, LANE) + width.get(b, LANE)) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for w, offset in zip(wanted, offsets, strict=False):
        pools.append((w - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, n), (other, m) = pools[-2:]
            pools[-2:] = [((mean * n + other * m) / (n + m), n + m)]
    flat = [mean for mean, n in pools for _ in range(n)]
    return [x + offset for x, offset in zip(flat, offsets, strict=False)]


def _tops(
    layers: list[list[str]], sizes: dict[str, tuple[float, float]]
) -> tuple[list[float], float]:
    """Top of each layer, and the bottom of the last."""
    tops, y = [], MARGIN
    for layer in layers:
        tops.append(y)
        y += max((sizes[k][1] for k in layer if k in sizes), default=0.0) + GAP_Y
    return tops, y - GAP_Y


def _routes(
    view: View,
    chains: Chains,
    boxes: dict[str, Placed],
    middle: dict[str, float],
    tops: list[float],
    layers: list[list[str]],
    sizes: dict[str, tuple[float, float]],
    back: set[tuple[str, str]],
) -> tuple[Route, ...]:
    """Points of each wire: from a port at the bottom of a box, along its lanes, to one at a top."""
    depth = {key: i for i, layer in enumerate(layers) for key in layer}
    leaving = _ports(((c[0], w, middle[c[1]]) for w, c in chains.items()), boxes)
    entering = _ports(((c[-1], w, middle[c[-2]]) for w, c in chains.items()), boxes)
    routes = []
    for wire in view.wires:
        if wire not in chains:
            continue
        chain = chains[wire]
        start, end = boxes[chain[0]], boxes[chain[-1]]
        points = [(leaving[wire], start.y + start.height)]
        floor = tops[depth[chain[0]]] + _tallest(layers[depth[chain[0]]], sizes)
        if floor > points[0][1]:  # past taller boxes of the same layer
            points.append((leaving[wire], floor))
        for lane in chain[1:-1]:
            top = tops[depth[lane]]
            points += [
                (middle[lane], top),
                (middle[lane], top + _tallest(layers[depth[lane]], sizes)),
            ]
        points.append((entering[wire], end.y))
        turned = (wire.source, wire.target) in back
        routes.append(Route(wire, tuple(reversed(points) if turned else points), turned))
    return tuple(routes)


def _tallest(layer: list[str], sizes: dict[str, tuple[float, float]]) -> float:
    return max((sizes[k][1] for k in layer if k in sizes), default=0.0)


def _ports(ends: Iterable[tuple[str, Wire, float]], boxes: dict[str, Placed]) -> dict[Wire, float]:
    """Where along a side of its box each wire is tied, in the order of where it leads."""
    by_box: dict[str, list[tuple[float, int, Wire]]] = {}
    for number, (key, wire, towards) in enumerate(ends):
        by_box.setdefault(key, []).append((towards, number, wire))
    found = {}
    for key, wires in by_box.items():
        box, n = boxes[key], len(wires)
        step = min(22.0, (box.width - 24) / max(1, n - 1))
        first = box.x + box.width / 2 - step * (n - 1) / 2
        for i, (_, _, wire) in enumerate(sorted(wires)):
            found[wire] = first + i * step
    return found


def _label_end(route: Route) -> float:
    """How far to the right a wire and its label reach."""
    label = route.wire.label or " · ".join(route.wire.via)
    return max(x for x, _ in route.points) + text_width(label, 10.5) + 10
