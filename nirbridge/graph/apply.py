"""What the nodes without state do to a signal.

A signal is an array (B, ...) of floats: a batch of the values of one step.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.nodes import kind
from nirbridge.graph.shapes import Shape

Signal = NDArray[np.floating[Any]]


def apply(node: nir.NIRNode, x: Signal) -> Signal:
    """Output of a node without state for a batch of inputs, in the precision of ``x``.

    Source of the formulas: the NIR primitives' reference.
    """
    name = kind(node)
    if name in ("Input", "Output"):
        return x
    if name in ("Linear", "Affine"):
        weight = np.swapaxes(node.weight, -1, -2).astype(x.dtype, copy=False)
        y: Signal = np.matmul(x[..., None, :], weight)[..., 0, :]
        return y + node.bias.astype(x.dtype, copy=False) if name == "Affine" else y
    if name == "Scale":
        scaled: Signal = x * node.scale.astype(x.dtype, copy=False)
        return scaled
    if name in ("Conv1d", "Conv2d"):
        return _convolve(node, x)
    if name in ("SumPool2d", "AvgPool2d"):
        return _pool(node, x)
    if name == "Flatten":
        shape = x.shape[1:]
        start, end = range(len(shape))[int(node.start_dim)], range(len(shape))[int(node.end_dim)]
        return x.reshape(len(x), *shape[:start], -1, *shape[end + 1 :])
    raise TypeError(f"{name} has a state")


def unroll(node: nir.NIRNode, shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (out, in) and bias (out,) of a linear node, over flattened signals (C order).

    ``shape`` is that of the node's input.
    """
    size = int(np.prod(shape))
    bias = np.asarray(apply(node, np.zeros((1, *shape))).ravel(), np.float64)
    images = apply(node, np.eye(size).reshape(size, *shape)).reshape(size, -1)
    return np.ascontiguousarray((images - bias).T, np.float64), bias


def _pairs(value: Any, n: int) -> list[int]:
    return [int(x) for x in np.broadcast_to(np.asarray(value, int), n)]


def _convolve(node: nir.NIRNode, x: Signal) -> Signal:
    """Cross-correlation, as in the deep-learning frameworks, one kernel position at a time."""
    weight = node.weight.astype(x.dtype, copy=False)
    kernel = weight.shape[2:]
    n = len(kernel)
    stride, dilation = _pairs(node.stride, n), _pairs(node.dilation, n)
    extent = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(node.padding, str):
        total = extent if node.padding == "same" else [0] * n
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(p, p) for p in _pairs(node.padding, n)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    size = [(m - e - 1) // s + 1 for m, e, s in zip(x.shape[2:], extent, stride, strict=True)]
    groups = int(node.groups)
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    y = np.zeros((len(x), weight.shape[0], *size), x.dtype)
    for place in product(*map(range, kernel)):
        window = x[_window(place, dilation, size, stride)]
        for g in range(groups):
            out = slice(g * outputs, (g + 1) * outputs)
            part = window[:, g * inputs : (g + 1) * inputs]
            taps = weight[(out, slice(None)) + place]  # noqa: RUF005
            y[:, out] += np.einsum("oc,bc...->bo...", taps, part)
    y += node.bias.astype(x.dtype, copy=False).reshape(-1, *[1] * n)
    return y


def _pool(node: nir.NIRNode, x: Signal) -> Signal:
    kernel, stride = _pairs(node.kernel_size, 2), _pairs(node.stride, 2)
    padding = _pairs(node.padding, 2)
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    size = [(m - k) // s + 1 for m, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    y = np.zeros((*x.shape[:2], *size), x.dtype)
    for place in product(*map(range, kernel)):
        y += x[_window(place, [1, 1], size, stride)]
    return y / (kernel[0] * kernel[1]) if kind(node) == "AvgPool2d" else y


def _window(
    place: tuple[int, ...], dilation: list[int], size: list[int], stride: list[int]
) -> tuple[slice, ...]:
    """Where the kernel position ``place`` finds its inputs, for all output positions at once."""
    space = (
        slice(p * d, p * d + s * (n - 1) + 1, s)
        for p, d, n, s in zip(place, dilation, size, stride, strict=True)
    )
    return (slice(None), slice(None), *space)
