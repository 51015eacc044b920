"""Cells of Spyx's contract for populations: Spyx's own, and one that computes any population."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import Cell
from nirbridge.graph.nodes import kind

NAMES = ("A", "gs", "B", "gm", "c", "threshold", "v_reset")


def own(spyx: Any, cell: Cell, loop: nir.NIRNode | None) -> Any:
    """Spyx's cell for a population and its loop, or None.

    Gains other than 1, constant drives and biases of the loop have none.
    """
    import jax.numpy as jnp
    from flax import nnx

    gain, how = cell.gs * cell.gm, cell.how
    if np.any(np.abs(gain - 1) > 1e-12) or np.any(cell.c):
        return None
    if loop is not None and (kind(loop) != "Linear" or len(cell.shape) > 1):
        return None
    if how.comparison != ">" or how.spikes_per_step != 1:
        return None
    rngs, name = nnx.Rngs(0), "LI"
    if cell.spiking:
        if how.reset != "subtract" or how.residual != "fires" or how.order != "synapse first":
            return None
        if how.reset_delay == (cell.A is not None):
            return None
        name = ("R" if loop is not None else "") + ("LIF" if cell.A is None else "CuBaLIF")
    elif cell.A is not None or loop is not None:
        return None
    endless = name in ("LIF", "RLIF") and bool(np.all(cell.B == 1))
    layer = getattr(spyx, name.replace("LIF", "IF") if endless else name)(cell.shape, rngs=rngs)
    if not endless:
        layer.beta = nnx.Param(jnp.asarray(cell.B, jnp.float32))
    if cell.A is not None:
        layer.alpha = nnx.Param(jnp.asarray(cell.A, jnp.float32))
    if loop is not None:
        layer.recurrent_w = nnx.Param(jnp.asarray(loop.weight.T, jnp.float32))
    if cell.threshold is not None:
        values = np.asarray(cell.threshold, np.float32)
        layer.threshold = float(values.flat[0]) if np.ptp(values) == 0 else values
    return layer


@cache
def canonical_class() -> Any:
    """A cell with the contract of Spyx's that computes any population in canonical form."""
    import jax
    import jax.numpy as jnp
    from flax import nnx
    from spyx.axn import superspike

    class CanonicalCell(nnx.Module):  # type: ignore[misc]
        """I = A·I + gs·x; v = B·v + gm·I + c; spike; reset, as its Dynamics says."""

        def __init__(self, cell: Cell):
            self.hidden_shape, self.how = cell.shape, cell.how
            self.synapse, self.spiking = cell.A is not None, cell.spiking
            for name in NAMES:
                value = getattr(cell, name)
                if value is not None:
                    setattr(self, name, nnx.Param(jnp.asarray(value, jnp.float32)))
            self.spike = superspike()

        def initial_state(self, batch_size: int) -> Any:
            zero = jnp.zeros((batch_size, *self.hidden_shape))
            return zero, zero, zero

        def __call__(self, x: Any, state: Any) -> Any:
            current, v, last = state
            if self.synapse:
                before = current
                current = self.A[...] * current + self.gs[...] * x
                x = current if self.how.order == "synapse first" else before
            else:
                x = self.gs[...] * x
            held = None
            if self.spiking and self.how.reset_delay:
                held = last
            elif self.spiking and self.how.residual == "blocks":
                held = (v > self.threshold[...]).astype(v.dtype)
            v = self.B[...] * v + self.gm[...] * x + self.c[...]
            if not self.spiking:
                return v, (current, v, v)
            spikes, v = self._fire(v, held)
            return spikes, (current, v, spikes)

        def _fire(self, v: Any, held: Any) -> Any:
            how, threshold = self.how, self.threshold[...]
            if held is not None:
                v = v - threshold * jax.lax.stop_gradient(held)
            above = (v >= threshold) if how.comparison == ">=" else (v > threshold)
            soft = self.spike(v - threshold)
            spikes = soft + jax.lax.stop_gradient(above.astype(v.dtype) - soft)
            if how.reset == "value":
                v = jnp.where(above, self.v_reset[...], v)
            elif not how.reset_delay:
                if how.spikes_per_step != 1:
                    ratio = v / threshold
                    many = jnp.floor(ratio) if how.comparison == ">=" else jnp.ceil(ratio) - 1
                    many = jnp.clip(many, 1, how.spikes_per_step or jnp.inf) * above
                    spikes = spikes + jax.lax.stop_gradient(many - spikes)
                taken = spikes if held is None else spikes - held
                v = v - threshold * jax.lax.stop_gradient(taken)
            return spikes, v

        def population(self, dt: float) -> Cell:
            """What it computes now."""
            parts: dict[str, Any] = {
                n: np.asarray(getattr(self, n)[...]) for n in NAMES if hasattr(self, n)
            }
            return Cell.of(self.hidden_shape, replace(self.how, dt=dt), **parts)

    return CanonicalCell
