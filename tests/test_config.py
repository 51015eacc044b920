"""``XyloConfig``: what it takes, what it refuses, JSON both ways, and the limits of a chip."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.networks import any_config
from nirbridge.diagnostics import Diagnostic, Refused
from nirbridge.mapping import XyloConfig
from nirbridge.mapping.limits import violations
from nirbridge.simulate import simulate
from nirbridge.targets import TARGETS, XYLO_AUDIO_2, ChipSpec, Limit, target

N_IN, N, N_OUT = 2, 3, 1

TINY = ChipSpec(
    name="tiny",
    title="Tiny",
    inputs=Limit(1, "input channels", "invented"),
    hidden=Limit(2, "hidden neurons", "invented"),
    outputs=Limit(0, "output neurons", "invented"),
    synapses=Limit(1, "synapse per hidden neuron", "invented"),
    fan_out=Limit(2, "targets", "invented", "assumed"),
    entries=Limit(3, "entries", "invented"),
    bias_bits=Limit(0, "bits per bias", "invented"),
    aliases=Limit(0, "aliases", "invented"),
    input_neurons=Limit(1, "hidden neurons with input", "invented"),
    output_neurons=Limit(2, "hidden neurons with outputs", "invented"),
)


def values(*sizes: int, **changed: Any) -> dict[str, Any]:
    """Fields of a configuration without any violation, small unless other sizes are given."""
    n_in, n, n_out = sizes or (N_IN, N, N_OUT)
    fields_: dict[str, Any] = {
        "weights_in": np.ones((n_in, n, 2), np.int8),
        "weights_rec": np.ones((n, n, 2), np.int8),
        "weights_out": np.ones((n, n_out), np.int8),
        "dash_mem": np.full(n, 3, np.uint8),
        "dash_syn": np.full(n, 2, np.uint8),
        "dash_syn_2": np.full(n, 2, np.uint8),
        "dash_mem_out": np.full(n_out, 3, np.uint8),
        "dash_syn_out": np.full(n_out, 2, np.uint8),
        "threshold": np.full(n, 100, np.int16),
        "threshold_out": np.full(n_out, 100, np.int16),
        "bias": np.zeros(n, np.int16),
        "bias_out": np.zeros(n_out, np.int16),
        "aliases": np.full(n, -1, np.int32),
        "dt": 1e-3,
    }
    return fields_ | changed


def config(*sizes: int, **changed: Any) -> XyloConfig:
    return XyloConfig(**values(*sizes, **changed))


ARRAYS = [name for name in values() if name != "dt"]


def refused(make: Callable[[], object]) -> tuple[Diagnostic, ...]:
    with pytest.raises(Refused) as error:
        make()
    return error.value.diagnostics


def put(array: Any, index: Any, value: Any) -> NDArray[Any]:
    changed = np.array(array)
    changed[index] = value
    return changed


# Shapes, types, ranges.


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_shape_names_the_field(name: str) -> None:
    good = values()[name]
    for bad in (good[..., :-1], good[None], good[0], good.ravel()[:0]):
        found = refused(lambda bad=bad: config(**{name: bad}))  # type: ignore[misc]
        assert {d.code for d in found} == {"NB701"}
        assert all(d.limit and str(d.found).startswith("shape") for d in found)
        # One wrong weight matrix shifts the sizes that the others must follow.
        assert name in {d.node for d in found} or name.startswith("weights")


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_type_names_the_field_and_the_type(name: str) -> None:
    good = values()[name]
    for bad in (good.astype(float), good.astype(bool), good.astype(str), good.astype(object)):
        (found,) = refused(lambda bad=bad: config(**{name: bad}))  # type: ignore[misc]
        assert (found.code, found.node) == ("NB702", name)
        assert found.found == str(bad.dtype)


@pytest.mark.parametrize(
    "name", ["weights_in", "weights_rec", "weights_out", "threshold", "threshold_out"]
)
def test_weights_and_thresholds_come_in_their_own_type(name: str) -> None:
    (found,) = refused(lambda: config(**{name: values()[name].astype(np.int32)}))
    assert (found.code, found.node, found.found) == ("NB702", name, "int32")


@pytest.mark.parametrize("name", ["dash_mem", "dash_syn_out", "bias", "bias_out", "aliases"])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64, list])
def test_vectors_come_in_any_integer_type(name: str, dtype: Any) -> None:
    given_ = np.abs(values()[name]) - (name == "aliases")
    changed = given_.tolist() if dtype is list else given_.astype(dtype)
    made = getattr(config(**{name: changed}), name)
    assert made.dtype == values()[name].dtype
    assert made.tolist() == given_.tolist()


@pytest.mark.parametrize(
    ("name", "index", "value", "limit"),
    [
        ("dash_mem", (2,), 16, "0..15"),
        ("dash_mem", (0,), -1, "0..15"),
        ("dash_syn", (1,), 300, "0..15"),
        ("dash_syn_2", (1,), 16, "0..15"),
        ("dash_mem_out", (0,), 16, "0..15"),
        ("dash_syn_out", (0,), 2**40, "0..15"),
        ("threshold", (1,), 0, "1..32767"),
        ("threshold", (2,), -5, "1..32767"),
        ("threshold", (2,), 32768, "1..32767"),
        ("threshold_out", (0,), 0, "1..32767"),
        ("bias", (2,), 32768, "-32768..32767"),
        ("bias_out", (0,), -32769, "-32768..32767"),
        ("aliases", (1,), -2, "-1..2"),
        ("aliases", (1,), 3, "-1..2"),
        ("aliases", (1,), 2**31, "-1..2147483647"),
        ("weights_in", (1, 2, 0), 128, "-128..127"),
        ("weights_rec", (0, 2, 1), -129, "-128..127"),
        ("weights_out", (2, 0), 200, "-128..127"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, index: Any, value: int, limit: str) -> None:
    bad = put(values()[name].astype(np.int64), index, value)
    (found,) = refused(lambda: config(**{name: bad}))
    place = ", ".join(map(str, index))
    assert (found.code, found.node) == ("NB703", name)
    assert limit in found.limit
    assert found.found == f"{name}[{place}] = {value} (1 such values)"


@pytest.mark.parametrize("value", [2**64 - 1, 2**63])
def test_large_unsigned_values_do_not_wrap(value: int) -> None:
    for name in ("aliases", "bias", "dash_mem"):
        bad = np.full(N, value, np.uint64)
        (found,) = refused(lambda name=name, bad=bad: config(**{name: bad}))  # type: ignore[misc]
        assert (found.code, found.node) == ("NB703", name)


@pytest.mark.parametrize("name", ["weight_shift_in", "weight_shift_rec", "weight_shift_out"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (8, "NB703"),
        (-1, "NB703"),
        (1.0, "NB702"),
        (True, "NB702"),
        ("1", "NB702"),
        (None, "NB702"),
        (10**30, "NB702"),
        ([1], "NB701"),
        ([[1], [2, 3]], "NB702"),
    ],
)
def test_wrong_shifts(name: str, value: Any, code: str) -> None:
    (found,) = refused(lambda: config(**{name: value}))
    assert (found.code, found.node) == (code, name)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0, "NB703"),
        (-1e-3, "NB703"),
        (float("nan"), "NB703"),
        (float("inf"), "NB703"),
        (10**400, "NB703"),
        (10**5000, "NB703"),
        (True, "NB702"),
        ("0.001", "NB702"),
        (None, "NB702"),
        ([1e-3], "NB702"),
    ],
    ids=range(10),
)
def test_wrong_time_steps(value: Any, code: str) -> None:
    (found,) = refused(lambda: config(dt=value))
    assert (found.code, found.node) == (code, "dt")


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.int64(2), np.float64(1e-6)])
def test_time_steps_in_other_number_types(value: Any) -> None:
    made = config(dt=value).dt
    assert type(made) is float
    assert made == value


def test_ragged_lists_are_refused() -> None:
    found = refused(lambda: config(bias=[[1], [2, 3]]))
    assert [(d.code, d.node) for d in found] == [("NB701", "bias"), ("NB702", "bias")]


def test_a_wrong_target_name() -> None:
    (found,) = refused(lambda: config(target=3))
    assert (found.code, found.node) == ("NB702", "target")


def test_all_problems_come_together() -> None:
    found = refused(
        lambda: config(
            dash_mem=np.full(N, 99),
            bias=np.zeros(N),
            aliases=np.full(N, 7),
            weight_shift_in=9,
            dt=-1,
        )
    )
    assert [(d.code, d.node) for d in found] == [
        ("NB703", "dash_mem"),
        ("NB702", "bias"),
        ("NB703", "aliases"),
        ("NB703", "weight_shift_in"),
        ("NB703", "dt"),
    ]


# Frozen.


def test_arrays_are_read_only_copies() -> None:
    given_ = values()
    made = XyloConfig(**given_)
    for name in ARRAYS:
        array = getattr(made, name)
        assert array.flags.c_contiguous
        assert not np.shares_memory(array, given_[name])
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(FrozenInstanceError):
        made.dt = 1.0  # type: ignore[misc]


def test_copies_are_made_anew() -> None:
    made = any_config(np.random.default_rng(5))
    simulate(made, np.ones((3, made.n_in), int))  # leaves its packed form behind
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert not any(getattr(other, name).flags.writeable for name in ARRAYS)
        assert set(vars(other)) == {f.name for f in fields(XyloConfig)}
    assert replace(made, dt=2.0).dt == 2.0
    assert replace(made, dt=2.0) != made
    assert made != "something else"
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


# JSON.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_json_both_ways_is_identity(seed: int) -> None:
    made = any_config(np.random.default_rng(seed))
    text = made.to_json()
    other = XyloConfig.from_json(text)
    assert other == made
    assert other.to_json() == text
    assert XyloConfig.from_dict(made.to_dict()) == made
    for name in ARRAYS:
        assert getattr(other, name).dtype == getattr(made, name).dtype


@pytest.mark.parametrize("sizes", [(0, 0, 0), (1, 0, 1), (0, 2, 0)])
def test_json_of_nothing(sizes: tuple[int, int, int]) -> None:
    made = config(*sizes)
    assert XyloConfig.from_json(made.to_json()) == made


def record(*path: str, value: Any) -> dict[str, Any]:
    """The small configuration's record with one value replaced."""
    content: dict[str, Any] = json.loads(config().to_json())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: list[tuple[dict[str, Any], str]] = [
    (record("schema", value="nirbridge/other"), "NB704"),
    (record("schema", value=None), "NB704"),
    (record("schema", value=[1, {}]), "NB704"),
    (record("version", value=2), "NB704"),
    (record("version", value="1"), "NB704"),
    (record("version", value=True), "NB704"),
    (record("version", value=1.0), "NB704"),
    (record("version", value=None), "NB704"),
    (record("extra", value=1), "NB704"),
    (record("weights_in", value=None), "NB704"),
    (record("weights_in", value=[[[1]]]), "NB704"),
    (record("weights_in", value={"shape": [2, 3, 2]}), "NB704"),
    (record("weights_in", "more", value=1), "NB704"),
    (record("weights_in", "shape", value=[2, 3]), "NB701"),
    (record("weights_in", "shape", value=[1] * 100), "NB701"),
    (record("weights_in", "shape", value=[2, 3, 3]), "NB701"),
    (record("weights_in", "shape", value=[2**27, 3, 2]), "NB704"),
    (record("weights_in", "shape", value=[2**40, 3, 2]), "NB703"),
    (record("weights_in", "shape", value=[10**30, 3, 2]), "NB702"),
    (record("weights_rec", "shape", value=[10**4, 10**4, 2]), "NB701"),
    (record("weights_in", "shape", value=[-2, 3, 2]), "NB703"),
    (record("weights_in", "shape", value=[2.0, 3, 2]), "NB704"),
    (record("weights_in", "shape", value="232"), "NB704"),
    (record("weights_in", "index", value=[0, 1]), "NB704"),
    (record("weights_in", "index", value=list(range(1, 13))), "NB704"),
    (record("weights_in", "index", value=[0] * 12), "NB704"),
    (record("weights_in", "index", value=list(range(11, -1, -1))), "NB704"),
    (record("weights_in", "index", value=[-1, *range(11)]), "NB703"),
    (record("weights_in", "index", value=[True, *range(2, 13)]), "NB704"),
    (record("weights_in", "value", value=[128] * 12), "NB703"),
    (record("weights_in", "value", value=[1.0] * 12), "NB704"),
    (record("weights_in", "value", value=[2**64 - 1] * 12), "NB703"),
    (record("weights_in", "value", value=nested(400)), "NB704"),
    (record("dash_mem", value=[3, 3]), "NB701"),
    (record("dash_mem", value=[3, 3, 16]), "NB703"),
    (record("dash_mem", value=[3, 3, 3.5]), "NB704"),
    (record("dash_mem", value=[3, 3, None]), "NB704"),
    (record("dash_mem", value=[3, 3, True]), "NB704"),
    (record("dash_mem", value=[[3, 3, 3]]), "NB704"),
    (record("dash_mem", value=[[]]), "NB704"),
    (record("dash_mem", value=3), "NB704"),
    (record("dash_mem", value="333"), "NB704"),
    (record("dash_mem", value={"0": 3}), "NB704"),
    (record("dash_mem", value=nested(400)), "NB704"),
    (record("threshold", value=[0, 1, 1]), "NB703"),
    (record("threshold", value=[10**30, 1, 1]), "NB702"),
    (record("bias", value=[40000, 0, 0]), "NB703"),
    (record("aliases", value=[3, -1, -1]), "NB703"),
    (record("aliases", value=[2**64 - 1, -1, -1]), "NB702"),
    (record("aliases", value=[2**64 - 1] * 3), "NB703"),
    (record("weight_shift_in", value=8), "NB703"),
    (record("weight_shift_in", value=1.5), "NB702"),
    (record("weight_shift_in", value=None), "NB702"),
    (record("weight_shift_in", value=[1]), "NB701"),
    (record("weight_shift_in", value=nested(400)), "NB70"),
    (record("dt", value=float("nan")), "NB703"),
    (record("dt", value=float("inf")), "NB703"),
    (record("dt", value=0), "NB703"),
    (record("dt", value=10**400), "NB703"),
    (record("dt", value="1"), "NB702"),
    (record("dt", value={}), "NB702"),
    (record("target", value=7), "NB702"),
    (record("target", value=None), "NB702"),
]


