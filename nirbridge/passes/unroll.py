"""Convolutions, pooling, flattening and signals of several axes → matrices over vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.dynamics import Dynamics
from nirbridge.graph.apply import unroll
from nirbridge.graph.nodes import LINEAR, is_neuron, kind, parameters
from nirbridge.graph.shapes import Shape, infer
from nirbridge.journal import Note
from nirbridge.passes.base import Rewritten, rebuilt, with_fields

WINDOWED = ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten")


@dataclass(frozen=True)
class Unroll:
    """y = conv(x) → y.ravel() = W·x.ravel() + b, with W from the images of the unit vectors.

    Signals of shape (C, H, W) become vectors in C order; so do the parameters of neurons.
    Flatten becomes the identity. Refuses nothing: sizes are judged before.
    """

    name: ClassVar[str] = "unroll"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ("flat",)
    ensures: ClassVar[tuple[str, ...]] = ("flat", "one-dimensional")

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        """Replace what has more than one axis; leave the rest as it is."""
        shapes, _ = infer(graph)
        nodes: dict[str, nir.NIRNode] = {}
        notes: list[Note] = []
        for name, node in graph.nodes.items():
            shape = shapes[name][0] if name in shapes else ()
            nodes[name] = _flattened(node, shape)
            if nodes[name] is not node and not is_neuron(node):
                size = int(np.prod(shapes[name][1]))
                notes.append(
                    Note(
                        self.name,
                        name,
                        f"{kind(node)} {shape} -> {shapes[name][1]} as a map of "
                        f"{int(np.prod(shape))} onto {size} values",
                    )
                )
        return rebuilt(graph, nodes, list(graph.edges)), notes


def _flattened(node: nir.NIRNode, shape: Shape) -> nir.NIRNode:
    if kind(node) == "Flatten":
        return nir.Scale(np.ones(int(np.prod(shape))))
    if kind(node) in WINDOWED or (kind(node) in ("Linear", "Affine") and len(shape) > 1):
        matrix, bias = unroll(node, shape)
        return nir.Affine(matrix, bias) if bias.any() else nir.Linear(matrix)
    if len(shape) <= 1:
        return node
    if kind(node) in ("Input", "Output"):
        return type(node)(np.array([int(np.prod(shape))]))
    if is_neuron(node) or kind(node) in (*LINEAR, "Threshold", "Delay"):
        flat = {k: np.asarray(v).ravel() for k, v in parameters(node).items()}
        size = {"input": np.array([int(np.prod(shape))])}
        out = {"output": size["input"]}
        return with_fields(node, **flat, input_type=size, output_type=out)
    return node
