"""Is this a well-formed NIR graph? Every reason that it is not, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.graph.inline import inline, ports
from nirbridge.graph.nodes import FIELDS, TIME_CONSTANTS, is_neuron, kind, parameters
from nirbridge.graph.shapes import LARGEST_SIGNAL, MAX_AXES, infer
from nirbridge.graph.topology import Topology

HUGE, SMALLEST = 3.4e38, 1.2e-38
GAINS = ("r", "w_in")
CONVOLUTIONS = ("Conv1d", "Conv2d")

# Fields that are whole numbers, and the least that makes sense.
COUNTS = {
    "shape": 1,
    "kernel_size": 1,
    "stride": 1,
    "dilation": 1,
    "groups": 1,
    "padding": 0,
    "start_dim": -MAX_AXES,
    "end_dim": -MAX_AXES,
}


def verify(graph: nir.NIRGraph) -> list[Diagnostic]:
    """Check nodes, parameters, edges, shapes and cycles. An empty list means well-formed."""
    problems = _check_level(graph, "") + _check_names(graph)
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
        full = f"{path}{name}"
        if isinstance(node, nir.NIRGraph):
            problems += _check_level(node, f"{full}.")
        elif kind(node) not in FIELDS:
            problems.append(
                diagnose("NB208", node=full, limit=", ".join(sorted(FIELDS)), found=kind(node))
            )
        else:
            problems += _check_parameters(full, node)
    kinds = Counter(kind(node) for node in graph.nodes.values())
    for needed in ("Input", "Output"):
        if not kinds[needed]:
            limit = f"at least one {needed}"
            problems.append(diagnose("NB206", node=path.rstrip("."), limit=limit, found="none"))
    return problems + _check_edges(graph, path)


def _check_names(graph: nir.NIRGraph) -> list[Diagnostic]:
    """Names must survive a file, and stay different when nested graphs are taken apart."""
    problems = []
    seen: set[str] = set()
    for name, full in _names(graph, ""):
        if not _is_name(name):
            limit = "a name in readable characters without /"
            problems.append(diagnose("NB203", node=full, limit=limit, found=repr(name)[:80]))
        if full in seen:
            problems.append(diagnose("NB203", node=full, limit="one node of that name", found=2))
        seen.add(full)
    return problems


def _is_name(name: object) -> bool:
    if not isinstance(name, str):
        return False
    return name.isprintable() and "/" not in name and bool(name.strip("."))


def _names(graph: nir.NIRGraph, path: str) -> Iterator[tuple[object, str]]:
    """Each node's name, and what it is called when nested graphs are taken apart."""
    for name, node in graph.nodes.items():
        yield name, f"{path}{name}"
        if isinstance(node, nir.NIRGraph):
            yield from _names(node, f"{path}{name}.")


