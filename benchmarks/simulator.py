"""Steps per second of the chip simulator against ``xylosim``, same network, same raster.

``python -m benchmarks.simulator [--steps N] [--repeat N] [--json FILE]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.machine import write_json
from benchmarks.networks import N_IN, N_OUT, timed_config, timed_raster
from benchmarks.xylosim_oracle import Oracle
from nirbridge.simulate import simulate

KINDS = ("dense", "fan-out 32", "three layers")
SIZES = (63, 300, 1000)
ACTIVITIES = (0.05, 0.2)
BATCH = 64


def best(functions: dict[str, Callable[[int], object]], repeat: int) -> dict[str, float]:
    """Shortest wall time in seconds of each function, called with 0, 1, ... in turn.

    In turn, so that other work on the machine disturbs all of them alike.
    """
    shortest = dict.fromkeys(functions, float("inf"))
    for k in range(repeat):
        for name, function in functions.items():
            start = time.perf_counter()
            function(k)
            shortest[name] = min(shortest[name], time.perf_counter() - start)
    return shortest


def measure(kind: str, n_hidden: int, activity: float, steps: int, repeat: int) -> dict[str, Any]:
    """Time one network: the vendor and us on one sample, us on a batch with one and two cores.

    Single samples are longer the smaller the network, ``steps`` at 1000 neurons: a run of ours on
    a short one lasts a tenth of a millisecond, in which caches and the call count as much as the
    steps. Each repeat is another sample, the same for both: a processor learns the branches of a
    sample that it sees again and again. The vendor's simulator always records, and has no batches:
    the batch is held against its time on single samples, since all are drawn alike.
    """
    rng = np.random.default_rng(n_hidden)
    config = timed_config(kind, n_hidden, activity, rng)
    batch = timed_raster(rng, activity, BATCH, steps)
    steps = steps * SIZES[-1] // n_hidden
    singles = timed_raster(rng, activity, repeat, steps)
    events = singles.tolist()
    oracle = Oracle.of(config)
    recorded = simulate(config, singles[0], record=True)
    assert recorded.spikes is not None
    np.testing.assert_array_equal(recorded.spikes, oracle.run(singles[0])["spikes"])

    seconds = best(
        {
            "vendor": lambda k: oracle.layer.evolve(events[k]),
            "two cores": lambda _: simulate(config, batch, threads=2),
            "batch": lambda _: simulate(config, batch, threads=1),
            "one": lambda k: simulate(config, singles[k]),
            "recording": lambda k: simulate(config, singles[k], record=True),
        },
        repeat,
    )
    vendor, batched = seconds["vendor"], batch.shape[0] * batch.shape[1]
    return {
        "network": f"{kind} ({N_IN}, {n_hidden}, {N_OUT})",
        "activity": activity,
        "spikes_per_neuron_step": float(recorded.spikes.mean()),
        "xylosim_steps_per_s": steps / vendor,
        "single_steps_per_s": steps / seconds["one"],
        "batch_steps_per_s": batched / seconds["batch"],
        "single_ratio": vendor / seconds["one"],
        "recording_ratio": vendor / seconds["recording"],
        "batch_ratio": vendor / steps * batched / seconds["batch"],
        "second_core": seconds["batch"] / seconds["two cores"],
    }


def rows_of_table(rows: list[dict[str, Any]]) -> Table:
    """The figures as a table for the terminal."""
    table = Table(title="Steps per second against xylosim, on one core unless said")
    for column in (
        "network (inputs, hidden, outputs)",
        "input",
        "hidden",
        "xylosim",
        "one sample",
        "ratio",
        "recording",
        f"batch of {BATCH}",
        "ratio",
        "2nd core",
    ):
        table.add_column(column, justify="left" if column.startswith("net") else "right")
    for row in rows:
        table.add_row(
            row["network"],
            f"{row['activity']:.0%}",
            f"{row['spikes_per_neuron_step']:.1%}",
            f"{row['xylosim_steps_per_s']:,.0f}",
            f"{row['single_steps_per_s']:,.0f}",
            f"{row['single_ratio']:.0f}x",
            f"{row['recording_ratio']:.0f}x",
            f"{row['batch_steps_per_s']:,.0f}",
            f"{row['batch_ratio']:.0f}x",
            f"{row['second_core']:.2f}x",
        )
    return table


def main() -> None:
    """Measure all networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="at 1000 neurons, and of a batch")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    cases = list(product(KINDS, SIZES, ACTIVITIES))
    console = Console()
    rows = [
        measure(*case, options.steps, options.repeat)
        for case in track(cases, "networks", console=console)
    ]
    console.print(rows_of_table(rows))
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
