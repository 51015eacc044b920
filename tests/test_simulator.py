"""The chip simulator: its arithmetic by hand, its kernel against its rules, what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.conformance import RULES, rules_reached
from benchmarks.networks import any_config, any_raster
from nirbridge.diagnostics import Refused
from nirbridge.mapping import XyloConfig
from nirbridge.simulate import Recording, State, simulate
from nirbridge.simulate import reference as reference_module
from nirbridge.simulate.recording import RECORDED
from nirbridge.simulate.reference import decay, sat, simulate_by_rule, wrap

seeds = st.integers(0, 2**32 - 1)
NAMES = ("output", *RECORDED)


def network(n_in: int = 1, n: int = 1, n_out: int = 1, **fields: Any) -> XyloConfig:
    """Neurons that remember nothing (dash_mem 0) and currents that halve, unless said."""
    values: dict[str, Any] = {
        "weights_in": np.zeros((n_in, n, 2), np.int8),
        "weights_rec": np.zeros((n, n, 2), np.int8),
        "weights_out": np.zeros((n, n_out), np.int8),
        "dash_mem": np.zeros(n, int),
        "dash_syn": np.ones(n, int),
        "dash_syn_2": np.ones(n, int),
        "dash_mem_out": np.zeros(n_out, int),
        "dash_syn_out": np.ones(n_out, int),
        "threshold": np.full(n, 32767, np.int16),
        "threshold_out": np.full(n_out, 32767, np.int16),
        "bias": np.zeros(n, int),
        "bias_out": np.zeros(n_out, int),
        "aliases": np.full(n, -1),
        "dt": 1e-3,
    }
    return XyloConfig(**(values | fields))


def recorded(found: Any) -> dict[str, NDArray[Any]]:
    return found if isinstance(found, dict) else {name: getattr(found, name) for name in NAMES}


def assert_same(found: Any, expected: Any) -> None:
    found, expected = recorded(found), recorded(expected)
    for name in NAMES:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.fixture(params=["kernel", "rules"])
def run(request: pytest.FixtureRequest) -> Callable[..., dict[str, NDArray[Any]]]:
    """Both implementations, from zeros or a state."""
    if request.param == "rules":
        return lambda config, raster, state=None: simulate_by_rule(
            config, np.asarray(raster), state
        )
    return lambda config, raster, state=None: recorded(
        simulate(config, raster, record=True, state=state)
    )


Run = Callable[..., dict[str, NDArray[Any]]]


# By hand: each number below follows from the rules, not from any of the programs.


def test_functions_of_the_rules() -> None:
    assert [sat(x) for x in (-40000, -32768, 5, 32768)] == [-32768, -32768, 5, 32767]
    assert [wrap(x) for x in (32768, -32769, 65536, 7)] == [-32768, 32767, 0, 7]
    assert [decay(5, 1), decay(-5, 1), decay(1, 4), decay(-1, 15), decay(0, 3)] == [2, -3, 1, -1, 0]


@pytest.mark.parametrize(
    ("start", "dash", "after"),
    [
        (5, 1, [3, 2, 1, 0, 0]),
        (-5, 1, [-2, -1, 0, 0, 0]),
        (100, 7, [99, 98, 97, 96, 95]),
        (-300, 7, [-297, -294, -291, -288, -285]),
        (9, 0, [0, 0, 0, 0, 0]),
        (32767, 15, [32766, 32765, 32764, 32763, 32762]),
        (-32768, 0, [0, 0, 0, 0, 0]),
    ],
)
def test_currents_decay(run: Run, start: int, dash: int, after: list[int]) -> None:
    config = network(dash_syn=[dash])
    zero = np.zeros(1, np.int16)
    state = State(zero, np.array([start], np.int16), zero, zero, zero, zero)
    assert run(config, np.zeros((5, 1), int), state)["i_syn"][:, 0].tolist() == after


def test_currents_saturate_entry_by_entry(run: Run) -> None:
    """Twice +32512, then −32768: 32767 − 32768 = −1, which decays to 0. Not 32256 − 1."""
    weights = np.zeros((3, 1, 2), np.int8)
    weights[:, 0, 0] = 127, 127, -128
    config = network(n_in=3, weights_in=weights, weight_shift_in=7, dash_syn=[15])
    found = run(config, np.array([[2, 2, 2], [0, 0, 0]]))
    assert found["i_syn"][:, 0].tolist() == [0, 0]
    config = network(n_in=3, weights_in=weights[::-1], weight_shift_in=7, dash_syn=[15])
    found = run(config, np.array([[2, 2, 2]]))
    assert found["i_syn"][:, 0].tolist() == [32255]


def test_hidden_neurons_fire_31_times_and_keep_the_rest(run: Run) -> None:
    config = network(bias=[1000], dash_mem=[15], threshold=np.array([10], np.int16))
    found = run(config, np.zeros((2, 1), int))
    assert found["spikes"][:, 0].tolist() == [31, 31]
    assert found["v_mem"][:, 0].tolist() == [690, 690 - 1 + 1000 - 310]


def test_outputs_fire_once_and_keep_the_rest(run: Run) -> None:
    config = network(dash_mem_out=[15], bias_out=[25], threshold_out=np.array([10], np.int16))
    found = run(config, np.zeros((2, 1), int))
    assert found["output"][:, 0].tolist() == [1, 1]
    assert found["v_mem_out"][:, 0].tolist() == [15, 15 - 1 + 25 - 10]


def test_delays_of_one_step(run: Run) -> None:
    """Input reaches its neuron in the same step, the next neuron and the output one later."""
    w_in, w_rec = np.zeros((1, 2, 2), np.int8), np.zeros((2, 2, 2), np.int8)
    w_in[0, 0, 0] = w_rec[0, 1, 0] = 20
    config = network(
        n=2,
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=np.array([[20], [0]], np.int8),
        threshold=np.array([10, 10], np.int16),
        threshold_out=np.array([10], np.int16),
    )
    found = run(config, np.array([[1], [0], [0]]))
    assert found["spikes"].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert found["output"][:, 0].tolist() == [0, 1, 0]


def test_inputs_are_limited_to_15(run: Run) -> None:
    weights = np.zeros((1, 1, 2), np.int8)
    weights[0, 0, 0] = 2
    found = run(network(weights_in=weights, dash_syn=[15]), np.array([[15], [0], [255]]))
    assert found["i_syn"][:, 0].tolist() == [29, 28, 57]


def test_a_leak_of_the_lowest_value_wraps(run: Run) -> None:
    """−(−32768) is −32768 in 16 bits: such a membrane does not decay."""
    config = network(bias=[-32768], dash_mem=[0])
    found = run(config, np.zeros((3, 1), int))
    assert found["v_mem"][:, 0].tolist() == [-32768, -32768, -32768]


def test_both_synapses_add_to_the_membrane(run: Run) -> None:
    weights = np.array([[[40, -10]]], np.int8)
    found = run(network(weights_in=weights, dash_syn=[1], dash_syn_2=[2]), np.array([[1], [0]]))
    assert found["i_syn"][:, 0].tolist() == [20, 10]
    assert found["i_syn_2"][:, 0].tolist() == [-7, -5]
    assert found["v_mem"][:, 0].tolist() == [13, 5]


@pytest.mark.parametrize(
    ("aliases", "spikes"),
    [
        ([1, 2, -1], [3, 3, 3]),  # upwards, passed on in the same step
        ([-1, 0, 1], [3, 0, 0]),  # downwards from silent neurons
        ([0, -1, -1], [6, 0, 0]),  # to itself: doubled
        ([2, 2, -1], [3, 0, 3]),
    ],
)
def test_aliases(run: Run, aliases: list[int], spikes: list[int]) -> None:
    """Neuron 0 fires 3 times by itself."""
    threshold = np.array([10, 10, 10], np.int16)
    config = network(n=3, bias=[30, 0, 0], threshold=threshold, aliases=aliases)
    assert run(config, np.zeros((1, 1), int))["spikes"].tolist() == [spikes]


def test_aliases_downwards_are_not_passed_on_and_are_cut_at_31(run: Run) -> None:
    threshold = np.array([10, 10, 10], np.int16)
    config = network(n=3, bias=[0, 0, 300], threshold=threshold, aliases=[1, -1, 0])
    assert run(config, np.zeros((1, 1), int))["spikes"].tolist() == [[30, 0, 30]]
    config = network(n=3, bias=[50, 0, 300], threshold=threshold, aliases=[1, -1, 0])
    assert run(config, np.zeros((1, 1), int))["spikes"].tolist() == [[31, 5, 30]]


# Generated networks: the kernel against the rules, and against itself.


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_kernel_equals_the_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng)
    raster = any_raster(rng, config.n_in, 12)
    assert_same(simulate(config, raster, record=True), simulate_by_rule(config, raster))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 20))
def test_pieces_equal_the_whole(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng)
    batch = np.stack([any_raster(rng, config.n_in, 20) for _ in range(3)])
    whole = simulate(config, batch, record=True)
    first = simulate(config, batch[:, :cut], record=True)
    rest = simulate(config, batch[:, cut:], record=True, state=first.state)
    a, b = recorded(first), recorded(rest)
    assert_same({name: np.concatenate([a[name], b[name]], axis=1) for name in NAMES}, whole)
    for name in RECORDED:
        np.testing.assert_array_equal(getattr(rest.state, name), getattr(whole.state, name))
    by_rule = simulate_by_rule(
        config, batch[0, cut:], State(*(getattr(first.state, name)[0] for name in RECORDED))
    )
    assert_same({name: b[name][0] for name in NAMES}, by_rule)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_batches_threads_and_recording_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng)
    batch = np.stack([any_raster(rng, config.n_in, 15) for _ in range(4)])
    one, two = (simulate(config, batch, record=True, threads=k) for k in (1, 2))
    assert_same(one, two)
    for b, raster in enumerate(batch):
        single = simulate(config, raster, record=True)
        assert_same(single, {name: values[b] for name, values in recorded(one).items()})
    quiet = simulate(config, batch)
    np.testing.assert_array_equal(quiet.output, one.output)
    assert quiet.clipped_inputs == one.clipped_inputs
    assert all(getattr(quiet, name) is None for name in RECORDED)
    for name in RECORDED:
        np.testing.assert_array_equal(getattr(quiet.state, name), getattr(two.state, name))


def reached_by(seeds: range) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        config = any_config(rng)
        raster = any_raster(rng, config.n_in, 30)
        found.update(rules_reached(config, raster, simulate(config, raster, record=True)))
    return found


def test_the_generator_reaches_every_rule() -> None:
    """Otherwise the comparisons with the vendor would prove less than they seem to."""
    found = reached_by(range(300))
    known = {name for names in RULES.values() for name in names}
    assert found.keys() <= known
    assert {name: found[name] for name in known if found[name] < 2} == {}
    often = ("31 spikes and more charge", "1 output and more charge", "alias down", "alias up",
             "order in i_syn", "order in i_syn_2", "order in i_syn_out", "input above 15",
             "v_mem at the upper rail", "v_mem at the lower rail", "second synapse")  # fmt: skip
    assert {name: found[name] for name in often if found[name] < 15} == {}


def _no_floor(x: int, dash: int) -> int:
    return x >> dash


def _towards_zero(x: int, dash: int) -> int:
    return -(-x >> dash) if x < 0 else decay(x, dash)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sat", lambda x: max(-(2**20), min(2**20, x))),
        ("wrap", lambda x: x),
        ("decay", _no_floor),
        ("decay", _towards_zero),
        ("HIDDEN_SPIKES", 30),
        ("INPUT_SPIKES", 16),
        ("OUTPUT_SPIKES", 2),
    ],
)
def test_a_wrong_rule_is_noticed(name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated networks can tell each rule from its plausible mistake."""
    monkeypatch.setattr(reference_module, name, wrong)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        config = any_config(rng)
        if config.n_hidden > 20:
            continue
        raster = any_raster(rng, config.n_in, 30)
        right = simulate(config, raster, record=True)
        found = reference_module.simulate_by_rule(config, raster)
        if any(np.any(found[n] != getattr(right, n)) for n in NAMES):
            return
    pytest.fail("no network noticed")


