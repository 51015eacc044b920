"""The ideal model against closed forms, brute force, and the NIR paper's exact trace."""

from __future__ import annotations

from copy import copy
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.graphs import Options, any_graph, any_raster
from nirbridge import Dynamics, Refused, read, simulate_stepped
from nirbridge.graph.nodes import kind
from nirbridge.simulate.continuous import ContinuousRecording, simulate_continuous
from nirbridge.simulate.continuous_network import FIRING, GRADED
from nirbridge.simulate.continuous_reference import BruteForce

DT = 1e-3
Array = NDArray[np.float64]


def column(*values: float) -> Array:
    return np.array(values)


def chain(*nodes: nir.NIRNode, n_in: int = 1) -> nir.NIRGraph:
    """Input → nodes, named a, b, … → Output."""
    names = [chr(ord("a") + k) for k in range(len(nodes))]
    path = ["in", *names, "out"]
    n_out = next(len(x.r) for x in reversed(nodes) if kind(x) in FIRING + GRADED)
    ends = {"in": nir.Input(np.array([n_in])), "out": nir.Output(np.array([n_out]))}
    edges = list(pairwise(path))
    return nir.NIRGraph(ends | dict(zip(names, nodes, strict=True)), edges, type_check=False)


def lif(tau: float, threshold: float = 1.0, r: float = 1.0, **rest: float) -> nir.LIF:
    one = np.ones(1)
    v_leak, v_reset = rest.get("v_leak", 0.0), rest.get("v_reset", 0.0)
    return nir.LIF(tau * one, r * one, v_leak * one, threshold * one, v_reset * one)


def li(*tau: float) -> nir.LI:
    one = np.ones(len(tau))
    return nir.LI(np.array(tau), one, 0 * one)


def cuba(tau_syn: float, tau_mem: float, threshold: float = 1.0, w_in: float = 1.0) -> nir.CubaLIF:
    one = np.ones(1)
    return nir.CubaLIF(
        tau_syn * one, tau_mem * one, one, 0 * one, threshold * one, 0 * one, w_in * one
    )


def ones(bins: int, count: int = 1) -> NDArray[np.int64]:
    return np.full((bins, 1), count)


def run(graph: nir.NIRGraph, raster: Any, **options: Any) -> ContinuousRecording:
    return simulate_continuous(graph, raster, DT, record=True, **options)


def times(recording: ContinuousRecording, name: str = "a") -> Array:
    return recording.spikes[name].times


# --- the NIR paper's exact trace ------------------------------------------------------------------


def test_reproduces_the_exact_trace_of_the_nir_paper(reference: Any) -> None:
    """Samples are taken at the end of each bin, after a spike in it; the reset subtracts."""
    graph = read(reference / "lif" / "lif_norse.nir")
    counts, voltage, spikes = np.loadtxt(reference / "lif" / "lif_exact.csv", delimiter=",").T
    found = simulate_continuous(
        graph, counts[:, None].astype(int), 1e-4, reset="subtract", record=True
    )
    np.testing.assert_array_equal(found.binned()["1"][:, 0], spikes)
    np.testing.assert_array_equal(found.output[:, 0], spikes)
    assert np.flatnonzero(spikes).tolist() == [460, 510, 710, 760]
    assert np.abs(found.v["1"][:, 0] - voltage).max() < 1e-8


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("v_leak", "v_reset", "count"), [(0, 0, 2), (0.5, -0.3, 1), (0, 0.4, 40)])
def test_interval_of_a_lif_under_constant_current(
    v_leak: float, v_reset: float, count: int
) -> None:
    tau, r = 10 * DT, 0.9
    end = v_leak + r * count
    found = times(run(chain(lif(tau, 1.0, r, v_leak=v_leak, v_reset=v_reset)), ones(200, count)))
    first = tau * np.log(end / (end - 1))
    interval = tau * np.log((end - v_reset) / (end - 1))
    assert len(found) == int((0.2 - first) / interval) + 1
    np.testing.assert_allclose(found, first + interval * np.arange(len(found)), atol=1e-12)


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_an_if_fires_as_often_as_its_charge_says(reset: str) -> None:
    """Several spikes in one bin, too: 7.3 thresholds per bin."""
    node = nir.IF(column(7.3 / DT), column(1.0), column(0.0))
    found = run(chain(node), ones(3), reset=reset)
    np.testing.assert_allclose(times(found), np.arange(1, 22) * DT / 7.3, atol=1e-12)
    np.testing.assert_array_equal(found.binned()["a"][:, 0], [7, 7, 7])
    assert found.binned(3 * DT)["a"].tolist() == [[21]]


