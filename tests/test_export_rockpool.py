"""Rockpool's specification: exact both ways, and whatever is wrong with it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Refused
from nirbridge.mapping.export_rockpool import for_simulator, from_rockpool, to_rockpool
from nirbridge.targets import TARGETS
from tests.chip_configs import any_chip_config

CHIPS = list(TARGETS)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, chip: str) -> Any:
    return any_chip_config(np.random.default_rng(seed), TARGETS[chip])


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from(CHIPS))
def test_there_and_back_is_exact(seed: int, chip: str) -> None:
    config = drawn(seed, chip)
    assert from_rockpool(to_rockpool(config), chip) == config
