"""Graphs in a Nengo simulator, against the stepped simulator."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from benchmarks import interop
from nirbridge import Dynamics, Refused, adapters, simulate_stepped

nengo = pytest.importorskip("nengo", reason="nengo is not installed")
ONE = np.ones(4)


def chain(**nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph(dict(nodes), list(pairwise(nodes)), type_check=False)


def both(graph: nir.NIRGraph, how: Dynamics, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Simulated, and by Nengo, for two rasters."""
    x = np.concatenate([interop.raster(shape, 100, seed) for seed in (0, 1)])
    expected = simulate_stepped(graph, x, how, dtype=np.float32).output
    assert expected.any()
    return expected, adapters.run(adapters.build(graph, "nengo", how), x)


def test_every_primitive() -> None:
    graph = chain(
        a=nir.Input(np.array([1, 4, 4])),
        pool=nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        flat=nir.Flatten({"input": np.array([1, 2, 2])}, 0, -1),
        scale=nir.Scale(np.array([0.5, 1.0, 1.5, 2.0])),
        late=nir.Delay(1e-3 * np.array([0, 1, 2, 3])),
        li=nir.LI(4e-3 * ONE, 4 * ONE, 0.1 * ONE),
        th=nir.Threshold(2.0 * ONE),
        fire=nir.IF(1e3 * ONE, 2.5 * ONE, 0 * ONE),
        z=nir.Output(np.array([4])),
    )
    expected, found = both(graph, Dynamics(1e-3), (1, 4, 4))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"reset": "subtract"},
        {"reset": "subtract", "spikes_per_step": None, "comparison": ">="},
        {"reset": "subtract", "spikes_per_step": 2},
        {"reset": "subtract", "reset_delay": 1},
        {"reset": "subtract", "residual": "blocks"},
        {"order": "membrane first"},
        {"layer_delay": 1, "output_lag": 1},
        {"recurrent_delay": 3},
    ],
)
@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_every_dynamics(scheme: str, words: dict[str, Any]) -> None:
    """Two populations, the first with a loop of its own, the second back to the first."""
    rng = np.random.default_rng(3)
    cuba = (5e-3 * ONE, 1e-2 * ONE, ONE, 0.05 * ONE, 0.2 * ONE, -0.1 * ONE, ONE)
    graph = chain(
        a=nir.Input(np.array([6])),
        w=nir.Affine(rng.normal(size=(4, 6)), rng.normal(size=4)),
        n=nir.CubaLIF(*cuba),
        v=nir.Linear(rng.normal(size=(4, 4))),
        m=nir.LIF(1e-2 * ONE, ONE, 0 * ONE, 0.1 * ONE, 0 * ONE),
        z=nir.Output(np.array([4])),
    )
    graph.nodes |= {"back": nir.Linear(rng.normal(size=(4, 4))), "loop": nir.Scale(-0.5 * ONE)}
    graph.edges += [("m", "back"), ("back", "n"), ("n", "loop"), ("loop", "n")]
    expected, found = both(graph, Dynamics(1e-3, scheme, **words), (6,))
    np.testing.assert_array_equal(found, expected)


def lif() -> nir.NIRGraph:
    return chain(
        a=nir.Input(np.array([4])),
        n=nir.LIF(1e-2 * ONE, ONE, 0 * ONE, 0.1 * ONE, 0 * ONE),
        z=nir.Output(np.array([4])),
    )


def test_populations_can_be_probed() -> None:
    model = adapters.build(lif(), "nengo", Dynamics(1e-3))
    with model.network:
        probe = nengo.Probe(model.nodes["n"])
    assert isinstance(model.network, nengo.Network)
    with nengo.Simulator(model.network, dt=1e-3, progress_bar=False) as simulator:
        simulator.run_steps(5, progress_bar=False)
    assert simulator.data[probe].shape == (5, 4)


def test_what_nengo_itself_does_not_compute_is_named() -> None:
    model = adapters.build(lif(), "nengo", Dynamics(1e-3))
    assert [d.node for d in model.differences] == ["n"]
    with pytest.raises(Refused) as refusal:
        adapters.build(lif(), "nengo", Dynamics(1e-3), strict=True)
    (found,) = refusal.value.diagnostics
    assert "nengo.LIF" in found.limit
    assert found.remedy


def test_models_of_nengo_are_not_exported() -> None:
    with nengo.Network(add_to_container=False) as network:
        nengo.Ensemble(10, 1)
    for model in (network, adapters.build(lif(), "nengo", Dynamics(1e-3))):
        with pytest.raises(Refused) as refusal:
            adapters.export(model, np.zeros(4))
        assert "Nengo" in refusal.value.diagnostics[0].found
