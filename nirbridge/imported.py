"""A configuration that came from elsewhere → a deployment like any other.

There is no trained network behind it: its source is what the integers compute, lifted to NIR.
"""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np

from nirbridge.deployment import Deployment
from nirbridge.diagnostics import refuse, refuse_all
from nirbridge.journal import Note
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.lift import Applied, chip_dynamics, lift
from nirbridge.mapping.place import Grid, Placement, Population

HIDDEN, READOUT, INPUT, OUTPUT = "hidden", "readout", "input", "output"


def imported(config: XyloConfig, origin: str = "", losses: tuple[str, ...] = ()) -> Deployment:
    """A deployment around a configuration, with all hidden neurons as one population.

    Parameters
    ----------
    config
        For a chip that can hold it.
    origin
        Where it came from, for the journal.
    losses
        What was there and is not in the configuration, for the journal.

    Raises
    ------
    Refused
        NB6xx for what the chip cannot hold, NB706 without inputs, hidden or output neurons.

    """
    refuse_all(config.violations())
    sizes = (config.n_in, config.n_hidden, config.n_out)
    if 0 in sizes:
        limit = "inputs, hidden neurons and output neurons, which a graph in NIR has"
        remedy = "nothing can be simulated without them"
        raise refuse("NB706", limit=limit, found=f"{sizes} of them", remedy=remedy)
    placement = Placement(
        (Population(HIDDEN, 0, config.n_hidden),),
        (Population(READOUT, 0, config.n_out, end=OUTPUT),),
    )
    shifts = (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out)
    hidden, outputs = (x.astype(np.int64) for x in (config.threshold, config.threshold_out))
    applied = Applied.of(config, Grid(hidden, outputs, shifts))
    applied = replace(  # a decay of 0 is left only where no weight uses the synapse
        applied,
        dash_syn=np.maximum(applied.dash_syn, 1),
        dash_syn_out=np.maximum(applied.dash_syn_out, 1),
    )
    said = [f"integers from {origin or 'elsewhere'}", *losses]
    if count := int((config.aliases >= 0).sum()):
        said.append(
            f"{count} aliases became weights in the graph: it computes the same, but does not give "
            "these integers again"
        )
    graph = lift(applied, placement, _skeleton(config), config.dt, config.aliases)
    return Deployment(
        config=config,
        lowered=graph,
        shifted=graph,
        deployed=graph,
        journal=tuple(Note("import", "", what) for what in said),
        source=graph,
        dynamics=chip_dynamics(config.dt),
        placement=placement,
        units={},
        method="imported",
    )


def _skeleton(config: XyloConfig) -> nir.NIRGraph:
    """Nodes and edges of the lifted graph, whose numbers do not matter yet."""
    n_in, n, n_out = config.n_in, config.n_hidden, config.n_out
    second = config.uses_second
    one, out = np.ones(n), np.ones(n_out)
    nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input(np.array([n_in]))}
    edges: list[tuple[str, str]] = []
    for k in range(1 + second):
        mark = f"_{k + 1}" if second else ""
        into = f"synapse{mark}" if second else HIDDEN
        if second:
            nodes[into] = nir.LI((k + 1) * one, one, 0 * one)
            edges.append((into, HIDDEN))
        for name, source, size, weights in (
            (f"w_in{mark}", INPUT, n_in, config.weights_in),
            (f"w_rec{mark}", HIDDEN, n, config.weights_rec),
        ):
            if source == INPUT or weights[:, :, k].any():
                nodes[name] = nir.Linear(np.zeros((n, size)))
                edges += [(source, name), (name, into)]
    nodes[HIDDEN] = (
        nir.LIF(one, one, 0 * one, one, 0 * one)
        if second
        else nir.CubaLIF(one, one, one, 0 * one, one, 0 * one, one)
    )
    nodes["w_out"] = nir.Linear(np.zeros((n_out, n)))
    nodes[READOUT] = nir.CubaLIF(out, out, out, 0 * out, out, 0 * out, out)
    nodes[OUTPUT] = nir.Output(np.array([n_out]))
    edges += [(HIDDEN, "w_out"), ("w_out", READOUT), (READOUT, OUTPUT)]
    return nir.NIRGraph(nodes, edges, type_check=False)
