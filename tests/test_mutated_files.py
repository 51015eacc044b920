"""Files with random damage: refused or read, and never another exception."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nirbridge
from nirbridge import Refused, XyloConfig, convert, read
from nirbridge.rasterfiles import read_raster
from tests.conftest import GRAPHS

GOOD = GRAPHS / "refused" / "good.nir"


def damaged(content: bytes, seed: int) -> bytes:
    """Some bytes changed; every tenth file cut short."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        i = rng.randrange(len(data))
        data[i] = rng.choice([0, 255, rng.randrange(256), data[i] ^ (1 << rng.randrange(8))])
    if rng.random() < 0.1:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


def survives(source: Path, place: Path, load: Callable[[], Any], cases: int) -> tuple[int, int]:
    """How many damaged files were refused, and how many read; anything else fails the test."""
    content = source.read_bytes()
    refused = 0
    for seed in range(cases):
        place.write_bytes(damaged(content, seed))
        try:
            load()
        except Refused:
            refused += 1
    return refused, cases - refused


@pytest.mark.parametrize("source", [GOOD, GRAPHS / "digits_lif.nir"])
def test_graphs(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "graph.nir"
    refused, _ = survives(source, place, lambda: read(place), 150)
    assert refused > 30


@pytest.mark.parametrize("name", ["config.json", "deployment.json"])
def test_deployments(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    convert(read(GOOD)).save(folder)
    original = tmp_path / name
    shutil.copy(folder / name, original)

    def load() -> Any:
        if name == "config.json":
            return XyloConfig.from_json((folder / name).read_text(errors="replace"))
        return nirbridge.load(folder)

    refused, _ = survives(original, folder / name, load, 150)
    assert refused > 30


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv"])
def test_rasters(suffix: str, tmp_path: Path) -> None:
    original = tmp_path / f"original.{suffix}"
    if suffix == "npz":
        shutil.copy(GRAPHS / "digits.npz", original)
    elif suffix == "npy":
        shutil.copy(GRAPHS / "refused" / "good.npy", original)
    else:
        original.write_text("time,channel\n" + "".join(f"{k}e-4,{k % 2}\n" for k in range(20)))
    place = tmp_path / f"raster.{suffix}"
    refused, read_well = survives(original, place, lambda: read_raster(place, None, 1e-4), 150)
    if suffix == "csv":
        assert refused == 150  # events need a known number of channels
        refused, read_well = survives(original, place, lambda: read_raster(place, 2, 1e-4), 150)
    assert refused > 10
    assert refused + read_well == 150


@pytest.mark.parametrize("name", ["rockpool.npz", "rockpool.json", "samna.json"])
def test_configurations_of_other_tools(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    convert(read(GOOD)).save(folder, formats=["rockpool", "samna"])
    place = tmp_path / name
    refused, _ = survives(
        folder / name, place, lambda: nirbridge.read_config(place, "xylo-audio-2", 1e-4), 300
    )
    assert refused > 60
