"""Calibrate on recorded events, which have no time step: the step is chosen as well."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
from numpy.typing import NDArray

import nirbridge
from nirbridge.data import to_raster

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"


def events(raster: NDArray[np.uint8], dt: float, rng: np.random.Generator) -> nir.NIRGraphData:
    """What a sensor might have sent in place of a raster (B, T, n): each spike at some time."""
    batch, steps, channels = raster.shape
    most = int(raster.sum(axis=(1, 2)).max())
    ids = np.full((batch, most), -1)  # -1 and infinity stand for no event
    times = np.full((batch, most), np.inf)
    for sample, counts in enumerate(raster):
        step, channel = np.nonzero(counts)
        order = np.argsort(at := (step + rng.random(len(step))) * dt)
        ids[sample, : len(at)], times[sample, : len(at)] = channel[order], at[order]
    data = nir.EventData(ids, times, channels, steps * dt)
    return nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": data})})


def main() -> None:
    """Fit without data, calibrate with events, check both on other samples."""
    data = np.load(GRAPHS / "digits.npz")
    graph = nirbridge.read(GRAPHS / "digits_cuba.nir")
    how = nirbridge.Dynamics.of(graph)
    assert how is not None
    rng = np.random.default_rng(0)
    typical = events(data["x"][:5], how.dt, rng)  # no labels; five samples keep this quick
    other = events(data["x"][100:200], how.dt, rng)

    fitted = nirbridge.convert(graph)
    calibrated = nirbridge.convert(graph, method="calibrate", calibration=typical)
    print("steps that were tried, and what was gained:")
    for note in calibrated.journal:
        if note.stage in ("time", "calibrate"):
            print(" ", note)
    for name, chip in (("fit", fitted), ("calibrate", calibrated)):
        raster = to_raster(other, chip.n_in, chip.config.dt)  # events in the step of that chip
        drift = chip.check(raster, data["y"][100:200])
        print(f"{name:10} dt {chip.config.dt:g} s: {drift.accuracy:.0%} right, L1 of the outputs "
              f"{drift.rungs[-1].output_l1:.2f} spikes")  # fmt: skip


if __name__ == "__main__":
    main()
