"""Equal boxes side by side and equal blocks in a row → one box with how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nirbridge.report.drawing.boxes import Box, Tau, View, joined
from nirbridge.report.drawing.groups import grouped, inside

BLOCK = 8  # boxes that a block in a row may have


def alike(view: View) -> View:
    """Boxes of the same type and shape whose neighbours are alike too become one box.

    Classes are refined by those of the neighbours until they stay (colour refinement), so that
    branches of several boxes fold box by box, and two layers of a chain never. Boxes that feed
    one of their own class stay.
    """
    view = inside(view, alike)
    near: dict[str, list[tuple[bool, str]]] = {key: [] for key in view.boxes}
    for wire in view.wires:
        near[wire.source].append((True, wire.target))
        near[wire.target].append((False, wire.source))
    found = _numbered({key: signature(box) for key, box in view.boxes.items()})
    while True:
        finer = _numbered(
            {
                key: (number, tuple(sorted((down, found[other]) for down, other in near[key])))
                for key, number in found.items()
            }
        )
        if len(set(finer.values())) == len(set(found.values())):
            break
        found = finer
    linked = {found[w.source] for w in view.wires if found[w.source] == found[w.target]}
    group = {key: str(number) for key, number in found.items() if number not in linked}
    return grouped(view, group, _side_by_side)


def _numbered(signatures: dict[str, Any]) -> dict[str, int]:
    numbers: dict[Any, int] = {}
    return {key: numbers.setdefault(said, len(numbers)) for key, said in signatures.items()}


def signature(box: Box) -> tuple[Any, ...]:
    """What makes boxes alike: all but names, time constants and how many nodes they stand for."""
    inner = box.inner and (
        tuple((key, signature(b)) for key, b in box.inner.boxes.items()), box.inner.wires
    )  # fmt: skip
    return (box.role, box.kind, box.what, box.lines, box.mark, bool(box.loops), inner)


def _side_by_side(_: str, boxes: Mapping[str, Box]) -> Box:
    content = list(boxes.values())
    first = content[0]
    return replace(
        _merged(content),
        what=f"{len(content)} × {first.what or 'alike'}",
        others=tuple(name for box in content for name in (box.name, *box.others))[1:],
    )


def _merged(content: Sequence[Box]) -> Box:
    """The first of boxes that are alike, for all of them."""
    first, inner = content[0], None
    if first.inner:
        inner = _overlaid([b.inner for b in content if b.inner])
    return replace(
        first,
        inner=inner,
        taus=_ranges([b.taus for b in content]),
        loops=sum(b.loops for b in content),
        nodes=sum(b.nodes for b in content),
        neurons=sum(b.neurons for b in content),
    )


def _overlaid(views: Sequence[View]) -> View:
    """Views with the same boxes as one, with the ranges of all."""
    boxes = {key: _merged([v.boxes[key] for v in views]) for key in views[0].boxes}
    return View(boxes, views[0].wires)


def _ranges(taus: Sequence[Sequence[Tau]]) -> tuple[Tau, ...]:
    """The ranges of each state over boxes that have the same states."""
    if len({len(each) for each in taus}) > 1:
        return joined(tau for each in taus for tau in each)
    return tuple(tau for states in zip(*taus, strict=True) for tau in joined(states))


def repeated(view: View) -> View:
    """Equal blocks that follow one another, and nothing else, become one box with how often."""
    view = inside(view, repeated)
    for run in _runs(view):
        view = _in_a_row(view, run)
    return view


Run = list[list[str]]  # blocks, each a list of keys


def _runs(view: View) -> list[Run]:
    found: list[Run] = []
    for chain in _chains(view):
        said = [signature(view.boxes[key]) for key in chain]
        at = 0
        while at < len(chain):
            times, size = max(
                ((_times(said, at, size), size) for size in range(1, BLOCK + 1)),
                key=lambda each: (each[0] > 1, each[0] * each[1], -each[1]),
            )
            if times > 1:
                ends = [at + k * size for k in range(times + 1)]
                found.append([chain[a : a + size] for a in ends[:-1]])
                at = ends[-1]
            else:
                at += 1
    return found


def _times(said: Sequence[Any], at: int, size: int) -> int:
    """How often the block of ``size`` that starts there comes, one after the other."""
    block, times = said[at : at + size], 0
    while block and said[at + times * size : at + (times + 1) * size] == block:
        times += 1
    return times


def _chains(view: View) -> list[list[str]]:
    """Longest rows of boxes of which each feeds only the next, and is all that feeds it."""
    out = Counter(w.source for w in view.wires)
    into = Counter(w.target for w in view.wires)
    ends = {key for key, box in view.boxes.items() if box.role == "end"}
    after = {
        w.source: w.target
        for w in view.wires
        if out[w.source] == into[w.target] == 1 and not ends & {w.source, w.target}
    }
    chains = []
    for key in view.boxes:
        if key in after and key not in after.values():
            chain = [key]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            chains.append(chain)
    return chains


def _in_a_row(view: View, blocks: Run) -> View:
    """One box for blocks; of more than one box each, the first is drawn inside."""
    group = {key: "row" for block in blocks for key in block}
    keys = blocks[0]

    def make(_: str, boxes: Mapping[str, Box]) -> Box:
        columns = [_merged([boxes[b[k]] for b in blocks]) for k in range(len(keys))]
        last = boxes[blocks[-1][-1]].name
        if len(keys) == 1:
            name, what = f"{columns[0].name} to {last}", columns[0].what or "alike"
            return replace(columns[0], name=name, what=f"{len(blocks)} × {what}, in a row")
        wires = tuple(w for w in view.wires if {w.source, w.target} <= set(keys))
        inner = View(dict(zip(keys, columns, strict=True)), wires)
        return Box(
            f"{keys[0]} to {last}",
            "group",
            what=f"{len(blocks)} × in a row",
            inner=inner,
            nodes=inner.nodes,
            neurons=sum(b.neurons for b in columns),
        )

    return grouped(view, group, make)
