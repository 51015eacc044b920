"""Mend what older exporters wrote wrongly, and say so.

Two defects are found in published files, and both have one possible meaning:

- an edge inside a nested graph names a node that does not exist, while exactly one node there has
  no edge at all (the exporter renamed the node and not its edges);
- an Input or Output carries leading axes of length 1 (batch, time) before its real shape.
"""

from __future__ import annotations

import nir
import numpy as np


def repair(graph: nir.NIRGraph, path: str = "") -> tuple[nir.NIRGraph, list[str]]:
    """A mended copy of ``graph`` (nodes are shared where untouched) and one sentence per repair."""
    done: list[str] = []
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes[name], inner = repair(node, f"{path}{name}.")
            done += inner
    nodes = _rename_dangling(nodes, list(graph.edges), path, done)
    nodes = _drop_unit_axes(nodes, list(graph.edges), path, done)
    mended = nir.NIRGraph(
        nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False
    )
    return mended, done


def _rename_dangling(
    nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], path: str, done: list[str]
) -> dict[str, nir.NIRNode]:
    named = {name for edge in edges for name in edge}
    missing, loose = sorted(named - set(nodes)), sorted(set(nodes) - named)
    if len(missing) != 1 or len(loose) != 1:
        return nodes
    done.append(
        f"node '{path}{loose[0]}' has no edges and the edges of '{path}{missing[0]}' have no "
        f"node: taken as the same node, '{path}{missing[0]}'"
    )
    return {(missing[0] if name == loose[0] else name): node for name, node in nodes.items()}


def _drop_unit_axes(
    nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], path: str, done: list[str]
) -> dict[str, nir.NIRNode]:
    mended = dict(nodes)
    for source, target in edges:
        for name, other in ((target, source), (source, target)):
            end, neighbour = nodes.get(name), nodes.get(other)
            if not isinstance(end, (nir.Input, nir.Output)) or neighbour is None:
                continue
            shape = _shape(end, "input")
            real = _shape(neighbour, "output" if name == target else "input")
            if shape is None or real is None or shape == real:
                continue
            extra = len(shape) - len(real)
            if extra > 0 and shape[extra:] == real and all(n == 1 for n in shape[:extra]):
                done.append(
                    f"node '{path}{name}' has shape {shape}, taken as {real}: leading axes of "
                    "length 1 are batch or time, which NIR shapes do not carry"
                )
                mended[name] = type(end)(np.array(real))
    return mended


def _shape(node: nir.NIRNode, side: str) -> tuple[int, ...] | None:
    """Declared shape of a node's input or output, if it has exactly one and knows it."""
    types = node.input_type if side == "input" else node.output_type
    if not types or len(types) != 1:
        return None
    value = np.atleast_1d(np.asarray(next(iter(types.values()))))
    if value.dtype.kind not in "iu" or value.ndim > 1:
        return None
    return tuple(int(n) for n in value)
