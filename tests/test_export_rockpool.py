"""Rockpool's specification: exact both ways, and whatever is wrong with it is refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Refused, read_config
from nirbridge.configfiles import read_specification, write_config
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


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(CHIPS), st.sampled_from([".npz", ".json"]))
def test_files_there_and_back_are_exact(seed: int, chip: str, suffix: str) -> None:
    config = drawn(seed, chip)
    with TemporaryDirectory() as folder:
        place = Path(folder) / f"specification{suffix}"
        assert write_config(config, place, "rockpool") == [place]
        assert read_config(place, chip) == config
        assert from_rockpool(read_specification(place), chip) == config
