"""Several boxes as one, and what is said about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nirbridge.report.drawing.boxes import NAMED, Box, View, Wire, joined, named
from nirbridge.report.units import counted

Make = Callable[[str, Mapping[str, Box]], Box]


def inside(view: View, step: Callable[[View], View]) -> View:
    """The same with a step taken in all boxes that hold others."""
    boxes = {
        key: replace(box, inner=step(box.inner)) if box.inner else box
        for key, box in view.boxes.items()
    }
    return View(boxes, view.wires)


def several(name: str, boxes: Mapping[str, Box]) -> Box:
    """Any boxes as one: what is in it, the range of its time constants, and some names.

    Without a name of its own it has those of its boxes.
    """
    content = list(boxes.values())
    names = named(tuple(b.name for b in content))
    nodes, neurons = sum(b.nodes for b in content), sum(b.neurons for b in content)
    return Box(
        name or names,
        "group",
        lines=(*summary(content, nodes, neurons), *([names] if name else [])),
        taus=joined(tau for box in content for tau in box.taus),
        nodes=nodes,
        neurons=neurons,
    )


def summary(content: Sequence[Box], nodes: int, neurons: int) -> tuple[str, ...]:
    """How many nodes and neurons, and of which types and shapes."""
    said = Counter(b.what for b in content if b.what and b.neurons)
    said = said or Counter(b.what for b in content if b.what and b.role != "end")
    kinds = [f"{n} × {what}" if n > 1 else what for what, n in said.most_common(NAMED)]
    if len(said) > NAMED:
        kinds.append(f"and {counted(len(said) - NAMED, 'other type')}")
    return (f"{counted(nodes, 'node')}, {counted(neurons, 'neuron')}", *kinds)


def unnamed(_: str, boxes: Mapping[str, Box]) -> Box:
    """As :func:`several`; what tells the groups apart is no name."""
    return several("", boxes)


def grouped(view: View, group: Mapping[str, str], make: Make = several) -> View:
    """Boxes of the same group as one box; wires within it disappear. Ends stay by themselves.

    A group's key is that of its first box: its name may be one that the user has given.
    """
    members: dict[tuple[str, ...], list[str]] = {}
    for key, box in view.boxes.items():
        own = key not in group or box.role == "end"
        members.setdefault((key, "") if own else (group[key],), []).append(key)
    boxes: dict[str, Box] = {}
    owner: dict[str, str] = {}
    for name, keys in members.items():
        owner |= dict.fromkeys(keys, keys[0])
        content = {k: view.boxes[k] for k in keys}
        boxes[keys[0]] = view.boxes[keys[0]] if len(keys) == 1 else make(name[0], content)
    between: dict[tuple[str, str], list[Wire]] = {}
    for wire in view.wires:
        ends = (owner[wire.source], owner[wire.target])
        if ends[0] != ends[1]:
            between.setdefault(ends, []).append(wire)
    return View(boxes, tuple(_bundle(*ends, wires) for ends, wires in between.items()))


def _bundle(source: str, target: str, wires: Sequence[Wire]) -> Wire:
    """Wires between the same boxes as one, with what they have in common."""
    first = replace(wires[0], source=source, target=target)
    if len(wires) == 1:
        return first
    same = len({w.label for w in wires}) == 1 and wires[0].label and not any(w.via for w in wires)
    return first if same else Wire(source, target, counted(len(wires), "connection"))
