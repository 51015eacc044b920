"""What is known of a graph or a chip before anything is done with it, as plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Refused
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind, parameters
from nirbridge.graph.read import repairs
from nirbridge.graph.shapes import Shape, infer
from nirbridge.report.units import counted, seconds
from nirbridge.targets import FORMATS, TARGETS, ChipSpec
from nirbridge.targets.fit import Demand, demand
from nirbridge.targets.power import clock
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
        fits = {name: [d.to_dict() for d in self.demand.over(c)] for name, c in TARGETS.items()}
        return {
            **nodes(self.graph, self.shapes),
            "dynamics": None if self.dynamics is None else self.dynamics.to_dict(),
            "implied_dt": [
                {"node": c.node, "formula": c.formula, "dt": [c.dt.min(), c.dt.max()]}
                for c in self.candidates
            ],
            "repairs": self.repairs,
            "demand": asdict(self.demand),
            "targets": {name: {"fits": not over, "over": over} for name, over in fits.items()},
        }


def nodes(graph: nir.NIRGraph, shapes: dict[str, tuple[Shape, Shape]]) -> dict[str, Any]:
    """Type, shapes and ranges of the parameters of each node of the flat graph, and its edges."""
    flat = inline(graph)
    found = {}
    for name, node in flat.nodes.items():
        ranges = {
            key: value if isinstance(value, str) else [float(np.min(value)), float(np.max(value))]
            for key, value in parameters(node).items()
            if isinstance(value, str) or np.size(value)
        }
        shape = shapes.get(name)
        found[name] = {
            "type": kind(node),
            "input_shape": None if shape is None else list(shape[0]),
            "output_shape": None if shape is None else list(shape[1]),
            "parameters": ranges,
        }
    return {"nodes": found, "edges": [list(edge) for edge in flat.edges]}


def inspect(graph: nir.NIRGraph, dt: float | None = None) -> Inspection:
    """Gather the facts about a graph that was read."""
    try:
        dynamics = resolve(graph, dt)
    except Refused:  # a step that cannot be known is a fact here, not an error
        dynamics = None
    return Inspection(
        graph, infer(inline(graph))[0], dynamics, candidates(graph), demand(graph), repairs(graph)
    )


def stepping(how: Dynamics) -> str:
    """How a network steps time, in a line."""
    most = how.spikes_per_step
    spikes = counted(most, "spike") if most else "any number of spikes"
    late = ", one step late" if how.reset_delay else ""
    return (
        f"dt {seconds(how.dt)}, {how.scheme} steps, reset by {how.reset}{late}, spike at "
        f"v {how.comparison} threshold, {spikes} per step"
    )


def chip(spec: ChipSpec) -> dict[str, Any]:
    """A chip's limits and formats as plain values, for JSON."""
    return {
        "title": spec.title,
        "part": spec.part,
        "arithmetic": spec.arithmetic,
        **{k: asdict(v) for k, v in (spec.limits() | clock(spec) | FORMATS).items()},
    }


def to_json(content: Any) -> str:
    """JSON of plain values."""
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def _plain(content: Any) -> Any:
    """The same without infinities and NaN, which JSON does not have: null stands for them."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content