def test_reset_to_a_value_and_by_subtraction_differ_by_v_reset() -> None:
    graph = chain(lif(10 * DT, v_reset=-1.0))
    by_value = run(graph, ones(50, 2))
    subtracted = run(Dynamics(DT, reset="subtract").attach(graph), ones(50, 2))
    expected = 10 * DT * np.log(column(3.0, 2.0))
    for recording, interval in zip((by_value, subtracted), expected, strict=True):
        np.testing.assert_allclose(np.diff(times(recording)), interval, atol=1e-12)


def test_membrane_at_rest_on_the_threshold_stays_silent() -> None:
    assert len(times(run(chain(lif(5 * DT)), ones(500)))) == 0


@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-15, 1 + 1e-9, 1 - 1e-6, 1 + 1e-3, 0.5, 30.0])
def test_step_response_of_a_cuba_neuron(ratio: float) -> None:
    """Also where the time constants are equal, or so nearly so that their difference vanishes."""
    tau = 7 * DT
    found = run(chain(cuba(tau * ratio, tau, 9.0, w_in=3.0)), ones(60))
    x = found.times / tau
    np.testing.assert_allclose(found.i["a"][:, 0], 3 * -np.expm1(-x / ratio), atol=1e-13)
    if abs(ratio - 1) < 1e-2:  # to first order in ratio − 1
        tail = np.exp(-x) * (1 + x + (ratio - 1) * x**2 / 2)
    else:
        tail = (ratio * np.exp(-x / ratio) - np.exp(-x)) / (ratio - 1)
    error = 1e-12 if abs(ratio - 1) < 1e-5 or abs(ratio - 1) > 1e-2 else 1e-5
    np.testing.assert_allclose(found.v["a"][:, 0], 3 * (1 - tail), atol=error)


def test_a_cuba_neuron_fires_on_the_way_up_though_it_ends_each_bin_below() -> None:
    """The membrane peaks in between: with one pulse of 1 bin, tau_syn = tau_mem = bin/2."""
    tau = DT / 2
    raster = np.zeros((6, 1), int)
    raster[1] = 1
    quiet = run(chain(cuba(tau, tau, 9.0)), raster, sample_times=np.linspace(0, 6 * DT, 60001))
    peak = quiet.v["a"].max()
    assert peak > 1.02 * quiet.v["a"][::10000].max()
    found = times(run(chain(cuba(tau, tau, 0.999 * peak)), raster))
    above = quiet.times[np.argmax(quiet.v["a"][:, 0] > 0.999 * peak)]
    np.testing.assert_allclose(found, [above], atol=1e-7)
    assert len(times(run(chain(cuba(tau, tau, 1.001 * peak)), raster))) == 0


