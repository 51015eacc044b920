"""What comes from elsewhere becomes a deployment: NIR that computes what the integers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nirbridge
from nirbridge import Dynamics, Refused, XyloConfig, convert, imported, simulate, simulate_stepped
from nirbridge.graph.verify import verify
from nirbridge.mapping.aliases import counted, follows
from nirbridge.targets import TARGETS
from tests.chip_configs import any_chip_config

seeds = st.integers(0, 2**32 - 1)
CHIPS = list(TARGETS)


def drawn(seed: int, chip: str) -> XyloConfig:
    return any_chip_config(np.random.default_rng(seed), TARGETS[chip])


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(CHIPS))
def test_any_configuration_becomes_a_deployment(seed: int, chip: str) -> None:
    config = drawn(seed, chip)
    made = imported(config, "test")
    assert made.config == config
    assert verify(made.deployed) == []
    raster = np.random.default_rng(seed).integers(0, 3, (2, 6, config.n_in))
    drift = made.check(raster)
    assert drift.rungs[0].model == "trained"
    assert drift.rungs[-2].output_l1 == 0  # the source is what the integers compute


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    config = drawn(5, "xylo-audio-3")
    imported(config, "spec.npz").save(tmp_path / "made")
    again = nirbridge.load(tmp_path / "made")
    assert again.config == config
    assert again.method == "imported"
    assert "spec.npz" in again.journal[0].what


def gentle(seed: int) -> XyloConfig:
    """Few steps of it are exact in floats: decays by half or at once, weights of many bits."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = 2, int(rng.integers(2, 7)), 2

    def weights(*shape: int) -> Any:
        present = rng.random(shape) < 0.6
        return np.where(present, rng.choice([-64, 32, 64], shape), 0).astype(np.int8)

    return XyloConfig(
        weights_in=weights(n_in, n, 2),
        weights_rec=weights(n, n, 2),
        weights_out=weights(n, n_out),
        dash_mem=rng.integers(0, 2, n),
        dash_syn=np.ones(n, int),
        dash_syn_2=np.ones(n, int),
        dash_mem_out=rng.integers(0, 2, n_out),
        dash_syn_out=np.ones(n_out, int),
        threshold=np.full(n, 2**6, np.int16),
        threshold_out=np.full(n_out, 2**8, np.int16),
        bias=np.zeros(n, int),
        bias_out=np.zeros(n_out, int),
        aliases=np.where(rng.random(n) < 0.5, rng.integers(0, n, n), -1),
        weight_shift_in=int(rng.integers(0, 3)),
        weight_shift_rec=0,
        weight_shift_out=1,
        dt=1e-3,
    )


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_the_graph_computes_what_the_chip_does(seed: int) -> None:
    """Spike for spike, with aliases of every kind folded into the weights."""
    config = gentle(seed)
    raster = np.random.default_rng(seed).integers(0, 2, (4, config.n_in))
    chip = simulate(config, raster, record=True)
    assert chip.spikes is not None
    if chip.spikes.max() == 31:  # a cap that no graph has
        return
    graph = imported(config).deployed
    how = Dynamics.of(graph)
    assert how is not None
    found = simulate_stepped(graph, raster, how)
    np.testing.assert_array_equal(found.outputs["output"], chip.output)
    own = np.linalg.solve(counted(config.aliases), chip.spikes.T.astype(float)).T
    np.testing.assert_allclose(found.spikes["hidden"], own, atol=1e-9)


def test_a_graph_without_aliases_gives_the_integers_back() -> None:
    """Where nothing is dead, and so nothing is removed."""
    rng = np.random.default_rng(0)
    config = gentle(2)
    n = config.n_hidden
    config = replace(
        config,
        weights_in=rng.integers(20, 100, config.weights_in.shape).astype(np.int8),
        weights_rec=rng.integers(-100, -20, config.weights_rec.shape).astype(np.int8),
        weights_out=rng.integers(20, 100, config.weights_out.shape).astype(np.int8),
        aliases=np.full(n, -1),
        dash_syn=np.full(n, 5),  # the slower synapse first: the graph says which is which
        dash_syn_2=np.full(n, 2),
    )
    made = imported(config)
    assert convert(made.deployed).config == config


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ([1, 2, -1], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]),  # upwards: passed on
        ([-1, 0, 1], [[1, 1, 0], [0, 1, 1], [0, 0, 1]]),  # downwards: not
        ([0, -1, -1], [[2, 0, 0], [0, 1, 0], [0, 0, 1]]),  # itself
        ([2, 2, -1], [[1, 0, 0], [0, 1, 0], [1, 1, 1]]),  # two of one
        ([1, 0, -1], [[2, 1, 0], [1, 1, 0], [0, 0, 1]]),  # each other
    ],
)
def test_spikes_that_aliases_count(aliases: list[int], expected: list[list[int]]) -> None:
    assert counted(np.array(aliases)).tolist() == expected


def test_aliases_that_follow_populations() -> None:
    spots = [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert follows(np.array([2, 3, -1, -1, -1]), spots)
    assert follows(np.full(5, -1), spots)
    for other in ([3, 2, -1, -1, -1], [2, -1, -1, -1, -1], [-1, -1, 0, 1, -1], [4, 4, -1, -1, -1]):
        assert not follows(np.array(other), spots)


def test_aliases_that_become_weights_are_told() -> None:
    config = gentle(2)
    told = [n.what for n in imported(config).journal if "aliases became weights" in n.what]
    assert [int(t.split()[0]) for t in told] == [(config.aliases >= 0).sum()]
    plain = replace(config, aliases=np.full(config.n_hidden, -1))
    assert len(imported(plain).journal) == 1


def test_what_cannot_become_one() -> None:
    config = drawn(1, "xylo-audio-2")
    with pytest.raises(Refused) as refused:
        imported(replace(config, target="xylo-1", bias=np.ones(config.n_hidden, int)))
    assert "NB606" in [d.code for d in refused.value.diagnostics]
    empty = {
        name: getattr(config, name)[:0]
        for name in ("dash_mem", "dash_syn", "dash_syn_2", "threshold", "bias", "aliases")
    }
    with pytest.raises(Refused) as refused:
        imported(
            replace(
                config,
                **empty,
                weights_in=config.weights_in[:, :0],
                weights_rec=config.weights_rec[:0, :0],
                weights_out=config.weights_out[:0],
            )
        )
    assert [d.code for d in refused.value.diagnostics] == ["NB706"]
