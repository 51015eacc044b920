"""A NIR graph as boxes and wires: what is to be said about each node, before it has a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np

from nirbridge.graph.nodes import SPIKING, TIME_CONSTANTS, is_neuron, kind, parameters, shape_of
from nirbridge.graph.shapes import Shape
from nirbridge.report.units import seconds, size, spread

Shapes = Mapping[str, tuple[Shape, Shape]]

SYMBOLS = {"tau": "τ", "tau_mem": "τ mem", "tau_syn": "τ syn"}
NO_MEMORY = 0.1  # of a step: a shorter time constant leaves nothing from one step to the next


@dataclass(frozen=True)
class Box:
    """One node, or several that are drawn as one.

    ``role``: ``end`` (Input, Output), ``neuron`` (spikes), ``filter`` (a state, but no spikes),
    ``map`` (no state), ``group``. ``kind`` is the NIR type of a single node. ``lines`` are
    written below ``name``, ``mark`` above it. ``inner``: what is drawn inside. ``loops``: ways
    from each neuron to itself. ``nodes``: the NIR nodes that it stands for.
    """

    name: str
    role: str
    kind: str = ""
    lines: tuple[str, ...] = ()
    mark: str = ""
    inner: View | None = None
    loops: int = 0
    nodes: int = 1
    neurons: int = 0
    one_to_one: bool = False


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


def view(
    graph: nir.NIRGraph,
    shapes: Shapes,
    marks: Mapping[str, str] | None = None,
    dt: float | None = None,
    path: str = "",
) -> View:
    """Each node as a box, nested graphs as boxes with boxes in them.

    Parameters
    ----------
    graph
        A graph that was verified.
    shapes
        Of the flat graph (:func:`nirbridge.graph.shapes.infer`), by dotted name.
    marks
        A word on some nodes, by dotted name.
    dt
        Time step in seconds, if known: what is much shorter is no memory at all.
    path
        Dotted name of this level, with a dot at its end.

    """
    boxes, outgoing = {}, {}
    for name in sorted(graph.nodes):
        node, full = graph.nodes[name], path + name
        if isinstance(node, nir.NIRGraph):
            inner = view(node, shapes, marks, dt, f"{full}.")
            count = sum(b.neurons for b in inner.boxes.values())
            boxes[name] = Box(name, "group", inner=inner, nodes=inner.nodes, neurons=count)
            outgoing[name] = _exit(node, full, shapes)
        else:
            boxes[name] = _box(name, node, shapes.get(full), (marks or {}).get(full, ""), dt)
            outgoing[name] = shapes.get(full, ((), None))[1]
    wires = []
    for a, b in sorted(set(graph.edges)):
        if a == b:
            boxes[a] = replace(boxes[a], loops=boxes[a].loops + 1)
        else:
            wires.append(Wire(a, b, "" if outgoing[a] is None else size(outgoing[a] or ())))
    return View(boxes, tuple(wires))


def _exit(graph: nir.NIRGraph, path: str, shapes: Shapes) -> Shape | None:
    """Shape of what a nested graph sends, if it has one Output."""
    ends = [n for n, x in graph.nodes.items() if kind(x) == "Output"]
    if len(ends) != 1:
        return None
    own = tuple(int(n) for n in np.atleast_1d(graph.nodes[ends[0]].input_type["input"]))
    return shapes.get(f"{path}.{ends[0]}", ((), own))[1]


def _box(
    name: str, node: nir.NIRNode, shape: tuple[Shape, Shape] | None, mark: str, dt: float | None
) -> Box:
    word = kind(node)
    if word in ("Input", "Output"):
        return Box(name, "end", word, (f"{word} {size(shape[1])}" if shape else word,), mark)
    if is_neuron(node):
        role = "neuron" if word in SPIKING else "filter"
        lines = (f"{word}, {size(shape_of(node))}", *_taus(node, dt))
        return Box(name, role, word, lines, mark, neurons=int(np.prod(shape_of(node))))
    return Box(name, "map", word, _map_lines(node, shape), mark, one_to_one=_one_to_one(node))


def _taus(node: nir.NIRNode, dt: float | None) -> tuple[str, ...]:
    known = parameters(node)
    names = [name for name in TIME_CONSTANTS if name in known and np.size(known[name])]
    own = {**SYMBOLS, "tau": "τ mem"} if kind(node) in SPIKING else SYMBOLS
    return tuple(tau_line(own[name], known[name], dt) for name in reversed(names))


def tau_line(symbol: str, tau: object, dt: float | None) -> str:
    """``τ mem 1.2 ms``, or that nothing is kept from step to step."""
    if dt is not None and np.max(np.asarray(tau, np.float64)) < NO_MEMORY * dt:
        return f"{symbol}: no memory"
    return f"{symbol} {spread(tau, lambda x: seconds(float(f'{x:.3g}')))}"


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
        return first, tau_line("delay", node.delay, None)
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
