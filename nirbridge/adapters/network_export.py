"""A built torch network as a graph again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import Assembly, Cell, is_cell, without_memory
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind


def export(network: Any, dt: float | None = None) -> nir.NIRGraph:
    """A built network as a graph again, with the parameters that it has now."""
    dynamics = network.dynamics if dt is None else replace(network.dynamics, dt=dt)
    made = Assembly(edges=list(network.graph.edges))
    for name, node in network.graph.nodes.items():
        made.add(name, _exported(network, name, node, dynamics))
    words = {n: getattr(dynamics, n) for n in ("layer_delay", "recurrent_delay", "output_lag")}
    return made.graph(dynamics.dt, **words)


def _exported(network: Any, name: str, node: nir.NIRNode, dynamics: Dynamics) -> Any:
    if kind(node) in ("Input", "Output", "Delay", "Flatten", "AvgPool2d", "SumPool2d"):
        return node
    module = network.part(name)
    if is_cell(node):
        return _exported_cell(network.kit, name, module, dynamics.dt)
    if kind(node) == "Threshold":
        return nir.Threshold(layers.array(module.threshold))
    if kind(node) == "Scale":
        return nir.Scale(layers.array(module.weight))
    if kind(node) in ("Linear", "Affine"):
        return layers.linear(module)
    return layers.to_node(name, module, network.shapes[name][0], 1)


def _exported_cell(kit: Any, name: str, unit: Any, dt: float) -> Cell:
    """The population of a unit, with its gain divided between gs and gm as in the source."""
    how, source = replace(unit.how, dt=dt), unit.cell
    cell = kit.framework.populate(name, unit.module, source.shape, dt).cell
    gain = 1.0 if unit.gain is None else layers.array(unit.gain)
    c = cell.c if unit.offset is None else cell.c + cell.gm * layers.array(unit.offset)
    cell = divided(replace(cell, how=how, gs=cell.gs * gain, c=c), source)
    if not source.spiking:
        return replace(cell, threshold=None, v_reset=np.zeros(cell.shape))
    if unit.composed:
        threshold, v_reset = (
            layers.array(v).astype(np.float64) for v in (unit.threshold, unit.v_reset)
        )
        c = cell.c if unit.c is None else cell.c + layers.array(unit.c)
        return replace(cell, threshold=threshold, v_reset=v_reset, c=c)
    return cell if unit.shift is None else cell.shifted(-layers.array(unit.shift))


def divided(cell: Cell, source: Cell) -> Cell:
    """The same population with the synapse and the gm of ``source``, as far as they can be."""
    gain = cell.gs * cell.gm
    if source.A is None:
        return replace(without_memory(cell), gs=np.ones(cell.shape), gm=gain)
    gm = np.where(source.gm == 0, cell.gm, source.gm)
    return replace(cell, A=np.zeros(cell.shape) if cell.A is None else cell.A, gs=gain / gm, gm=gm)
