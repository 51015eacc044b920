"""``nir.NIRGraph`` → ``.nir`` file, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from io import BytesIO
from pathlib import Path

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.files import replacing
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.shapes import Shape, infer
from nirbridge.graph.verify import verify


def write(graph: nir.NIRGraph, path: str | os.PathLike[str]) -> None:
    """Write a graph that plain ``nir.read`` can open.

    The file appears only when it is complete: ``nir.write`` alone leaves a truncated file behind
    when it fails.

    Raises
    ------
    Refused
        NB2xx if the graph is not well-formed, NB208 for metadata that HDF5 cannot hold.
    OSError
        If the place cannot be written to.

    """
    refuse_all(verify(graph))
    refuse_all(_check_metadata(graph, ""))
    complete = _with_input_shapes(graph, infer(inline(graph))[0], "")
    content = BytesIO()
    nir.write(content, complete)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content.getbuffer())


def _check_metadata(node: nir.NIRNode, path: str) -> Iterator[Diagnostic]:
    for key, value in node.metadata.items():
        if not _can_be_stored(key, value):
            limit = "metadata of texts and numbers"
            yield diagnose("NB208", node=path, limit=limit, found=f"{key}: {value!r}"[:80])
    for name, inner in getattr(node, "nodes", {}).items():
        yield from _check_metadata(inner, f"{path}.{name}" if path else name)


def _can_be_stored(key: object, value: object) -> bool:
    if not isinstance(key, str) or not key or "/" in key or key.strip(".") == "":
        return False
    if isinstance(value, dict):
        return all(_can_be_stored(k, v) for k, v in value.items())
    if isinstance(value, (str, bytes)):
        return "\0" not in str(value)
    try:
        letter = np.asarray(value).dtype.kind
    except ValueError:  # lists of different lengths
        return False
    return letter in "fiub" or (letter == "U" and not isinstance(value, np.ndarray))


def _with_input_shapes(
    graph: nir.NIRGraph, shapes: dict[str, tuple[Shape, Shape]], path: str
) -> nir.NIRGraph:
    """A copy in which convolutions and Flatten carry the input shape that nir.write asks for."""
    nodes: dict[str, nir.NIRNode] = {}
    for name, node in graph.nodes.items():
        nodes[name] = node
        if isinstance(node, nir.NIRGraph):
            nodes[name] = _with_input_shapes(node, shapes, f"{path}{name}.")
        elif kind(node) in ("Conv1d", "Conv2d", "Flatten") and path + name in shapes:
            shape = shapes[path + name][0]
            nodes[name] = copy(node)
            if kind(node) == "Flatten":
                nodes[name].input_type = {"input": np.array(shape)}
            else:
                nodes[name].input_shape = shape[1] if len(shape) == 2 else np.array(shape[1:])
    return nir.NIRGraph(
        nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False
    )
