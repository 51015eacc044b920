"""What was lifted from integers says what the chip does, and lowers to the same integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.generated import judge
from benchmarks.graphs import any_graph, any_raster
from nirbridge import Refused, convert, read, simulate_continuous, simulate_stepped
from nirbridge.check.metrics import cosine
from nirbridge.check.models import chip_run
from tests.conftest import EXAMPLES, GRAPHS

# How far the chip may be from the float model of its own integers: only the linear floor of the
# decays and 16-bit saturation lie between them. Measured: 0.98 to 1.06 and above 0.9990.
COUNTS, RATES = 0.1, 0.998

# And from the same equations in continuous time, without steps and without the chip's delays, on
# one sample, by rate cosine. The recurrent network is chaotic: single spikes decide its course.
CONTINUOUS_RATES = {
    "digits_conv": 0.97,
    "digits_cuba": 0.99,
    "digits_lif": 0.97,
    "digits_recurrent": 0.7,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_stepping_the_deployed_graph_agrees_with_the_chip(
    name: str, digits: tuple[Any, Any]
) -> None:
    result = convert(read(GRAPHS / f"{name}.nir"))
    x = digits[0][:60]
    lifted = simulate_stepped(result.deployed, x).spikes
    recording = result.simulate(x, record=True)
    assert recording.spikes is not None
    for p in result.placement.hidden:
        chip, model = recording.spikes[:, :, p.ids], lifted[p.name]
        assert chip.sum() == pytest.approx(model.sum(), rel=COUNTS)
        assert cosine(chip.mean((0, 1)), model.mean((0, 1))) > RATES


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_deployed_graph_in_continuous_time(name: str, digits: tuple[Any, Any]) -> None:
    result = convert(read(GRAPHS / f"{name}.nir"))
    sample = digits[0][:1]
    ideal = simulate_continuous(result.deployed, sample, result.config.dt).binned()
    chip, _ = chip_run(result, sample)
    for p in result.placement.hidden:
        if not p.relay:
            rates = chip.spikes[p.name].mean((0, 1)), ideal[p.name].mean((0, 1))
            assert cosine(*rates) > CONTINUOUS_RATES[name]


def test_lowering_generated_networks_twice_gives_the_same_integers() -> None:
    converted = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        graph = any_graph(rng)
        try:
            result = convert(graph)
        except Refused:
            continue
        converted += 1
        assert convert(result.deployed).config == result.config, seed
        result.simulate(any_raster(rng, graph))
    assert converted > 80


def test_generated_graphs_of_fifty_nodes() -> None:
    """A hundred of the ten thousand that the benchmark goes through."""
    verdicts = {judge(seed, 50) for seed in range(100)}
    assert not [v for v in verdicts if v.startswith(("WRONG", "BAD"))]
    assert "converted, exact" in verdicts
