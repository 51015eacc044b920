"""Populations that do not spike and feed others → the synapses of what they feed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import SPIKING, is_neuron, kind
from nirbridge.journal import Note
from nirbridge.passes.base import Link, Names, Rewritten, rebuilt, values, with_fields
from nirbridge.passes.fuse import add_link, find_links
from nirbridge.passes.prune import Prune

Array = NDArray[np.float64]
Edge = tuple[str, str]

MOST = 2  # time constants per neuron; the chip's record says whether it has two


@dataclass
class _Slot:
    """One synaptic time constant per neuron of a target, and the weights that pass it."""

    tau: Array
    used: NDArray[np.bool_]
    links: dict[tuple[str, int], Array] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Dendrites:
    """LI → W → LIF: the filter and the map commute, so the LI becomes a synapse of the LIF.

    With v_k = LI(x_k) and I = Σ W_k·v_k, each time constant that reaches neuron i is one synapse
    of it, driven by W·r·x. One such synapse makes a LIF a CubaLIF (an LI a CubaLI); two stay as
    two LI nodes of the neuron's own size, feeding it directly. A rest potential of an LI goes
    into that of the neuron, where it acts from the first step. Refuses more than two time
    constants for one neuron, filters in series, and delays behind a filter.
    """

    name: ClassVar[str] = "dendrites"
    preserves: ClassVar[str] = "bounded"
    requires: ClassVar[tuple[str, ...]] = (
        "flat",
        "one-dimensional",
        "no bias",
        "no threshold",
        "neuron outputs",
        "fused",
    )
    ensures: ClassVar[tuple[str, ...]] = (*requires, "dendrites")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:
        """Move every filter to what it feeds, then drop those that nothing needs any more."""
        links = find_links(graph, dynamics.dt)
        filters = {
            n for n, x in graph.nodes.items() if is_neuron(x) and kind(x) not in SPIKING
        }
        filtered = sorted(
            {x.target for x in links if x.source in filters and not _done(graph, x.target, filters)}
        )
        if not filtered:
            return graph, []
        refuse_all(_series(graph, links, filters))
        nodes, edges = dict(graph.nodes), list(graph.edges)
        names = Names(nodes)
        notes: list[Note] = []
        for target in filtered:
            slots = _slots(graph, target, links, filters)
            notes.append(self._rebuild(graph, nodes, edges, names, target, slots, dynamics))
            notes += self._rest(nodes, target, links, filters)
        pruned, _ = Prune().run(rebuilt(graph, nodes, edges), dynamics)
        return pruned, notes

    def _rebuild(
        self,
        graph: nir.NIRGraph,
        nodes: dict[str, nir.NIRNode],
        edges: list[Edge],
        names: Names,
        target: str,
        slots: list[_Slot],
        dynamics: Dynamics,
    ) -> Note:
        """Replace the links from filters into ``target`` by its own synapses."""
        filters = {n for slot in slots for n in slot.owners}
        maps = [a for a, b in edges if b == target and _fed_by(edges, a) & filters]
        edges[:] = [(a, b) for a, b in edges if not (b == target and a in (*maps, *filters))]
        single = len(slots) == 1 and not any(b == target for _, b in edges)
        for k, slot in enumerate(slots):
            owner = _taken_over(graph, slot, target)
            gain = np.ones(slot.tau.shape)
            if owner and single:
                edges[:] = [(a, target if b == owner else b) for a, b in edges]
                gain = values(nodes[owner], "r")
            elif owner:
                nodes[owner] = with_fields(nodes[owner], v_leak=0 * gain)
                edges.append((owner, target))
            else:
                into = target if single else names.new(f"{target}.syn{k + 1}")
                if not single:
                    nodes[into] = nir.LI(slot.tau, gain, 0 * gain)
                    edges.append((into, target))
                for (source, delay), matrix in slot.links.items():
                    link = Link(source, into, matrix, delay, ())
                    name = names.new(f"{source}>{into}")
                    add_link(nodes, edges, names, link, name, dynamics.dt)
            if single:
                nodes[target] = with_synapse(nodes[target], slot.tau, gain)
        taus = ", ".join(f"{slot.tau.min():.4g} to {slot.tau.max():.4g} s" for slot in slots)
        text = f"{', '.join(sorted(filters))} as {len(slots)} synapse(s) of it, tau {taus}"
        return Note(self.name, target, text)

    def _rest(
        self,
        nodes: dict[str, nir.NIRNode],
        target: str,
        links: list[Link],
        filters: set[str],
    ) -> list[Note]:
        """Rest potentials of the filters, moved into the target's."""
        node = nodes[target]
        rest = np.zeros(values(node, "r").shape)
        for link in links:
            if link.target == target and link.source in filters:
                rest = rest + link.matrix @ values(nodes[link.source], "v_leak")
        if not rest.any():
            return []
        rise = values(node, "r") * rest
        nodes[target] = with_fields(node, v_leak=values(node, "v_leak") + rise)
        size = float(np.abs(rise / values(node, "v_threshold", 1.0)).max())
        text = "rest potential of its filters acts from the first step"
        return [Note(self.name, target, text, size, "thresholds")]


