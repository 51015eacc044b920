"""Views that are too large to read → smaller ones that say what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nirbridge.report.drawing.boxes import Box, View, Wire
from nirbridge.report.drawing.layout import ranks
from nirbridge.report.units import short

LIMIT = 40  # boxes that can still be read at once
NAMED = 3  # names that a folded box tells


def folded(whole: View, limit: int = LIMIT, populations: bool = False) -> View:
    """The view, folded as little as needed to have at most ``limit`` boxes.

    ``populations``: fold synapses into their neurons and parallel maps into one in any case, as
    the chip has them. Further: maps as wires, nested graphs closed, dotted names as groups, and
    at last every layer as one box.
    """
    if not populations and whole.count <= limit:
        return whole
    steps: tuple[Callable[[View], View], ...] = (
        as_populations,
        maps_as_wires,
        closed,
        by_prefix,
        by_layer,
    )
    for step in steps:
        whole = step(whole)
        if whole.count <= limit:
            return whole
    return _thinned(whole, limit)


def _inside(view: View, step: Callable[[View], View]) -> View:
    """The same with a step taken in all boxes that hold others."""
    boxes = {
        key: replace(box, inner=step(box.inner)) if box.inner else box
        for key, box in view.boxes.items()
    }
    return View(boxes, view.wires)


def as_populations(view: View) -> View:
    """Synapses in the boxes of their neurons, parallel maps as one, self-connections as loops."""
    return _one_to_one(_parallel(_synapses(_inside(view, as_populations))))


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
        synapses = [k for k in owner if owner[k] == key]
        lines = [line.replace("τ", "τ syn", 1) for k in synapses for line in boxes[k].lines[1:]]
        many = f", {len(synapses)} synapses" if len(synapses) > 1 else ""
        first, *rest = boxes[key].lines
        boxes[key] = replace(
            boxes[key],
            lines=(first + many, *rest, *lines),
            nodes=boxes[key].nodes + len(synapses),
        )
        for k in synapses:
            del boxes[k]
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
            lines=(*old.lines, f"and {named([boxes[k].name for k in others])}"),
            nodes=old.nodes + sum(boxes[k].nodes for k in others),
            one_to_one=all(boxes[k].one_to_one for k in keys),
        )
        gone |= set(others)
    kept = {k: b for k, b in boxes.items() if k not in gone}
    return View(kept, tuple(w for w in view.wires if not gone & {w.source, w.target}))


def named(names: list[str]) -> str:
    """Some names, or the first and how many more."""
    if len(names) <= NAMED - 1:
        return ", ".join(short(n, 18) for n in names)
    return f"{short(names[0], 18)} and {len(names) - 1} more"


def _one_to_one(view: View) -> View:
    """Connections of each neuron onto itself become a loop at the box."""
    boxes, gone = dict(view.boxes), set()
    for key, (source, target) in _simple(view).items():
        if source == target and boxes[key].one_to_one:
            old = boxes[source]
            more = boxes[key].nodes
            boxes[source] = replace(old, loops=old.loops + more, nodes=old.nodes + more)
            gone.add(key)
    kept = {k: b for k, b in boxes.items() if k not in gone}
    return View(kept, tuple(w for w in view.wires if not gone & {w.source, w.target}))


def maps_as_wires(view: View) -> View:
    """Maps from one box to one become a wire with their names."""
    view = _inside(view, maps_as_wires)
    boxes, wires = dict(view.boxes), list(view.wires)
    for key in list(boxes):
        sources = [w for w in wires if w.target == key]
        targets = [w for w in wires if w.source == key]
        simple = len(sources) == len(targets) == 1 and sources[0].source != key
        if boxes[key].role != "map" or not simple:
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


def closed(view: View) -> View:
    """Nested graphs without what is in them."""
    boxes = {
        key: replace(box, inner=None, lines=_content(box.inner)) if box.inner else box
        for key, box in view.boxes.items()
    }
    return View(boxes, view.wires)


def _content(inner: View) -> tuple[str, ...]:
    neurons = sum(b.neurons for b in inner.boxes.values())
    return (f"{inner.nodes} nodes, {neurons} neurons",)


def by_prefix(view: View) -> View:
    """Boxes that share the first part of a dotted name become one."""
    first = {key: key.split(".")[0] for key in view.boxes}
    return _grouped(view, first)


def by_layer(view: View) -> View:
    """Boxes at the same distance from the input become one."""
    return _grouped(view, {key: f"layer {depth}" for key, depth in ranks(view).items()})


def _thinned(view: View, limit: int) -> View:
    """Runs of layers become one box, so many that ``limit`` boxes are left."""
    depth = ranks(view)
    run = -(-(max(depth.values(), default=0) + 1) // limit)
    group = {k: f"layers {d // run * run} to {d // run * run + run - 1}" for k, d in depth.items()}
    return _grouped(view, group)


def _grouped(view: View, group: dict[str, str]) -> View:
    """Boxes of the same group as one box; wires within it disappear.

    The group's key is that of its first box: its name may be one that the user has given.
    """
    members: dict[str, list[str]] = {}
    for key, name in group.items():
        members.setdefault(name, []).append(key)
    boxes: dict[str, Box] = {}
    owner: dict[str, str] = {}
    for name, keys in members.items():
        content = [view.boxes[k] for k in keys]
        owner |= dict.fromkeys(keys, keys[0])
        if len(content) == 1:
            boxes[keys[0]] = content[0]
            continue
        nodes, neurons = sum(b.nodes for b in content), sum(b.neurons for b in content)
        lines = (f"{nodes} nodes, {neurons} neurons", named([b.name for b in content]))
        boxes[keys[0]] = Box(name, "group", lines=lines, nodes=nodes, neurons=neurons)
    joined: dict[tuple[str, str], list[Wire]] = {}
    for wire in view.wires:
        ends = (owner[wire.source], owner[wire.target])
        if ends[0] != ends[1]:
            joined.setdefault(ends, []).append(wire)
    wires = tuple(
        replace(some[0], source=a, target=b)
        if len(some) == 1
        else Wire(a, b, f"{len(some)} connections")
        for (a, b), some in joined.items()
    )
    return View(boxes, wires)
