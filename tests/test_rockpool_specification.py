"""Rockpool's specification: exact both ways, and whatever is wrong with it is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Refused, XyloConfig, read_config
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


def small() -> dict[str, Any]:
    """Two inputs, three hidden neurons, one output, all that must be said."""
    return {
        "weights_in": np.array([[1, 2, 3], [4, 5, 6]]),
        "weights_rec": np.arange(9).reshape(3, 3),
        "weights_out": np.array([[1], [2], [3]]),
        **{name: np.full(3, 4) for name in ("dash_mem", "dash_syn", "threshold")},
        **{name: np.full(1, 5) for name in ("dash_mem_out", "dash_syn_out", "threshold_out")},
        "dt": 1e-3,
    }


def read(**changed: Any) -> XyloConfig:
    return from_rockpool({**small(), **changed}, "xylo-audio-2")


def codes(make: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        make()
    assert all(d.limit and d.found for d in refused.value.diagnostics)
    return [d.code for d in refused.value.diagnostics]


def test_matrices_of_one_synapse_are_those_of_the_first() -> None:
    config = read()
    assert config.weights_in[:, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not config.weights_in[:, :, 1].any()
    assert config.dash_syn_2.tolist() == [1, 1, 1]
    both = np.ones((2, 3, 2), int)
    assert read(weights_in=both, dash_syn_2=[2, 2, 2]).weights_in.tolist() == both.tolist()


def test_what_may_be_missing() -> None:
    config = read(aliases=None, bias=None)
    assert not config.bias.any()
    assert config.aliases.tolist() == [-1, -1, -1]
    spec = small()
    del spec["weights_rec"]
    assert not from_rockpool(spec, "xylo-imu").weights_rec.any()


@pytest.mark.parametrize("name", ["dash_mem", "dash_syn", "threshold", "threshold_out"])
def test_what_rockpool_fills_in_differently_must_be_said(name: str) -> None:
    assert codes(lambda: read(**{name: None})) == ["NB705"]


def test_expansion_neurons_are_the_first_and_the_last() -> None:
    config = read(weights_in=np.array([[7], [8]]), weights_out=np.array([[9], [-9]]))
    assert config.weights_in[:, :, 0].tolist() == [[7, 0, 0], [8, 0, 0]]
    assert config.weights_out.tolist() == [[0], [9], [-9]]
    assert codes(lambda: read(weights_in=np.zeros((2, 4), int))) == ["NB701"]
    assert codes(lambda: read(weights_out=np.zeros((4, 1), int))) == ["NB701"]
    cut = {"weights_rec": None, "weights_in": np.array([[7], [8]])}
    assert codes(lambda: read(**cut)) == ["NB705"]


def test_both_names_of_the_hidden_biases() -> None:
    for name in ("bias", "bias_hidden"):
        assert read(**{name: [1, -2, 3]}).bias.tolist() == [1, -2, 3]
    assert read(bias=[1, 2, 3], bias_hidden=[1, 2, 3]).bias.tolist() == [1, 2, 3]
    assert codes(lambda: read(bias=[1, 2, 3], bias_hidden=[0, 0, 0])) == ["NB705"]


def test_biases_are_written_by_both_names_where_one_of_them_would_be_lost() -> None:
    spec = to_rockpool(read(bias=[1, -2, 3]))
    assert spec["bias"].tolist() == spec["bias_hidden"].tolist() == [1, -2, 3]
    assert "bias_hidden" not in for_simulator(spec)
    assert "bias_hidden" not in to_rockpool(read())


def test_floats_are_taken_where_they_are_whole() -> None:
    assert read(dash_mem=np.array([2.0, 3.0, 4.0])).dash_mem.tolist() == [2, 3, 4]
    for bad in (2.5, np.nan, np.inf, 1e300):
        assert codes(lambda bad=bad: read(dash_mem=np.array([2.0, bad, 4.0]))) == ["NB702"]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("aliases", "found"),
    [
        ([[], [2], []], [-1, 2, -1]),
        ([[0], [], [1]], [0, -1, 1]),
        (np.zeros((3, 0)), [-1, -1, -1]),
        (np.array([-1, 2, -1]), [-1, 2, -1]),
        (np.array([[], [2], []], object), [-1, 2, -1]),
    ],
)
def test_aliases_in_all_their_forms(aliases: Any, found: list[int]) -> None:
    assert read(aliases=aliases).aliases.tolist() == found


@pytest.mark.parametrize(
    ("aliases", "code"),
    [
        ([[], [1, 2], []], "NB705"),  # which a simulation keeps, and a configuration loses
        ([[], [3], []], "NB703"),
        ([[], [-1], []], "NB703"),
        ([[], [0.5], []], "NB705"),
        ([[], [True], []], "NB705"),
        ([[], []], "NB701"),
        ([None, [], []], "NB705"),
        ("none", "NB705"),
        (7, "NB705"),
        ({"0": [1]}, "NB705"),
    ],
)
def test_aliases_that_are_refused(aliases: Any, code: str) -> None:
    assert codes(lambda: read(aliases=aliases)) == [code]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"noise_std": 0.1}, "NB705"),
        ({"weights_in": None}, "NB705"),
        ({"weights_out": None}, "NB705"),
        ({"weights_in": np.full((2, 3), 128)}, "NB703"),
        ({"weights_in": np.zeros((2, 3, 3), int)}, "NB701"),
        ({"weights_in": np.zeros(3, int)}, "NB701"),
        ({"weights_in": [[1, 2], [3]]}, "NB702"),
        ({"weights_in": np.ones((2, 3), bool)}, "NB702"),
        ({"weights_in": np.full((2, 3), "1")}, "NB702"),
        ({"weights_rec": np.zeros((3, 2), int)}, "NB701"),
        ({"weights_out": np.zeros((3, 1, 1), int)}, "NB701"),
        ({"weights_out": np.zeros(3, int)}, "NB701"),
        ({"dash_mem": [4, 4]}, "NB701"),
        ({"dash_mem": [4, 4, 16]}, "NB703"),
        ({"dash_mem": 4}, "NB701"),
        ({"threshold": [0, 1, 1]}, "NB703"),
        ({"threshold": [2**15, 1, 1]}, "NB703"),
        ({"threshold": [10**30, 1, 1]}, "NB702"),
        ({"bias": [2**15, 0, 0]}, "NB703"),
        ({"weight_shift_in": 8}, "NB703"),
        ({"weight_shift_in": [1]}, "NB701"),
        ({"dt": None}, "NB301"),
        ({"dt": 0.0}, "NB703"),
        ({"dt": "1e-3"}, "NB702"),
        ({"weights_in": np.ones((2, 3, 2), int)}, "NB705"),  # a second synapse without its decay
        ({"weights_rec": np.zeros((0, 2**40), int)}, "NB701"),
        ({"weights_in": np.zeros((0, 2**30), int), "weights_rec": None,
          "weights_out": np.zeros((2**30, 0), int)}, "NB705"),
        ({"weights_in": np.zeros((2**40, 0), int), "weights_rec": np.zeros((3, 3), int)}, "NB705"),
    ],
)  # fmt: skip
def test_a_bad_field_is_refused(changed: dict[str, Any], code: str) -> None:
    assert codes(lambda: read(**changed))[0] == code


def test_the_step_and_the_chip_that_the_caller_says() -> None:
    assert from_rockpool(small(), "xylo-imu", dt=2e-3).dt == 2e-3
    assert from_rockpool(small(), "xylo-imu").target == "xylo-imu"
    assert codes(lambda: from_rockpool(small(), "loihi")) == ["NB806"]


@pytest.mark.parametrize("chip", CHIPS)
def test_what_the_chip_cannot_hold_is_not_exported(chip: str) -> None:
    config = drawn(0, chip)
    over = replace(config, dash_syn=np.zeros(config.n_hidden, int),
                   weights_in=np.ones_like(config.weights_in))  # fmt: skip
    assert "NB607" in codes(lambda: to_rockpool(over))
    if TARGETS[chip].input_neurons.value < TARGETS[chip].hidden.value:
        n = TARGETS[chip].input_neurons.value + 1
        assert "NB609" in codes(lambda: to_rockpool(wide(n, chip)))


def wide(n: int, chip: str) -> XyloConfig:
    """Input into more hidden neurons than the chip gives it."""
    fields: dict[str, Any] = {
        **{name: np.full(n, 2) for name in ("dash_mem", "dash_syn", "dash_syn_2")},
        **{name: [2] for name in ("dash_mem_out", "dash_syn_out")},
        "threshold": np.full(n, 9, np.int16),
        "threshold_out": np.full(1, 9, np.int16),
        "bias": np.zeros(n, int),
        "bias_out": [0],
        "aliases": np.full(n, -1),
    }
    return XyloConfig(
        weights_in=np.ones((1, n, 2), np.int8) * np.array([1, 0], np.int8),
        weights_rec=np.zeros((n, n, 2), np.int8),
        weights_out=np.zeros((n, 1), np.int8),
        **fields,
        dt=1e-3,
        target=chip,
    )


# Files.


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    place = tmp_path / "trap.npz"
    np.savez(place, **{**small(), "weights_out": np.array([Trap()], object)})
    assert codes(lambda: read_config(place, "xylo-audio-2")) == ["NB705"]
    # Rockpool's own object is in files of its users, and not looked at
    np.savez(place, **small(), mapped_graph=np.array(Trap(), object))
    assert read_config(place, "xylo-audio-2") == read()
    assert not (tmp_path / "sprung").exists()


def test_files_of_gigabytes(tmp_path: Path) -> None:
    """Claims that nobody believes: of an array, of all together, of the zip archive."""
    place = tmp_path / "large.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("weights_in", "weights_rec"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(
                    file, {"shape": (2**27 - 4,), "fortran_order": False, "descr": "|u1"}
                )
                for _ in range(127):
                    file.write(bytes(2**20))
                file.write(bytes(2**20 - 4))
    assert place.stat().st_size < 2**20
    assert codes(lambda: read_config(place, "xylo-audio-2")) == ["NB705"]
    with place.with_suffix(".json").open("wb") as text:
        text.truncate(2**27 + 1)
    assert codes(lambda: read_config(place.with_suffix(".json"))) == ["NB705"]


def test_files_that_are_not_there_or_something_else(tmp_path: Path) -> None:
    assert codes(lambda: read_config(tmp_path / "gone.npz", "xylo-imu")) == ["NB101"]
    assert codes(lambda: read_config(tmp_path / "gone.json")) == ["NB101"]
    assert codes(lambda: read_config(tmp_path)) == ["NB101"]
    place = tmp_path / "file.json"
    for content in (b"", b"{", b"[1]", b"7", b"\xff\xfe", b'{"dt": 1, "dt": 2}', b"[" * 10**6):
        place.write_bytes(content)
        assert codes(lambda: read_config(place, "xylo-imu")) == ["NB705"]
    place.write_text(json.dumps({name: np.asarray(x).tolist() for name, x in small().items()}))
    assert read_config(place, "xylo-audio-2") == read()
    assert codes(lambda: read_config(place)) == ["NB806"]  # it does not say which chip


def test_our_own_record(tmp_path: Path) -> None:
    config = read()
    (place,) = write_config(config, tmp_path / "config.json", "json")
    assert read_config(place) == config
    assert read_config(place, "xylo-imu", 2e-3) == replace(config, dt=2e-3, target="xylo-imu")
    assert codes(lambda: write_config(config, place, "json")) == ["NB805"]
    assert write_config(config, place, "json", force=True) == [place]
    for bad in ("config.txt", "config.npz", "config"):
        assert codes(lambda bad=bad: write_config(config, tmp_path / bad, "json")) == ["NB806"]  # type: ignore[misc]
    assert codes(lambda: write_config(config, place, "verilog")) == ["NB806"]