def _check_edges(graph: nir.NIRGraph, path: str) -> list[Diagnostic]:
    problems = []
    kinds = {name: kind(node) for name, node in graph.nodes.items()}
    for (source, target), count in Counter(graph.edges).items():
        edge = f"edge {source} -> {target}"
        for name, end in ((source, "Output"), (target, "Input")):
            if name not in kinds:
                limit, found = "a node of the graph", f"{edge}, but no node {name!r}"
            elif kinds[name] == end:
                limit, found = "no edge out of an Output or into an Input", edge
            else:
                continue
            problems.append(diagnose("NB203", node=f"{path}{name}", limit=limit, found=found))
        problems += _check_ports(graph, path, source, target)
        if count > 1:
            problems.append(
                diagnose(
                    "NB203",
                    node=f"{path}{source}",
                    limit="each edge once",
                    found=f"{edge} stands {count} times",
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
    remedy = "give the nested graph one Input and one Output, or put its nodes outside"
    return [
        diagnose(
            "NB203",
            node=f"{path}{target}",
            limit="as many ports at one end of an edge as at the other",
            found=found,
            remedy=remedy,
        )
    ]


def _check_parameters(name: str, node: nir.NIRNode) -> list[Diagnostic]:
    problems: list[Diagnostic] = []
    values = _values(node)
    for field, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            problems.append(
                diagnose("NB201", node=name, limit=f"numbers in {field}", found=str(array.dtype))
            )
        elif array.size:
            with np.errstate(invalid="ignore"):  # a signalling NaN is found as any other
                numbers = np.asarray(array, np.float64)
            problems += _check_values(name, field, numbers)
    if problems:
        return problems
    problems += _check_shapes(name, node, values)
    if not problems and "v_threshold" in values:
        gap = np.asarray(node.v_threshold, float) - np.asarray(node.v_reset, float)
        if np.any(gap < SMALLEST):
            problems.append(
                _found_at("NB207", name, "v_threshold - v_reset", gap, gap < SMALLEST, "> 0")
            )
    return problems


def _check_values(name: str, field: str, array: NDArray[np.float64]) -> list[Diagnostic]:
    """The first rule that values of a field break.

    Values beyond the range of single precision are no parameters, and their products would
    overflow; so would quotients by what is too small.
    """
    size = np.abs(array)
    rules = [("NB201", ~np.isfinite(array), "finite"), ("NB201", size > HUGE, f"within ±{HUGE}")]
    if field in COUNTS:
        low = COUNTS[field]
        bad = (array < low) | (array > LARGEST_SIGNAL) | (array != np.rint(array))
        rules.append(("NB201", bad, f"a whole number {low}..{LARGEST_SIGNAL}"))
    elif field in TIME_CONSTANTS:
        rules.append(("NB202", array < SMALLEST, "> 0 s"))
    elif field == "delay":
        rules.append(("NB202", array < 0, ">= 0 s"))
    elif field in GAINS:
        rules.append(("NB201", (size > 0) & (size < SMALLEST), f"0, or beyond ±{SMALLEST}"))
    for code, bad, limit in rules:
        if np.any(bad):
            return [_found_at(code, name, field, array, bad, limit)]
    return []


def _values(node: nir.NIRNode) -> dict[str, Any]:
    """What of a node must be numbers: its parameters, or the shape of an Input or Output."""
    if kind(node) in ("Input", "Output"):
        return {"shape": (node.input_type or {}).get("input")}
    if kind(node) == "Flatten":
        return {"start_dim": node.start_dim, "end_dim": node.end_dim}
    words = ("padding",) if kind(node) in CONVOLUTIONS else ()
    return {
        k: v for k, v in parameters(node).items() if not (k in words and isinstance(v, str))
    }


def _check_shapes(name: str, node: nir.NIRNode, values: dict[str, Any]) -> list[Diagnostic]:
    """Shapes within one node, which NIR's constructors check only in part."""
    shapes = {k: np.shape(v) for k, v in values.items()}
    limit = _shape_rule(node, shapes)
    if not limit and any(0 in shape for shape in shapes.values()):
        limit = "at least one value in each"
    return [diagnose("NB209", node=name, limit=limit, found=str(shapes))] if limit else []


def _shape_rule(node: nir.NIRNode, shapes: dict[str, tuple[int, ...]]) -> str:
    """The rule that the shapes of a node's parameters break; empty if they break none."""
    name = kind(node)
    weight, bias = shapes.get("weight", ()), shapes.get("bias", ())
    if any(shapes.get(k, ()) != () for k in ("groups", "start_dim", "end_dim")):
        return "single numbers for groups and axes"
    if len(shapes.get("shape", ())) > 1:
        return "a shape as a list of numbers"
    if is_neuron(node) and (len(set(shapes.values())) > 1 or () in shapes.values()):
        return "one shape (N,) or more axes"
    if name in ("Affine", "Linear") and len(weight) < 2:
        return "weight (out, in)"
    if name == "Affine" and bias != weight[:-1]:
        return f"bias {weight[:-1]}"
    if name in CONVOLUTIONS:
        axes = 1 if name == "Conv1d" else 2
        if len(weight) != axes + 2 or bias != weight[:1] or weight[0] % int(node.groups):
            return f"weight (groups · n, in, {axes} axes of space), bias (groups · n,)"
    if name in (*CONVOLUTIONS, "SumPool2d", "AvgPool2d"):
        axes = 1 if name == "Conv1d" else 2
        sizes = [shapes[k] for k in COUNTS if k in shapes and k != "groups"]
        if any(size not in ((), (1,), (axes,)) for size in sizes):
            return f"one number for each of {axes} axes of space"
    return ""


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
