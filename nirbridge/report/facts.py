"""What is known of a graph or a chip before anything is done with it, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Refused
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind, parameters
from nirbridge.graph.read import repairs
from nirbridge.graph.shapes import Shape, infer
from nirbridge.targets import FORMATS, TARGETS, ChipSpec
from nirbridge.targets.fit import Demand, demand
from nirbridge.timing import Candidate, candidates, resolve


@dataclass(frozen=True)
class Inspection:
    """A graph, its shapes, how it steps time as far as is known, and what it needs."""

    graph: nir.NIRGraph
    shapes: dict[str, tuple[Shape, Shape]]
    dynamics: Dynamics | None
    candidates: list[Candidate]
    demand: Demand
    repairs: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain values, for JSON."""
        flat = inline(self.graph)
        fits = {name: [d.to_dict() for d in self.demand.over(c)] for name, c in TARGETS.items()}
        return {
            "nodes": {name: self._node(name, node) for name, node in flat.nodes.items()},
            "edges": [list(edge) for edge in flat.edges],
            "dynamics": None if self.dynamics is None else self.dynamics.to_dict(),
            "implied_dt": [
                {"node": c.node, "formula": c.formula, "dt": [c.dt.min(), c.dt.max()]}
                for c in self.candidates
            ],
            "repairs": self.repairs,
            "demand": asdict(self.demand),
            "targets": {name: {"fits": not over, "over": over} for name, over in fits.items()},
        }

    def _node(self, name: str, node: nir.NIRNode) -> dict[str, Any]:
        ranges = {
            key: value if isinstance(value, str) else [float(np.min(value)), float(np.max(value))]
            for key, value in parameters(node).items()
            if isinstance(value, str) or np.size(value)
        }
        shape = self.shapes.get(name)
        return {
            "type": kind(node),
            "input_shape": None if shape is None else list(shape[0]),
            "output_shape": None if shape is None else list(shape[1]),
            "parameters": ranges,
        }


def inspect(graph: nir.NIRGraph, dt: float | None = None) -> Inspection:
    """Gather the facts about a graph that was read."""
    try:
        dynamics = resolve(graph, dt)
    except Refused:  # a step that cannot be known is a fact here, not an error
        dynamics = None
    return Inspection(
        graph, infer(inline(graph))[0], dynamics, candidates(graph), demand(graph), repairs(graph)
    )


def chip(spec: ChipSpec) -> dict[str, Any]:
    """A chip's limits and formats as plain values, for JSON."""
    return {
        "title": spec.title,
        "part": spec.part,
        "arithmetic": spec.arithmetic,
        **{k: asdict(v) for k, v in (spec.limits() | FORMATS).items()},
    }
