"""What all adapters share: the cell, between a framework's parameters and a NIR node.

Every framework steps its neurons as I = A·I + gs·x; v = B·v + gm·I + c; spike; reset. NIR holds
the same as time constants and gains: w_in = gs/(1 − A), r = gm/(1 − B), v_leak = c/(1 − B), τ by
the scheme of the :class:`nirbridge.Dynamics`. How the spike and the reset act is in the flags of
that record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Refused, refuse
from nirbridge.dynamics import Dynamics, annotate
from nirbridge.graph.nodes import canonical_step, kind, shape_of

Array = NDArray[np.float64]
Shape = tuple[int, ...]

UNSUPPORTED = "NB901"
"""Code for a layer or setting that NIR cannot hold."""
UNTRACED = "NB902"
"""Code for a connection between layers that cannot be followed."""
DIFFERS = "NB904"
"""Code for what a framework cannot compute as the graph says."""

FOREVER = 2.0**60
"""Time constant, in steps, that stands for no leak among leaky neurons: 1 − 2^−60 is 1."""

# Facts of a single node; the others (delays between populations, lag) are facts of the graph.
OWN = ("scheme", "order", "reset", "spikes_per_step", "comparison", "reset_delay", "residual")
OWN_SILENT = OWN[:2]


def unsupported(path: str, limit: str, found: object, remedy: str) -> Refused:
    """A refusal of a layer, by its path in the model."""
    return refuse(UNSUPPORTED, node=path, limit=limit, found=found, remedy=remedy)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Refusals from inside that know no layer get this one's path."""
    try:
        yield
    except Refused as refusal:
        raise Refused([replace(d, node=d.node or path) for d in refusal.diagnostics]) from None


@dataclass(frozen=True)
class Cell:
    """One population in canonical form, before it is a NIR node.

    Arrays are float64 and have the population's ``shape``. ``A`` is None without a synapse (then
    ``gs`` is 1), ``threshold`` is None for neurons that do not spike.
    """

    shape: Shape
    how: Dynamics
    A: Array | None
    gs: Array
    B: Array
    gm: Array
    c: Array
    threshold: Array | None
    v_reset: Array

    @classmethod
    def of(
        cls,
        shape: Shape,
        how: Dynamics,
        *,
        B: Any,
        A: Any = None,
        gs: Any = 1.0,
        gm: Any = 1.0,
        c: Any = 0.0,
        threshold: Any = None,
        v_reset: Any = 0.0,
        path: str = "",
    ) -> Cell:
        """Give every parameter the population's shape; scalars count for all neurons.

        Raises
        ------
        Refused
            If a parameter does not broadcast to the shape, or a decay lies outside 0..1.

        """

        def full(name: str, value: Any) -> Array:
            try:
                return np.array(np.broadcast_to(np.asarray(value, np.float64), shape), np.float64)
            except ValueError:
                raise unsupported(
                    path, f"{name} of shape {shape}", np.shape(value), "give one value per neuron"
                ) from None

        cell = cls(
            shape,
            how,
            None if A is None else full("A", A),
            full("gs", gs),
            full("B", B),
            full("gm", gm),
            full("c", c),
            None if threshold is None else full("threshold", threshold),
            full("v_reset", v_reset),
        )
        low = -np.inf if how.scheme == "euler" else 0.0
        for name, decay in (("A", cell.A), ("B", cell.B)):
            if decay is not None and not np.all((decay >= low) & (decay <= 1)):
                limit = "decays from 0 to 1 per step"
                found = f"{name} from {decay.min():g} to {decay.max():g}"
                raise unsupported(path, limit, found, "clamp the decays of the cell")
        return cell

    @property
    def spiking(self) -> bool:
        """Whether the population has a threshold."""
        return self.threshold is not None

    def shifted(self, by: Any) -> Cell:
        """The same spikes with all potentials moved by ``by``: v' = v − by, at rest v' = 0.

        With reset to a value only: a subtracted threshold must not move.
        """
        by = np.broadcast_to(np.asarray(by, np.float64), self.shape)
        threshold = None if self.threshold is None else self.threshold - by
        c = self.c - (1 - self.B) * by
        return replace(self, c=c, threshold=threshold, v_reset=self.v_reset - by)


def without_memory(cell: Cell) -> Cell:
    """A synapse that keeps nothing is none."""
    if cell.A is None or np.any(cell.A) or cell.how.order != "synapse first":
        return cell
    one = np.ones(cell.shape)
    return replace(cell, A=None, gs=one, gm=cell.gs * cell.gm)


