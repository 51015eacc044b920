"""The stateless layers of Spyx and Flax as NIR nodes: channels are last here, first in NIR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import Shape, unsupported

HINT = "use Linear, Conv, SumPool, Flatten, BatchNorm or Dropout"


def first(shape: Shape) -> Shape:
    """A shape with channels first, of one with channels last."""
    return (*shape[-1:], *shape[:-1])


def to_first(x: Any, axis: int) -> Any:
    """Move the channels from the end to ``axis``."""
    return np.moveaxis(x, -1, axis)


def to_last(x: Any, axis: int) -> Any:
    """Move the channels from ``axis`` to the end."""
    return np.moveaxis(x, axis, -1)


def order(shape: Shape) -> Any:
    """Of a flattened image: where in Spyx each element of NIR's stands; None if at its place."""
    index = to_first(np.arange(int(np.prod(shape))).reshape(shape), 0).ravel()
    return None if np.array_equal(index, np.arange(index.size)) else index


def feature_shape(model: Any, shape: Shape, is_leaf: Callable[[Any], bool]) -> Shape:
    """The shape of a sample without its batch, from what the first layer takes."""
    layer = model
    while not is_leaf(layer) and getattr(layer, "layers", None):
        layer = layer.layers[0]
    axes = None
    if type(layer).__name__ == "Linear":
        axes = 1
    elif type(layer).__name__ == "Conv":
        axes = len(layer.kernel_size) + 1
    elif type(layer).__name__ == "SumPool":
        axes = 3
    elif hasattr(layer, "hidden_shape") or hasattr(layer, "layer_shape"):
        axes = len(getattr(layer, "hidden_shape", getattr(layer, "layer_shape", ())))
    if axes is None:  # a module of the user's own, or a Flatten: as Spyx has it, with a batch
        axes = max(len(shape) - 1, 1)
    return shape[max(len(shape) - axes, 0) :]


def is_dropped(path: str, module: Any) -> bool:
    """Whether a layer does nothing outside of training.

    Raises
    ------
    Refused
        For a Dropout that drops.

    """
    name = type(module).__name__
    if name == "Dropout" and not module.deterministic and module.rate > 0:
        raise unsupported(path, "Dropout that rests", "deterministic=False", "call model.eval()")
    return name in ("Dropout", "ActivityRegularization")


def node(path: str, module: Any, shape: Shape, at: Any) -> nir.NIRNode:
    """The node of a layer that takes ``shape``; ``at`` is the order of its input.

    Raises
    ------
    Refused
        For a layer, or a setting of one, that NIR does not have.

    """
    name = type(module).__name__
    if name in ("Flatten", "Flattening"):
        return nir.Flatten({"input": np.asarray(first(shape))}, 0, len(shape) - 1)
    if name == "Linear" and len(shape) == 1:
        weight = np.asarray(module.kernel[...]).T
        weight = weight.copy() if at is None else weight[:, at]
        if not module.use_bias:
            return nir.Linear(weight)
        return nir.Affine(weight, np.asarray(module.bias[...]))
    if name == "Conv" and len(shape) in (2, 3):
        return _conv(path, module, shape)
    if name == "SumPool" and len(shape) == 3:
        return _pool(path, module, shape)
    if name == "BatchNorm":
        return _norm(path, module, shape, at)
    raise unsupported(path, "a layer that NIR has", f"{name} for a signal of {shape}", HINT)


def _conv(path: str, module: Any, shape: Shape) -> nir.NIRNode:
    size = len(shape) - 1
    strides, dilation, inner = (
        tuple(int(n) for n in np.broadcast_to(1 if v is None else v, size))
        for v in (module.strides, module.kernel_dilation, module.input_dilation)
    )
    if inner != (1,) * size:
        raise unsupported(path, "input_dilation=1", inner, "use a plain convolution")
    kernel = np.asarray(module.kernel[...])
    kernel = kernel if module.mask is None else kernel * np.asarray(module.mask)
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape, strict=False))
    padding = _padding(path, module.padding, shape[:-1], extent, strides)
    weight = np.moveaxis(kernel, (-1, -2), (0, 1)).copy()
    bias = np.zeros(len(weight), np.float32)
    bias = np.asarray(module.bias[...]) if module.use_bias else bias
    groups = int(module.feature_group_count)
    if size == 1:
        space: Any = int(shape[0])
        one = (strides[0], padding if isinstance(padding, str) else padding[0], dilation[0])
        return nir.Conv1d(space, weight, *one, groups, bias)
    return nir.Conv2d(shape[:-1], weight, strides, padding, dilation, groups, bias)


def _padding(path: str, padding: Any, space: Shape, extent: Shape, strides: Shape) -> Any:
    """Zeros at both ends of each axis: as many at one as at the other, but for 'same'."""
    if padding == "VALID":
        return (0,) * len(space)
    if padding == "SAME":
        if set(strides) == {1}:
            return "same"
        totals = [
            max((-(-n // s) - 1) * s + e - n, 0)
            for n, e, s in zip(space, extent, strides, strict=True)
        ]
        pairs = [(t // 2, t - t // 2) for t in totals]
    elif isinstance(padding, str):
        raise unsupported(path, "padding with zeros", padding, "use SAME or VALID")
    else:
        given = [padding] * len(space) if isinstance(padding, int) else list(padding)
        pairs = [(p, p) if isinstance(p, int) else tuple(p) for p in given]
    if any(low != high for low, high in pairs):
        limit, remedy = "as much padding before as behind", "give the padding as numbers"
        raise unsupported(path, limit, f"{padding}: {pairs}", remedy)
    return tuple(int(low) for low, _ in pairs)


def _pool(path: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.channel_axis not in (-1, 3):
        raise unsupported(path, "channel_axis=-1", module.channel_axis, "put channels last")
    sizes = []
    for value in (module.window_shape, module.strides):
        pair = tuple(np.broadcast_to(value, 2)) if np.size(value) in (1, 2) else value[-3:-1]
        if np.size(value) > 2 and value[-1] != 1:
            raise unsupported(path, "pooling of space alone", value, "give two numbers")
        sizes.append(tuple(int(n) for n in pair))
    window, strides = sizes
    padding = _padding(path, module.padding, shape[:-1], window, strides)
    if padding == "same":
        padding = _padding(path, [((w - 1) // 2, w // 2) for w in window], shape, window, strides)
    return nir.SumPool2d(np.array(window), np.array(strides), np.array(padding))


def _norm(path: str, module: Any, shape: Shape, at: Any) -> nir.NIRNode:
    if not module.use_running_average:
        limit, remedy = "BatchNorm with fixed statistics", "call model.eval()"
        raise unsupported(path, limit, "use_running_average=False", remedy)
    mean, var = (np.asarray(v[...], np.float64) for v in (module.mean, module.var))
    scale, shift = 1 / np.sqrt(var + module.epsilon), np.zeros_like(mean)
    if module.scale is not None:
        scale = scale * np.asarray(module.scale[...])
    if module.bias is not None:
        shift = np.asarray(module.bias[...], np.float64)
    shift = shift - scale * mean
    if at is not None:
        scale, shift = scale[at], shift[at]
    return layers.normalising(path, first(shape), scale, shift)
