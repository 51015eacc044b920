"""A ``.nir`` file → ``nir.NIRGraph``, or a refusal that says what is wrong with the file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.graph.nodes import FIELDS
from nirbridge.graph.repair import repair
from nirbridge.graph.safe_hdf5 import load
from nirbridge.graph.verify import verify

KNOWN_VERSIONS = re.compile(r"(0\.[0-9]+|1\.[0-9]+)(\.\w+)*([.+-]\w+)*")
REPAIRS_KEY = "nirbridge_repairs"
MAX_BYTES = 2**30

# What NIR's constructors raise for fields that contradict each other.
NIR_ERRORS = (
    AssertionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def read(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> nir.NIRGraph:
    """Read a graph, repairing what older exporters are known to write wrongly.

    Unlike ``nir.read``, nothing outside the file is opened, no more than ``max_bytes`` of arrays
    are allocated, and the graph that is returned has been verified.

    Parameters
    ----------
    path
        A ``.nir`` file (HDF5).
    max_bytes
        Most bytes that the file's arrays may claim together.

    Returns
    -------
    nir.NIRGraph
        The graph; what was repaired is listed by :func:`repairs`.

    Raises
    ------
    Refused
        NB1xx if the file cannot be read, NB2xx if the graph in it is not well-formed.

    """
    file = Path(path)
    content = load(file, max_bytes)
    version, root = content.get("version"), content.get("node")
    if not isinstance(root, dict) or _type(root) != "NIRGraph" or version is None:
        raise refuse(
            "NB103",
            node=file.name,
            limit="a group 'node' of type NIRGraph, and a 'version'",
            found=f"entries {sorted(content)[:8]}",
        )
    if not isinstance(version, str) or not KNOWN_VERSIONS.fullmatch(version):
        raise refuse("NB104", node=file.name, limit="0.x or 1.x", found=repr(version)[:80])
    problems: list[Diagnostic] = []
    graph = _graph(root, "", problems)
    refuse_all(problems)
    graph, done = repair(graph)
    if done:
        graph.metadata = {**graph.metadata, REPAIRS_KEY: json.dumps(done)}
    refuse_all(verify(graph))
    return graph


def repairs(graph: nir.NIRGraph) -> list[str]:
    """What :func:`read` repaired in this graph, one sentence each."""
    try:
        lines = json.loads(graph.metadata.get(REPAIRS_KEY, "[]"))
    except (TypeError, ValueError, RecursionError):  # not our record
        return []
    return [str(line) for line in lines] if isinstance(lines, list) else []


def _graph(content: dict[str, Any], path: str, problems: list[Diagnostic]) -> nir.NIRGraph:
    nodes: dict[str, nir.NIRNode] = {}
    inner = content.get("nodes")
    if not isinstance(inner, dict):
        raise refuse("NB108", node=path or "graph", limit="a group 'nodes'", found="none")
    for name, fields in inner.items():
        full = f"{path}.{name}" if path else name
        type_name = _type(fields) if isinstance(fields, dict) else ""
        if type_name == "NIRGraph":
            nodes[name] = _graph(fields, full, problems)
        elif type_name in FIELDS:
            node = _node(type_name, fields, full, problems)
            if node is not None:
                nodes[name] = node
        else:
            problems.append(
                diagnose(
                    "NB107",
                    node=full,
                    limit=f"NIRGraph, {', '.join(sorted(FIELDS))}",
                    found=repr(type_name)[:80],
                )
            )
    if not isinstance(content.get("metadata", {}), dict):
        problems.append(
            diagnose("NB108", node=path or "graph", limit="a group 'metadata'", found="an array")
        )
    edges = _edges(content.get("edges"), path, problems)
    return nir.NIRGraph(nodes, edges, metadata=_metadata(content), type_check=False)


def _type(content: dict[str, Any]) -> str:
    """The word in the field 'type'; empty if it is none."""
    word = content.get("type")
    return word if isinstance(word, str) else ""


def _edges(raw: Any, path: str, problems: list[Diagnostic]) -> list[tuple[str, str]]:
    array = np.asarray(raw if raw is not None else [])
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 2:
        problems.append(
            diagnose(
                "NB108",
                node=path or "graph",
                limit="edges of shape (E, 2)",
                found=f"shape {array.shape}",
            )
        )
        return []
    return [(_text(a), _text(b)) for a, b in array]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _metadata(content: dict[str, Any]) -> dict[str, Any]:
    metadata = content.get("metadata", {})
    return metadata if isinstance(metadata, dict) else {}


def _node(
    type_name: str, content: dict[str, Any], path: str, problems: list[Diagnostic]
) -> nir.NIRNode | None:
    """Build one node, or add to ``problems`` why it cannot be built."""
    found = _field_problems(type_name, content, path)
    if found:
        problems += found
        return None
    names = [spec.rstrip("?") for spec in FIELDS[type_name]]
    fields: dict[str, Any] = {name: content[name] for name in names if name in content}
    if "input_shape" in names:
        fields.setdefault("input_shape", None)
    fields |= {"type": type_name, "metadata": _metadata(content)}
    return _construct(fields, path, problems)


def _field_problems(type_name: str, content: dict[str, Any], path: str) -> list[Diagnostic]:
    """Fields that are missing, unknown, or not numbers."""
    names = {spec.rstrip("?"): spec.endswith("?") for spec in FIELDS[type_name]}
    problems = [
        diagnose("NB108", node=path, limit=f"a field {name!r}", found="none")
        for name, optional in names.items()
        if not optional and name not in content
    ]
    for name, value in content.items():
        if name in ("type", "metadata"):
            continue
        if name not in names:
            known = f"the fields {', '.join(names)} of {type_name}"
            problems.append(diagnose("NB108", node=path, limit=known, found=f"a field {name!r}"))
        elif not _is_value(type_name, name, value):
            found = repr(value)[:80]
            problems.append(
                diagnose("NB108", node=path, limit=f"numbers in {name!r}", found=found)
            )
    return problems


def _is_value(type_name: str, field: str, value: Any) -> bool:
    """Whether a field holds numbers, or one of the words for the padding of a convolution."""
    if type_name in ("Conv1d", "Conv2d") and field == "padding" and isinstance(value, str):
        return value in ("same", "valid")
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"


def _construct(
    fields: dict[str, Any], path: str, problems: list[Diagnostic]
) -> nir.NIRNode | None:
    """Call NIR's constructor, whose own checks are assertions and whatever NumPy raises."""
    shapes = {k: np.shape(v) for k, v in fields.items() if isinstance(v, np.ndarray)}
    for name in ("input_type", "shape"):
        if name in fields:
            fields[name] = np.atleast_1d(fields[name])
    for name in ("groups", "start_dim", "end_dim"):
        if name in fields and np.size(fields[name]) == 1:
            fields[name] = np.asarray(fields[name]).item()
    try:
        with np.errstate(all="ignore"):
            return nir.dict2NIRNode(fields)
    except NIR_ERRORS as error:
        why = str(error).splitlines()[0] if str(error) else "rejected"
        problems.append(
            diagnose(
                "NB209",
                node=path,
                limit="shapes that fit together (one value per neuron; weights 2-D or more)",
                found=f"{shapes}: {why}",
            )
        )
        return None
