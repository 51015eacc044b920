"""Shapes of the signals in a flat graph, without batch and time axes."""

from __future__ import annotations

from math import prod
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.graph.nodes import is_neuron, kind

Shape = tuple[int, ...]

LARGEST_SIGNAL = 2**24  # values; far beyond every chip, and small enough for any machine
MAX_AXES = 32


class ShapeError(ValueError):
    """The signal that arrives cannot be what the node takes."""


def infer(graph: nir.NIRGraph) -> tuple[dict[str, tuple[Shape, Shape]], list[Diagnostic]]:
    """Shape of each node's input and output, and NB204 for every edge that does not fit.

    ``graph`` is flat. Nodes that no signal of known shape reaches are absent from the result.
    """
    shapes: dict[str, tuple[Shape, Shape]] = {}
    problems: list[Diagnostic] = []
    for name, node in graph.nodes.items():
        own = fixed_shape(node)
        if own is not None:
            shapes[name] = own
    waiting = list(graph.edges)
    while waiting:
        ready = [edge for edge in waiting if edge[0] in shapes]
        if not ready:
            break
        waiting = [edge for edge in waiting if edge[0] not in shapes]
        for source, target in ready:
            arriving = shapes[source][1]
            if target not in shapes:
                try:
                    shapes[target] = (arriving, output_shape(graph.nodes[target], arriving))
                except ShapeError as error:
                    limit = str(error)
                    problems.append(diagnose("NB204", node=target, limit=limit, found=arriving))
            elif shapes[target][0] != arriving:
                problems.append(
                    diagnose(
                        "NB204",
                        node=target,
                        limit=f"input of shape {shapes[target][0]}",
                        found=f"{arriving} from {source}",
                    )
                )
    fed = {b for _, b in graph.edges}
    for name, node in graph.nodes.items():
        if name not in shapes and name not in fed:
            limit = f"an input of known shape for {kind(node)}"
            problems.append(diagnose("NB204", node=name, limit=limit, found="none"))
    for name, both in shapes.items():
        if max(map(prod, both)) > LARGEST_SIGNAL:
            limit = f"a signal of at most {LARGEST_SIGNAL} values"
            problems.append(diagnose("NB204", node=name, limit=limit, found=f"{both}"))
    return shapes, problems


def fixed_shape(node: nir.NIRNode) -> tuple[Shape, Shape] | None:
    """Input and output shape of a node whose own parameters determine both, else None."""
    name = kind(node)
    if name in ("Affine", "Linear"):
        *lead, out, inp = np.shape(node.weight)
        return (*lead, inp), (*lead, out)
    if name in ("Input", "Output"):
        shape = tuple(int(n) for n in np.atleast_1d(node.input_type["input"]))
        return shape, shape
    own = {"Scale": "scale", "Threshold": "threshold", "Delay": "delay"}.get(name)
    if own is not None or is_neuron(node):
        shape = np.shape(getattr(node, own or "r"))
        return shape, shape
    return None


def output_shape(node: nir.NIRNode, shape: Shape) -> Shape:
    """Output shape of a convolution, pooling or Flatten for an input of ``shape``.

    Raises
    ------
    ShapeError
        If the input cannot be taken; the message says what could.

    """
    name = kind(node)
    if name in ("Conv1d", "Conv2d"):
        n_axes = 1 if name == "Conv1d" else 2
        channels = node.weight.shape[1] * int(node.groups)
        if len(shape) != n_axes + 1 or shape[0] != channels:
            raise ShapeError(f"{channels} channels with {n_axes} axes of space")
        kernel = node.weight.shape[2:]
        return (
            int(node.weight.shape[0]),
            *_slide(shape[1:], kernel, node.stride, node.padding, node.dilation),
        )
    if name in ("SumPool2d", "AvgPool2d"):
        if len(shape) != 3:
            raise ShapeError("(channels, height, width)")
        return (shape[0], *_slide(shape[1:], node.kernel_size, node.stride, node.padding, 1))
    if name == "Flatten":
        dims = [int(node.start_dim), int(node.end_dim)]
        start, end = (dim + len(shape) if dim < 0 else dim for dim in dims)
        if not 0 <= start <= end < len(shape):
            raise ShapeError(f"a signal with the axes {dims[0]} to {dims[1]}")
        return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])
    raise ShapeError(f"a primitive with a known shape rule, not {name}")


def _slide(space: Shape, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Shape:
    """Positions of a sliding window along each axis (the convolution arithmetic of NIR)."""
    n = len(space)
    if isinstance(padding, str):
        if padding == "same":
            if np.any(np.asarray(stride) != 1):
                raise ShapeError("a stride of 1 with padding 'same'")
            return space
        padding = 0
    given = (kernel, stride, padding, dilation)
    k, s, p, d = (np.broadcast_to(np.asarray(x, int), n) for x in given)
    if np.any(s < 1):
        raise ShapeError("a stride of at least 1")
    out = (np.asarray(space) + 2 * p - d * (k - 1) - 1) // s + 1
    if np.any(out < 1):
        raise ShapeError(f"an input of at least the kernel's extent {tuple(d * (k - 1) + 1)}")
    return tuple(int(x) for x in out)
