"""Integers → NIR: what a configuration computes, in seconds and volts.

The inverse of quantising and placing. A current that decays by shift d keeps α = 1 − 2^−d of
itself per step, so τ = −dt/ln α under exponential stepping; the chip's i = α·(i + w) is NIR's
synapse with w_in = α/(1 − α), its v = α·v + i a membrane with r = 1/(1 − α). One threshold is one
volt. What no NIR graph holds is left out: the linear floor of the decays and 16-bit saturation.
"""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics, annotate
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.intformat import HIDDEN_SPIKES, OUTPUT_SPIKES
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.place import Placement, Population

Array = NDArray[np.float64]

# e^−64 is nothing in double precision beside 1, and a time constant must be above 0.
_NO_MEMORY = 1 / 64


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


def lift(config: XyloConfig, placement: Placement, lowered: nir.NIRGraph) -> nir.NIRGraph:
    """The graph that a configuration stands for, with the node names of ``lowered``."""
    topology = Topology(lowered)
    spans = {p.name: p for p in (*placement.hidden, *placement.outputs)}
    unit = 1.0 / config.threshold.astype(np.float64)
    unit_out = 1.0 / config.threshold_out.astype(np.float64)
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    for name, node in lowered.nodes.items():
        if kind(node) in ("Input", "Output"):
            nodes[name] = node
            edges += [(a, name) for a in topology.sources[name]]
        elif name in spans:
            hidden = spans[name] in placement.hidden
            nodes[name] = _neurons(config, spans[name], hidden)
        else:
            (source,), (target,) = topology.sources[name], topology.targets[name]
            block = _block(config, placement, spans.get(source), spans[target])
            scale = unit if spans[target] in placement.hidden else unit_out
            nodes[name] = nir.Linear((block * scale[spans[target].ids]).T)
            edges += [(source, name), (name, target)]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    return chip_dynamics(config.dt).attach(graph)


def _block(
    config: XyloConfig, placement: Placement, source: Population | None, target: Population
) -> Array:
    """Weights from one population (None: the input) to another as the chip applies them."""
    if target in placement.outputs:
        assert source is not None  # place() refuses input straight into outputs
        weights = config.weights_out[source.ids, target.ids].astype(np.float64)
        shift = config.weight_shift_out
    elif source is None:
        weights = config.weights_in[:, target.ids, 0].astype(np.float64)
        shift = config.weight_shift_in
    else:
        weights = config.weights_rec[source.ids, target.ids, 0].astype(np.float64)
        shift = config.weight_shift_rec
    return weights * 2.0**shift


def _neurons(config: XyloConfig, population: Population, hidden: bool) -> nir.CubaLIF:
    ids = population.ids
    dash_mem, dash_syn, bias, threshold = (
        (config.dash_mem, config.dash_syn, config.bias, config.threshold)
        if hidden
        else (config.dash_mem_out, config.dash_syn_out, config.bias_out, config.threshold_out)
    )
    syn, mem = (_factor(d[ids]) for d in (dash_syn, dash_mem))
    one = np.ones(population.size)
    node = nir.CubaLIF(
        _tau(syn, config.dt),
        _tau(mem, config.dt),
        1.0 / (1.0 - mem),
        bias[ids] / threshold[ids].astype(np.float64) / (1.0 - mem),
        one,
        np.zeros(population.size),
        syn / (1.0 - syn),
    )
    if not hidden:
        annotate(node, spikes_per_step=OUTPUT_SPIKES)
    return node


def _factor(dash: NDArray[np.uint8]) -> Array:
    return 1.0 - 2.0 ** -dash.astype(np.float64)


def _tau(factor: Array, dt: float) -> Array:
    return np.where(factor > 0, -dt / np.log(np.where(factor > 0, factor, 0.5)), dt * _NO_MEMORY)
