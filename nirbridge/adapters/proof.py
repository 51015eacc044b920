"""Is the export right? The model and its graph are run side by side on random spikes.

A trace shows which layer feeds which. It does not show a forward that depends on the values, an
operation in place through a view, a hook, a state that is thrown away or a loop that runs
backwards: what a trace takes for something else, this finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.adapters.running import advance, explained, kept, tensors
from nirbridge.diagnostics import Refused, refuse
from nirbridge.simulate.stepped import FloatRecording, simulate_readably

WRONG = "NB905"
STEPS = 24
STRENGTHS = (0.3, 1.0, 4.0, 16.0)  # mean counts: whatever the weights are, some make neurons fire
NUDGES = (1e-5, -1e-5, 1e-4, -1e-4)  # of the thresholds; far above the rounding of float32
CLOSE = 1e-3  # relative, for outputs that are no spikes

Array = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Where a model has time and batch.

    ``shape`` is that of one step of one sample. ``batch`` is None for a model that takes none.
    ``time`` is the axis of time, or None if the model takes one step at a time. ``squeezed``:
    batch and time are one axis, in this order. ``steps``: how many steps one call takes.
    """

    shape: tuple[int, ...]
    batch: int | None
    time: int | None
    squeezed: bool
    steps: int

    def given(self, counts: Array) -> Array:
        """Counts (B, T, n) as the model takes them in one call; steps first if one by one."""
        b, t, _ = counts.shape
        x = counts.reshape(b, t, *self.shape)
        if self.squeezed:
            return np.asarray(x.reshape(b * t, *self.shape))
        x = x if self.time == 1 else np.swapaxes(x, 0, 1)
        if self.batch is None:
            x = x[0] if self.time == 1 else x[:, 0]
        return np.asarray(x)

    def taken(self, out: Array) -> list[Array]:
        """What the model gave, as (B, T, n), in every way that it could be meant."""
        b, t = self.batch or 1, self.steps
        if self.squeezed:
            return [out.reshape(b, t, -1)] if len(out) == b * t else []
        rows = out if self.batch is not None else out[:, None]
        found = []
        if rows.shape[:2] == (t, b):
            found.append(np.swapaxes(rows.reshape(t, b, -1), 0, 1))
        if rows.shape[:2] == (b, t) and self.time is not None:
            found.append(rows.reshape(b, t, -1))
        return found


def prove(
    graph: nir.NIRGraph,
    play: Callable[[Array], list[Array]],
    *,
    batch: int,
    steps: int,
    dtype: Any = np.float32,
    suspect: Callable[[Array], str | None] = lambda _: None,
) -> None:
    """Refuse a graph that does not compute what its model computes.

    Parameters
    ----------
    graph
        The export, with one Input.
    play
        What the model gives for counts (B, T, n), from rest, as (B, T, n_out): in every way
        that it could be meant.
    batch, steps, dtype
        B and T of one call, and the model's precision.
    suspect
        The node that differs first on counts (B, T, n), if that can be said.

    Raises
    ------
    Refused
        NB905 with the first step that differs. Rounding is no difference: where thresholds that
        are moved by a little move as many spikes, nothing is said.

    """
    rng = np.random.default_rng(0)
    size = int(np.prod(graph.nodes["input"].input_type["input"]))
    means = np.repeat(STRENGTHS, batch)[:, None, None]
    counts = rng.poisson(means, (len(means), steps, size)).astype(np.int64)
    found = _outputs(graph, counts, dtype)
    nudged = [_outputs(_nudge(graph, by), counts, dtype) for by in NUDGES]
    unsure = np.max([_differing(found, other) for other in nudged], axis=0)
    for k in range(len(STRENGTHS)):
        part = slice(k * batch, (k + 1) * batch)
        outs = [out for out in play(counts[part]) if out.shape == found[part].shape]
        if not outs:
            limit = f"an output of {found.shape[-1]} values per step"
            raise _wrong("output", limit, "another: a sum, a choice of steps, or a regrouping")
        wrong = [_differing(found[part], out) > 2 * unsure[part] for out in outs]
        if all(w.any() for w in wrong):
            step = max(int(np.argmax(w.any(axis=0))) for w in wrong)
            text = f"another one from step {step} of {steps} on"
            node = suspect(counts[part]) or "output"
            raise _wrong(node, "the same output at every step", text)