@pytest.mark.parametrize(("content", "code"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_records_are_refused(content: dict[str, Any], code: str) -> None:
    for make in (
        lambda: XyloConfig.from_dict(content),
        lambda: XyloConfig.from_json(json.dumps(content)),
    ):
        found = refused(make)
        assert found[0].code.startswith(code)
        assert all(len(str(d)) < 1000 for d in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        '"text"',
        "{",
        "{}",
        "NaN",
        "[" * 100_000,
        '{"schema": ' * 50_000,
        "9" * 10_000,
        b"\xff\xfe\xff",
        None,
        12,
        '{"schema": "nirbridge/xylo-config", "version": 1}',
        config().to_json().replace('"dt"', '"dt": 1, "dt"'),
    ],
)
def test_hostile_texts_are_refused(text: Any) -> None:
    (found,) = refused(lambda: XyloConfig.from_json(text))
    assert found.code == "NB704"
    assert len(str(found)) < 1000


@pytest.mark.parametrize("content", [None, 3, "text", [], {}, {1: 2}, {"schema": 1, 2: 3}])
def test_hostile_objects_are_refused(content: Any) -> None:
    (found,) = refused(lambda: XyloConfig.from_dict(content))
    assert found.code == "NB704"


def test_each_missing_field_is_named() -> None:
    good = json.loads(config().to_json())
    for name in good:
        found = refused(
            lambda name=name: XyloConfig.from_dict({k: v for k, v in good.items() if k != name})  # type: ignore[misc]
        )
        assert found[0].code == "NB704"
        assert name in found[0].found or name in ("schema", "version")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nested_garbage_is_refused_or_read(data: st.DataObject) -> None:
    """Whatever is put in place of a field: a configuration or a refusal, nothing else."""
    garbage = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    )
    content = json.loads(config().to_json())
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(garbage)
    found: tuple[Diagnostic, ...] = ()
    made = None
    try:
        made = XyloConfig.from_dict(content)
    except Refused as error:
        found = error.diagnostics
    assert all(d.code.startswith("NB70") for d in found)
    assert found or (made is not None and XyloConfig.from_json(made.to_json()) == made)


