"""The same network in other time steps, for input that comes as events."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.adapters.base import Assembly, Cell, from_node, is_cell
from nirbridge.diagnostics import refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.verify import verify

Array = NDArray[np.float64]


def retime(
    graph: nir.NIRGraph, dynamics: Dynamics, factor: float
) -> tuple[nir.NIRGraph, Dynamics]:
    """A graph that answers a spike in steps of ``factor``·dt as the given one does in steps of dt.

    Factors per step become A^factor and B^factor. A spike's charge stays: after k steps the
    membrane has h(t) = (A^(t+1) − B^(t+1))/(A − B) of it, of which the new steps see every
    ``factor``-th value, so the gain is multiplied by (A^factor − B^factor)/(A − B). What cannot be
    kept: a neuron still fires as often per step, and loops still take a step.

    Raises
    ------
    Refused
        NB2xx for a malformed graph.

    """
    refuse_all(verify(graph))
    flat = inline(graph)
    dt = dynamics.dt * factor
    made = Assembly(edges=list(flat.edges))
    for name, node in flat.nodes.items():
        if is_cell(node):
            made.add(name, _retimed(from_node(node, dynamics), factor, dt))
        elif kind(node) == "Delay":
            steps = np.rint(np.asarray(node.delay, np.float64) / dt)
            made.add(name, nir.Delay(steps * dt))
        else:
            made.add(name, node)
    words = {n: getattr(dynamics, n) for n in ("layer_delay", "recurrent_delay", "output_lag")}
    changed = made.graph(dt, **words)
    how = Dynamics.of(changed)
    assert how is not None
    return changed, how


def _retimed(cell: Cell, factor: float, dt: float) -> Cell:
    B = cell.B**factor
    c = cell.c * _sum(cell.B, factor)
    how = replace(cell.how, dt=dt, scheme="exponential")
    if cell.A is None:
        # a pulse without a synapse jumps, whatever the step
        return replace(cell, how=how, B=B, c=c)
    A = cell.A**factor
    apart = np.abs(cell.A - cell.B) > 1e-9
    gap = np.where(apart, cell.A - cell.B, 1.0)
    alike = factor * np.maximum(cell.A, 1e-12) ** (factor - 1)
    gain = np.where(apart, (A - B) / gap, alike)
    return replace(cell, how=how, A=A, B=B, c=c, gs=cell.gs * gain)


def _sum(B: Array, factor: float) -> Array:
    """(1 − B^factor)/(1 − B): what a constant drive adds in a new step, in that of an old one."""
    leaks = B < 1
    return np.where(leaks, (1 - B**factor) / np.where(leaks, 1 - B, 1.0), factor)
