"""Whole networks as the chip's users build them, and what becomes of each NIR primitive."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from benchmarks.field import after_hyperpolarisation, synnet, wavesense
from benchmarks.primitives import CASES, judge
from nirbridge import Dynamics, Refused, convert, read
from nirbridge.passes import lower
from tests.test_stepped import SIZE, layer, weights

INEXACT = {
    "Affine before CubaLIF",
    "IF",
    "I -> Output",
    "loop over two populations",
}
REFUSED = {"LI -> CubaLIF (filters in series)", "CubaLI -> LIF (filters in series)"}


@pytest.fixture
def raster() -> Any:
    return (np.random.default_rng(0).random((3, 60, 16)) < 0.2).astype(np.uint8)


@pytest.mark.parametrize("name", CASES)
def test_primitive(name: str) -> None:
    verdict, remarks = judge(CASES[name]())
    if name in REFUSED:
        assert verdict.startswith("refused")
    elif name in INEXACT:
        assert verdict.startswith("differs")
        assert "[" in remarks, "a difference without a size"
    else:
        assert verdict == "exact"


@pytest.mark.parametrize("graph", [synnet(), wavesense(2), after_hyperpolarisation()])
def test_networks_of_the_field_convert(graph: nir.NIRGraph, raster: Any) -> None:
    result = convert(graph)
    assert result.config.violations() == []
    drift = result.check(raster)
    assert drift.rung("lowered").output_l1 == 0  # the form is exact
    assert drift.rung("lowered").spikes == drift.rung("trained").spikes
    assert convert(result.deployed).config == result.config


def test_wavesense_uses_both_synapses_and_aliases() -> None:
    """Residuals and skips share weights through aliases; 16·(B−1) + 32·(B−1) of them."""
    result = convert(wavesense(3), balance=False)
    config = result.config
    assert (config.n_hidden, int((config.aliases >= 0).sum())) == (224, 96)
    assert (config.dash_syn_2 > config.dash_syn).any()
    assert config.weights_rec[:, :, 1].any()
    assert int((config.weights_rec != 0).any(axis=2).sum(axis=1).max()) <= 48


def test_wavesense_is_refused_where_it_is_too_large() -> None:
    assert convert(wavesense(14)).config.n_hidden == 928
    with pytest.raises(Refused) as refusal:
        convert(wavesense(16))
    assert [d.code for d in refusal.value.diagnostics] == ["NB602"]
    assert refusal.value.diagnostics[0].found.startswith("1056 = ")


def test_after_hyperpolarisation_is_the_second_synapse() -> None:
    config = convert(after_hyperpolarisation()).config
    recurrent = config.weights_rec[:, :, 1]
    assert (np.diag(recurrent) < 0).all()
    assert not (recurrent - np.diag(np.diag(recurrent))).any()
    assert not config.weights_rec[:, :, 0].any()
    assert set(config.dash_syn_2.tolist()) == {7}  # τ = 100 steps
    assert set(config.dash_syn.tolist()) == {4}  # τ = 20 steps


def test_three_time_constants_in_one_neuron_are_refused() -> None:
    one = np.ones(SIZE)
    graph = layer(nir.LIF(8e-3 * one, one, 0 * one, one, 0 * one), weights(0))
    for k, tau in enumerate((2e-3, 4e-3, 8e-3)):
        graph.nodes[f"s{k}"] = nir.LI(tau * one, one, 0 * one)
        graph.edges.extend([("w", f"s{k}"), (f"s{k}", "n")])
    graph.edges.remove(("w", "n"))
    with pytest.raises(Refused) as refusal:
        lower(graph, Dynamics(1e-3))
    (found,) = refusal.value.diagnostics
    assert (found.code, found.node) == ("NB608", "n")
    assert "0.002 s, 0.004 s, 0.008 s" in found.found


def test_dead_neurons_go_and_outputs_stay(raster: Any) -> None:
    """Neurons without a way to be excited or to be seen are dropped by name."""
    rng = np.random.default_rng(1)
    one = np.ones(6)
    w_in, w_out = rng.uniform(0.2, 1, (6, 16)), rng.uniform(-1, 1, (3, 6))
    w_in[1] = -1  # never excited
    w_out[:, 4] = 0  # never seen
    nodes = {
        "in": nir.Input(np.array([16])),
        "w": nir.Linear(w_in),
        "h": nir.CubaLIF(*(one * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4))),
        "v": nir.Linear(w_out),
        "o": nir.CubaLIF(*(one[:3] * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4))),
        "out": nir.Output(np.array([3])),
    }
    edges = list(pairwise(nodes))
    nodes |= {"x": nir.Linear(w_in), "lost": nodes["h"]}
    graph = nir.NIRGraph(nodes, [*edges, ("in", "x"), ("x", "lost")], type_check=False)
    how = Dynamics(1e-3, reset="subtract", spikes_per_step=None, comparison=">=")
    result = convert(graph, dynamics=how)
    assert result.placement.hidden[0].kept == (0, 2, 3, 5)
    assert result.placement.hidden_names() == ["h[0]", "h[2]", "h[3]", "h[5]"]
    assert result.check(raster).rung("lowered").output_l1 == 0
    texts = [str(note) for note in result.journal]
    assert any("lost" in t and "no Output" in t for t in texts)
    assert any("2 of 6 neurons removed" in t for t in texts)


def test_several_inputs_and_outputs() -> None:
    """Channels lie side by side by the names of their Inputs, outputs by those of the Outputs."""
    rng = np.random.default_rng(0)

    def cuba(n: int) -> nir.CubaLIF:
        return nir.CubaLIF(*(np.ones(n) * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4)))

    nodes = {
        "left": nir.Input(np.array([3])),
        "right": nir.Input(np.array([2])),
        "wl": nir.Linear(rng.uniform(0, 0.3, (5, 3))),
        "wr": nir.Linear(rng.uniform(0, 0.3, (5, 2))),
        "h": cuba(5),
        "w1": nir.Linear(rng.uniform(0, 0.3, (2, 5))),
        "spiking": cuba(2),
        "w2": nir.Linear(rng.uniform(0, 0.3, (3, 5))),
        "graded": nir.LI(*(np.ones(3) * k for k in (8e-3, 1, 0))),
        "zeta": nir.Output(np.array([2])),
        "alpha": nir.Output(np.array([3])),
    }
    paths = (
        ("left", "wl", "h", "w1", "spiking", "zeta"),
        ("right", "wr", "h", "w2", "graded", "alpha"),
    )
    edges = sorted({edge for path in paths for edge in pairwise(path)})
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    how = Dynamics(1e-3, reset="subtract", spikes_per_step=None, comparison=">=")
    result = convert(graph, dynamics=how)
    raster = rng.integers(0, 2, (3, 50, 5))
    drift = result.check(raster)
    assert drift.rung("lowered").output_l1 < 1e-9
    decoded = result.decode(result.simulate(raster, record=True))
    assert {name: x.shape[2] for name, x in decoded.items()} == {"alpha": 3, "zeta": 2}
    swapped = raster.copy()
    swapped[:, :, :3] = 0  # `left` is silent
    assert (result.simulate(swapped).output.sum() < result.simulate(raster).output.sum())


@pytest.mark.parametrize("name", ["lif_norse", "two_lif_neurons"])
def test_paper_graphs_of_one_neuron_convert(name: str, reference: Any) -> None:
    """Their time step is not in the file; with it the form is exact, relays included."""
    result = convert(read(reference / "lif" / f"{name}.nir"), dt=1e-4)
    raster = np.random.default_rng(0).integers(0, 2, (3, 200, 1))
    assert result.check(raster).rung("lowered").output_l1 == 0
