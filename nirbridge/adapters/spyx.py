"""Spyx: IF, LIF, CuBaLIF, LI and the recurrent cells in a ``spyx.nn.Sequential``.

Measured on Spyx 1.0.0. A cell compares the membrane of the step before: s = H(v > θ), then LIF
v = β·v + x − θ·s; CuBaLIF v = v − θ·s, i = α·i + x, v = β·v + i; the recurrent cells add s·W to x.
So each layer shows the spikes of its membrane one step late: to the next layer
(``layer_delay=1``), to itself, and at the output (``output_lag=1``). Spyx has no unit of time; a
step is taken for 1e-3 s. Its weights are (in, out).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import (
    DIFFERS,
    Assembly,
    Cell,
    from_node,
    is_cell,
    unsupported,
)
from nirbridge.adapters.trace import INPUT, OUTPUT
from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify
from nirbridge.optional import need

DT = 1e-3
KNOWN = ("IF", "LIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF", "LI")


def export(model: Any, sample: Any, dt: float | None = None) -> nir.NIRGraph:
    """A Sequential of Spyx as a graph.

    Parameters
    ----------
    model
        ``spyx.nn.Sequential``, nested or not, of ``flax.nnx.Linear`` and cells; or one cell.
    sample
        One step, with or without a batch.
    dt
        Seconds per step, by default 1e-3.

    Raises
    ------
    Refused
        For other layers, by their place.

    """
    need("spyx")
    step = DT if dt is None else dt
    layers = list(_layers("", model))
    made, shape = Assembly(), (int(np.shape(sample)[-1]),)
    made.add(INPUT, nir.Input(np.asarray(shape)))
    last = INPUT
    for path, layer in layers:
        name = type(layer).__name__
        if name in KNOWN or hasattr(layer, "population"):
            if name in KNOWN:
                cell, recurrent = _cell(path, layer, shape, step)
            else:
                cell, recurrent = layer.population(step)
            made.add(path, cell)
            if recurrent is not None:
                made.add(f"{path}.w_rec", recurrent)
                made.edges += [(path, f"{path}.w_rec"), (f"{path}.w_rec", path)]
        elif name == "Linear":
            made.add(path, _linear(layer))
            shape = (int(made.nodes[path].weight.shape[0]),)
        elif name in ("Dropout", "ActivityRegularization"):
            continue
        else:
            limit = f"flax.nnx.Linear, {', '.join(KNOWN)}"
            remedy = "use one of these; convolutions of Spyx have their channels last: not yet"
            raise unsupported(path, limit, name, remedy)
        made.join(last, path)
        last = path
    made.add(OUTPUT, nir.Output(np.asarray(shape)))
    made.join(last, OUTPUT)
    cells = [type(layer).__name__ for _, layer in layers if type(layer).__name__ in KNOWN]
    if not cells:
        return made.graph(step)
    return made.graph(step, layer_delay=1, output_lag=int(cells[-1] != "LI"))


def _layers(path: str, model: Any) -> Iterator[tuple[str, Any]]:
    """The layers in their order, by path."""
    if not hasattr(model, "layers"):
        yield path or type(model).__name__.lower(), model
        return
    for k, layer in enumerate(model.layers):
        yield from _layers(f"{path}.{k}".lstrip("."), layer)


def _cell(
    path: str, layer: Any, shape: tuple[int, ...], dt: float
) -> tuple[Cell, nir.NIRNode | None]:
    name = type(layer).__name__
    parts: dict[str, Any] = {"B": 1.0}
    if hasattr(layer, "beta"):
        parts["B"] = np.clip(_array(layer.beta), 0, 1)
    if hasattr(layer, "alpha"):
        parts["A"] = np.clip(_array(layer.alpha), 0, 1)
    if name != "LI":
        parts["threshold"] = np.asarray(layer.threshold, np.float32)
    how = Dynamics(dt, reset="subtract", reset_delay=0 if "A" in parts else 1)
    recurrent = None
    if hasattr(layer, "recurrent_w"):
        recurrent = nir.Linear(_array(layer.recurrent_w).T.copy())
    return Cell.of(shape, how, path=path, **parts), recurrent


def _array(parameter: Any) -> Any:
    return np.asarray(parameter[...])


def _linear(layer: Any) -> nir.NIRNode:
    weight = _array(layer.kernel).T.copy()
    if not layer.use_bias:
        return nir.Linear(weight)
    return nir.Affine(weight, _array(layer.bias))


def run(model: Any, x: Any) -> Any:
    """Spikes (T, B, n) for an input (T, B, n), from rest."""
    import jax.numpy as jnp

    spyx = need("spyx")
    out, _ = spyx.run(model, jnp.asarray(x))
    return np.asarray(out)


def build(graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> Any:
    """A graph that is one chain of layers as a ``spyx.nn.Sequential``.

    Where a graph is stepped as Spyx does (late from layer to layer), its own cells are used; in
    all other cases cells of the same contract that compare the membrane of the step itself, and
    are listed in ``differences``.

    Raises
    ------
    Refused
        For graphs with branches, other layers than Linear and Affine, and with ``strict`` for what
        Spyx's own cells do not compute.

    """
    spyx = need("spyx")
    refuse_all(verify(graph))
    flat = inline(graph)
    late = dynamics.layer_delay == 1
    if late and not dynamics.output_lag and kind(flat.nodes[_chain(flat)[-1][0]]) != "LI":
        raise _differs("graph", "layer_delay=1 with output_lag=1", "output_lag=0")
    layers, problems = [], list[Diagnostic]()
    for name, loop in _chain(flat):
        node = flat.nodes[name]
        if is_cell(node):
            weight = None if loop is None else flat.nodes[loop]
            cell = from_node(node, dynamics)
            own = _own(spyx, cell, weight) if late else None
            if own is None:
                if late:
                    raise _differs(name, "a cell of Spyx", str(cell.how.to_dict()))
                own = canonical_class()(cell, weight)
                limit = "what a cell of Spyx computes by itself"
                found = "spikes in the step of the membrane"
                problems.append(diagnose(DIFFERS, node=name, limit=limit, found=found))
            layers.append(own)
        elif kind(node) in ("Linear", "Affine") and np.ndim(node.weight) == 2:
            layers.append(_dense(node))
        else:
            raise _differs(name, "Linear, Affine and neurons", kind(node))
    if strict:
        refuse_all(problems)
    model = spyx.Sequential(*layers)
    object.__setattr__(model, "differences", problems)
    return model


def _differs(name: str, limit: str, found: object) -> Any:
    return unsupported(name, limit, found, "not yet for Spyx: build for snntorch or norse")


def _chain(flat: nir.NIRGraph) -> list[tuple[str, str | None]]:
    """The nodes from Input to Output, each with the linear node of its loop, if it has one."""
    topology = Topology(flat)
    loops = {
        n: topology.targets[n][0]
        for n, x in flat.nodes.items()
        if kind(x) in ("Linear", "Affine")
        and topology.sources[n] == topology.targets[n]
        and len(topology.targets[n]) == 1
    }
    inner = {neuron: loop for loop, neuron in loops.items()}
    name = next(n for n, x in flat.nodes.items() if kind(x) == "Input")
    chain: list[tuple[str, str | None]] = []
    while True:
        nexts = [n for n in topology.targets[name] if n not in loops]
        if len(nexts) != 1:
            raise _differs(name, "one layer after another", f"{len(nexts)} targets")
        (name,) = nexts
        if kind(flat.nodes[name]) == "Output":
            return chain
        if len([n for n in topology.sources[name] if n not in loops]) != 1:
            raise _differs(name, "one layer after another", "several sources")
        chain.append((name, inner.get(name)))


def _dense(node: nir.NIRNode) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    out, inp = node.weight.shape
    layer = nnx.Linear(inp, out, use_bias=kind(node) == "Affine", rngs=nnx.Rngs(0))
    layer.kernel = nnx.Param(jnp.asarray(node.weight.T, jnp.float32))
    if kind(node) == "Affine":
        layer.bias = nnx.Param(jnp.asarray(node.bias, jnp.float32))
    return layer


def _own(spyx: Any, cell: Cell, loop: nir.NIRNode | None) -> Any:
    """Spyx's cell for a population, or None; gains other than 1, drives and biases have none."""
    import jax.numpy as jnp
    from flax import nnx

    gain, how = cell.gs * cell.gm, cell.how
    if np.any(np.abs(gain - 1) > 1e-12) or np.any(cell.c) or kind(loop) == "Affine":
        return None
    if len(cell.shape) > 1 or how.comparison != ">" or how.spikes_per_step != 1:
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
    layer = getattr(spyx, name)(cell.shape, rngs=rngs)
    layer.beta = nnx.Param(jnp.asarray(cell.B, jnp.float32))
    if cell.A is not None:
        layer.alpha = nnx.Param(jnp.asarray(cell.A, jnp.float32))
    if loop is not None:
        layer.recurrent_w = nnx.Param(jnp.asarray(loop.weight.T, jnp.float32))
    if cell.threshold is not None:
        values = np.asarray(cell.threshold, np.float32)
        layer.threshold = float(values[0]) if np.ptp(values) == 0 else values
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

        def __init__(self, cell: Cell, loop: nir.NIRNode | None):
            self.hidden_shape, self.how = cell.shape, cell.how
            self.synapse, self.spiking = cell.A is not None, cell.spiking
            for name in ("A", "gs", "B", "gm", "c", "threshold", "v_reset"):
                value = getattr(cell, name)
                if value is not None:
                    setattr(self, name, nnx.Param(jnp.asarray(value, jnp.float32)))
            self.looped, self.biased = loop is not None, kind(loop) == "Affine"
            if loop is not None:
                self.recurrent_w = nnx.Param(jnp.asarray(loop.weight.T, jnp.float32))
            if loop is not None and self.biased:
                self.recurrent_b = nnx.Param(jnp.asarray(loop.bias, jnp.float32))
            self.spike = superspike()

        def initial_state(self, batch_size: int) -> Any:
            zero = jnp.zeros((batch_size, *self.hidden_shape))
            return zero, zero, zero

        def __call__(self, x: Any, state: Any) -> Any:
            current, v, last = state
            if self.looped:
                x = x + last @ self.recurrent_w[...]
                x = x + self.recurrent_b[...] if self.biased else x
            if self.synapse:
                before = current
                current = self.A[...] * current + self.gs[...] * x
                x = current if self.how.order == "synapse first" else before
            elif self.how is not None:
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

        def population(self, dt: float) -> tuple[Cell, nir.NIRNode | None]:
            """What it computes now."""
            parts = {
                n: _array(getattr(self, n)) for n in ("A", "gs", "B", "gm", "c", "threshold")
                if hasattr(self, n)
            }
            parts["v_reset"] = _array(self.v_reset)
            cell = Cell.of(self.hidden_shape, replace(self.how, dt=dt), **parts)
            loop = None
            if self.looped:
                weight = _array(self.recurrent_w).T.copy()
                loop = nir.Linear(weight)
                if self.biased:
                    loop = nir.Affine(weight, _array(self.recurrent_b))
            return cell, loop

    return CanonicalCell
