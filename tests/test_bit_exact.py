"""The fast kernel, the readable rules and the vendor's simulator are one and the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.networks import any_config, any_raster
from nirbridge.simulate import simulate
from nirbridge.simulate.recording import RECORDED
from nirbridge.simulate.reference import simulate_by_rule

pytest.importorskip("xylosim", reason="xylosim, the vendor's simulator, is not installed")
from benchmarks.xylosim_oracle import Oracle

seeds = st.integers(0, 2**32 - 1)


def assert_same(found: Any, expected: dict[str, NDArray[np.int64]]) -> None:
    for name in ("output", *RECORDED):
        np.testing.assert_array_equal(getattr(found, name), expected[name], err_msg=name)


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_kernel_equals_the_vendor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng)
    raster = any_raster(rng, config.n_in, 30)
    assert_same(simulate(config, raster, record=True), Oracle.of(config).run(raster))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_readable_rules_equal_the_vendor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng)
    raster = any_raster(rng, config.n_in, 15)
    expected = Oracle.of(config).run(raster)
    found = simulate_by_rule(config, raster)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
