"""jaxsnn has no steps: its spike times are those of the ideal simulation, or it refuses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Refused, adapters, simulate_continuous

pytest.importorskip("jaxsnn.event.modules")

DT, SIZES = 1e-3, (3, 6, 4)


def chain(ratio: float = 2.0, **words: Any) -> nir.NIRGraph:
    """Linear and CubaLIF twice, with a threshold and gains for each neuron."""
    rng = np.random.default_rng(0)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([SIZES[0]]))}
    for k, (a, b) in enumerate(pairwise(SIZES)):
        one, tau = np.ones(b), 2e-2 / ratio
        threshold = rng.uniform(0.5, 1.5, b)
        values = {
            "tau_syn": tau * one,
            "tau_mem": 2e-2 * one,
            "r": rng.uniform(0.5, 2.0, b),
            "w_in": rng.uniform(0.5, 2.0, b) * tau / DT,
            "v_leak": 0 * one,
            "v_threshold": threshold,
            "v_reset": -0.2 * threshold,
        }
        nodes[f"w{k}"] = nir.Linear(rng.normal(size=(b, a)) * 1.5)
        nodes[f"n{k}"] = nir.CubaLIF(**values | {n: v * one for n, v in words.items()})
    names = [*nodes, "output"]
    nodes["output"] = nir.Output(np.array([SIZES[-1]]))
    graph = nir.NIRGraph(nodes, list(pairwise(names)))
    return Dynamics(DT).attach(graph)


def sorted_times(spikes: Any, sample: int, neuron: int) -> Any:
    return np.sort(spikes.times[(spikes.samples == sample) & (spikes.ids == neuron)])


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_spike_times_are_those_of_the_ideal(ratio: float) -> None:
    graph = chain(ratio)
    x = (np.random.default_rng(1).random((2, 80, SIZES[0])) < 0.06).astype(int)
    model = adapters.build(graph, "jaxsnn")
    found, ideal = model.spike_times(np.swapaxes(x, 0, 1)), simulate_continuous(graph, x, DT)
    assert len(ideal.spikes["n1"].times) > 5
    for name in ("n0", "n1"):
        for b in range(2):
            for neuron in range(found[name].n):
                own = sorted_times(found[name], b, neuron)
                wanted = sorted_times(ideal.spikes[name], b, neuron)
                np.testing.assert_allclose(own, wanted, rtol=0, atol=DT / 4)
    assert {d.code for d in model.differences} == {"NB904"}


def test_a_silent_input_is_answered() -> None:
    model = adapters.build(chain(), "jaxsnn")
    assert not adapters.run(model, np.zeros((10, 3), int)).any()


def with_node(name: str, node: nir.NIRNode) -> nir.NIRGraph:
    graph = chain()
    graph.nodes[name] = node
    return graph


BIASED = nir.Affine(np.ones((6, 3)), np.ones(6))
LIF = nir.LIF(tau=np.ones(6), r=np.ones(6), v_leak=np.zeros(6), v_threshold=np.ones(6))


@pytest.mark.parametrize(
    ("graph", "node", "limit"),
    [
        (chain(3.0), "n0", "its solver"),
        (chain(1.4), "n0", "its solver"),
        (chain(v_leak=0.1), "n0", "v_leak = 0"),
        (chain(v_threshold=-1.0, v_reset=-2.0), "n0", "thresholds above 0"),
        (chain(v_reset=2.0), "n0", "v_reset"),
        (chain(tau_mem=np.nan), "n0", ""),
        (with_node("w0", BIASED), "w0", "no biases"),
        (with_node("n0", LIF), "n0", "CubaLIF"),
    ],
)
def test_what_it_cannot_compute_is_refused(graph: nir.NIRGraph, node: str, limit: str) -> None:
    with pytest.raises(Refused) as caught:
        adapters.build(graph, "jaxsnn")
    first = caught.value.diagnostics[0]
    assert first.node == node
    assert limit in str(first.limit)


def test_parameters_of_a_layer_must_agree() -> None:
    graph = chain()
    graph.nodes["n1"].v_reset = np.array([0.0, 0.1, 0.0, 0.0])
    with pytest.raises(Refused, match="one v_reset in thresholds per layer"):
        adapters.build(graph, "jaxsnn")


@pytest.mark.parametrize("edge", [("n0", "w0"), ("n0", "output")])
def test_only_chains(edge: tuple[str, str]) -> None:
    graph = chain()
    graph.edges.append(edge)
    with pytest.raises(Refused):
        adapters.build(graph, "jaxsnn")


def test_strict_and_export_refuse() -> None:
    with pytest.raises(Refused, match="continuous time"):
        adapters.build(chain(), "jaxsnn", strict=True)
    with pytest.raises(Refused, match="NB901"):
        adapters.export(adapters.build(chain(), "jaxsnn"), np.zeros(3))
