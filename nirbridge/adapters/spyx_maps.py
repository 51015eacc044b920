"""NIR nodes without state as a ``flax.nnx.Module`` on (B, ...), channels first."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import nir
import numpy as np

from nirbridge.graph.nodes import kind

TRAINED = ("weight", "bias", "scale", "threshold")


@cache
def map_class() -> Any:
    """The module; made once, because flax is imported only when it is needed."""
    import jax
    import jax.numpy as jnp
    from flax import nnx
    from spyx.axn import superspike

    class Map(nnx.Module):  # type: ignore[misc]
        """A Linear, Affine, Scale, convolution, pooling, Flatten or Threshold."""

        def __init__(self, node: nir.NIRNode):
            self.kind = kind(node)
            for name in TRAINED:
                if hasattr(node, name):
                    value = jnp.asarray(np.asarray(getattr(node, name)), jnp.float32)
                    setattr(self, name, nnx.Param(value))
            object.__setattr__(self, "fixed", copy(node))

        def __call__(self, x: Any) -> Any:
            return getattr(self, f"_{self.kind.lower()}")(x)

        def _linear(self, x: Any) -> Any:
            weight = self.weight[...]
            return x @ weight.T if weight.ndim == 2 else (weight @ x[..., None])[..., 0]

        def _affine(self, x: Any) -> Any:
            return self._linear(x) + self.bias[...]

        def _scale(self, x: Any) -> Any:
            return x * self.scale[...]

        def _threshold(self, x: Any) -> Any:
            above = (x > self.threshold[...]).astype(x.dtype)
            soft = superspike()(x - self.threshold[...])
            return soft + jax.lax.stop_gradient(above - soft)

        def _flatten(self, x: Any) -> Any:
            axes = range(x.ndim - 1)
            start, end = (axes[int(v)] + 1 for v in (self.fixed.start_dim, self.fixed.end_dim))
            return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])

        def _convolve(self, x: Any) -> Any:
            node, size = self.fixed, x.ndim - 2
            padding = node.padding.upper() if isinstance(node.padding, str) else node.padding
            if not isinstance(padding, str):
                padding = [(p, p) for p in _numbers(padding, size)]
            y = jax.lax.conv_general_dilated(
                x, self.weight[...], _numbers(node.stride, size), padding,
                rhs_dilation=_numbers(node.dilation, size),
                feature_group_count=int(node.groups),
            )
            return y + self.bias[...].reshape(-1, *[1] * size)

        _conv1d = _conv2d = _convolve

        def _sumpool2d(self, x: Any) -> Any:
            node = self.fixed
            kernel, stride, padding = (
                _numbers(v, 2) for v in (node.kernel_size, node.stride, node.padding)
            )
            pads = ((0, 0), (0, 0), *((p, p) for p in padding))
            return jax.lax.reduce_window(
                x, 0.0, jax.lax.add, (1, 1, *kernel), (1, 1, *stride), pads
            )

        def _avgpool2d(self, x: Any) -> Any:
            return self._sumpool2d(x) / float(np.prod(_numbers(self.fixed.kernel_size, 2)))

        def node(self, source: nir.NIRNode) -> nir.NIRNode:
            """The node with the parameters of now."""
            found = copy(source)
            for name in TRAINED:
                if hasattr(self, name):
                    setattr(found, name, np.asarray(getattr(self, name)[...]))
            return found

    return Map


def _numbers(value: Any, size: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value, int), size))
