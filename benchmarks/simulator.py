"""Steps per second of the chip simulator against ``xylosim``, same network, same raster.

``python -m benchmarks.simulator [--steps N] [--repeat N] [--json FILE]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from benchmarks.networks import N_IN, N_OUT, timed_config, timed_raster
from benchmarks.xylosim_oracle import Oracle
from nirbridge.simulate import simulate

KINDS = ("dense", "fan-out 32", "three layers")
SIZES = (63, 300, 1000)
ACTIVITIES = (0.05, 0.2)
BATCH = 64


def best(function: Callable[[], object], repeat: int) -> float:
    """Shortest of several wall times in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(kind: str, n_hidden: int, activity: float, steps: int, repeat: int) -> dict[str, Any]:
    """Time one network: the vendor and us on one sample, us on a batch with one and two cores.

    The vendor's simulator always records, and has no batches. Its time on the batch is that on
    the sample: both rasters are drawn alike, and the same sample is checked bit for bit.
    """
    rng = np.random.default_rng(n_hidden)
    config = timed_config(kind, n_hidden, activity, rng)
    batch = timed_raster(rng, activity, BATCH, steps)
    single, events = batch[0], batch[0].tolist()
    oracle = Oracle.of(config)
    recorded = simulate(config, single, record=True)
    assert recorded.spikes is not None
    np.testing.assert_array_equal(recorded.spikes, oracle.run(single)["spikes"])

    vendor = best(lambda: oracle.layer.evolve(events), repeat) / steps
    one = best(lambda: simulate(config, single), 4 * repeat) / steps
    recording = best(lambda: simulate(config, single, record=True), 4 * repeat) / steps
    one_core = best(lambda: simulate(config, batch, threads=1), repeat) / steps / BATCH
    two_cores = best(lambda: simulate(config, batch, threads=2), repeat) / steps / BATCH
    return {
        "network": f"{kind} ({N_IN}, {n_hidden}, {N_OUT})",
        "activity": activity,
        "spikes_per_neuron_step": float(recorded.spikes.mean()),
        "xylosim_steps_per_s": 1 / vendor,
        "single_steps_per_s": 1 / one,
        "batch_steps_per_s": 1 / one_core,
        "single_ratio": vendor / one,
        "recording_ratio": vendor / recording,
        "batch_ratio": vendor / one_core,
        "second_core": one_core / two_cores,
    }


def main() -> None:
    """Measure all networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    table = Table(title="Chip simulator against xylosim (one core unless said)")
    for column in (
        "network",
        "input",
        "spikes/neuron/step",
        "xylosim steps/s",
        "ours, one sample",
        "ratio",
        "recording",
        f"ours, batch {BATCH}",
        "ratio",
        "2nd core",
    ):
        table.add_column(column, justify="left" if column == "network" else "right")
    rows = []
    for kind in KINDS:
        for size in SIZES:
            for activity in ACTIVITIES:
                row = measure(kind, size, activity, options.steps, options.repeat)
                rows.append(row)
                table.add_row(
                    row["network"],
                    f"{activity:.0%}",
                    f"{row['spikes_per_neuron_step']:.3f}",
                    f"{row['xylosim_steps_per_s']:,.0f}",
                    f"{row['single_steps_per_s']:,.0f}",
                    f"{row['single_ratio']:.0f}x",
                    f"{row['recording_ratio']:.0f}x",
                    f"{row['batch_steps_per_s']:,.0f}",
                    f"{row['batch_ratio']:.0f}x",
                    f"{row['second_core']:.2f}x",
                )
    Console().print(table)
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
