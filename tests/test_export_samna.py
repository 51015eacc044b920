"""The vendor's JSON: like the one file that is known, exact both ways, strict when it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Refused, imported, read_config
from nirbridge.configfiles import write_config
from nirbridge.mapping.export_samna import SAMNA, notes, to_samna
from nirbridge.mapping.import_samna import from_samna
from nirbridge.targets import TARGETS
from tests.chip_configs import any_chip_config
from tests.conftest import REFERENCE

SAMPLE = REFERENCE / "samna" / "xylo_a2_config_sample.json"
DRIVEN = list(SAMNA)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, chip: str = "xylo-audio-2") -> Any:
    return any_chip_config(np.random.default_rng(seed), TARGETS[chip])


def codes(make: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        make()
    assert all(d.limit and d.found for d in refused.value.diagnostics)
    return [d.code for d in refused.value.diagnostics]


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from(DRIVEN))
def test_there_and_back_is_exact(seed: int, chip: str) -> None:
    config = drawn(seed, chip)
    text = json.dumps(to_samna(config))
    assert from_samna(json.loads(text), config.dt) == (config, ())


def test_the_file_that_the_library_wrote() -> None:
    """Read, and written again: every field, its name, its type and its place are the same."""
    if not SAMPLE.exists():
        pytest.skip("a file that the vendor's library wrote is not at hand")
    text = SAMPLE.read_text(encoding="utf-8")
    config, _ = from_samna(json.loads(text), 1e-3)
    assert (config.target, config.n_in, config.n_hidden, config.n_out) == ("xylo-audio-2", 3, 5, 2)
    assert config.weights_in[0, :, 0].tolist() == [98, 15, 89, -31, -117]
    assert config.threshold.tolist() == [128] * 5
    assert config.violations() == []
    written = json.dumps(to_samna(config))
    assert written == json.dumps(json.loads(text))  # in the same order too


def test_a_file_and_what_lies_beside_it(tmp_path: Path) -> None:
    config = drawn(1)
    place, beside = write_config(config, tmp_path / "chip.json", "samna")
    assert read_config(place, dt=config.dt) == config
    assert read_config(place, "xylo-audio-2", config.dt) == config
    text = beside.read_text(encoding="utf-8")
    assert beside.name == "chip.json.txt"
    assert "UNVERIFIED" in text
    assert "SYNS61201" in text
    assert f"{config.dt:g} s" in text
    assert codes(lambda: write_config(config, tmp_path / "chip.json", "samna")) == ["NB805"]
    place.unlink()
    assert codes(lambda: write_config(config, tmp_path / "chip.json", "samna")) == ["NB805"]
    assert not place.exists()


@pytest.mark.parametrize("chip", DRIVEN)
def test_the_notes_say_how_much_is_known(chip: str) -> None:
    text = notes(drawn(1, chip), "chip.json")
    assert text.startswith("chip.json: samna.")
    assert "UNVERIFIED" in text
    assert TARGETS[chip].part in text
    assert SAMNA[chip].evidence in text


def test_a_chip_without_a_known_class() -> None:
    assert codes(lambda: to_samna(drawn(1, "xylo-1"))) == ["NB706"]


def test_what_switches_turn_off_does_not_count() -> None:
    config = replace(drawn(4), bias=np.full(drawn(4).n_hidden, 3))
    config = replace(config, weights_in=np.ones_like(config.weights_in))
    content = to_samna(config)
    content["value0"]["biasEnable"] = content["value0"]["synapse2Enable"] = False
    found, losses = from_samna(content, config.dt)
    second = sum(np.count_nonzero(w[:, :, 1]) for w in (config.weights_in, config.weights_rec))
    biases = np.count_nonzero(config.bias) + np.count_nonzero(config.bias_out)
    assert losses == (
        f"{second} weights of the second synapse dropped, which synapse2Enable = false turns off",
        f"{biases} biases dropped, which biasEnable = false turns off",
    )
    assert [n.what for n in imported(found, "x", losses).journal][1:3] == list(losses)
    assert not found.bias.any()
    assert not found.bias_out.any()
    assert not found.weights_in[:, :, 1].any()
    assert not found.weights_rec[:, :, 1].any()
    assert found.weights_in[:, :, 0].tolist() == config.weights_in[:, :, 0].tolist()


def test_states_may_be_there_but_not_set() -> None:
    content = to_samna(drawn(1))
    neuron = content["value0"]["reservoir"]["neurons"][0]
    neuron["membranePotential"] = 0
    assert from_samna(content, 1e-3)
    neuron["membranePotential"] = 5
    assert codes(lambda: from_samna(content, 1e-3)) == ["NB705"]


Edit = Callable[[dict[str, Any]], object]


def put(path: str, value: Any) -> Edit:
    """Another value at a path of names and numbers."""

    def edit(root: dict[str, Any]) -> None:
        *parents, last = (int(x) if x.isdecimal() else x for x in path.split("."))
        place: Any = root
        for name in parents:
            place = place[name]
        place[last] = value

    return edit


def drop(path: str) -> Edit:
    def edit(root: dict[str, Any]) -> None:
        *parents, last = (int(x) if x.isdecimal() else x for x in path.split("."))
        place: Any = root
        for name in parents:
            place = place[name]
        del place[last]

    return edit


NEURON = "reservoir.neurons.0"
EDITS: list[tuple[Edit, str]] = [
    (drop("reservoir"), "NB705"),
    (drop("input"), "NB705"),
    (drop("readout"), "NB705"),
    (drop("biasEnable"), "NB705"),
    (drop("synapse2Enable"), "NB705"),
    (put("biasEnable", 1), "NB702"),
    (put("synapse2Enable", "true"), "NB702"),
    (put("input", []), "NB705"),
    (put("input.extra", 1), "NB705"),
    (put("reservoir.extra", 1), "NB705"),
    (put("readout.extra", 1), "NB705"),
    (put(f"{NEURON}.extra", 1), "NB705"),
    (drop(f"{NEURON}.threshold"), "NB705"),
    (drop(f"{NEURON}.aliasTarget"), "NB705"),
    (drop("input.weights"), "NB705"),
    (drop("input.weightBitShift"), "NB705"),
    (put("input.weightBitShift", 8), "NB703"),
    (put("input.weightBitShift", 1.0), "NB702"),
    (put("input.weightBitShift", True), "NB702"),
    (put("input.syn2Weights", {}), "NB705"),  # twice, by both spellings
    (drop("input.syn2_weights"), "NB705"),
    (put("input.weights", [[1, 2]]), "NB705"),
    (put("input.weights.values", "1"), "NB702"),
    (put("input.weights.values.0", 128), "NB703"),
    (put("input.weights.values.0", 0.5), "NB702"),
    (put("input.weights.values.0", None), "NB702"),
    (put("input.weights.values.0", 10**40), "NB702"),
    (put("input.weights.values", []), "NB701"),
    (put("input.weights.dimensions.value0", 10**12), "NB701"),
    (put("input.weights.dimensions.value0", -1), "NB701"),
    (put("input.weights.dimensions.value0", "2"), "NB701"),
    (put("input.weights.dimensions", 3), "NB705"),
    (put("input.weights.offsets.value0", 1), "NB701"),
    (put("reservoir.weights.dimensions", {"value0": 1, "value1": 36}), "NB701"),
    (put("reservoir.neurons", {}), "NB705"),
    (put("reservoir.neurons", []), "NB701"),
    (put("reservoir.neurons.0", 7), "NB705"),
    (put(f"{NEURON}.threshold", 0), "NB703"),
    (put(f"{NEURON}.threshold", 2**15), "NB703"),
    (put(f"{NEURON}.threshold", 10**40), "NB702"),
    (put(f"{NEURON}.threshold", "128"), "NB702"),
    (put(f"{NEURON}.vMemDecay", 16), "NB703"),
    (put(f"{NEURON}.iSynDecay", -1), "NB703"),
    (put(f"{NEURON}.iSyn2Decay", 1.5), "NB702"),
    (put(f"{NEURON}.vMemBias", 2**15), "NB703"),
    (put(f"{NEURON}.aliasTarget", None), "NB705"),
    (put(f"{NEURON}.aliasTarget", 3), "NB705"),
    (put(f"{NEURON}.aliasTarget", {"nullopt": False}), "NB705"),
    (put(f"{NEURON}.aliasTarget", {"nullopt": False, "data": 9999}), "NB703"),
    (put(f"{NEURON}.aliasTarget", {"nullopt": False, "data": -1}), "NB705"),
    (put(f"{NEURON}.aliasTarget", {"nullopt": True, "data": 1}), "NB705"),
    (put("reservoir.aliasing", 0), "NB702"),
    (put("reservoir.aliasing", False), "NB705"),
    (put("readout.neurons.0.iSyn2Decay", 1), "NB705"),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_a_bad_field_is_refused(number: int) -> None:
    edit, code = EDITS[number]
    config = drawn(8)
    n = config.n_hidden
    config = replace(config, aliases=np.where(np.arange(n) == n - 1, 0, -1))
    content = deepcopy(to_samna(config))
    edit(content["value0"])
    assert codes(lambda: from_samna(content, 1e-3))[0] == code


@pytest.mark.parametrize("content", [None, [], {}, {"value0": 3}, {"value0": {}, "value1": {}}])
def test_another_outermost_form(content: Any) -> None:
    assert codes(lambda: from_samna(content, 1e-3)) == ["NB705"]


def test_the_step_and_the_chip() -> None:
    content = to_samna(drawn(1))
    assert codes(lambda: from_samna(content, None)) == ["NB301"]
    assert codes(lambda: from_samna(content, 0.0)) == ["NB703"]
    assert codes(lambda: from_samna(content, 1e-3, "xylo-imu")) == ["NB705"]
    assert codes(lambda: from_samna(content, 1e-3, "bogus")) == ["NB806"]
    for chip in DRIVEN:
        assert from_samna(to_samna(drawn(1, chip)), 1e-3)[0].target == chip