# Limits.


def codes(found: list[Diagnostic]) -> list[str]:
    return [d.code for d in found]


def test_nothing_is_wrong_with_a_good_configuration() -> None:
    assert config().violations() == []
    assert config().violations(XYLO_AUDIO_2) == []
    assert config().violations("xylo-audio-2") == []


def test_an_unknown_chip_is_refused() -> None:
    for made, chip in ((config(), "xylo-9"), (config(), ""), (config(target="xylo-9"), None)):
        (found,) = refused(lambda made=made, chip=chip: made.violations(chip))  # type: ignore[misc]
        assert found.code == "NB806"


def test_an_invented_chip_reports_every_limit_at_once() -> None:
    made = config(bias=[0, 1, 0], bias_out=[-1], dash_syn=[0, 2, 2], aliases=[-1, 0, -1])
    found = made.violations(TINY)
    assert codes(found) == [
        "NB601", "NB602", "NB603", "NB604", "NB605", "NB608", "NB606", "NB606", "NB607", "NB608",
        "NB609",
    ]  # fmt: skip
    for d in found:
        assert d.node
        assert d.remedy
        assert "Tiny" in d.limit or d.code == "NB607"
    assert codes(made.violations()) == ["NB607"]


def test_fan_out_counts_pairs_over_both_synapses() -> None:
    """65 pairs of which each has a weight on one synapse or on both are 65, not 98."""
    weights = np.zeros((70, 70, 2), np.int8)
    weights[7, :40, 0] = 1
    weights[7, 32:65, 1] = -1
    made = config(N_IN, 70, N_OUT, weights_rec=weights)
    (found,) = made.violations()
    assert (found.code, found.node) == ("NB604", "hidden[7]")
    assert found.found.startswith("65, 1 too many (1 ")
    assert "64 hidden targets" in found.limit
    assert replace(made, weights_rec=put(weights, (7, 0), 0)).violations() == []
    assert violations(made, "xylo-audio-2", [f"layer.{i}" for i in range(70)])[0].node == "layer.7"


