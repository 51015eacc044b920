"""The networks in Spyx. Its images have their channels last, its weights are (in, out)."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.interop.nets import CHANNELS, HIDDEN, IMAGE, MAPS, OUT, Net

CELLS = {
    "LIF": ("LIF", "LIF"),
    "recurrent LIF": ("RLIF", "LIF"),
    "recurrent CubaLIF": ("RCuBaLIF", "CuBaLIF"),
    "LI readout": ("CuBaLIF", "LI"),
    "biases": ("LIF", "CuBaLIF"),
    "nested": ("LIF", "CuBaLIF"),
}


def make(kind: str, seed: int) -> Net:
    """The network of a kind."""
    import jax.numpy as jnp
    import spyx.nn as sx
    from flax import nnx

    rngs = nnx.Rngs(seed)

    def dense(a: int, b: int, **options: Any) -> Any:
        made = nnx.Linear(a, b, rngs=rngs, **options)
        made.kernel = nnx.Param(made.kernel[...] * 2)
        if made.bias is not None:
            made.bias = nnx.Param(0.2 * rngs.normal((b,)))
        return made

    def cell(name: str, size: int) -> Any:
        made = getattr(sx, name)((size,), rngs=rngs)
        if kind != "per-neuron parameters":
            made.beta = nnx.Param(jnp.full((size,), 0.9))
        return made

    if kind == "IF, convolution":
        conv = nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=rngs)
        maps = (*MAPS[1:], MAPS[0])
        parts = [conv, sx.IF(maps), sx.Flatten(), dense(int(np.prod(maps)), OUT), sx.IF((OUT,))]
        shape = (*IMAGE[1:], IMAGE[0])
        return Net(sx.Sequential(*parts), shape, np.zeros((1, *shape), np.float32))
    sample = np.zeros((1, CHANNELS), np.float32)
    if kind == "branch":
        arms = [dense(CHANNELS, HIDDEN), cell("LIF", HIDDEN), dense(HIDDEN, OUT)]
        arms += [dense(CHANNELS, HIDDEN), cell("CuBaLIF", HIDDEN), dense(HIDDEN, OUT)]
        return Net(_branch(*arms, cell("LIF", OUT)), (CHANNELS,), sample)
    names = CELLS.get(kind, ("CuBaLIF", "CuBaLIF"))
    second = dense(HIDDEN, OUT, use_bias=kind == "biases")
    parts = [dense(CHANNELS, HIDDEN), cell(names[0], HIDDEN), second, cell(names[1], OUT)]
    model = sx.Sequential(*parts)
    if kind == "nested":
        model = sx.Sequential(sx.Sequential(*parts[:2]), sx.Sequential(*parts[2:]))
    return Net(model, (CHANNELS,), sample)


def _branch(*parts: Any) -> Any:
    """Two branches from the input that join before the third population."""
    from flax import nnx

    class Branch(nnx.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left, self.one, self.out_left = parts[:3]
            self.right, self.two, self.out_right = parts[3:6]
            self.three = parts[6]

        def initial_state(self, batch: int) -> Any:
            return tuple(c.initial_state(batch) for c in (self.one, self.two, self.three))

        def __call__(self, x: Any, state: Any) -> Any:
            one, a = self.one(self.left(x), state[0])
            two, b = self.two(self.right(x), state[1])
            out, c = self.three(self.out_left(one) + self.out_right(two), state[2])
            return out, (a, b, c)

    return Branch()
