"""A NIR graph as boxes and wires: what is to be said about each node, before it has a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import SPIKING, TIME_CONSTANTS, is_neuron, kind, parameters, shape_of
from nirbridge.graph.shapes import Shape
from nirbridge.report.acting import acting, remembered
from nirbridge.report.units import seconds, short, size, spread

Shapes = Mapping[str, tuple[Shape, Shape]]

SYMBOLS = {"tau": "τ", "tau_mem": "τ mem", "tau_syn": "τ syn"}
NAMED = 3  # names that a folded box tells


@dataclass(frozen=True)
class Tau:
    """Time constants of one state: the least and the largest, in seconds; 0 for no memory."""

    symbol: str
    low: float
    high: float

    def __str__(self) -> str:
        if not self.high:
            return f"{self.symbol}: no memory"
        if not self.low:
            return f"{self.symbol} up to {_rounded(self.high)}"
        return f"{self.symbol} {spread((self.low, self.high), _rounded)}"


def _rounded(duration: float) -> str:
    return seconds(float(f"{duration:.3g}"))


def joined(taus: Iterable[Tau]) -> tuple[Tau, ...]:
    """One range for each symbol."""
    found: dict[str, Tau] = {}
    for tau in taus:
        old = found.get(tau.symbol, tau)
        found[tau.symbol] = Tau(tau.symbol, min(old.low, tau.low), max(old.high, tau.high))
    return tuple(found.values())


@dataclass(frozen=True)
class Box:
    """One node, or several that are drawn as one.

    ``role``: ``end`` (Input, Output), ``neuron`` (spikes), ``filter`` (a state, but no spikes),
    ``map`` (no state), ``group``. ``kind`` is the NIR type of a single node. Below ``name`` stand
    ``what`` (type and shape), ``lines`` and ``taus``, above it ``mark``. ``others``: names of
    further nodes that it stands for. ``inner``: what is drawn inside. ``loops``: ways from each
    neuron to itself. ``nodes``: how many NIR nodes it stands for.
    """

    name: str
    role: str
    kind: str = ""
    what: str = ""
    lines: tuple[str, ...] = ()
    taus: tuple[Tau, ...] = ()
    others: tuple[str, ...] = ()
    mark: str = ""
    inner: View | None = None
    loops: int = 0
    nodes: int = 1
    neurons: int = 0
    one_to_one: bool = False

    @property
    def text(self) -> tuple[str, ...]:
        """What is written below the name."""
        first = (self.what,) if self.what else ()
        others = (f"and {named(self.others)}",) if self.others else ()
        return (*first, *self.lines, *map(str, self.taus), *others)


def named(names: tuple[str, ...]) -> str:
    """Some names, or the first and how many more."""
    if len(names) < NAMED:
        return ", ".join(short(n, 18) for n in names)
    return f"{short(names[0], 18)} and {len(names) - 1} more"


@dataclass(frozen=True)
class Wire:
    """A connection between two boxes, by their keys.

    ``label``: the shape of the signal, or how many wires this is. ``via``: maps that it stands for.
    """

    source: str
    target: str
    label: str = ""
    via: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """Boxes by key, and the wires between them."""

    boxes: dict[str, Box]
    wires: tuple[Wire, ...]

    @property
    def count(self) -> int:
        """Boxes on all levels."""
        return sum(1 + (b.inner.count if b.inner else 0) for b in self.boxes.values())

    @property
    def nodes(self) -> int:
        """NIR nodes on all levels."""
        return sum(b.nodes for b in self.boxes.values())


@dataclass(frozen=True)
class Known:
    """What is known of a graph beside its nodes.

    ``shapes``: of the flat graph (:func:`nirbridge.graph.shapes.infer`), by dotted name.
    ``marks``: a word on some nodes, by dotted name. ``dt``: time step in seconds, if known: what
    is much shorter is no memory at all. ``how``: stepping under which time constants are written
    as they act, not as they stand in the graph.
    """

    shapes: Shapes
    marks: Mapping[str, str]
    dt: float | None = None
    how: Dynamics | None = None

    def signal(self, node: nir.NIRNode, full: str) -> Shape | None:
        """Shape of what a node sends; nested graphs send what their only Output does."""
        if isinstance(node, nir.NIRGraph):
            ends = [n for n, x in node.nodes.items() if kind(x) == "Output"]
            return self.signal(node.nodes[ends[0]], f"{full}.{ends[0]}") if len(ends) == 1 else None
        found = self.shapes.get(full, ((), None))[1]
        if found is None and kind(node) in ("Input", "Output"):  # nested ones are not in the flat
            (own,) = node.input_type.values()
            return None if own is None else tuple(int(n) for n in np.atleast_1d(own))
        return found


def view(graph: nir.NIRGraph, known: Known, path: str = "") -> View:
    """Each node of a verified graph as a box, nested graphs as boxes with boxes in them.

    ``path`` is the dotted name of this level, with a dot at its end.
    """
    boxes, signals = {}, {}
    for name in sorted(graph.nodes, key=natural):
        node, full = graph.nodes[name], path + name
        signals[name] = known.signal(node, full)
        if isinstance(node, nir.NIRGraph):
            inner = view(node, known, f"{full}.")
            count = sum(b.neurons for b in inner.boxes.values())
            boxes[name] = Box(name, "group", inner=inner, nodes=inner.nodes, neurons=count)
        else:
            boxes[name] = _box(name, node, full, known)
    wires = []
    for a, b in sorted(set(graph.edges), key=lambda ends: [natural(end) for end in ends]):
        if a == b:
            boxes[a] = replace(boxes[a], loops=boxes[a].loops + 1)
        else:
            shape = signals[a]
            wires.append(Wire(a, b, "" if shape is None else size(shape)))
    return View(boxes, tuple(wires))


def natural(name: str) -> tuple[tuple[str, int, str], ...]:
    """Sorts names as people do: n2 before n10."""
    parts = re.findall(r"(\D*)(\d*)", name, re.ASCII)
    return tuple((text, int(digits or 0), digits) for text, digits in parts)


def _box(name: str, node: nir.NIRNode, full: str, known: Known) -> Box:
    word, mark, shape = kind(node), known.marks.get(full, ""), known.shapes.get(full)
    if word in ("Input", "Output"):
        own = known.signal(node, full)
        return Box(name, "end", word, word if own is None else f"{word} {size(own)}", mark=mark)
    if is_neuron(node):
        role = "neuron" if word in SPIKING else "filter"
        what, count = f"{word}, {size(shape_of(node))}", int(np.prod(shape_of(node)))
        return Box(name, role, word, what, taus=_taus(node, known), mark=mark, neurons=count)
    what, *lines = _map_lines(node, shape)
    return Box(name, "map", word, what, tuple(lines), mark=mark, one_to_one=_one_to_one(node))


def _taus(node: nir.NIRNode, known: Known) -> tuple[Tau, ...]:
    values = parameters(node)
    own = {**SYMBOLS, "tau": "τ mem"} if kind(node) in SPIKING else SYMBOLS
    found = []
    for name in reversed(TIME_CONSTANTS):
        if name in values and np.size(values[name]):
            if known.how is None:
                tau = remembered(values[name], known.dt)
            else:
                tau = acting(values[name], known.how.override(node))
            found.append(Tau(own[name], float(tau.min()), float(tau.max())))
    return tuple(found)


def _map_lines(node: nir.NIRNode, shape: tuple[Shape, Shape] | None) -> tuple[str, ...]:
    word = kind(node)
    if shape is not None and word in ("Linear", "Affine"):
        first = f"{word} {size(shape[0])} → {size(shape[1])}"
    elif word in ("Conv1d", "Conv2d"):
        first = f"{word}, kernel {size(tuple(np.shape(node.weight)[2:]))}"
    elif word in ("SumPool2d", "AvgPool2d"):
        first = f"{word} {size(tuple(np.atleast_1d(node.kernel_size).tolist()))}"
    else:
        first = word
    if word in ("Conv1d", "Conv2d") and np.any(np.asarray(node.stride) != 1):
        return first, f"stride {size(tuple(np.atleast_1d(node.stride).tolist()))}"
    if word == "Delay":
        return first, f"delay {spread(node.delay, _rounded)}"
    if word == "Affine":
        return first, "with biases"
    return (first,)


def _one_to_one(node: nir.NIRNode) -> bool:
    """Whether a map joins each value with the one in its own place, and with nothing else."""
    weight = np.asarray(getattr(node, "weight", ()))
    if kind(node) not in ("Linear", "Affine") or weight.ndim != 2:
        return kind(node) == "Scale"
    rows, columns = weight.shape
    return bool(rows == columns and np.count_nonzero(weight) == np.count_nonzero(np.diag(weight)))