# What it takes, and what it refuses.


def config_and_counts() -> tuple[XyloConfig, NDArray[np.uint8], Recording]:
    rng = np.random.default_rng(3)
    config = any_config(rng)
    raster = rng.integers(0, 6, (25, config.n_in)).astype(np.uint8)
    return config, raster, simulate(config, raster, record=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_any_integer_type(dtype: Any) -> None:
    config, raster, expected = config_and_counts()
    assert_same(simulate(config, raster.astype(dtype), record=True), expected)


def test_lists_truth_values_and_odd_layouts() -> None:
    config, raster, expected = config_and_counts()
    assert_same(simulate(config, raster.tolist(), record=True), expected)
    assert_same(simulate(config, np.asfortranarray(raster), record=True), expected)
    assert_same(simulate(config, raster.repeat(2, axis=0)[::2], record=True), expected)
    frozen = raster.copy()
    frozen.flags.writeable = False
    assert_same(simulate(config, frozen, record=True), expected)
    events = raster > 2
    assert_same(
        simulate(config, events, record=True),
        simulate(config, events.astype(int), record=True),
    )


def test_raster_and_state_are_left_alone() -> None:
    config, raster, expected = config_and_counts()
    counts = raster.copy()
    before = {name: getattr(expected.state, name).copy() for name in RECORDED}
    simulate(config, raster + 20, state=expected.state)
    simulate(config, raster, state=expected.state)
    np.testing.assert_array_equal(raster, counts)
    for name in RECORDED:
        np.testing.assert_array_equal(getattr(expected.state, name), before[name])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64])
