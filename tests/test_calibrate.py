"""Calibration: nearer to the trained network than before, without labels, the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirbridge
from nirbridge import Refused, convert, read
from nirbridge.calibrate import calibrate, random_spikes
from nirbridge.calibrate.score import Judge
from nirbridge.data import to_raster
from nirbridge.datafiles import write_data
from nirbridge.graph.verify import verify
from nirbridge.rasterfiles import read_typical
from tests.conftest import EXAMPLES, GRAPHS


def stages(deployment: nirbridge.Deployment) -> list[float]:
    """Distance after each step of the calibration, as the journal tells."""
    return [note.size for note in deployment.journal if note.stage == "calibrate" and note.size]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_step_comes_nearer(name: str, digits: tuple[Any, Any]) -> None:
    fitted = convert(read(GRAPHS / f"{name}.nir"))
    raster = digits[0][:40]
    found = calibrate([("fit", fitted)], raster, tries=20)
    judge = Judge(fitted, raster)
    before, after = judge.score(fitted.config), judge.score(found.config)
    assert after.total < before.total
    assert found.config.violations() == []
    assert verify(found.deployed) == []
    assert found.method == "calibrate"
    told = stages(found)
    assert told == sorted(told, reverse=True)
    assert told[-1] == pytest.approx(after.total)


def test_the_same_seed_gives_the_same_integers(digits: tuple[Any, Any]) -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    fitted = convert(graph)
    first, second, other = (
        calibrate([("fit", fitted)], digits[0][:20], tries=15, seed=seed).config
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_deployed_graph_follows_the_integers(digits: tuple[Any, Any]) -> None:
    found = calibrate([("fit", convert(read(GRAPHS / "digits_lif.nir")))], digits[0][:20], tries=30)
    assert convert(found.deployed).config == found.config


def test_saved_and_loaded(tmp_path: Any, digits: tuple[Any, Any]) -> None:
    fitted = convert(read(GRAPHS / "digits_recurrent.nir"))
    found = calibrate([("fit", fitted)], digits[0][:20], tries=10)
    found.save(tmp_path / "d")
    again = nirbridge.load(tmp_path / "d")
    assert again.config == found.config
    assert again.journal == found.journal


def test_connections_and_relays_stay(digits: tuple[Any, Any]) -> None:
    fitted = convert(read(GRAPHS / "digits_lif.nir"))
    found = calibrate([("fit", fitted)], digits[0][:20], tries=60)
    for name in ("weights_in", "weights_rec", "weights_out"):
        before, after = getattr(fitted.config, name), getattr(found.config, name)
        assert not after[before == 0].any()
    relays = [p for p in fitted.placement.hidden if p.relay]
    assert relays
    for p in relays:
        for name in ("weights_in", "weights_rec"):
            before, after = getattr(fitted.config, name), getattr(found.config, name)
            np.testing.assert_array_equal(before[:, p.ids], after[:, p.ids])


def test_convert_calibrates(digits: tuple[Any, Any]) -> None:
    seen: list[int] = []

    def track(numbers: Any) -> Any:
        seen.append(len(numbers))
        return numbers

    found = convert(
        read(GRAPHS / "digits_cuba.nir"),
        method="calibrate",
        calibration=digits[0][:5],
        track=track,
    )
    assert found.method == "calibrate"
    assert seen


def test_calibrate_needs_a_raster() -> None:
    with pytest.raises(Refused) as refusal:
        convert(read(GRAPHS / "digits_cuba.nir"), method="calibrate")
    assert refusal.value.diagnostics[0].code == "NB502"
    empty = np.zeros((0, 10, 16), np.uint8)
    with pytest.raises(Refused) as refusal:
        convert(read(GRAPHS / "digits_cuba.nir"), method="calibrate", calibration=empty)
    assert refusal.value.diagnostics[0].code == "NB801"


def test_random_spikes_are_always_the_same() -> None:
    first, second = random_spikes(5, True), random_spikes(5, True)
    np.testing.assert_array_equal(first, second)
    rates = first.mean(axis=(1, 2))
    assert rates.min() < 0.1 < rates.max()
    assert first.max() == 1
    assert random_spikes(5, False).max() > 1


def test_typical_input_is_one_of_several_nodes(tmp_path: Path) -> None:
    def events(channel: int) -> nir.NIRNodeData:
        found = nir.EventData(np.full((1, 3), channel), np.array([[0.0, 1e-3, 2e-3]]), 4, 5e-3)
        return nir.NIRNodeData({"spikes": found})

    place = tmp_path / "two.nir"
    write_data(nir.NIRGraphData({"a": events(1), "b": events(2)}), place)
    with pytest.raises(Refused) as refusal:
        read_typical(place, 4, 1e-3)
    assert refusal.value.diagnostics[0].code == "NB809"
    typical = read_typical(place, 4, 1e-3, "b")
    assert isinstance(typical, nir.NIRGraphData)
    np.testing.assert_array_equal(to_raster(typical, 4, 1e-3).sum(axis=0), [0, 0, 3, 0])
