"""The method ``fit``: closed forms against simulation, exactness kept, one spike per step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nirbridge
from nirbridge import Dynamics, convert, read
from nirbridge.mapping.lift import chip_factor
from nirbridge.quantize import kernels
from nirbridge.quantize.kernels import fit_neuron
from tests.conftest import EXAMPLES, GRAPHS

factors = st.floats(0.0, 0.98)


def response(a: float, b: float, steps: int = 4000) -> Any:
    """Membrane after one unit of current, step by step."""
    i, v, found = 1.0, 0.0, []
    for _ in range(steps):
        v = b * v + i
        found.append(v)
        i *= a
    return np.array(found)


@settings(max_examples=50, deadline=None)
@given(factors, factors, factors, factors)
def test_overlap_is_the_sum_over_all_steps(a: float, b: float, c: float, d: float) -> None:
    summed = float(response(a, b) @ response(c, d))
    closed = kernels.overlap(*(np.float64(x) for x in (a, b, c, d)))
    assert closed == pytest.approx(summed, rel=1e-6)


def chip_response(fit: kernels.Fit, steps: int = 4000) -> Any:
    b = float(chip_factor(np.array([fit.dash_mem]))[0])
    total = np.zeros(steps)
    for dash, gain in zip(fit.dash_syn, fit.gain, strict=True):
        a = float(chip_factor(np.array([dash]))[0])
        total += gain * a * response(a, b, steps)
    return total


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.97), st.floats(0.3, 0.97), st.integers(1, 2))
def test_misfit_is_what_a_simulation_finds(A: float, B: float, synapses: int) -> None:
    fit = fit_neuron(A, B, None, synapses, False)
    wanted, found = response(A, B), chip_response(fit)
    error = np.sum((wanted - found) ** 2) / np.sum(wanted**2)
    error += kernels.CHARGE * (1 - found.sum() / wanted.sum()) ** 2
    assert fit.misfit == pytest.approx(np.sqrt(error), rel=1e-5, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.97), st.floats(0.3, 0.97))
def test_two_synapses_are_never_worse_than_one(A: float, B: float) -> None:
    assert fit_neuron(A, B, None, 2, False).misfit <= fit_neuron(A, B, None, 1, False).misfit + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.97), st.floats(0.5, 0.97))
def test_loop_mends_the_reset(A: float, B: float) -> None:
    """With the decays of the fit, membrane after a spike: of the source, of the chip, mended."""
    fit = fit_neuron(A, B, 1.0, 2, True)
    b = float(chip_factor(np.array([fit.dash_mem]))[0])
    wanted = -(B ** np.arange(4000.0))
    bare = -b * b ** np.arange(4000.0)
    mended = bare.copy()
    for dash, weight in zip(fit.dash_syn, fit.loop, strict=True):
        a = float(chip_factor(np.array([dash]))[0])
        mended += weight * a * response(a, b)
    error = np.sum((mended - wanted) ** 2) / np.sum(wanted**2)
    assert error <= np.sum((bare - wanted) ** 2) / np.sum(wanted**2) * 1.5 + 1e-9
    area = (mended.sum() - wanted.sum()) / wanted.sum()
    assert fit.reset == pytest.approx(np.sqrt(error + kernels.CHARGE * area**2), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dash_syn", [1, 2, 5])
@pytest.mark.parametrize("dash_mem", [0, 1, 3, 6])
def test_what_the_chip_has_is_found_exactly(dash_syn: int, dash_mem: int) -> None:
    A, B = (float(x) for x in chip_factor(np.array([dash_syn, dash_mem])))
    for synapses in (1, 2):
        assert fit_neuron(A, B, B, synapses, True).misfit < 1e-7
        assert fit_neuron(A, B, B, synapses, True).reset < 1e-7


@pytest.mark.parametrize("shift", [14, 17, 18, 20, 30, 53, 60])
def test_long_time_constants_stay_within_the_shifts(shift: int) -> None:
    """However long, up to factors that are 1 in floats."""
    for A, B in ((1 - 2.0**-15, 1 - 2.0**-shift), (1 - 2.0**-shift,) * 2, (0.5, 1 - 2.0**-shift)):
        fit = fit_neuron(A, B, 1.0, 2, True)
        assert max(fit.dash_syn) <= 15
        assert fit.dash_mem <= 15
        assert np.isfinite([*fit.gain, *fit.loop, fit.misfit, fit.reset]).all()


@pytest.mark.parametrize("dt", [1e-9, 1e-30, 1e-300])
def test_time_constants_of_ever_so_many_steps(dt: float) -> None:
    """The chip has nothing as long: it converts, and the journal says how far it is off."""
    made = convert(read(GRAPHS / "digits_cuba.nir"), dt=dt)
    (off,) = (n.size for n in made.journal if n.node == "lif1" and "tau_mem ->" in n.what)
    assert off is not None
    assert 0.9 < off <= 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_twice(name: str) -> None:
    first, second = (convert(read(GRAPHS / f"{name}.nir")) for _ in range(2))
    assert first.config == second.config
    assert first.method == "fit"


@pytest.mark.parametrize("name", ["digits_cuba", "digits_recurrent"])
def test_one_spike_per_step_where_the_source_has_one(name: str, digits: tuple[Any, Any]) -> None:
    deployment = convert(read(GRAPHS / f"{name}.nir"))
    spikes = deployment.simulate(digits[0][:50], record=True).spikes
    assert spikes is not None
    assert spikes.max() == 1


def test_many_spikes_per_step_where_the_source_has_many() -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    how = Dynamics(1e-4, reset="subtract", spikes_per_step=None)
    deployment = convert(graph, dynamics=how)
    assert deployment.config.threshold.max() < 2**14


@pytest.mark.parametrize("name", EXAMPLES)
def test_deployed_graph_gives_the_same_integers(name: str) -> None:
    first = convert(read(GRAPHS / f"{name}.nir"))
    again = convert(first.deployed)
    assert nirbridge.simulate(again.config, np.ones((5, 16), np.uint8)).output.shape == (5, 8)
    assert again.config == first.config
