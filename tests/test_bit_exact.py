"""The fast kernel, the readable rules and the vendor's simulator are one and the same."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import conformance
from benchmarks.networks import any_config, any_raster
from nirbridge.diagnostics import Refused
from nirbridge.mapping import XyloConfig
from nirbridge.simulate import Recording, simulate
from nirbridge.simulate.recording import RECORDED, State
from nirbridge.simulate.reference import simulate_by_rule

pytest.importorskip("xylosim", reason="xylosim, the vendor's simulator, is not installed")
from benchmarks.simulator import measure
from benchmarks.xylosim_oracle import Oracle

seeds = st.integers(0, 2**32 - 1)
both = pytest.mark.parametrize("target", ["xylo-audio-2", "xylo-1"])  # one chip per arithmetic


def drawn(
    seed: int, steps: int, target: str = "xylo-audio-2"
) -> tuple[np.random.Generator, XyloConfig, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    config = any_config(rng, target)
    return rng, config, any_raster(rng, config.n_in, steps)


def assert_same(found: Any, expected: dict[str, NDArray[np.int64]]) -> None:
    for name in ("output", *RECORDED):
        values = found[name] if isinstance(found, dict) else getattr(found, name)
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@both
@settings(max_examples=300, deadline=None)
@given(seed=seeds)
def test_kernel_equals_the_vendor(target: str, seed: int) -> None:
    _, config, raster = drawn(seed, 30, target)
    assert_same(simulate(config, raster, record=True), Oracle.of(config).run(raster))


@both
@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_readable_rules_equal_the_vendor(target: str, seed: int) -> None:
    _, config, raster = drawn(seed, 15, target)
    assert_same(simulate_by_rule(config, raster), Oracle.of(config).run(raster))


@both
@settings(max_examples=80, deadline=None)
@given(seed=seeds)
def test_state_carries_on_as_the_vendors_does(target: str, seed: int) -> None:
    rng, config, raster = drawn(seed, 40, target)
    oracle = Oracle.of(config)
    state = None
    for piece in np.split(raster, np.sort(rng.integers(1, 40, 3))):
        if len(piece):
            recording = simulate(config, piece, record=True, state=state)
            assert_same(recording, oracle.run(piece))
            state = recording.state
    oracle.reset()
    assert_same(simulate(config, raster, record=True), oracle.run(raster))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1, 2, None]))
def test_each_sample_of_a_batch_equals_the_vendor(seed: int, threads: int | None) -> None:
    rng, config, _ = drawn(seed, 1)
    batch = np.stack([any_raster(rng, config.n_in, 20) for _ in range(5)])
    recording = simulate(config, batch, record=True, threads=threads)
    oracle = Oracle.of(config)
    for b, raster in enumerate(batch):
        expected = oracle.run(raster)
        assert_same({name: getattr(recording, name)[b] for name in expected}, expected)
        oracle.reset()


@pytest.mark.parametrize("aliased", [False, True])
@pytest.mark.parametrize("shift", [0, 2, 6])
def test_a_network_that_fills_the_chip(shift: int, aliased: bool) -> None:
    """1000 neurons with 0 to 60 targets each: long lists, dense rows and several bands."""
    rng = np.random.default_rng(shift)
    n = 1000
    w_rec = np.zeros((n, n, 2), np.int8)
    for row in w_rec:
        near = int(rng.integers(0, n - 30)) + np.arange(30)
        far = rng.choice(n, rng.integers(0, 61), replace=False)
        targets = near if rng.random() < 0.5 else far
        row[targets] = rng.integers(-128, 128, (len(targets), 2))
    config = XyloConfig(
        weights_in=rng.integers(-128, 128, (16, n, 2)).astype(np.int8),
        weights_rec=w_rec,
        weights_out=rng.integers(-128, 128, (n, 8)).astype(np.int8),
        dash_mem=rng.integers(0, 16, n),
        dash_syn=rng.integers(1, 16, n),
        dash_syn_2=rng.integers(1, 16, n),
        dash_mem_out=rng.integers(0, 16, 8),
        dash_syn_out=rng.integers(1, 16, 8),
        threshold=rng.integers(500, 32767, n).astype(np.int16),
        threshold_out=rng.integers(500, 32767, 8).astype(np.int16),
        bias=rng.integers(-128, 128, n),
        bias_out=rng.integers(-128, 128, 8),
        aliases=np.where(aliased, rng.integers(-1, n, n), -1),
        weight_shift_in=shift,
        weight_shift_rec=shift,
        weight_shift_out=shift,
        dt=1e-3,
    )
    assert not config.violations()
    raster = any_raster(rng, 16, 12)
    recording = simulate(config, raster, record=True)
    assert recording.spikes is not None
    assert 0.01 < (recording.spikes > 0).mean() < 0.9
    assert_same(recording, Oracle.of(config).run(raster))


def test_the_vendors_layer_keeps_its_synapses() -> None:
    """It holds raw pointers to them: without ``Oracle.alive`` this would read freed memory."""
    _, config, raster = drawn(7, 30)
    oracle = Oracle.of(config)
    expected = oracle.run(raster)
    oracle.reset()
    gc.collect()
    _ = [Oracle.of(config) for _ in range(20)]
    assert_same(oracle.run(raster), expected)


@both
def test_conformance_counts_and_finds_no_difference(target: str) -> None:
    totals, rules, wrong = conformance.compare(range(40), 20, target)
    assert wrong == []
    assert totals["differences"] == 0
    assert totals["networks"] == 40
    assert totals["networks by the readable rules"] == 4
    assert totals["steps"] == 800
    assert sum(rules.values()) > 1000
    table = conformance.report(totals, rules, target)
    assert table.row_count == len(conformance.rules_of(target))


def test_the_arithmetics_part_where_a_change_leaves_16_bits() -> None:
    """The change 1 + 2·29759 is cut before it is added to −20000, or only the sum is."""
    fields: dict[str, Any] = {
        "weights_in": np.full((1, 1, 2), 124, np.int8),
        "weights_rec": np.zeros((1, 1, 2), np.int8),
        "weights_out": np.zeros((1, 1), np.int8),
        **{f"dash_{name}": [15] for name in ("mem", "syn", "syn_2", "mem_out", "syn_out")},
        **{name: np.array([32767], np.int16) for name in ("threshold", "threshold_out")},
        **{name: [0] for name in ("bias", "bias_out")},
        "aliases": [-1],
        "weight_shift_in": 4,
    }
    base = XyloConfig(**fields, dt=1e-3)
    state = State(*(np.array([x], np.int16) for x in (0, 0, 0, -20000, 0, 0)))
    raster = np.array([[15]], np.uint8)
    found = {}
    for target in ("xylo-audio-2", "xylo-1"):
        recording = simulate(replace(base, target=target), raster, record=True, state=state)
        assert recording.v_mem is not None
        assert recording.spikes is not None
        found[target] = int(recording.v_mem[0, 0]), int(recording.spikes[0, 0])
    assert found == {"xylo-audio-2": (32767 - 20000, 0), "xylo-1": (0, 1)}


def test_biases_are_refused_where_the_arithmetic_has_none() -> None:
    config = replace(drawn(0, 1, "xylo-1")[1], target="xylo-audio-2")
    for name in ("bias", "bias_out"):
        values = getattr(config, name).copy()
        values[-1] = 3
        with pytest.raises(Refused) as error:
            simulate(
                replace(config, target="xylo-1", **{name: values}), np.zeros((1, config.n_in), int)
            )
        (found,) = error.value.diagnostics
        assert (found.code, found.node) == ("NB606", f"{name}[{len(values) - 1}]")


@pytest.mark.parametrize("broken", [False, True])
def test_conformance_exits_with_1_at_a_difference(
    broken: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def off_by_one(*args: Any, **options: Any) -> Recording:
        recording = simulate(*args, **options)
        assert recording.v_mem is not None
        recording.v_mem[-1:, 0] += 1
        return recording

    monkeypatch.setattr("sys.argv", ["conformance", "--networks", "3", "--steps", "5"])
    if broken:
        monkeypatch.setattr(conformance, "simulate", off_by_one)
    assert conformance.main() == int(broken)
    assert ("differs" in capsys.readouterr().out) == broken


def test_the_speed_benchmark_runs() -> None:
    row = measure("three layers", 63, 0.2, steps=20, repeat=1)
    assert row["single_ratio"] > 0
    assert row["second_core"] > 0


def test_unreached_rules_are_reported_as_such() -> None:
    table = conformance.report(Counter(), Counter())
    assert table.row_count == len(conformance.RULES)