def prove_torch(
    model: Any,
    graph: nir.NIRGraph,
    layout: Layout,
    rest: Callable[[Any], None],
    like: Any,
    cells: Mapping[str, Any],
) -> None:
    """:func:`prove` for a torch model.

    ``layout`` tells how it takes its input, ``rest`` puts its states at rest, ``like`` is a tensor
    with the precision and the place of its input, ``cells`` are its populations by node.
    """
    dtype = np.float64 if str(like.dtype) == "torch.float64" else np.float32

    def play(counts: Array) -> list[Array]:
        return layout.taken(_replay(model, layout, counts, rest, like))

    def suspect(counts: Array) -> str | None:
        expected = simulate_readably(graph, counts, dtype=dtype)
        return _suspect(cells, lambda: play(counts), expected)

    batch, steps = layout.batch or 1, layout.steps
    prove(graph, play, batch=batch, steps=steps, dtype=dtype, suspect=suspect)


def _suspect(
    cells: Mapping[str, Any], again: Callable[[], Any], expected: FloatRecording
) -> str | None:
    """The first population that fires more or less often than its node."""
    fired = dict.fromkeys(cells, 0.0)
    with ExitStack() as stack:
        for name, module in cells.items():

            def count(_m: Any, _args: Any, out: Any, name: str = name) -> None:
                fired[name] += float(next(tensors(out)).sum())

            stack.callback(module.register_forward_hook(count).remove)
        again()
    for name, total in fired.items():
        if name in expected.spikes and abs(total - float(expected.spikes[name].sum())) > 0.5:
            return name
    return None


def _replay(
    model: Any, layout: Layout, counts: Array, rest: Callable[[Any], None], like: Any
) -> Array:
    """What the model gives for counts (B, T, n), from rest."""
    import torch

    x = torch.as_tensor(np.ascontiguousarray(layout.given(counts))).to(like)
    with explained(lambda: ""), kept(model), torch.no_grad():
        rest(model)
        if layout.squeezed or layout.time is not None:
            return _all_steps(model(x))
        out, rows = None, []
        for step in x:
            out = advance(model, step, out)
            rows.append(_array(out))
        return np.stack(rows)


def _all_steps(out: Any) -> Array:
    """One array, also of a list with a tensor per step."""
    return np.stack([_array(step) for step in out]) if isinstance(out, list) else _array(out)


def _array(out: Any) -> Array:
    return np.asarray(next(tensors(out)).detach().cpu().numpy())


def _outputs(graph: nir.NIRGraph, counts: Any, dtype: Any) -> Array:
    return simulate_readably(graph, counts, dtype=dtype).output


def _differing(a: Array, b: Array) -> NDArray[np.int64]:
    """How many values differ up to each step, (B, T)."""
    scale = float(np.abs(a).max(initial=0.0))
    apart = ~np.isclose(a, b, rtol=CLOSE, atol=CLOSE * scale, equal_nan=True)
    return np.cumsum(apart.sum(axis=2), axis=1)


def _nudge(graph: nir.NIRGraph, by: float) -> nir.NIRGraph:
    """The graph with all thresholds moved by a small part of themselves."""
    nodes = {}
    for name, node in graph.nodes.items():
        nodes[name] = copy(node)
        for key in ("v_threshold", "threshold"):
            if hasattr(node, key):
                setattr(nodes[name], key, np.asarray(getattr(node, key), np.float64) * (1 + by))
    return nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False)


def _wrong(node: str, limit: str, found: str) -> Refused:
    return refuse(WRONG, node=node, limit=limit, found=found)
