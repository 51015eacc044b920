"""The layers of ``torch.nn`` that have a NIR primitive, and back.

Source: the PyTorch reference of each layer, and the NIR primitives' reference (nir 1.0.8).
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import Shape, unsupported
from nirbridge.graph.nodes import kind

HINT = (
    "use Linear, Conv1d, Conv2d, AvgPool2d, LPPool2d(1, ...), Flatten, BatchNorm after one of the "
    "first three, Dropout or Identity"
)


def array(tensor: Any) -> Any:
    """A tensor's numbers, detached from it."""
    return tensor.detach().cpu().numpy().copy()


def is_layer(module: Any) -> bool:
    """Whether a module is a layer of ``torch.nn`` itself, not a container and not a subclass."""
    import torch
    from torch import nn

    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.DataParallel)
    if isinstance(module, containers) or type(module) is nn.Module:
        return False
    known = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.LPPool2d, nn.Flatten, nn.Identity)
    own = type(module).__module__.startswith(torch.nn.__name__ + ".")
    return own or isinstance(module, (*known, nn.modules.batchnorm._BatchNorm))


def is_dropped(module: Any) -> bool:
    """Whether a layer does nothing outside of training."""
    from torch import nn

    return isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd)


def feature_axes(module: Any) -> int | None:
    """How many axes of a layer's input are its own; the others are batch and time."""
    from torch import nn

    if isinstance(module, nn.Linear):
        return 1
    if isinstance(module, nn.Conv1d):
        return 2
    return 3 if isinstance(module, nn.Conv2d | nn.AvgPool2d | nn.LPPool2d) else None


def to_node(path: str, module: Any, shape: Shape, lead: int) -> nir.NIRNode:
    """The NIR node of a layer.

    Parameters
    ----------
    path, module
        The layer and where it stands in the model.
    shape
        Of its input, without batch and time.
    lead
        How many axes of batch and time there are: Flatten counts them.

    Raises
    ------
    Refused
        For a layer, or a setting of one, that NIR does not have.

    """
    from torch import nn

    if isinstance(module, nn.Linear):
        return linear(module)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return _conv(path, module, shape)
    if isinstance(module, nn.AvgPool2d):
        return _pool(path, module)
    if isinstance(module, nn.LPPool2d):
        return _sum_pool(path, module)
    if isinstance(module, nn.Flatten):
        return flatten(path, shape, lead, module.start_dim, module.end_dim)
    raise unsupported(path, "a layer that NIR has", type(module).__name__, HINT)


def linear(module: Any) -> nir.NIRNode:
    """Linear or Affine."""
    if module.bias is None:
        return nir.Linear(array(module.weight))
    return nir.Affine(array(module.weight), array(module.bias))