def test_entries_count_pairs_over_both_synapses() -> None:
    n = 501
    weights = np.zeros((n, n, 2), np.int8)
    weights[:500, :40, 0] = 1
    weights[:500, 20:64, 1] = 1
    made = config(N_IN, n, N_OUT, weights_rec=weights)
    assert made.violations() == []
    weights[500, 0, 1] = 1
    (found,) = replace(made, weights_rec=weights).violations()
    assert (found.code, found.found) == ("NB605", "32001, 1 too many")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bias", 127, []),
        ("bias", -128, []),
        ("bias", 128, ["NB606"]),
        ("bias_out", -129, ["NB606"]),
    ],
)
def test_biases_of_8_bits(name: str, value: int, expected: list[str]) -> None:
    found = config(**{name: put(values()[name], -1, value)}).violations()
    assert codes(found) == expected
    for d in found:
        assert "-128..127" in d.limit
        assert str(value) in d.found
        assert "inferred" in d.limit


def test_a_chip_without_biases() -> None:
    chip = replace(XYLO_AUDIO_2, bias_bits=Limit(0, "bits per bias", "invented"))
    assert chip.bias_range == (0, 0)
    assert config().violations(chip) == []
    assert codes(config(bias=[0, 0, -1]).violations(chip)) == ["NB606"]