def test_readouts() -> None:
    """One pulse into I, LI, CubaLI, and into a chain of three LI with one time constant."""
    tau, tau_syn = 5 * DT, 3 * DT
    one = np.ones(1)
    raster = np.zeros((40, 1), int)
    raster[0] = 1

    def pulse(answer: Any) -> Array:
        t = np.arange(1, 41) * DT
        return np.asarray(answer(t) - np.where(t > DT, answer(np.maximum(t - DT, 0)), 0))

    def cuba_li(t: Array) -> Array:
        fall = tau * np.exp(-t / tau) - tau_syn * np.exp(-t / tau_syn)
        return np.asarray(2 * 1.5 * (1 - fall / (tau - tau_syn)))

    cases: list[tuple[nir.NIRGraph, Any]] = [
        (chain(nir.I(3 * one)), lambda t: 3 * t),
        (chain(li(tau)), lambda t: -np.expm1(-t / tau)),
        (chain(nir.CubaLI(tau_syn * one, tau * one, 2 * one, 0 * one, 1.5 * one)), cuba_li),
        (chain(nir.I(one), nir.I(one)), lambda t: t**2 / 2),
        (
            chain(li(tau), li(tau), li(tau)),
            lambda t: 1 - np.exp(-t / tau) * (1 + t / tau + (t / tau) ** 2 / 2),
        ),
    ]
    for graph, answer in cases:
        found = run(graph, raster)
        np.testing.assert_allclose(found.output[:, 0], pulse(answer), rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(found.output, list(found.v.values())[-1], rtol=1e-13)


def test_many_time_constants_in_one_graded_signal() -> None:
    """A weighted sum of 30 different LI drives a membrane below its threshold."""
    rng = np.random.default_rng(5)
    tau, weight = DT * 10 ** rng.uniform(0, 2, 30), rng.normal(size=30)
    mem = 20 * DT
    graph = chain(nir.Linear(np.ones((30, 1))), li(*tau), nir.Linear(weight[None]), lif(mem, 99.0))
    found = run(graph, ones(200))
    t = found.times[:, None]
    parts = 1 - (mem * np.exp(-t / mem) - tau * np.exp(-t / tau)) / (mem - tau)
    np.testing.assert_allclose(found.v["d"][:, 0], parts @ weight, atol=1e-11)


def test_delays_shift_pulses_by_any_time() -> None:
    nodes = {
        "in": nir.Input(np.array([2])),
        "d": nir.Delay(column(2.25 * DT, 3 * DT)),
        "a": nir.IF(np.full(2, 1.6 / DT), np.ones(2), np.zeros(2)),
        "e": nir.Delay(column(0.5 * DT, 0.0)),
        "b": nir.IF(np.full(2, 1.25 / DT), np.ones(2), np.zeros(2)),
        "out": nir.Output(np.array([2])),
    }
    path = ["in", "d", "a", "e", "b", "out"]
    graph = nir.NIRGraph(nodes, list(pairwise(path)), type_check=False)
    raster = np.zeros((12, 2), int)
    raster[1] = 1
    found = run(graph, raster)
    np.testing.assert_allclose(times(found) / DT, [1 + 2.25 + 0.625, 1 + 3 + 0.625], atol=1e-12)
    np.testing.assert_allclose(times(found, "b") / DT, [4.375 + 0.8, 4.625 + 0.8], atol=1e-12)


def test_a_loop_of_one_neuron() -> None:
    """Each spike of the IF adds w to its current for one bin."""
    w = 0.5
    graph = chain(nir.IF(column(0.8 / DT), column(1.0), column(0.0)))
    graph.nodes["loop"] = nir.Linear(np.array([[w]]))
    graph.edges.extend([("a", "loop"), ("loop", "a")])
    first = 1 / 0.8
    second = first + 1 / (0.8 * (1 + w))
    third = first + 1 + (1 - (first + 1 - second) * 0.8 * (1 + 2 * w)) / (0.8 * (1 + w))
    np.testing.assert_allclose(
        times(run(graph, ones(10)))[:3] / DT, [first, second, third], atol=1e-12
    )


# --- how stepped simulations approach it ----------------------------------------------------------


def order(steps: Any, errors: Any) -> float:
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def single_layer(node: str, rng: np.random.Generator, threshold: float) -> nir.NIRGraph:
    n = 12
    fields: dict[str, Any] = {"r": rng.uniform(0.5, 2, n), "v_leak": rng.uniform(0, 0.2, n)}
    fields |= {"v_threshold": np.full(n, threshold), "v_reset": np.zeros(n)}
    if node == "LIF":
        fields["tau"] = DT * rng.uniform(4, 20, n)
    else:
        fields |= {k: DT * rng.uniform(4, 20, n) for k in ("tau_syn", "tau_mem")}
    weight = nir.Linear(rng.uniform(0, 1, (n, 5)))
    return chain(weight, getattr(nir, node)(**fields), n_in=5)


REFINED = 2 ** np.arange(2, 8)


@pytest.mark.parametrize(
    ("node", "scheme", "expected"),
    [
        ("LIF", "euler", 1.0),
        ("LIF", "exponential", None),
        ("CubaLIF", "euler", 1.0),
        ("CubaLIF", "exponential", 1.0),
    ],
)
def test_stepped_voltages_converge(node: str, scheme: str, expected: float | None) -> None:
    """Membranes below threshold at the ends of the bins, largest error of all.

    Each bin is split into k steps of dt/k with the same counts, so the input stays the same
    current. Exponential steps of a LIF under such an input are exact.
    """
    rng = np.random.default_rng(3)
    graph = single_layer(node, rng, 1e9)
    raster = rng.integers(0, 3, (30, 5))
    exact = run(graph, raster).v["b"]
    errors = []
    for k in REFINED:
        how = Dynamics(DT / k, scheme=scheme)
        found = simulate_stepped(graph, np.repeat(raster, k, axis=0), how, record=True)
        errors.append(np.abs(found.v["b"][k - 1 :: k] - exact).max())
    if expected is None:
        assert max(errors) < 1e-12
    else:
        assert order(1 / REFINED, errors) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("scheme", ["euler", "exponential"])
@pytest.mark.parametrize("node", ["LIF", "CubaLIF"])
def test_stepped_spike_times_converge(node: str, scheme: str) -> None:
    """Times of the first five spikes of each neuron, mean error; a step's spike is at its end.

    One layer only: inside a network a spike's pulse would last one of the shorter steps.
    """
    rng = np.random.default_rng(4)
    graph = single_layer(node, rng, 1.0)
    raster = rng.integers(0, 4, (60, 5))
    spikes = run(graph, raster).spikes["b"]
    exact = [spikes.times[spikes.ids == j][:5] for j in range(spikes.n)]
    assert min(map(len, exact)) == 5
    errors = []
    for k in REFINED:
        how = Dynamics(DT / k, scheme=scheme)
        counts = simulate_stepped(graph, np.repeat(raster, k, axis=0), how).spikes["b"]
        found = [(np.flatnonzero(row)[:5] + 1) * DT / k for row in counts.T]
        errors.append(np.mean(np.abs(np.array(found) - np.array(exact))))
        if node == "LIF" and scheme == "exponential":
            first = np.array([a[0] - b[0] for a, b in zip(found, exact, strict=True)])
            assert np.all((first > -1e-12) & (first <= DT / k + 1e-12))
    assert order(1 / REFINED, errors) == pytest.approx(1.0, abs=0.15)
    assert errors[-1] < 0.1 * DT


# --- a brute-force integration --------------------------------------------------------------------


def disturb(graph: nir.NIRGraph, rng: np.random.Generator) -> nir.NIRGraph:
    """A copy whose numbers are no round ones, so that no two events coincide by construction.

    Weights become smaller and rather positive: most networks then fire, and few very often.
    """
    nodes = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes[name] = disturb(node, rng)
            continue
        nodes[name] = node = copy(node)
        fields = {k: v for k, v in vars(node).items() if isinstance(v, np.ndarray)}
        if kind(node) not in ("Input", "Output", "SumPool2d", "AvgPool2d"):
            for key, value in fields.items():
                if key == "weight":
                    node.weight = 0.3 * value + rng.uniform(0, 0.4, value.shape)
                elif key != "delay" or rng.random() < 0.5:
                    setattr(node, key, value * rng.uniform(0.8, 1.0, value.shape))
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False)


