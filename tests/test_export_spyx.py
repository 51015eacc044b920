"""Models of Spyx with branches, images and every cell; any graph in Spyx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Refused, adapters, simulate_stepped
from tests.test_adapters import every_primitive

sx: Any = pytest.importorskip("spyx.nn")
jax: Any = pytest.importorskip("jax")
nnx: Any = pytest.importorskip("flax.nnx")


def dense(n_in: int, n_out: int, **options: Any) -> Any:
    made = nnx.Linear(n_in, n_out, rngs=nnx.Rngs(0), **options)
    made.kernel = nnx.Param(made.kernel[...] * 2)
    return made


def conv(**options: Any) -> Any:
    made = nnx.Conv(2, 3, (3, 3), rngs=nnx.Rngs(0), **options)
    made.kernel = nnx.Param(made.kernel[...] * 2)
    return made


def cell(name: str, *shape: int) -> Any:
    return getattr(sx, name)(shape, rngs=nnx.Rngs(0))


class Branch(nnx.Module):  # type: ignore[misc]
    """Two branches that join before the third population."""

    def __init__(self, scale: float = 1.0) -> None:
        self.left, self.right = dense(8, 6), dense(8, 6)
        self.out_left, self.out_right = dense(6, 4), dense(6, 4)
        self.one, self.two, self.three = cell("LIF", 6), cell("CuBaLIF", 6), cell("LIF", 4)
        self.scale = scale

    def initial_state(self, batch: int) -> Any:
        return [c.initial_state(batch) for c in (self.one, self.two, self.three)]

    def __call__(self, x: Any, state: Any) -> Any:
        left = self.left(x) if self.scale == 1 else self.left(x) * self.scale
        one, a = self.one(left, state[0])
        two, b = self.two(self.right(x), state[1])
        out, c = self.three(self.out_left(one) + self.out_right(two), state[2])
        return out, [a, b, c]


IMAGE, FLAT = (6, 6, 2), (8,)
MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    name: (lambda name=name: sx.Sequential(dense(8, 6), cell(name, 6)), FLAT)
    for name in ("IF", "LIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF", "LI")
} | {
    "branch": (Branch, FLAT),
    "image": (
        lambda: sx.Sequential(
            conv(padding="VALID"), cell("LIF", 4, 4, 3), sx.SumPool(2, 2, "VALID"),
            sx.Flatten(), dense(12, 5), cell("LIF", 5),
        ),
        IMAGE,
    ),
    "flattened neurons": (
        lambda: sx.Sequential(conv(padding=1), sx.Flatten(), cell("RLIF", 108), dense(108, 4),
                              cell("LI", 4)),
        IMAGE,
    ),
    "image out": (lambda: sx.Sequential(conv(), cell("IF", 6, 6, 3)), IMAGE),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_out_and_in_again(name: str) -> None:
    make, shape = MODELS[name]
    model = make()
    graph = adapters.export(model, np.zeros((1, *shape)))
    x = np.random.default_rng(0).integers(0, 2, (2, 60, *shape))
    theirs, _ = sx.run(model, jax.numpy.asarray(np.swapaxes(x, 0, 1), jax.numpy.float32))
    theirs = np.moveaxis(np.swapaxes(np.asarray(theirs), 0, 1), -1, 2).reshape(2, 60, -1)
    assert theirs.any()
    counts = np.moveaxis(x, -1, 2).reshape(2, 60, -1)
    found = simulate_stepped(graph, counts, dtype=np.float32).output
    np.testing.assert_allclose(found, theirs, atol=1e-5)
    built = adapters.build(graph, "spyx", strict=True)
    np.testing.assert_allclose(adapters.run(built, counts), theirs, atol=1e-5)
    again = adapters.export(built, None)
    assert set(again.edges) == set(graph.edges)
    assert Dynamics.of(again) == Dynamics.of(graph)
    for key, node in graph.nodes.items():
        for field in ("weight", "bias", "tau", "tau_mem", "tau_syn", "r", "w_in", "v_threshold"):
            if hasattr(node, field):
                new = getattr(again.nodes[key], field)
                np.testing.assert_allclose(new, getattr(node, field), rtol=2e-6)


def test_every_primitive_is_built_and_learns() -> None:
    graph, x = every_primitive()
    expected = simulate_stepped(graph, x, dtype=np.float32).output
    built = adapters.build(graph, "spyx")
    np.testing.assert_array_equal(adapters.run(built, x), expected)
    rows = jax.numpy.asarray(np.swapaxes(x, 0, 1)[:40], jax.numpy.float32)
    slopes = nnx.grad(lambda m: sx.run(m, rows)[0].sum())(built)
    assert any(np.any(np.asarray(leaf)) for leaf in jax.tree_util.tree_leaves(slopes))


def test_refusals_name_the_layer() -> None:
    for model, node in (
        (Branch(2.0), "left"),
        (sx.Sequential(dense(8, 6), sx.Sequential(cell("PSU_LIF", 6))), "1.0"),
        (sx.Sequential(dense(8, 6), nnx.Dropout(0.5, rngs=nnx.Rngs(0)), cell("LIF", 6)), "1"),
        (sx.Sequential(dense(8, 6), jax.nn.relu, cell("LIF", 6)), "0"),
        (dense(8, 6), "model"),
    ):
        with pytest.raises(Refused) as refusal:
            adapters.export(model, np.zeros((1, 8)))
        assert refusal.value.diagnostics[0].node == node


def test_strict_refuses_what_its_cells_do_not_compute() -> None:
    one = np.ones(4)
    nodes = {
        "in": nir.Input(np.array([4])),
        "n": nir.LIF(1e-2 * one, one, 0 * one, 0.1 * one, 0 * one),
        "out": nir.Output(np.array([4])),
    }
    graph = nir.NIRGraph(nodes, [("in", "n"), ("n", "out")], type_check=False)
    assert [d.node for d in adapters.build(graph, "spyx", Dynamics(1e-3)).differences] == ["n"]
    with pytest.raises(Refused):
        adapters.build(graph, "spyx", Dynamics(1e-3), strict=True)