@pytest.mark.parametrize(
    ("field", "weights", "node"),
    [
        ("dash_syn", "weights_in", "hidden[2]"),
        ("dash_syn_2", "weights_rec", "hidden[2]"),
        ("dash_syn_out", "weights_out", "output[0]"),
    ],
)
def test_a_dead_synapse_that_carries_weights(field: str, weights: str, node: str) -> None:
    dead = put(values()[field], -1, 0)
    (found,) = config(**{field: dead}).violations()
    assert (found.code, found.node) == ("NB607", node)
    assert field in found.found
    used = ["weights_out"] if field == "dash_syn_out" else ["weights_in", "weights_rec"]
    without = {name: np.zeros_like(values()[name]) for name in used}
    assert config(**{field: dead}, **without).violations() == []
    one = {weights: put(without[weights], (0, -1, ...), 1)} if weights in without else {}
    assert codes(config(**{field: dead}, **(without | one)).violations()) == ["NB607"]


def test_a_second_synapse_needs_a_chip_that_has_one() -> None:
    chip = replace(XYLO_AUDIO_2, synapses=Limit(1, "synapse per hidden neuron", "invented"))
    weights = {
        name: put(values()[name], (..., 1), 0) for name in ("weights_in", "weights_rec")
    }
    assert config(**weights).violations(chip) == []
    weights["weights_rec"] = put(weights["weights_rec"], (0, 1, 1), -3)
    (found,) = config(**weights).violations(chip)
    assert (found.code, found.node) == ("NB608", "hidden[1]")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((16, 1000, 8), []),
        ((17, 1000, 8), ["NB601"]),
        ((16, 1001, 8), ["NB602"]),
        ((16, 1000, 9), ["NB603"]),
        ((17, 1001, 9), ["NB601", "NB602", "NB603"]),
    ],
)
def test_counts(sizes: tuple[int, int, int], expected: list[str]) -> None:
    n = sizes[1]
    made = config(*sizes, weights_rec=np.zeros((n, n, 2), np.int8))
    found = made.violations()
    assert codes(found) == expected
    for d in found:
        assert d.found in ("17", "1001", "9")


def test_each_limit_has_a_value_a_unit_a_source_and_a_standing() -> None:
    for name, chip in TARGETS.items():
        assert target(name) is chip
        assert chip.name == name
        for limit in chip.limits().values():
            assert limit.value >= 0
            assert limit.unit
            assert limit.source
            assert limit.standing in ("documented", "inferred", "assumed")


def test_the_four_chips_and_what_their_sources_disagree_about() -> None:
    parts = {chip.part: chip for chip in TARGETS.values()}
    assert set(parts) == {"SYNS61201", "SYNS63300", "SYNS65302", "SYNS61300"}
    assert [chip.name for chip in TARGETS.values() if chip.arithmetic == "v1"] == ["xylo-1"]
    assert parts["SYNS61300"].bias_range == (0, 0)
    assert parts["SYNS61300"].fan_out.standing == "assumed"
    assert "16" in parts["SYNS65302"].outputs.note
    assert "63" in parts["SYNS61201"].fan_out.note
    assert "64 000" in parts["SYNS61201"].entries.note