def _done(graph: nir.NIRGraph, target: str, filters: set[str]) -> bool:
    """Whether the filters of a neuron are its synapses already: its own, and one to one."""
    before = {a for a, b in graph.edges if b == target}
    own = before & filters
    alone = all({b for a, b in graph.edges if a == name} == {target} for name in own)
    others = {a for name in before - filters for a in _fed_by(graph.edges, name)}
    return alone and not others & filters and (len(own) == MOST or (len(own) == 1 and before > own))


def _taken_over(graph: nir.NIRGraph, slot: _Slot, target: str) -> str | None:
    """The filter that is this slot as it stands: it feeds the target alone, one to one."""
    if len(slot.owners) != 1:
        return None
    (owner,) = slot.owners
    after = {b for a, b in graph.edges if a == owner}
    onwards = {c for b in after for a, c in graph.edges if a == b}
    direct = after == {target}
    if not direct and len(after) == 1 and onwards == {target}:
        (name,) = after
        node = graph.nodes[name]
        size = len(slot.tau)
        direct = kind(node) == "Linear" and np.array_equal(node.weight, np.eye(size))
    same = np.array_equal(values(graph.nodes[owner], "tau"), slot.tau)
    return owner if direct and same else None


def _fed_by(edges: list[Edge], name: str) -> set[str]:
    return {a for a, b in edges if b == name}


def _series(graph: nir.NIRGraph, links: list[Link], filters: set[str]) -> list[Diagnostic]:
    """Filters that a Xylo's neuron cannot hold: in series, or with a delay behind them."""
    problems = []
    for link in links:
        if link.source not in filters:
            continue
        source, target = graph.nodes[link.source], graph.nodes[link.target]
        found = f"{link.source} ({kind(source)}) -> {link.target} ({kind(target)})"
        before = [x.source for x in links if x.target == link.source and x.source in filters]
        if kind(source) != "LI" or kind(target) not in ("LIF", "LI") or before:
            limit = "one filter (LI) between a spike and a membrane (LIF, LI)"
            text = f"{before[0]} -> {found}" if before else found
            problems.append(diagnose("NB401", node=link.source, limit=limit, found=text))
        elif link.delay:
            limit = "delays of spikes only"
            text = f"a delay of {link.delay} steps behind {found}"
            problems.append(diagnose("NB401", node=link.source, limit=limit, found=text))
    return problems


def _slots(
    graph: nir.NIRGraph, target: str, links: list[Link], filters: set[str]
) -> list[_Slot]:
    """Sort the time constants that reach each neuron of ``target`` into slots, shortest first."""
    arriving = [x for x in links if x.target == target and x.source in filters]
    size = arriving[0].matrix.shape[0]
    taus = [values(graph.nodes[x.source], "tau") for x in arriving]
    both = list(zip(arriving, taus, strict=True))
    reached: list[list[float]] = [
        sorted({float(t) for x, tau in both for t in tau[x.matrix[i] != 0]}) for i in range(size)
    ]
    most = max(len(r) for r in reached)
    if most > MOST:
        i = next(i for i, r in enumerate(reached) if len(r) == most)
        found = f"{most} in neuron {i}: " + ", ".join(f"{t:.4g} s" for t in reached[i])
        limit = f"{MOST} synaptic time constants per neuron"
        refuse_all([diagnose("NB608", node=target, limit=limit, found=found)])
    slots = []
    for k in range(max(most, 1)):
        used = np.array([len(r) > k for r in reached])
        fill = next((r[k] for r in reached if len(r) > k), float(taus[0].flat[0]))
        slot = _Slot(np.array([r[k] if len(r) > k else fill for r in reached]), used)
        for x, tau in both:
            part = np.where(used[:, None] & (tau[None, :] == slot.tau[:, None]), x.matrix, 0.0)
            if part.any() or (k == 0 and not x.matrix.any()):
                slot.owners.add(x.source)
                _gather(slot, part * values(graph.nodes[x.source], "r"), x.source, links)
        slots.append(slot)
    return slots


def _gather(slot: _Slot, weights: Array, source: str, links: list[Link]) -> None:
    """Add what spikes reach ``source`` to a slot, through ``weights`` (target, source)."""
    for link in links:
        if link.target == source:
            key = (link.source, link.delay)
            slot.links[key] = slot.links.get(key, 0.0) + weights @ link.matrix


def with_synapse(node: nir.NIRNode, tau_syn: Array, w_in: Array) -> nir.NIRNode:
    """A LIF as a CubaLIF, an LI as a CubaLI."""
    common = (tau_syn, values(node, "tau"), values(node, "r"), values(node, "v_leak"))
    metadata = dict(node.metadata)
    if kind(node) == "LI":
        return nir.CubaLI(*common, w_in, metadata=metadata)
    return nir.CubaLIF(
        *common, values(node, "v_threshold"), values(node, "v_reset"), w_in, metadata=metadata
    )
