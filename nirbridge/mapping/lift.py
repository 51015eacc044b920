"""Integers → NIR: what a configuration computes, in seconds and volts.

The inverse of quantising and placing. A current that decays by shift d keeps α = 1 − 2^−d of
itself per step, so τ = −dt/ln α under exponential stepping; the chip's i = α·(i + w) is NIR's
synapse with w_in = α/(1 − α), its v = α·v + i a membrane with r = 1/(1 − α). One threshold is one
volt. What no NIR graph holds is left out: the linear floor of the decays and 16-bit saturation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import GRID_KEY, Dynamics, annotate
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.intformat import HIDDEN_SPIKES, INT16, OUTPUT_SPIKES
from nirbridge.mapping.aliases import counted, follows
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.order import alias_pairs
from nirbridge.mapping.place import (
    SYNAPSE_KEY,
    ChipLink,
    Grid,
    Placement,
    Population,
    channels,
    chip_links,
    synapses,
)
from nirbridge.passes.dead import KEPT_KEY
from nirbridge.passes.relay import RELAY_KEY

Array = NDArray[np.float64]


def chip_dynamics(dt: float) -> Dynamics:
    """How a Xylo steps, but for its integers."""
    return Dynamics(
        dt,
        scheme="exponential",
        reset="subtract",
        spikes_per_step=HIDDEN_SPIKES,
        comparison=">=",
        layer_delay=1,
    )


@dataclass(frozen=True)
class Applied:
    """What a chip applies per step, in thresholds (volts for readouts), whole numbers or not.

    ``weights_in`` (n_in, n_hidden, 2), ``weights_rec`` (n_hidden, n_hidden, 2), ``weights_out``
    (n_hidden, n_out); ``bias`` (n_hidden,), ``bias_out`` (n_out,); shifts ``dash_syn``
    (n_hidden, 2), ``dash_mem``, ``dash_syn_out`` (n_out, 1), ``dash_mem_out``. ``once``: whose
    threshold is so high that it fires once per step, (n_hidden,). ``grid``: the scale, if they are
    integers.
    """

    weights_in: Array
    weights_rec: Array
    weights_out: Array
    bias: Array
    bias_out: Array
    dash_syn: NDArray[np.integer[Any]]
    dash_mem: NDArray[np.integer[Any]]
    dash_syn_out: NDArray[np.integer[Any]]
    dash_mem_out: NDArray[np.integer[Any]]
    once: NDArray[np.bool_]
    grid: Grid | None = None

    @classmethod
    def of(cls, config: XyloConfig, grid: Grid) -> Applied:
        """The integers of a configuration in units of their thresholds."""
        unit, unit_out = grid.hidden.astype(np.float64), grid.outputs.astype(np.float64)
        shift_in, shift_rec, shift_out = (2.0**s for s in grid.shifts)
        return cls(
            config.weights_in * shift_in / unit[:, None],
            config.weights_rec * shift_rec / unit[:, None],
            config.weights_out * shift_out / unit_out,
            config.bias / unit,
            config.bias_out / unit_out,
            np.stack([config.dash_syn, config.dash_syn_2], axis=1),
            config.dash_mem,
            config.dash_syn_out[:, None],
            config.dash_mem_out,
            fires_once(config.threshold),
            grid,
        )

    def constant_as_bias(self) -> Applied:
        """The same with the last input channel, which spikes in every step, as biases."""
        keep = chip_factor(self.dash_syn)
        steady = (self.weights_in[-1] * keep / (1 - keep)).sum(axis=1)
        return replace(self, weights_in=self.weights_in[:-1], bias=self.bias + steady)


def lift(
    applied: Applied,
    placement: Placement,
    lowered: nir.NIRGraph,
    dt: float,
    aliases: NDArray[Any] | None = None,
) -> nir.NIRGraph:
    """The graph that these numbers stand for, with the node names of ``lowered``.

    ``aliases`` that lead from a population to a later one become edges; all others are folded
    into the weights.
    """
    if aliases is not None and not follows(aliases, [p.ids for p in placement.hidden]):
        folded = counted(aliases).T
        applied = replace(
            applied,
            weights_rec=np.tensordot(folded, applied.weights_rec, 1),
            weights_out=folded @ applied.weights_out,
        )
        aliases = None
    writer = _Writer(applied, placement, lowered, dt, aliases)
    for population in placement.populations:
        writer.neurons(population, population in placement.hidden)
    links = chip_links(lowered, writer.topology)
    for link in links:
        writer.link(link, links)
    graph = nir.NIRGraph(writer.nodes, writer.edges, type_check=False)
    if applied.grid is not None:
        pairs = set() if aliases is None else alias_pairs(placement, aliases)
        graph.metadata[GRID_KEY] = applied.grid.to_json(placement, pairs)
    return chip_dynamics(dt).attach(graph)


class _Writer:
    """The graph as it grows."""

    def __init__(
        self,
        applied: Applied,
        placement: Placement,
        lowered: nir.NIRGraph,
        dt: float,
        aliases: NDArray[Any] | None,
    ):
        self.applied, self.placement, self.lowered, self.dt = applied, placement, lowered, dt
        self.aliases = aliases
        self.topology = Topology(lowered)
        self.spans = {p.name: p for p in placement.populations}
        self.inputs = channels(lowered)
        ends = {n: x for n, x in lowered.nodes.items() if kind(x) in ("Input", "Output")}
        self.nodes: dict[str, nir.NIRNode] = dict(ends)
        self.edges = [(a, b) for a, b in lowered.edges if b in ends]

    def neurons(self, population: Population, hidden: bool) -> None:
        """Write a population, with its second synapse if it has two."""
        applied, ids, dt = self.applied, population.ids, self.dt
        dash_syn, dash_mem, bias = (
            (applied.dash_syn, applied.dash_mem, applied.bias)
            if hidden
            else (applied.dash_syn_out, applied.dash_mem_out, applied.bias_out)
        )
        mem = chip_factor(dash_mem[ids])
        one = np.ones(population.size)
        membrane = (_tau(mem, dt), 1.0 / (1.0 - mem), bias[ids] / (1.0 - mem))
        filters = synapses(self.lowered, self.topology, population.name)
        factors = [chip_factor(dash) for dash in dash_syn[ids].T]
        if filters:
            node: nir.NIRNode = nir.LIF(*membrane, one, 0 * one)
            taus = [_tau(factor, dt) for factor in factors]
            told = len(filters) > 1 and not np.mean(taus[0]) < np.mean(taus[1])
            for place, (name, factor) in enumerate(zip(filters, factors, strict=False)):
                self.nodes[name] = nir.LI(taus[place], factor / (1.0 - factor), 0 * one)
                if told:
                    self.nodes[name].metadata[SYNAPSE_KEY] = str(place)
                self.edges.append((name, population.name))
        elif population.readout:
            syn = factors[0]
            node = nir.CubaLI(_tau(syn, dt), *membrane, syn / (1.0 - syn))
        else:
            syn = factors[0]
            node = nir.CubaLIF(_tau(syn, dt), *membrane, one, 0 * one, syn / (1.0 - syn))
        if not hidden:
            annotate(node, spikes_per_step=OUTPUT_SPIKES)
        elif applied.once[ids].all():
            annotate(node, spikes_per_step=1)
        if population.relay:
            node.metadata[RELAY_KEY] = "1"
        old = self.lowered.nodes[population.name].metadata
        if KEPT_KEY in old:
            node.metadata[KEPT_KEY] = old[KEPT_KEY]
        self.nodes[population.name] = node

    def link(self, link: ChipLink, links: list[ChipLink]) -> None:
        """Write a Linear, and the edge into another's Linear that an alias stands for."""
        block = self._block(link)
        shared = self._through_alias(link, links)
        if shared is not None:
            self.edges.append((link.source, shared))
            if not block.any():  # all its weights are those of the other
                return
        self.nodes[link.name] = nir.Linear(block.T)
        (into,) = self.topology.targets[link.name]
        self.edges += [(link.source, link.name), (link.name, into)]

    def _through_alias(self, link: ChipLink, links: list[ChipLink]) -> str | None:
        """Name of the Linear that the spikes pass instead, after they were counted elsewhere."""
        name = link.source
        used: str | None = None
        while name in self.spans and self.spans[name] in self.placement.hidden:
            span = self.spans[name]
            alias = -1 if self.aliases is None else int(self.aliases[span.first])
            if alias < 0:
                break
            owner = next(p for p in self.placement.hidden if p.first == alias)
            same = [
                x
                for x in links
                if (x.source, x.target, x.synapse) == (owner.name, link.target, link.synapse)
            ]
            if not same:
                break
            used, name = same[0].name, owner.name
        return used

    def _block(self, link: ChipLink) -> Array:
        """Weights of a link, (source, target)."""
        applied, target = self.applied, self.spans[link.target]
        if link.source in self.inputs:
            return applied.weights_in[self.inputs[link.source], target.ids, link.synapse]
        source = self.spans[link.source].ids
        if target in self.placement.outputs:
            return applied.weights_out[source, target.ids]
        return applied.weights_rec[source, target.ids, link.synapse]


def fires_once(threshold: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether a membrane of 16 bits is full before it holds two such thresholds."""
    return np.asarray(2 * threshold.astype(np.int64) > INT16.high, bool)


def chip_factor(dash: NDArray[np.integer[Any]]) -> Array:
    """1 − 2^−d: what is kept of a state per step, but for the linear floor."""
    return np.asarray(1.0 - 2.0 ** -dash.astype(np.float64), np.float64)


def _tau(factor: Array, dt: float) -> Array:
    how = chip_dynamics(dt)
    return np.array([how.tau(float(x)) for x in factor])
