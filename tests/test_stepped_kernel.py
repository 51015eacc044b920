"""The compiled stepping and the readable rules compute the same numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import nir
import numpy as np
import pytest

from benchmarks.graphs import DT, Options, any_graph, any_raster, neuron
from nirbridge import Dynamics, Refused, simulate_stepped
from nirbridge.dynamics import annotate
from nirbridge.graph.inline import inline
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.simulate import stepped, stepped_plan

SPIKING = ("IF", "LIF", "CubaLIF")
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
CHANNELS = 5


def both(
    graph: nir.NIRGraph,
    raster: Any,
    how: Dynamics | None = None,
    dtype: Any = np.float64,
    threads: int = 1,
) -> list[Any]:
    return [
        stepped._simulate(graph, raster, how, True, dtype, threads, compiled=compiled)
        for compiled in (True, False)
    ]


def assert_same(found: Any, wanted: Any, error: float = 0.0) -> None:
    """Equal to the last bit, or up to ``error`` beside the largest value."""
    for part in ("outputs", "spikes", "i", "v"):
        ours, theirs = getattr(found, part), getattr(wanted, part)
        assert list(ours) == list(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            atol = error * np.abs(values).max(initial=0)
            np.testing.assert_allclose(
                ours[name], values, rtol=0, atol=atol, err_msg=f"{part} of {name}"
            )


def is_compiled(graph: nir.NIRGraph, how: Dynamics) -> bool:
    flat = inline(graph)
    topology, shapes = Topology(flat, how.layer_delay), infer(flat)[0]
    return stepped._prepared(flat, how, topology, shapes, np.float64) is not None


def every_dynamics() -> list[Dynamics]:
    """All combinations of flags that have a meaning."""
    found = []
    fields: dict[str, tuple[Any, ...]] = {
        "reset": ("value", "subtract"),
        "spikes_per_step": (1, 2, None),
        "comparison": (">", ">="),
        "reset_delay": (0, 1),
        "layer_delay": (0, 1),
        "residual": ("fires", "blocks"),
        "recurrent_delay": (1, 3),
        "output_lag": (0, 1),
        "order": ("synapse first", "membrane first"),
    }
    for values in product(*fields.values()):
        try:
            found.append(Dynamics(DT, **dict(zip(fields, values, strict=True))))
        except Refused:
            continue
    return found


def network(rng: np.random.Generator, sizes: tuple[int, ...]) -> nir.NIRGraph:
    """Layers that alternate LIF and CubaLIF, all recurrent, with a skip and a readout."""
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array([CHANNELS]))}
    edges = []
    before, fan_in = "in", CHANNELS
    for k, size in enumerate(sizes):
        kind = ("LIF", "CubaLIF")[k % 2]
        nodes[f"n{k}"] = neuron(kind, size, rng, Options(v_reset=True))
        for name, source, inp in ((f"w{k}", before, fan_in), (f"r{k}", f"n{k}", size)):
            nodes[name] = nir.Affine(
                rng.integers(-8, 9, (size, inp)) / 4.0, rng.integers(-2, 3, size) / 4.0
            )
            edges += [(source, name), (name, f"n{k}")]
        before, fan_in = f"n{k}", size
    nodes["skip"] = nir.Linear(rng.integers(-4, 5, (fan_in, CHANNELS)) / 4.0)
    nodes["read"] = neuron("LI", fan_in, rng, Options())
    nodes["out"] = nir.Output(np.array([fan_in]))
    nodes["all"] = nir.Output(np.array([fan_in]))
    edges += [("in", "skip"), ("skip", before), (before, "read"), ("read", "out")]
    edges += [("read", "all"), (before, "all")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_equal_for_all_flags() -> None:
    combinations = every_dynamics()
    assert len(combinations) > 100
    for k, how in enumerate(combinations):
        rng = np.random.default_rng(k)
        graph = network(rng, (7, 4))
        assert is_compiled(graph, how)
        found, wanted = both(graph, any_raster(rng, graph), how)
        assert_same(found, wanted)


@pytest.mark.parametrize(
    ("neurons", "extras"),
    [
        (SPIKING, ()),
        (SPIKING, ("Threshold", "Delay")),
        (NEURONS, ()),
        (NEURONS, ("LI", "Threshold", "CubaLI", "Delay")),
    ],
)
def test_equal_on_generated_graphs(neurons: tuple[str, ...], extras: tuple[str, ...]) -> None:
    """Membranes that act as signals gain bits with every population, more than a float has."""
    error = 0.0 if neurons == SPIKING else 1e-13
    taken = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        options = Options(neurons=neurons, space=0.2, extras=extras, v_reset=True)
        graph = any_graph(rng, options)
        how = Dynamics.of(graph)
        assert how is not None
        taken += is_compiled(graph, how)
        found, wanted = both(graph, any_raster(rng, graph, 8))
        assert_same(found, wanted, error)
    assert taken >= (120 if "Delay" not in extras else 25)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(33, 64, 10), (1, 300), (32, 16)])
def test_equal_for_sizes_around_the_lanes(sizes: tuple[int, ...], dtype: Any) -> None:
    """Few steps and bits, so that float32 rounds nothing either."""
    for batch, threads in ((1, 1), (19, 1), (37, 2), (2, 5)):
        rng = np.random.default_rng(batch)
        graph = network(rng, sizes)
        raster = rng.integers(0, 2, (batch, 4, CHANNELS))
        found, wanted = both(graph, raster, Dynamics(DT), dtype, threads)
        assert_same(found, wanted)


def test_exceptions_of_single_nodes() -> None:
    for seed, how in enumerate(every_dynamics()[::7]):
        rng = np.random.default_rng(seed)
        graph = network(rng, (6, 5, 4))
        annotate(
            graph.nodes["n0"], reset="subtract", spikes_per_step=3, reset_delay=0, residual="fires"
        )
        annotate(graph.nodes["n2"], comparison=">=", recurrent_delay=1)
        found, wanted = both(graph, any_raster(rng, graph), how)
        assert_same(found, wanted)


def test_counts_of_any_size() -> None:
    rng = np.random.default_rng(0)
    graph = network(rng, (6, 4))
    for highest in (2, 255, 256, 100_000):
        raster = rng.integers(0, highest + 1, (3, 6, CHANNELS))
        raster[0, 0, 0] = highest
        how = Dynamics(DT, reset="subtract", spikes_per_step=None)
        found, wanted = both(graph, raster, how)
        assert_same(found, wanted)


@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_rounding_of_sums_is_all_that_differs(scheme: str) -> None:
    """With weights that are no dyadic numbers: currents and membranes up to a rounding or two."""
    rng = np.random.default_rng(1)
    one = np.ones(40)
    nodes = {
        "in": nir.Input(np.array([CHANNELS])),
        "w": nir.Linear(rng.normal(size=(40, CHANNELS))),
        "n": nir.CubaLI(one * 4e-3, one * 7e-3, one, 0.1 * one, one),
        "out": nir.Output(np.array([40])),
    }
    edges = [("in", "w"), ("w", "n"), ("n", "out")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    raster = rng.integers(0, 2, (2, 200, CHANNELS))
    for dtype, error in ((np.float32, 1e-6), (np.float64, 1e-15)):
        found, wanted = both(graph, raster, Dynamics(1e-3, scheme=scheme), dtype)
        np.testing.assert_allclose(found.i["n"], wanted.i["n"], rtol=0, atol=4 * error)
        np.testing.assert_allclose(found.v["n"], wanted.v["n"], rtol=0, atol=4 * error)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    rng = np.random.default_rng(3)
    graph = network(rng, (50, 20))
    for name in ("w0", "r0", "w1", "r1", "skip"):
        graph.nodes[name].weight = rng.normal(size=graph.nodes[name].weight.shape)
    raster = rng.integers(0, 2, (20, 60, CHANNELS))
    whole = simulate_stepped(graph, raster, Dynamics(DT), dtype=np.float32)
    alone = simulate_stepped(graph, raster[18, :30], Dynamics(DT), dtype=np.float32)
    np.testing.assert_array_equal(whole.output[18, :30], alone.output)
    raster[0, 0, 0] = 300  # another type of raster, and factors in place of spikes
    counted = simulate_stepped(graph, raster, Dynamics(DT), dtype=np.float32)
    np.testing.assert_array_equal(whole.output[1:], counted.output[1:])


@pytest.mark.parametrize("shape", [(0, 5, CHANNELS), (3, 0, CHANNELS), (0, CHANNELS)])
def test_empty_rasters(shape: tuple[int, ...]) -> None:
    graph = network(np.random.default_rng(0), (6, 4))
    found, wanted = both(graph, np.zeros(shape, np.uint8), Dynamics(DT), threads=2)
    assert_same(found, wanted)
    assert found.output.shape == (*shape[:-1], 8)


def test_what_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network(np.random.default_rng(0), (6, 4))
    how = Dynamics(DT)
    assert is_compiled(graph, how)
    delayed = nir.NIRGraph(
        {**graph.nodes, "d": nir.Delay(np.full(CHANNELS, DT))},
        [*(e for e in graph.edges if e != ("in", "w0")), ("in", "d"), ("d", "w0")],
        type_check=False,
    )
    assert not is_compiled(delayed, how)
    monkeypatch.setattr(stepped_plan, "LARGEST", 10)
    assert is_compiled(graph, how)  # matrices of the graph itself may have any size
    scaled = nir.NIRGraph(
        {**graph.nodes, "two": nir.Linear(np.eye(CHANNELS))},
        [*(e for e in graph.edges if e != ("in", "w0")), ("in", "two"), ("two", "w0")],
        type_check=False,
    )
    assert not is_compiled(scaled, how)


def test_output_lag_behind_a_delay() -> None:
    """A lag comes on top of a Delay node."""
    nodes = {
        "in": nir.Input(np.array([2])),
        "d": nir.Delay(np.array([0, 2]) * DT),
        "out": nir.Output(np.array([2])),
    }
    graph = nir.NIRGraph(nodes, [("in", "d"), ("d", "out")], type_check=False)
    raster = np.zeros((5, 2), np.uint8)
    raster[0] = 1
    for lag in (0, 1):
        found = simulate_stepped(graph, raster, replace(Dynamics(DT), output_lag=lag)).output
        assert found.argmax(axis=0).tolist() == [lag, 2 + lag]