def _conv(path: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.padding_mode != "zeros":
        raise unsupported(path, "padding_mode='zeros'", module.padding_mode, "pad with zeros")
    bias = np.zeros(module.out_channels, np.float32)
    if module.bias is not None:
        bias = array(module.bias)
    size = len(module.kernel_size)
    space = tuple(int(n) for n in shape[-size:])
    kinds = nir.Conv1d if size == 1 else nir.Conv2d
    plain = (lambda v: v if isinstance(v, str) else int(v[0])) if size == 1 else (lambda v: v)
    return kinds(
        input_shape=space[0] if size == 1 else space,
        weight=array(module.weight),
        stride=plain(module.stride),
        padding=plain(module.padding),
        dilation=plain(module.dilation),
        groups=module.groups,
        bias=bias,
    )


def _pool(path: str, module: Any) -> nir.NIRNode:
    kernel, stride, padding = (
        np.broadcast_to(np.asarray(v, int), 2).copy()
        for v in (module.kernel_size, module.stride, module.padding)
    )
    unusual = module.ceil_mode or module.divisor_override is not None
    if unusual or (padding.any() and not module.count_include_pad):
        limit = "AvgPool2d that divides by its kernel size, with floor rounding"
        raise unsupported(path, limit, repr(module), "use the default options of AvgPool2d")
    return nir.AvgPool2d(kernel, stride, padding)


def _sum_pool(path: str, module: Any) -> nir.NIRNode:
    """LPPool2d of the first power is a sum; Sinabs' SumPool2d is one."""
    if module.norm_type != 1 or module.ceil_mode:
        limit = "LPPool2d with norm_type=1, with floor rounding"
        raise unsupported(path, limit, repr(module), "use AvgPool2d")
    stride = module.kernel_size if module.stride is None else module.stride
    kernel, stride = (np.broadcast_to(np.asarray(v, int), 2) for v in (module.kernel_size, stride))
    return nir.SumPool2d(kernel.copy(), stride.copy(), np.zeros(2, int))


def flatten(path: str, shape: Shape, lead: int, start: int, end: int) -> nir.NIRNode:
    """Flatten, counted without the axes of batch and time."""
    axes = range(len(shape) + lead)
    first, last = axes[start] - lead, axes[end] - lead
    if first < 0:
        limit = "Flatten that leaves batch and time alone"
        raise unsupported(path, limit, f"start_dim={start}", f"use start_dim={lead}")
    return nir.Flatten({"input": np.asarray(shape)}, first, last)


def normalisation(path: str, module: Any) -> tuple[Any, Any]:
    """Scale and shift per channel of a BatchNorm: y = s·x + t, s = γ/√(σ² + ε), t = β − s·μ."""
    if module.training or module.running_mean is None:
        remedy = "call model.eval(), with track_running_stats=True"
        found = type(module).__name__
        raise unsupported(path, "BatchNorm with fixed statistics", found, remedy)
    mean, var = (array(v).astype(np.float64) for v in (module.running_mean, module.running_var))
    scale, shift = 1 / np.sqrt(var + module.eps), np.zeros_like(mean)
    if module.affine:
        scale, shift = scale * array(module.weight), array(module.bias).astype(np.float64)
    return scale, shift - scale * mean


def can_fold(node: nir.NIRNode | None) -> bool:
    """Whether a normalisation can be written into the weights of a node."""
    return node is not None and kind(node) in ("Linear", "Affine", "Conv1d", "Conv2d")


def fold(node: nir.NIRNode, scale: Any, shift: Any) -> nir.NIRNode:
    """A linear layer with the normalisation after it in its weights: (sW)x + sb + t."""
    weight = node.weight * scale.reshape(-1, *[1] * (np.ndim(node.weight) - 1))
    bias = getattr(node, "bias", 0.0) * scale + shift
    weight, bias = weight.astype(np.float32), bias.astype(np.float32)
    if kind(node) in ("Linear", "Affine"):
        return nir.Affine(weight, bias)
    return type(node)(
        input_shape=node.input_shape,
        weight=weight,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
        bias=bias,
    )


def normalising(path: str, shape: Shape, scale: Any, shift: Any) -> nir.NIRNode:
    """A normalisation as a layer of its own: a diagonal, or a kernel of one value per channel."""
    scale, shift = scale.astype(np.float32), shift.astype(np.float32)
    if len(shape) == 1:
        return nir.Affine(np.diag(scale), shift)
    if len(shape) > 3:
        limit = "BatchNorm of one, two or three axes"
        raise unsupported(path, limit, shape, "put it after a Linear or Conv layer")
    kinds, one = (nir.Conv1d, 1) if len(shape) == 2 else (nir.Conv2d, (1, 1))
    weight = scale.reshape(-1, *[1] * len(shape))
    space = shape[1] if len(shape) == 2 else shape[1:]
    zero = 0 if len(shape) == 2 else (0, 0)
    return kinds(space, weight, one, zero, one, len(scale), shift)


def to_layer(node: nir.NIRNode) -> Any:
    """The torch layer of a NIR node without state, or None if torch has none (Scale, Delay).

    The layer takes a batch of one step, (B, ...).
    """
    from torch import nn

    name = kind(node)
    if name in ("Linear", "Affine") and np.ndim(node.weight) == 2:
        out, inp = node.weight.shape
        layer: Any = nn.Linear(inp, out, bias=name == "Affine")
    elif name in ("Conv1d", "Conv2d"):
        layer = _torch_conv(node)
    elif name == "AvgPool2d":
        layer = nn.AvgPool2d(_pair(node.kernel_size), _pair(node.stride), _pair(node.padding))
    elif name == "Flatten":
        start, end = int(node.start_dim), int(node.end_dim)
        return nn.Flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)
    else:
        return None
    for key in ("weight", "bias"):
        if getattr(layer, key, None) is not None:
            _load(getattr(layer, key), getattr(node, key))
    return layer


def _torch_conv(node: nir.NIRNode) -> Any:
    from torch import nn

    out, per_group = node.weight.shape[:2]
    groups, size = int(node.groups), node.weight.ndim - 2
    padding = node.padding
    if not isinstance(padding, str):
        padding = tuple(int(v) for v in np.broadcast_to(np.asarray(padding, int), size))
    kinds: Any = nn.Conv1d if size == 1 else nn.Conv2d
    return kinds(
        per_group * groups,
        out,
        node.weight.shape[2:],
        stride=tuple(int(v) for v in np.broadcast_to(np.asarray(node.stride, int), size)),
        padding=padding,
        dilation=tuple(int(v) for v in np.broadcast_to(np.asarray(node.dilation, int), size)),
        groups=groups,
    )


def _pair(value: Any) -> tuple[int, int]:
    a, b = np.broadcast_to(np.asarray(value, int), 2)
    return int(a), int(b)


def _load(parameter: Any, value: Any) -> None:
    import torch

    with torch.no_grad():
        parameter.copy_(torch.as_tensor(np.array(value), dtype=parameter.dtype))
