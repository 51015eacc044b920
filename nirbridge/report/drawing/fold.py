"""Views that are too large to read → smaller ones that say what they leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from nirbridge.report.drawing.alike import alike, repeated
from nirbridge.report.drawing.boxes import Box, View, Wire, joined
from nirbridge.report.drawing.groups import grouped, inside, summary, unnamed
from nirbridge.report.drawing.layout import ranks

LIMIT = 40  # boxes that can still be read at once
ACROSS = 10  # boxes side by side


def folded(whole: View, limit: int = LIMIT, populations: bool = False) -> View:
    """The view, folded as little as needed to have at most ``limit`` boxes, Input and Output apart.

    ``populations``: fold synapses into their neurons and parallel maps into one in any case, as
    the chip has them. Further: equal boxes side by side as one, equal blocks in a row as one, maps
    as wires (and blocks again), nested graphs closed, dotted names as groups, and at last every
    layer as one box.
    More than ACROSS boxes side by side are folded in any case.
    """
    if populations:
        whole = as_populations(whole)
    if widest(whole) > ACROSS:
        whole = alike(whole)
    steps: tuple[Callable[[View], View], ...] = (
        as_populations,
        alike,
        repeated,
        maps_as_wires,
        repeated,
        lambda view: closed(view, limit),
        by_prefix,
        by_layer,
        lambda view: _thinned(view, limit),
    )
    for step in steps:
        if _size(whole) <= limit:
            break
        whole = step(whole)
    return _narrowed(whole)


def _size(view: View) -> int:
    """Boxes on all levels but the ends, which are never folded."""
    return view.count - sum(box.role == "end" for box in view.boxes.values())


def widest(view: View) -> int:
    """Most boxes side by side, on any level."""
    own = max(Counter(ranks(view).values()).values(), default=0)
    return max([own, *(widest(b.inner) for b in view.boxes.values() if b.inner)])


def as_populations(view: View) -> View:
    """Synapses in the boxes of their neurons, parallel maps as one, self-connections as loops."""
    return _one_to_one(_parallel(_synapses(inside(view, as_populations))))


def _synapses(view: View) -> View:
    """Filters that feed one population of neurons and nothing else become lines of its box."""
    boxes, owner = dict(view.boxes), {}
    for key, box in view.boxes.items():
        if box.kind != "LI":
            continue
        targets = [w.target for w in view.wires if w.source == key]
        if len(targets) == 1:
            neuron = view.boxes[targets[0]]
            if neuron.kind == "LIF" and neuron.neurons == box.neurons:
                owner[key] = targets[0]
    for key in dict.fromkeys(owner.values()):
        synapses = [boxes.pop(k) for k in owner if owner[k] == key]
        taus = [replace(tau, symbol="τ syn") for box in synapses for tau in box.taus]
        old = boxes[key]
        many = f", {len(synapses)} synapses" if len(synapses) > 1 else ""
        boxes[key] = replace(
            old,
            what=old.what + many,
            taus=(*old.taus, *taus),
            nodes=old.nodes + len(synapses),
        )
    wires = dict.fromkeys(
        replace(w, target=owner.get(w.target, w.target))
        for w in view.wires
        if w.source not in owner
    )
    return View(boxes, tuple(wires))


def _simple(view: View) -> dict[str, tuple[str, str]]:
    """Maps from one box to one, with both."""
    into: dict[str, list[str]] = {key: [] for key in view.boxes}
    out: dict[str, list[str]] = {key: [] for key in view.boxes}
    for wire in view.wires:
        into[wire.target].append(wire.source)
        out[wire.source].append(wire.target)
    return {
        key: (into[key][0], out[key][0])
        for key, box in view.boxes.items()
        if box.role == "map" and len(into[key]) == len(out[key]) == 1
    }


def _without(boxes: dict[str, Box], wires: Sequence[Wire], gone: set[str]) -> View:
    kept = {k: b for k, b in boxes.items() if k not in gone}
    return View(kept, tuple(w for w in wires if not gone & {w.source, w.target}))


def _parallel(view: View) -> View:
    """Maps between the same two boxes become one box."""
    between: dict[tuple[str, str], list[str]] = {}
    for key, ends in _simple(view).items():
        between.setdefault(ends, []).append(key)
    boxes, gone = dict(view.boxes), set()
    for keys in between.values():
        first, *others = sorted(keys, key=lambda k: (view.boxes[k].mark != "", len(k), k))
        if not others:
            continue
        old = boxes[first]
        boxes[first] = replace(
            old,
            others=(*old.others, *(boxes[k].name for k in others)),
            nodes=old.nodes + sum(boxes[k].nodes for k in others),
            one_to_one=all(boxes[k].one_to_one for k in keys),
        )
        gone |= set(others)
    return _without(boxes, view.wires, gone)


def _one_to_one(view: View) -> View:
    """Connections of each neuron onto itself become a loop at the box."""
    return _looped(view, lambda map_: map_.one_to_one)


def _looped(view: View, which: Callable[[Box], bool]) -> View:
    """Maps from a box to itself become a loop at it."""
    boxes, gone = dict(view.boxes), set()
    for key, (source, target) in _simple(view).items():
        if source == target and which(boxes[key]):
            old, more = boxes[source], boxes[key].nodes
            boxes[source] = replace(old, loops=old.loops + more, nodes=old.nodes + more)
            gone.add(key)
    return _without(boxes, view.wires, gone)


def maps_as_wires(view: View) -> View:
    """Maps from one box to one become a wire with their names."""
    view = _looped(inside(view, maps_as_wires), lambda _: True)
    boxes, wires = dict(view.boxes), list(view.wires)
    for key in list(boxes):
        sources = [w for w in wires if w.target == key]
        targets = [w for w in wires if w.source == key]
        if boxes[key].role != "map" or not len(sources) == len(targets) == 1:
            continue
        ends = (sources[0].source, targets[0].target)
        if ends[0] == ends[1] or any((w.source, w.target) == ends for w in wires):
            continue  # two wires between the same boxes would hide each other
        via = (*sources[0].via, boxes[key].name, *targets[0].via)
        wires = [w for w in wires if key not in (w.source, w.target)]
        wires.append(Wire(*ends, via=via))
        old = boxes[ends[0]]
        boxes[ends[0]] = replace(old, nodes=old.nodes + boxes[key].nodes)
        del boxes[key]
    return View(boxes, tuple(wires))


def closed(view: View, limit: int) -> View:
    """Nested graphs without what is in them: inner ones first, the largest first, until it fits.

    The last is the smallest that is enough; of equals the one that lies deepest.
    """
    while (over := _size(view) - limit) > 0:
        sizes = _leaves(view)
        if not sizes:
            break
        enough = {key: n for key, n in sizes.items() if n >= over}
        size = min(enough.values()) if enough else max(sizes.values())
        view = _shut(view, max((k for k, n in sizes.items() if n == size), key=len))
    return view


def _leaves(view: View, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Boxes in each nested graph that has no open one in it, by the keys that lead to it."""
    found: dict[tuple[str, ...], int] = {}
    for key, box in view.boxes.items():
        if box.inner:
            found |= _leaves(box.inner, (*path, key)) or {(*path, key): box.inner.count}
    return found


