"""Running a user's torch model: a sample as it takes it, its states, and what goes wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nirbridge.adapters.base import UNSUPPORTED, UNTRACED
from nirbridge.diagnostics import Refused, refuse

PRECISIONS = ("torch.float32", "torch.float64")


def tensors(value: Any) -> Iterator[Any]:
    """All tensors in nested tuples, lists and dicts."""
    if hasattr(value, "detach") and hasattr(value, "dtype"):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


def as_input(model: Any, sample: Any) -> Any:
    """The sample as a tensor of the model's precision, where the model is; NaN and inf are 0.

    Raises
    ------
    Refused
        If it is no array of numbers, or the model computes in half precision.

    """
    import torch

    like = _parameter(model)
    try:
        array = sample.detach().cpu().numpy() if hasattr(sample, "detach") else sample
        if isinstance(array, tuple | list) and any(hasattr(item, "shape") for item in array):
            raise TypeError(f"{type(array).__name__} of {len(array)} arrays")
        if np.iscomplexobj(array):
            raise TypeError("complex numbers")
        values = np.nan_to_num(np.asarray(array, np.float64), posinf=0.0, neginf=0.0)
    except (TypeError, ValueError, RuntimeError) as error:
        found = f"{type(sample).__name__}: {error}"[:200]
        remedy = "pass one array or tensor, shaped as the model takes it in one call"
        limit = "one array of numbers"
        raise refuse(UNTRACED, node="sample", limit=limit, found=found, remedy=remedy) from None
    if values.size == 0:
        remedy = "pass an input as the model takes it in one call"
        limit, found = "at least one value", f"shape {values.shape}"
        raise refuse(UNTRACED, node="sample", limit=limit, found=found, remedy=remedy)
    return torch.as_tensor(values).to(like)


def _parameter(model: Any) -> Any:
    """A tensor with the precision and the place of the model's numbers."""
    import torch

    named = [*model.named_parameters(), *model.named_buffers()]
    lazy = (torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer)
    floats = [(n, p) for n, p in named if not isinstance(p, lazy) and p.is_floating_point()]
    for name, p in floats:
        if p.is_meta or str(p.dtype) not in PRECISIONS:
            found = "no values (meta)" if p.is_meta else str(p.dtype)
            remedy = "load its weights" if p.is_meta else "call model.float()"
            limit = "parameters in single or double precision"
            raise refuse(UNSUPPORTED, node=name, limit=limit, found=found, remedy=remedy)
    return torch.zeros_like(floats[0][1]) if floats else torch.zeros(())


def advance(model: Any, x: Any, last: Any = None) -> Any:
    """One call; the state that the model gave in the ``last`` one goes back into it."""
    if isinstance(last, tuple) and len(last) == 2 and _takes_state(model):
        return model(x, last[1])
    return model(x)


def _takes_state(model: Any) -> bool:
    return len(inspect.signature(model.forward).parameters) > 1


def swaps(name: str, args: tuple[Any, ...], tensor: Any) -> bool:
    """Whether the first two axes are exchanged, and nothing else: time and batch."""
    axes = args[1] if len(args) == 2 and isinstance(args[1], tuple | list) else args[1:]
    if tensor.ndim < 3 or not all(isinstance(axis, int) for axis in axes):
        return False
    if name == "permute":
        return tuple(axes) == (1, 0, *range(2, tensor.ndim))
    return sorted(axes) == [0, 1]


@contextmanager
def explained(where: Callable[[], str]) -> Iterator[None]:
    """Whatever a model raises becomes a refusal that names the module which was running."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # a model is anybody's code
        raise refuse(
            UNTRACED,
            node=where() or "model",
            limit="a model that runs on the sample",
            found=f"{type(error).__name__}: {error}"[:300],
            remedy="pass a sample as the model takes it in one call, and check that "
            "model(sample) runs",
        ) from error


@contextmanager
def kept(model: Any) -> Iterator[None]:
    """Without dropout meanwhile; afterwards the modules have their states and modes back."""
    from torch import nn

    modules = [m for _, m in model.named_modules()]
    buffers = [(m, dict(m._buffers)) for m in modules]
    memories = [(m, dict(m._memories)) for m in modules if hasattr(m, "_memories")]
    copies = {id(t): t.clone() for _, b in buffers for t in b.values() if t is not None}
    dropping = [m for m in modules if isinstance(m, nn.modules.dropout._DropoutNd) and m.training]
    try:
        for module in dropping:
            module.training = False
        yield
    finally:
        for module in dropping:
            module.training = True
        for module, memory in memories:  # SpikingJelly
            module._memories.update(memory)
        for module, own in buffers:
            module._buffers.clear()
            module._buffers.update(own)
            for tensor in own.values():
                if tensor is not None and not tensor.is_inference() and not tensor.requires_grad:
                    tensor.copy_(copies[id(tensor)])