def to_node(cell: Cell) -> nir.NIRNode:
    """The NIR node of a population: Cuba with a synapse, IF and I where nothing leaks."""
    how, one = cell.how, np.ones(cell.shape)
    ends: dict[str, Array] = {}
    if cell.threshold is not None:
        ends = {"v_threshold": cell.threshold, "v_reset": cell.v_reset}
    if cell.A is None and np.all(cell.B == 1) and not np.any(cell.c):
        gain = cell.gm * cell.gs / how.dt
        return nir.IF(r=gain, **ends) if ends else nir.I(r=gain)
    tau = time_constants(cell.B, how)
    rest = how.complement(tau)
    common = {"r": cell.gm / rest, "v_leak": cell.c / rest, **ends}
    if cell.A is None:
        common["r"] = cell.gm * cell.gs / rest
        return nir.LIF(tau=tau, **common) if ends else nir.LI(tau=tau, **common)
    tau_syn = time_constants(cell.A, how)
    common |= {"tau_syn": tau_syn, "tau_mem": tau, "w_in": one * cell.gs / how.complement(tau_syn)}
    return nir.CubaLIF(**common) if ends else nir.CubaLI(**common)


def time_constants(decay: Array, how: Dynamics) -> Array:
    """Seconds of the factors per step ``decay``: the inverse of :meth:`Dynamics.factor`.

    Exact in double precision, hence also after rounding to single: a factor of 1 becomes
    :data:`FOREVER` steps, a factor of 0 in exponential steps a 64th of a step.
    """
    steps = np.full(decay.shape, FOREVER)
    leaky = decay < 1
    if how.scheme == "euler":
        steps[leaky] = 1.0 / (1.0 - decay[leaky])
    else:
        steps[leaky] = 1 / 64
        leaky &= decay > 0
        steps[leaky] = -1.0 / np.log(decay[leaky])
    return steps * how.dt


def from_node(node: nir.NIRNode, dynamics: Dynamics) -> Cell:
    """The population of a NIR neuron node, stepped as ``dynamics`` and its own record say."""
    how = dynamics.override(node)
    step = canonical_step(node, how)
    has_synapse = hasattr(node, "tau_syn")
    v_reset = np.zeros(shape_of(node)) if step.v_reset is None else step.v_reset
    A = step.A if has_synapse else None
    return Cell(
        shape_of(node), how, A, step.gs, step.B, step.gm, step.c, step.threshold, v_reset
    )


@dataclass
class Assembly:
    """A graph under construction; nodes that are cells are kept in canonical form too."""

    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    cells: dict[str, Cell] = field(default_factory=dict)

    def add(self, name: str, part: nir.NIRNode | Cell) -> None:
        """Add a node or a population."""
        if isinstance(part, Cell):
            self.cells[name] = part
            self.nodes[name] = to_node(part)
        else:
            self.nodes[name] = part

    def join(self, source: str, target: str) -> None:
        """Add an edge."""
        self.edges.append((source, target))

    def graph(self, dt: float, **words: Any) -> nir.NIRGraph:
        """The graph with its complete :class:`Dynamics`; ``words`` are facts of the graph.

        The record of the graph is that of most populations; the others carry their exceptions.
        """
        base = replace(common([c.how for c in self.cells.values() if c.spiking], dt), **words)
        if not any(c.spiking for c in self.cells.values()) and self.cells:
            first = next(iter(self.cells.values())).how
            base = replace(base, scheme=first.scheme, order=first.order)
        for name, cell in self.cells.items():
            names = OWN if cell.spiking else OWN_SILENT
            exceptions = {
                n: getattr(cell.how, n) for n in names if getattr(cell.how, n) != getattr(base, n)
            }
            if exceptions:
                annotate(self.nodes[name], **exceptions)
        graph = nir.NIRGraph(dict(self.nodes), list(self.edges), type_check=False)
        return base.attach(graph)


def common(records: list[Dynamics], dt: float) -> Dynamics:
    """The record that most populations share; the first of several."""
    if not records:
        return Dynamics(dt)
    return Counter(records).most_common(1)[0][0]


def differing(a: Dynamics, b: Dynamics) -> Mapping[str, tuple[object, object]]:
    """Fields in which two records differ: name → (of a, of b)."""
    return {
        f.name: (getattr(a, f.name), getattr(b, f.name))
        for f in fields(Dynamics)
        if getattr(a, f.name) != getattr(b, f.name)
    }


def is_cell(node: nir.NIRNode) -> bool:
    """Whether a node is a population with a membrane (a Threshold has none)."""
    return kind(node) in ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