def test_clipped_inputs_are_counted(dtype: Any) -> None:
    config = network(n_in=2)
    raster = np.array([[15, 16], [100, 0], [3, 255]], dtype)
    assert simulate(config, raster).clipped_inputs == 1 + 85 + 240
    assert simulate(config, np.stack([raster, raster])).clipped_inputs == 2 * 326
    assert simulate(config, raster[:1, :1].repeat(2, axis=1)).clipped_inputs == 0


def test_clipped_inputs_do_not_wrap() -> None:
    raster = np.full((3, 1), 2**64 - 1, np.uint64)
    assert simulate(network(), raster).clipped_inputs == 3 * (2**64 - 1 - 15)


@pytest.mark.parametrize(("n_in", "n", "n_out"), [(1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("batch", [(), (0,), (2,)])
@pytest.mark.parametrize("steps", [0, 3])
def test_nothing_at_all(n_in: int, n: int, n_out: int, batch: tuple[int, ...], steps: int) -> None:
    config = network(n_in, n, n_out)
    recording = simulate(config, np.zeros((*batch, steps, n_in), int), record=True)
    assert recording.output.shape == (*batch, steps, n_out)
    assert recording.v_mem is not None
    assert recording.v_mem.shape == (*batch, steps, n)
    assert recording.state.v_mem_out.shape == (*batch, n_out)


@pytest.mark.parametrize(
    ("raster", "code"),
    [
        (np.zeros((3, 2)), "NB801"),
        (np.full((3, 2), np.nan), "NB801"),
        ([[0, -1]], "NB801"),
        ([[0, 1], [2]], "NB801"),
        ([0, 1], "NB801"),
        (np.zeros((1, 1, 1, 2), int), "NB801"),
        (np.zeros((3, 3), int), "NB802"),
        (np.zeros((3, 1), int), "NB802"),
        ("spikes", "NB801"),
        (None, "NB801"),
        ([[10**30, 0]], "NB801"),
    ],
)
def test_what_is_no_raster_is_refused(raster: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        simulate(network(n_in=2), raster)
    assert [d.code for d in refused.value.diagnostics] == [code]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("v_mem", np.zeros(3, np.int16), "NB802"),
        ("v_mem", np.zeros((1, 2), np.int16), "NB802"),
        ("v_mem", np.array([0.5, 0.0]), "NB702"),
        ("i_syn", np.array([0, 32768]), "NB703"),
        ("spikes", np.array([0, 32]), "NB703"),
        ("spikes", np.array([-1, 0]), "NB703"),
    ],
)
def test_what_is_no_state_is_refused(field: str, value: Any, code: str) -> None:
    config = network(n=2)
    arrays = {name: np.zeros(1 if "out" in name else 2, np.int16) for name in RECORDED}
    simulate(config, np.zeros((1, 1), int), state=State(**arrays))
    with pytest.raises(Refused) as refused:
        simulate(config, np.zeros((1, 1), int), state=State(**(arrays | {field: value})))
    (found,) = refused.value.diagnostics
    assert (found.code, found.node) == (code, f"state.{field}")


# The compiler.


def in_a_new_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_compiler_is_imported_at_the_first_call() -> None:
    code = "import sys, nirbridge.simulate; print('numba' in sys.modules)"
    assert in_a_new_process(code).strip() == "False"


def test_the_rules_run_where_numba_must_not_compile() -> None:
    code = """
import numpy as np
from benchmarks.networks import any_config, any_raster
from nirbridge.simulate import simulate
rng = np.random.default_rng(11)
config = any_config(rng)
raster = np.stack([any_raster(rng, config.n_in, 8) for _ in range(2)])
first = simulate(config, raster[:, :3], record=True)
rest = simulate(config, raster[:, 3:], state=first.state)
print(first.v_mem.tolist(), rest.output.tolist(), rest.state.v_mem.tolist())
"""
    assert in_a_new_process(code, NUMBA_DISABLE_JIT="1") == in_a_new_process(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_threads_run_in_a_forked_process() -> None:
    """A fork takes no threads along: whoever waited for the parent's would wait forever."""
    code = """
import os
import numpy as np
from benchmarks.networks import any_config
from nirbridge.simulate import simulate
config = any_config(np.random.default_rng(11))
raster = np.ones((4, 9, config.n_in), int)
expected = simulate(config, raster, threads=2).output
child = os.fork()
if child == 0:
    same = np.array_equal(simulate(config, raster, threads=2).output, expected)
    os._exit(0 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_a_new_process(code).strip() == "0"


def test_the_kernel_compiles_where_no_cache_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nirbridge.simulate import kernel

    def nowhere(cache: bool = False, **options: Any) -> Callable[..., Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: (function, options)

    monkeypatch.setattr(kernel, "njit", nowhere)
    function, options = kernel._compiled(len)
    assert function is len
    assert options["nogil"]