def _shut(view: View, path: tuple[str, ...]) -> View:
    first, *rest = path
    box = view.boxes[first]
    assert box.inner is not None
    if rest:
        new = replace(box, inner=_shut(box.inner, tuple(rest)))
    else:
        inner = list(box.inner.boxes.values())
        lines = (*box.lines, *summary(inner, box.nodes, box.neurons))
        taus = joined(tau for b in inner for tau in b.taus)
        new = replace(box, inner=None, lines=lines, taus=taus)
    return View({**view.boxes, first: new}, view.wires)


def by_prefix(view: View) -> View:
    """Boxes that share the first part of a dotted name become one."""
    return grouped(view, {key: key.split(".")[0] for key in view.boxes})


def by_layer(view: View) -> View:
    """Boxes at the same distance from the input become one."""
    return grouped(view, {key: str(depth) for key, depth in ranks(view).items()}, unnamed)


def _thinned(view: View, limit: int) -> View:
    """Runs of layers become one box, so many that ``limit`` boxes are left."""
    depth = {k: d for k, d in ranks(view).items() if view.boxes[k].role != "end"}
    run = -(-(max(depth.values(), default=0) + 1) // limit)
    return grouped(view, {k: str(d // run) for k, d in depth.items()}, unnamed)


def _narrowed(view: View) -> View:
    """Of layers that are wider than ACROSS all boxes of the same role become one."""
    view = inside(view, _narrowed)
    depth = ranks(view)
    wide = {d for d, n in Counter(depth.values()).items() if n > ACROSS}
    group = {k: f"{view.boxes[k].role} {d}" for k, d in depth.items() if d in wide}
    return grouped(view, group, unnamed) if group else view
