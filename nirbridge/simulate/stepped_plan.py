"""Which networks the compiled stepping takes, and the tables that it runs on.

A network fits if all that lies between Inputs, populations and Outputs is linear and acts within
the step: then the input of each population is a constant and one matrix per source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics, memoryless
from nirbridge.graph.apply import apply, unroll
from nirbridge.graph.nodes import SPIKING, canonical_step, is_neuron, kind
from nirbridge.graph.shapes import Shape
from nirbridge.graph.topology import Topology

Array = NDArray[np.float64]
Table = NDArray[np.uint64]

BYTES = 128  # of neurons that the kernel works on at a time; whatever it reads is padded to that
SIDE_BY_SIDE = 16  # samples for which the kernel uses weights that it has fetched
LARGEST = 2**22  # entries of a matrix that is made here, rather than found in the graph

# What an entry in the table of populations is, or by which rule its neurons fire.
INPUT, SUM, GRADED, TO_VALUE, BY_ONE, LATE, BLOCKED, AT_MOST, BELOW = range(9)
# What a source does to a target: neuron by neuron; rows of weights times what it sends; the rows.
ONE_TO_ONE, ROWS, BINARY = range(3)
NO_SYNAPSE, SYNAPSE_FIRST, MEMBRANE_FIRST = range(3)
NOWHERE = 2**64 - 1


class DoesNotFit(Exception):
    """The network is none that the compiled stepping takes."""


@dataclass(frozen=True)
class Plan:
    """The tables of the kernel.

    Attributes
    ----------
    populations
        A row for each Input, population and Output, in the order in which they act: what it is;
        its place in the arrays below; its size; its synapse (of an Input: its first channel); its
        first term and the one after its last; where its spikes or sums are recorded, its currents
        and its membranes (``NOWHERE``: not).
    terms
        A row for each source of a population: the source; by how many steps its signal is late;
        where its weights begin; whether they are one factor per neuron, or a matrix, whose source
        sends only zeros and ones (``BINARY``) or not. A matrix is cut into blocks of as many
        targets as the kernel has lanes; within a block there is one row per neuron of the source.
    slots
        How many steps back a signal may be fetched, and this step.
    arrays
        A, gs, B, gm, c, threshold, the bar above which a neuron fires, v_reset, the most spikes
        per step, the constant input; then all weights.
    sizes
        Length of the records of outputs, spikes, currents and membranes.
    places
        For each of these records, where each node's part begins, and its size.

    """

    populations: Table
    terms: Table
    slots: np.uint64
    arrays: tuple[NDArray[Any], ...]
    sizes: tuple[int, ...]
    places: tuple[dict[str, tuple[int, int]], ...]

    def scratch(self, samples: int) -> tuple[NDArray[Any], ...]:
        """Room for the samples that run side by side.

        Currents, membranes, inputs; for each slot what is sent, a list of who sends something,
        and how many of each population and sample do.
        """
        width, dtype, slots = len(self.arrays[0]), self.arrays[0].dtype, int(self.slots)
        most = max(1, min(samples, SIDE_BY_SIDE))
        sizes = (most * width, most * width, most * width, slots * most * width)
        return (
            *(aligned(size, dtype) for size in sizes),
            np.zeros(slots * most * width, np.uint32),
            np.zeros((slots, len(self.populations), most), np.uint64),
        )


@dataclass
class _Map:
    """What arrives at a node: a matrix (source, out) for each source, and a constant.

    A vector stands for a diagonal matrix.
    """

    parts: dict[str, Array]
    bias: Array | None = None


class _Maps:
    """The linear maps from Inputs and populations to what they feed."""

    def __init__(
        self, flat: nir.NIRGraph, topology: Topology, shapes: dict[str, tuple[Shape, Shape]]
    ):
        self.nodes, self.sources, self.shapes = flat.nodes, topology.sources, shapes
        self.known: dict[str, _Map] = {}

    def into(self, name: str) -> _Map:
        """The sum of all that feeds a node."""
        return reduce(_added, [self._out(a) for a in self.sources[name]], _Map({}))

    def _out(self, name: str) -> _Map:
        node = self.nodes[name]
        if is_neuron(node) or kind(node) == "Input":
            return _Map({name: np.ones(_size(self.shapes[name][1]))})
        if name not in self.known:
            if name not in self.shapes or kind(node) == "Delay":
                raise DoesNotFit(name)
            arriving, shape = self.into(name), self.shapes[name][0]
            bias = _constant(node, arriving.bias, shape)
            self.known[name] = _Map(_mapped(node, arriving.parts, shape), bias)
        return self.known[name]


def _size(shape: Shape) -> int:
    return int(np.prod(shape))


def _added(a: _Map, b: _Map) -> _Map:
    parts = dict(a.parts)
    for source, matrix in b.parts.items():
        parts[source] = _sum(parts[source], matrix) if source in parts else matrix
    if a.bias is None or b.bias is None:
        return _Map(parts, b.bias if a.bias is None else a.bias)
    return _Map(parts, a.bias + b.bias)


def _sum(a: Array, b: Array) -> Array:
    return a + b if a.ndim == b.ndim else _dense(a) + _dense(b)


def _dense(matrix: Array) -> Array:
    if matrix.ndim == 2:
        return matrix
    _limit(len(matrix), len(matrix))
    return np.diag(matrix)


def _limit(*shape: int) -> None:
    if _size(shape) > LARGEST:
        raise DoesNotFit(shape)


def _constant(node: nir.NIRNode, bias: Array | None, shape: Shape) -> Array | None:
    """What a node makes of the constant that arrives at it, its own bias included."""
    if bias is None and getattr(node, "bias", None) is None:
        return None
    x = np.zeros((1, *shape)) if bias is None else bias.reshape(1, *shape)
    return np.asarray(apply(node, x), np.float64).ravel()


def _mapped(node: nir.NIRNode, parts: dict[str, Array], shape: Shape) -> dict[str, Array]:
    """The matrices behind a node without state."""
    if kind(node) in ("Output", "Flatten"):
        return parts
    if kind(node) == "Scale":
        scale = np.asarray(node.scale, np.float64).ravel()
        return {source: matrix * scale for source, matrix in parts.items()}
    weight = _weight(node, shape)
    return {source: _product(matrix, weight) for source, matrix in parts.items()}


def _weight(node: nir.NIRNode, shape: Shape) -> Array:
    """Matrix (in, out) of a linear node."""
    if kind(node) in ("Affine", "Linear") and np.ndim(node.weight) == 2:
        matrix: Array = np.asarray(node.weight, np.float64).T
        return matrix
    _limit(_size(shape), _size(shape))
    _limit(_size(shape), _size(apply(node, np.zeros((1, *shape))).shape))
    unrolled: Array = unroll(node, shape)[0].T
    return unrolled


def _product(matrix: Array, weight: Array) -> Array:
    if matrix.ndim == 2:
        _limit(len(matrix), weight.shape[1])
        return matrix @ weight
    return weight if np.all(matrix == 1) else matrix[:, None] * weight


class Network:
    """A flat network that the kernel takes; :meth:`plan` writes its tables.

    Raises
    ------
    DoesNotFit
        For Delay nodes, and for maps that are too large as matrices.

    """

    def __init__(
        self,
        flat: nir.NIRGraph,
        dynamics: Dynamics,
        topology: Topology,
        shapes: dict[str, tuple[Shape, Shape]],
        dtype: type[np.floating[Any]],
    ):
        self.nodes, self.topology, self.dtype = flat.nodes, topology, dtype
        self.lanes = BYTES // np.dtype(dtype).itemsize
        maps = _Maps(flat, topology, shapes)
        self.inputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")
        self.outputs = [n for n, x in flat.nodes.items() if kind(x) == "Output"]
        self.order = [*self.inputs, *topology.neurons, *self.outputs]
        self.size = {n: _size(shapes[n][1]) for n in self.order}
        self.maps = {n: maps.into(n) for n in (*topology.neurons, *self.outputs)}
        self.how = {
            n: memoryless(dynamics) if kind(x) == "Threshold" else dynamics.override(x)
            for n, x in ((n, flat.nodes[n]) for n in topology.neurons)
        }
        self.first: dict[str, int] = {}
        self.width = 0
        for name in self.order:
            self.first[name] = self.width
            self.width += -(-self.size[name] // self.lanes) * self.lanes
        self.width += self.lanes  # lists of sources may be written beyond their end

    def plan(self, rows: int, record: bool, graded_input: bool) -> Plan:
        """Tables for a raster of ``rows`` steps in all samples together.

        ``graded_input``: whether there are counts above 1.
        """
        places = [_Places(rows) for _ in range(4)]
        terms: list[tuple[int, int, int, int]] = []
        weights = _Weights(self.dtype, self.lanes)
        populations = []
        channel = 0
        for name in self.order:
            head = [self._mode(name), self.first[name], self.size[name]]
            if name in self.inputs:
                populations.append([*head, channel, 0, 0, NOWHERE, NOWHERE, NOWHERE])
                channel += self.size[name]
                continue
            before = len(terms)
            for source, matrix in self.maps[name].parts.items():
                late = self._late(source, name)
                place = weights.add(matrix)
                form = ONE_TO_ONE if matrix.ndim == 1 else self._form(source, graded_input)
                terms.append((self.order.index(source), late, place, form))
            found = [self._synapse(name), before, len(terms)]
            populations.append([*head, *found, *self._recorded(name, places, record)])
        how = [n.recurrent_delay for n in self.how.values()]
        return Plan(
            populations=np.array(populations, np.uint64),
            terms=np.array(terms, np.uint64).reshape(-1, 4),
            slots=np.uint64(max(how, default=1) + 1),
            arrays=(*self._neurons(), weights.joined()),
            sizes=tuple(place.length for place in places),
            places=tuple(place.found for place in places),
        )

    def _form(self, source: str, graded_input: bool) -> int:
        if source in self.inputs:
            return ROWS if graded_input else BINARY
        return ROWS if self._mode(source) in (GRADED, AT_MOST, BELOW) else BINARY

    def _late(self, source: str, target: str) -> int:
        if source in self.inputs or not self.topology.delayed(source, target):
            return 0
        return self.how[source].recurrent_delay

    def _mode(self, name: str) -> int:
        if name not in self.how:
            return INPUT if name in self.inputs else SUM
        how = self.how[name]
        if kind(self.nodes[name]) not in SPIKING:
            return GRADED
        if how.reset == "value":
            return TO_VALUE
        if how.reset_delay:
            return LATE
        if how.residual == "blocks":
            return BLOCKED
        if how.spikes_per_step == 1:
            return BY_ONE
        return AT_MOST if how.comparison == ">=" else BELOW

    def _synapse(self, name: str) -> int:
        if not hasattr(self.nodes[name], "tau_syn"):
            return NO_SYNAPSE
        return SYNAPSE_FIRST if self.how[name].order == "synapse first" else MEMBRANE_FIRST

    def _recorded(self, name: str, places: list[_Places], record: bool) -> list[int]:
        """Where the record of spikes or sums, of currents and of membranes begins."""
        outputs, spikes, currents, membranes = places
        size, node = self.size[name], self.nodes[name]
        if name not in self.how:
            return [outputs.add(name, size), NOWHERE, NOWHERE]
        return [
            spikes.add(name, size) if kind(node) in SPIKING else NOWHERE,
            currents.add(name, size) if record and hasattr(node, "tau_syn") else NOWHERE,
            membranes.add(name, size) if record else NOWHERE,
        ]

    def _neurons(self) -> list[NDArray[Any]]:
        """The arrays of a value per neuron; what only pads is silent."""
        fields = ("A", "gs", "B", "gm", "c", "threshold", "bar", "v_reset", "limit", "bias")
        arrays = {name: aligned(self.width, self.dtype) for name in fields}
        arrays["threshold"][:] = arrays["bar"][:] = arrays["limit"][:] = 1
        for name, arriving in self.maps.items():
            where = slice(self.first[name], self.first[name] + self.size[name])
            if arriving.bias is not None:
                arrays["bias"][where] = arriving.bias
            if name in self.how:
                self._fill(name, {field: array[where] for field, array in arrays.items()})
        return list(arrays.values())

    def _fill(self, name: str, views: dict[str, NDArray[Any]]) -> None:
        how = self.how[name]
        step = canonical_step(self.nodes[name], how)
        for field in ("A", "gs", "B", "gm", "c", "threshold", "v_reset"):
            values = getattr(step, field)
            if values is not None:
                views[field][:] = np.ravel(values)
        views["limit"][:] = how.spikes_per_step or np.inf
        views["bar"][:] = views["threshold"]
        if how.comparison == ">=":  # v >= θ where v > the number below θ
            views["bar"][:] = np.nextafter(views["threshold"], self.dtype(-np.inf))


def aligned(size: int, dtype: Any) -> NDArray[Any]:
    """Zeros that begin where a cache line does; vectors across two lines are twice as slow."""
    room = np.zeros(size + BYTES // np.dtype(dtype).itemsize, dtype)
    first = -room.ctypes.data % BYTES // room.itemsize
    return room[first : first + size]


class _Places:
    """Parts of one long record, (rows, size) of each node, one after the other."""

    def __init__(self, rows: int):
        self.rows, self.length = rows, 0
        self.found: dict[str, tuple[int, int]] = {}

    def add(self, name: str, size: int) -> int:
        first = self.length
        self.found[name] = first, size
        self.length += self.rows * size
        return first


class _Weights:
    """All weights, one term after the other, padded to whole lanes."""

    def __init__(self, dtype: type[np.floating[Any]], lanes: int):
        self.dtype, self.lanes, self.length = dtype, lanes, 0
        self.terms: list[tuple[int, Array]] = []

    def add(self, matrix: Array) -> int:
        """Append a matrix or a diagonal; where it begins."""
        first = self.length
        self.terms.append((first, matrix))
        blocks = -(-matrix.shape[-1] // self.lanes)
        self.length += blocks * self.lanes * (len(matrix) if matrix.ndim == 2 else 1)
        return first

    def joined(self) -> NDArray[Any]:
        """One array of them all."""
        weights = aligned(self.length, self.dtype)
        for first, matrix in self.terms:
            if matrix.ndim == 1:
                weights[first : first + len(matrix)] = matrix
                continue
            size = len(matrix) * self.lanes
            for k in range(0, matrix.shape[1], self.lanes):
                part = matrix[:, k : k + self.lanes]
                block = weights[first : first + size].reshape(len(matrix), self.lanes)
                block[:, : part.shape[1]] = part
                first += size
        return weights
