"""Is this a well-formed NIR graph? Every reason that it is not, at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.graph.inline import inline, ports
from nirbridge.graph.nodes import FIELDS, TIME_CONSTANTS, is_neuron, kind, parameters
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology


def verify(graph: nir.NIRGraph) -> list[Diagnostic]:
    """Check nodes, parameters, edges, shapes and cycles. An empty list means well-formed."""
    problems = _check_level(graph, "")
    if problems:
        return problems  # shapes and cycles make no sense on a broken graph
    flat = inline(graph)
    _, problems = infer(flat)
    topology = Topology(flat)
    if topology.stateless_cycle:
        problems.append(
            diagnose(
                "NB205",
                node=topology.stateless_cycle[0],
                limit="a neuron in each loop",
                found="a loop through " + ", ".join(topology.stateless_cycle),
            )
        )
    for name, node in flat.nodes.items():
        if kind(node) == "Output" and name not in topology.from_input:
            problems.append(
                diagnose("NB206", node=name, limit="a path from an Input", found="none")
            )
    return problems


def _check_level(graph: nir.NIRGraph, path: str) -> list[Diagnostic]:
    problems: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        full = path + name
        if isinstance(node, nir.NIRGraph):
            problems += _check_level(node, f"{full}.")
        elif kind(node) not in FIELDS:
            problems.append(
                diagnose(
                    "NB208", node=full, limit=", ".join(sorted(FIELDS)), found=kind(node)
                )
            )
        else:
            problems += _check_parameters(full, node)
    kinds = Counter(kind(node) for node in graph.nodes.values())
    for needed in ("Input", "Output"):
        if not kinds[needed]:
            problems.append(
                diagnose(
                    "NB206", node=path.rstrip("."), limit=f"at least one {needed}", found="none"
                )
            )
    return problems + _check_edges(graph, path)


def _check_edges(graph: nir.NIRGraph, path: str) -> list[Diagnostic]:
    problems = []
    for (source, target), count in Counter(graph.edges).items():
        for name in (source, target):
            if name not in graph.nodes:
                problems.append(
                    diagnose(
                        "NB203",
                        node=path + name,
                        limit="a node of the graph",
                        found=f"edge {source} -> {target}, but no node {name!r}",
                    )
                )
        problems += _check_ports(graph, path, source, target)
        if count > 1:
            problems.append(
                diagnose(
                    "NB203",
                    node=path + source,
                    limit="each edge once",
                    found=f"edge {source} -> {target} stands {count} times",
                    remedy="remove the repeated edge, or double the weight if it was meant so",
                )
            )
    return problems


def _check_ports(graph: nir.NIRGraph, path: str, source: str, target: str) -> list[Diagnostic]:
    """An edge between nested graphs joins as many Outputs as there are Inputs."""
    if source not in graph.nodes or target not in graph.nodes:
        return []
    starts = ports(graph.nodes[source], source, "Output")
    ends = ports(graph.nodes[target], target, "Input")
    if len(starts) == len(ends):
        return []
    found = f"{len(starts)} ({', '.join(starts)}) into {len(ends)} ({', '.join(ends)})"
    remedy = "give the nested graph one Input and one Output, or put its nodes into the outer graph"
    return [
        diagnose(
            "NB203",
            node=path + target,
            limit="as many ports at one end of an edge as at the other",
            found=found,
            remedy=remedy,
        )
    ]


def _check_parameters(name: str, node: nir.NIRNode) -> list[Diagnostic]:
    problems: list[Diagnostic] = []
    values = {k: v for k, v in parameters(node).items() if not isinstance(v, str)}
    for field, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            problems.append(
                diagnose("NB201", node=name, limit=f"numbers in {field}", found=str(array.dtype))
            )
        elif array.size and not np.all(np.isfinite(array)):
            problems.append(_found_at("NB201", name, field, array, ~np.isfinite(array), "finite"))
        elif field in TIME_CONSTANTS and np.any(array <= 0):
            problems.append(_found_at("NB202", name, field, array, array <= 0, "> 0 s"))
    if problems:
        return problems
    problems += _check_shapes(name, node, values)
    if not problems and "v_threshold" in values:
        gap = np.asarray(node.v_threshold, float) - np.asarray(node.v_reset, float)
        if np.any(gap <= 0):
            problems.append(
                _found_at("NB207", name, "v_threshold - v_reset", gap, gap <= 0, "> 0")
            )
    return problems


def _check_shapes(name: str, node: nir.NIRNode, values: dict[str, Any]) -> list[Diagnostic]:
    """Shapes within one node, which NIR's constructors check only in part."""
    shapes = {k: np.shape(v) for k, v in values.items()}
    if is_neuron(node) and (len(set(shapes.values())) > 1 or () in shapes.values()):
        return [
            diagnose("NB209", node=name, limit="one shape (N,) or more axes", found=str(shapes))
        ]
    if kind(node) in ("Affine", "Linear") and len(shapes["weight"]) < 2:
        return [diagnose("NB209", node=name, limit="weight (out, in)", found=str(shapes))]
    if kind(node) == "Affine":
        expected = (*shapes["weight"][:-2], shapes["weight"][-2])
        if shapes["bias"] != expected:
            return [diagnose("NB209", node=name, limit=f"bias {expected}", found=str(shapes))]
    return []


def _found_at(
    code: str, name: str, field: str, array: Any, bad: Any, limit: str
) -> Diagnostic:
    index = tuple(int(i) for i in np.argwhere(np.atleast_1d(bad))[0])
    value = np.atleast_1d(array)[index]
    return diagnose(
        code,
        node=name,
        limit=f"{field} {limit}",
        found=f"{field}[{', '.join(map(str, index))}] = {value} ({int(np.sum(bad))} such values)",
    )