OPTIONS = {
    "spiking": Options(neurons=("IF", "LIF", "CubaLIF"), v_reset=True),
    "delayed": Options(extras=("Delay", "Threshold"), v_reset=True),
    "graded": Options(populations=2, extras=("Delay", "I", "LI", "CubaLI"), v_reset=True),
    "spatial": Options(populations=2, space=1.0),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", OPTIONS)
def test_equals_a_brute_force_integration(options: str, seed: int) -> None:
    """On random networks that fire, though not all the time."""
    rng = np.random.default_rng([seed, sum(map(ord, options))])
    dt, count = 2.0**-10, 0
    while not 4 <= count <= 25:
        graph = disturb(any_graph(rng, OPTIONS[options]), rng)
        raster = any_raster(rng, graph, 6)[0]
        try:
            found = simulate_continuous(graph, raster, dt, record=True, max_spikes=30)
        except Refused:  # runs away
            continue
        count = sum(len(trains.times) for trains in found.spikes.values())
    spikes, state = BruteForce(graph, dt).run(raster)
    for name, trains in found.spikes.items():
        expected = sorted((t, j) for t, source, j in spikes if source == name)
        assert [j for _, j in expected] == trains.ids.tolist()
        np.testing.assert_allclose(trains.times, [t for t, _ in expected], rtol=0, atol=1e-6 * dt)
    for name, v in found.v.items():
        np.testing.assert_allclose(v[-1], state[name][1].ravel(), rtol=1e-5, atol=1e-5)


def test_loops_through_graded_neurons_equal_a_brute_force_integration() -> None:
    """Two LI of different time constants into one LIF, and one of them fed back from it."""
    tau = DT * column(2.0, 5.0)
    nodes = {
        "in": nir.Input(np.array([2])),
        "first": nir.LI(tau, np.ones(2), 0.1 * np.ones(2)),
        "w1": nir.Affine(column(1.5, 2.0)[None], column(0.05)),
        "second": li(3 * DT),
        "w2": nir.Linear(column(1.0, 2.0)[None]),
        "a": lif(4 * DT, 0.6),
        "scale": nir.Scale(column(-1.3)),
        "back": li(6 * DT),
        "out": nir.Output(np.array([1])),
    }
    edges = [("in", "first"), ("first", "w1"), ("w1", "a"), ("in", "w2"), ("w2", "second")]
    edges += [("second", "a"), ("a", "scale"), ("scale", "back"), ("back", "a"), ("a", "out")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    raster = np.random.default_rng(2).integers(0, 3, (15, 2))
    found = run(graph, raster)
    spikes, state = BruteForce(graph, DT).run(raster)
    assert len(spikes) > 5
    np.testing.assert_allclose(times(found), [t for t, _, _ in spikes], rtol=0, atol=1e-7 * DT)
    for name, v in found.v.items():
        np.testing.assert_allclose(v[-1], state[name][1], atol=1e-7)


def test_li_before_lif_is_a_cuba_lif() -> None:
    """The same equations in two forms, of which one takes the closed form for longer cascades."""
    rng = np.random.default_rng(6)
    raster = rng.integers(0, 2, (200, 6))
    weight = nir.Linear(rng.normal(0.8, 1, (1, 6)))
    one = chain(weight, cuba(4 * DT, 9 * DT), n_in=6)
    two = chain(weight, li(4 * DT), lif(9 * DT), n_in=6)
    expected, found = run(one, raster), run(two, raster)
    assert len(times(expected, "b")) > 20
    np.testing.assert_allclose(times(found, "c"), times(expected, "b"), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.v["c"], expected.v["b"], atol=1e-12)
    np.testing.assert_allclose(found.v["b"], expected.i["b"], atol=1e-12)


# --- shapes, batches, refusals --------------------------------------------------------------------


def test_batch_is_its_samples() -> None:
    rng = np.random.default_rng(0)
    graph = any_graph(rng, Options(populations=4, branches=0.5))
    raster = any_raster(rng, graph)
    whole = run(graph, raster)
    for b, part in enumerate(run(graph, sample) for sample in raster):
        np.testing.assert_array_equal(whole.output[b], part.output)
        for name, counts in part.binned().items():
            np.testing.assert_array_equal(whole.binned()[name][b], counts)
        for name, v in part.v.items():
            np.testing.assert_array_equal(whole.v[name][b], v)

    empty = run(graph, raster[:0])
    assert empty.output.shape == (0, *part.output.shape)
    assert [x.shape[:2] for x in empty.binned().values()] == [(0, 10)] * len(part.spikes)


def test_several_inputs_and_outputs() -> None:
    """In the order of their names; an Output with spikes shows the counts of the bins."""
    nodes = {
        "x": nir.Input(np.array([2])),
        "b": nir.Input(np.array([1])),
        "w": nir.Linear(np.array([[2.0, 1.0]])),
        "a": lif(3 * DT),
        "spikes": nir.Output(np.array([1])),
        "sum": nir.Output(np.array([1])),
    }
    edges = [("x", "w"), ("w", "a"), ("b", "a"), ("a", "spikes"), ("w", "sum"), ("b", "sum")]
    raster = np.random.default_rng(1).integers(0, 3, (20, 3))
    found = run(nir.NIRGraph(nodes, edges, type_check=False), raster)
    np.testing.assert_array_equal(found.outputs["sum"][:, 0], raster @ [1, 2, 1])
    np.testing.assert_array_equal(found.outputs["spikes"], found.binned()["a"])
    np.testing.assert_array_equal(
        found.output, np.hstack([found.outputs[n] for n in ("spikes", "sum")])
    )
    assert found.spikes["a"].times.size > 5


def test_samples_at_any_time() -> None:
    at = np.array([0.0, 0.3, 0.3, 1.0, 7.25, 10.0]) * DT
    found = run(chain(li(4 * DT)), ones(10), sample_times=at)
    np.testing.assert_allclose(found.output[:, 0], -np.expm1(-at / 4 / DT), atol=1e-14)
    assert run(chain(li(DT)), np.zeros((0, 1), int)).output.shape == (0, 1)


def loop_of_graded() -> nir.NIRGraph:
    graph = chain(li(DT), lif(DT))
    graph.nodes["w"] = nir.Linear(np.array([[0.5]]))
    graph.edges.extend([("a", "w"), ("w", "a")])
    return graph


def runaway() -> nir.NIRGraph:
    graph = chain(lif(DT))
    graph.nodes["w"] = nir.Linear(np.array([[50.0]]))
    graph.edges.extend([("a", "w"), ("w", "a")])
    return graph


@pytest.mark.parametrize(
    ("graph", "options", "code", "text"),
    [
        (loop_of_graded(), {}, "NB305", "a loop of a, w"),
        (chain(li(DT), nir.Delay(column(DT)), lif(DT)), {}, "NB305", "Delay"),
        (chain(li(DT), nir.Threshold(column(0.5)), lif(DT)), {}, "NB305", "Threshold"),
        (chain(nir.Delay(column(-DT)), lif(DT)), {}, "NB202", "-0.001"),
        (
            chain(
                nir.Linear(np.ones((40, 1))),
                li(*DT * np.arange(1, 41)),
                nir.Linear(np.ones((1, 40))),
                lif(DT),
            ),
            {},
            "NB305",
            "time constants",
        ),
        (runaway(), {}, "NB306", "at most 1,000 spikes"),
        (runaway(), {"max_events": 5}, "NB306", "at most 5 events"),
        (chain(lif(DT, 0.0, v_reset=-1.0)), {"reset": "subtract"}, "NB207", "v_threshold > 0"),
        (chain(lif(DT, 1.0, v_reset=1.0)), {}, "NB207", "v_reset"),
        (chain(lif(DT)), {"reset": "never"}, "NB304", "reset"),
        (chain(lif(DT)), {"sample_times": [2.0]}, "NB806", "2.0"),
        (chain(lif(DT)), {"sample_times": [DT, 0.0]}, "NB806", "0.0"),
    ],
)
def test_refuses(graph: nir.NIRGraph, options: Any, code: str, text: str) -> None:
    with pytest.raises(Refused) as refusal:
        run(graph, ones(5, 3), **options)
    assert [d.code for d in refusal.value.diagnostics] == [code]
    assert text in str(refusal.value)
