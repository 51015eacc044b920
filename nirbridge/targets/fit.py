"""What a graph asks of a chip, counted before anything is rewritten."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import SPIKING, is_neuron, kind, shape_of
from nirbridge.graph.topology import Topology
from nirbridge.targets.spec import ChipSpec, named_sum


@dataclass(frozen=True)
class Use:
    """One resource: how much is used (None where it could not be counted), of what limit."""

    used: int | None
    limit: int
    detail: str = ""
    unit: str = ""

    @property
    def fits(self) -> bool | None:
        """Whether the chip has as much; None if that is not known."""
        return None if self.used is None else self.used <= self.limit

    @property
    def share(self) -> float:
        """Used of what there is; 0 of a resource that the chip does not have."""
        return (self.used or 0) / self.limit if self.limit else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "fits": self.fits, "share": self.share}


@dataclass(frozen=True)
class Demand:
    """Channels and neurons by node name."""

    inputs: dict[str, int]
    hidden: dict[str, int]
    outputs: dict[str, int]

    def over(self, chip: ChipSpec) -> list[Diagnostic]:
        """NB601 to NB603 for each count that the chip cannot hold, with the layers named."""
        return [
            diagnose(code, node=next(iter(parts)), limit=chip.cite(limit), found=named_sum(parts))
            for code, limit, parts in (
                ("NB601", "inputs", self.inputs),
                ("NB602", "hidden", self.hidden),
                ("NB603", "outputs", self.outputs),
            )
            if sum(parts.values()) > chip.limits()[limit].value
        ]


def demand(graph: nir.NIRGraph) -> Demand:
    """Count the channels and neurons of a graph, as few as it can be brought down to.

    Populations that feed an Output are outputs. Those that do not spike are the synapses of what
    they feed, and a population that no Output depends on will be dropped.
    """
    flat = inline(graph)
    topology = Topology(flat)
    ends = {n for n, x in flat.nodes.items() if kind(x) == "Output"}
    needed = topology.towards(ends)
    found = Demand({}, {}, {})
    for name, node in flat.nodes.items():
        if kind(node) == "Input":
            found.inputs[name] = int(np.prod(node.input_type["input"]))
        elif is_neuron(node) and name in needed:
            if not ends.isdisjoint(topology.targets[name]):
                found.outputs[name] = int(np.prod(shape_of(node)))
            elif kind(node) in SPIKING:
                found.hidden[name] = int(np.prod(shape_of(node)))
    return found
