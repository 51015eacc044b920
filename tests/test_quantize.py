"""Rounding: exact decays, the right gains, nothing out of range, nothing edited in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Dynamics, Refused
from nirbridge.mapping.lift import chip_factor
from nirbridge.mapping.place import Layer, Network, Placement, Population
from nirbridge.quantize import quantize
from nirbridge.quantize.decays import exact_shift, rounded_shift
from nirbridge.quantize.rounding import Plan, round_layer
from nirbridge.targets import XYLO_AUDIO_2

seeds = st.integers(0, 2**32 - 1)
EIGHT_BITS = (-128, 127)


def network(rng: np.random.Generator, n_in: int = 3, h: int = 5, o: int = 2) -> Network:
    spread = 10.0 ** rng.uniform(-2, 1.5)

    def layer(n: int, synapses: int) -> Layer:
        A = np.repeat(rng.uniform(0, 0.99, (n, 1)), synapses, axis=1)
        B, c = rng.uniform(0, 0.999, n), rng.normal(0, 0.2, n)
        return Layer(A, B, c, B, np.ones(n, np.int64), np.zeros(n, bool))

    weights = [rng.normal(0, spread, shape) for shape in ((n_in, h), (h, h), (h, o))]
    both = [np.stack([w, np.zeros_like(w)], axis=2) for w in weights[:2]]
    place = Placement((Population("h", 0, h),), (Population("o", 0, o, 1),))
    none = np.full(h, -1, np.int32)
    w_in, w_rec = both
    layers = layer(h, 2), layer(o, 1)
    return Network(place, Dynamics(1e-3), w_in, w_rec, weights[2], *layers, none)


def plan(weights: Any, c: Any = None) -> Plan:
    """A layer of one group of weights, without decays that matter."""
    n = weights.shape[1]
    one = np.ones(n, np.int64)
    c = np.zeros(n) if c is None else np.asarray(c)
    no = np.zeros(n, bool)
    return Plan((weights,), c, one[:, None], one, no, no)


@pytest.mark.parametrize("shift", range(1, 16))
def test_shift_of_a_chip_decay_is_itself(shift: int) -> None:
    factor = chip_factor(np.array([shift]))
    assert exact_shift(factor)[0] == pytest.approx(shift, abs=1e-9)
    assert rounded_shift(factor, 1)[0] == shift


def test_synapses_never_get_shift_0() -> None:
    assert rounded_shift(np.array([0.0, 0.1]), 1).tolist() == [1, 1]
    assert rounded_shift(np.array([0.0, 0.1]), 0).tolist() == [0, 0]
    assert rounded_shift(np.array([1.0 - 2**-20, 1.0]), 1).tolist() == [15, 15]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_integers_keep_their_ratio_to_the_threshold(seed: int) -> None:
    """Weights and biases differ from their exact ratio to the threshold by half a unit."""
    rng = np.random.default_rng(seed)
    net = network(rng)
    before = [net.weights_in.copy(), net.weights_rec.copy(), net.hidden.c.copy()]
    for method in ("global", "channel"):
        config = quantize(net, XYLO_AUDIO_2, method).config
        threshold = config.threshold.astype(float)
        gain = 1 / (1 - 2.0 ** -config.dash_syn.astype(float))
        wanted = net.weights_in[:, :, 0] * gain * threshold / 2**config.weight_shift_in
        assert np.abs(config.weights_in[:, :, 0] - wanted).max() <= 0.5 + 1e-9
        assert np.abs(config.bias - net.hidden.c * threshold).max() <= 0.5 + 1e-9
        assert config.violations() == []
    for array, copy in zip((net.weights_in, net.weights_rec, net.hidden.c), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_global_shares_one_scale_and_channel_does_not() -> None:
    net = network(np.random.default_rng(0))
    shared = quantize(net, XYLO_AUDIO_2, "global").config
    own = quantize(net, XYLO_AUDIO_2, "channel").config
    assert len(set(shared.threshold.tolist())) == 1
    assert len(set(own.threshold.tolist())) == len(own.threshold)
    stacked = np.concatenate([own.weights_in[:, :, 0], own.weights_rec[:, :, 0]])
    assert np.abs(stacked).max(axis=0).min() >= 120  # each neuron uses its eight bits


def test_outputs_have_their_own_scale() -> None:
    net = network(np.random.default_rng(1))
    small = quantize(net, XYLO_AUDIO_2, "global").config
    louder = Network(**{**vars(net), "weights_out": net.weights_out * 100})
    large = quantize(louder, XYLO_AUDIO_2, "global").config
    np.testing.assert_array_equal(small.weights_in, large.weights_in)
    np.testing.assert_array_equal(small.threshold, large.threshold)


def test_threshold_limit_touches_one_neuron_only() -> None:
    weights = np.array([[1.0, 1e-4], [0.5, 1e-4]])
    alone = round_layer(plan(weights[:, :1]), EIGHT_BITS, True)
    both = round_layer(plan(weights), EIGHT_BITS, True)
    assert both.threshold[1] == 32767
    assert both.threshold[0] * 2.0 ** -both.shifts[0] == pytest.approx(
        alone.threshold[0] * 2.0 ** -alone.shifts[0], abs=1
    )


def test_bias_lowers_its_own_threshold_instead_of_being_clipped() -> None:
    weights = np.array([[0.1, 0.1]])
    found = round_layer(plan(weights, [2.0, 0.0]), EIGHT_BITS, True)
    assert found.bias.tolist() == [126, 0]
    assert found.threshold[0] == 63
    assert not len(found.overflow)


def test_weights_beyond_the_range_are_clipped_and_never_wrap() -> None:
    found = round_layer(plan(np.array([[1e6, -1e6]])), EIGHT_BITS, True)
    assert np.abs(found.weights[0]).max() <= 128
    assert found.clipped == 2
    assert (np.sign(found.weights[0]) == [[1, -1]]).all()


def test_neuron_without_weights_stays_silent() -> None:
    found = round_layer(plan(np.zeros((2, 1))), EIGHT_BITS, True)
    assert found.threshold[0] > 0
    assert not found.weights[0].any()


def test_denormal_weights_and_biases_are_as_good_as_none() -> None:
    """What they are divided into overflows, which sets no limit to the threshold."""
    tiny = np.array([[1e-320, 0.1]])
    found = round_layer(plan(tiny, [5e-324, -5e-324]), EIGHT_BITS, True)
    assert (found.weights[0] != 0).tolist() == [[False, True]]
    assert found.bias.tolist() == [0, 0]


def test_unknown_method() -> None:
    with pytest.raises(Refused) as refusal:
        quantize(network(np.random.default_rng(0)), XYLO_AUDIO_2, "best")
    assert refusal.value.diagnostics[0].code == "NB501"
