"""The same network in other steps, and the choice among them."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, convert, read, simulate_stepped
from nirbridge.calibrate.retime import retime
from tests.conftest import EXAMPLES, GRAPHS


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_step_is_the_same_network(name: str, digits: tuple[Any, Any]) -> None:
    graph = read(GRAPHS / f"{name}.nir")
    how = Dynamics.of(graph)
    assert how is not None
    again, new = retime(graph, how, 1.0)
    assert new.dt == how.dt
    wanted, found = (
        simulate_stepped(g, digits[0][:10], d) for g, d in ((graph, how), (again, new))
    )
    for end, signal in wanted.outputs.items():
        np.testing.assert_array_equal(found.outputs[end], signal)


def readout(tau_syn: float, tau_mem: float) -> nir.NIRGraph:
    one = np.ones(1)
    nodes = {
        "input": nir.Input(np.array([1])),
        "w": nir.Linear(np.array([[1.0]])),
        "li": nir.CubaLI(tau_syn * one, tau_mem * one, one, 0 * one, one),
        "output": nir.Output(np.array([1])),
    }
    edges = [("input", "w"), ("w", "li"), ("li", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize(("tau_syn", "tau_mem"), [(5e-3, 9e-3), (7e-3, 7e-3), (20e-3, 3e-3)])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_answer_to_a_spike_is_sampled_otherwise(
    tau_syn: float, tau_mem: float, factor: float
) -> None:
    """After k new steps the membrane has what it had after factor·(k + 1) − 1 old ones."""
    graph = readout(tau_syn, tau_mem)
    how = Dynamics(1e-3, scheme="exponential")
    again, new = retime(graph, how, factor)
    raster = np.zeros((81, 1), np.uint8)
    raster[0] = 1
    old = simulate_stepped(graph, raster, how).outputs["output"][:, 0]
    found = simulate_stepped(again, raster, new).outputs["output"][:, 0]
    for k in range(30):
        place = factor * (k + 1) - 1
        if place == int(place) and 0 <= place < 81:
            assert found[k] == pytest.approx(old[int(place)], rel=1e-9)


def events(raster: Any, dt: float) -> nir.NIRGraphData:
    """A batch of rasters as events in the middle of their steps."""
    most = int(raster.reshape(len(raster), -1).sum(axis=1).max())
    idx = np.full((len(raster), most), -1, np.int64)
    time = np.full(idx.shape, np.inf)
    for b, sample in enumerate(raster):
        where = [(t, c) for t, c in np.argwhere(sample) for _ in range(sample[t, c])]
        idx[b, : len(where)] = [c for _, c in where]
        time[b, : len(where)] = [(t + 0.5) * dt for t, _ in where]
    data = nir.EventData(idx, time, raster.shape[2], raster.shape[1] * dt)
    return nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": data})})


def test_events_let_the_step_be_chosen(digits: tuple[Any, Any]) -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    how = Dynamics.of(graph)
    assert how is not None
    data = events(digits[0][:10], how.dt)
    found = convert(graph, method="calibrate", calibration=data, track=lambda tries: tries[:3])
    notes = [n for n in found.journal if n.stage == "time" and "of the source's" in n.what]
    assert len(notes) == 1
    assert found.config.dt in [how.dt * f for f in (0.5, 2**-0.5, 1, 2**0.5, 2)]
    assert found.dynamics.dt == found.config.dt


def test_data_on_a_grid_keep_their_step(digits: tuple[Any, Any]) -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    how = Dynamics.of(graph)
    assert how is not None
    grid = nir.TimeGriddedData(digits[0][:5], how.dt)
    data = nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": grid})})
    found = convert(graph, method="calibrate", calibration=data, track=lambda tries: tries[:2])
    assert found.config.dt == how.dt
