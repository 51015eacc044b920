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
    if not isinstance(root, dict) or root.get("type") != "NIRGraph" or version is None:
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
    text = graph.metadata.get(REPAIRS_KEY)
    return [str(line) for line in json.loads(text)] if isinstance(text, str) else []


def _graph(content: dict[str, Any], path: str, problems: list[Diagnostic]) -> nir.NIRGraph:
    nodes: dict[str, nir.NIRNode] = {}
    inner = content.get("nodes")
    if not isinstance(inner, dict):
        raise refuse("NB108", node=path or "graph", limit="a group 'nodes'", found="none")
    for name, fields in inner.items():
        full = f"{path}.{name}" if path else name
        type_name = fields.get("type") if isinstance(fields, dict) else None
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
    edges = _edges(content.get("edges"), path, problems)
    return nir.NIRGraph(nodes, edges, metadata=_metadata(content), type_check=False)


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
    fields: dict[str, Any] = {"type": type_name}
    for spec in FIELDS[type_name]:
        name = spec.rstrip("?")
        value = content.get(name)
        if value is None:
            if not spec.endswith("?"):
                problems.append(
                    diagnose("NB108", node=path, limit=f"a field {name!r}", found="none")
                )
            elif name == "input_shape":
                fields[name] = None
            continue
        if isinstance(value, dict) or (isinstance(value, str) and name != "padding"):
            problems.append(
                diagnose(
                    "NB108", node=path, limit=f"numbers in {name!r}", found=repr(value)[:80]
                )
            )
            continue
        fields[name] = value
    fields["metadata"] = _metadata(content)
    if any(d.node == path for d in problems):
        return None
    return _construct(fields, path, problems)


def _construct(
    fields: dict[str, Any], path: str, problems: list[Diagnostic]
) -> nir.NIRNode | None:
    """Call NIR's constructor, whose own checks are assertions and index errors."""
    for name in ("input_type", "shape"):
        if name in fields:
            fields[name] = np.atleast_1d(fields[name])
    try:
        return nir.dict2NIRNode(fields)
    except (AssertionError, ValueError, TypeError, IndexError, AttributeError) as error:
        shapes = {k: np.shape(v) for k, v in fields.items() if isinstance(v, np.ndarray)}
        problems.append(
            diagnose(
                "NB209",
                node=path,
                limit="shapes that fit together (one value per neuron; weights 2-D or more)",
                found=f"{shapes}: {str(error).splitlines()[0] if str(error) else 'rejected'}",
            )
        )
        return None
