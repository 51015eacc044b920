"""Time and events per second of the ideal, event-driven model on networks of 100 neurons.

``python -m benchmarks.continuous [--bins N] [--repeat N] [--json FILE]``
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import nir
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge.simulate.continuous import simulate_continuous

DT = 1e-3
CHANNELS, SIZE = 20, 100
KINDS = ("LIF", "LIF recurrent", "CubaLIF", "CubaLIF recurrent", "LI → LIF")


def network(kind: str, rng: np.random.Generator) -> nir.NIRGraph:
    """Input → Linear → 100 neurons → Output; recurrent through a second Linear, or behind LI."""
    one = np.ones(SIZE)
    tau_mem = 20e-3 * rng.uniform(0.8, 1.2, SIZE)
    neurons: nir.NIRNode = nir.LIF(tau_mem, one, 0 * one, one, 0 * one)
    if kind.startswith("CubaLIF"):
        neurons = nir.CubaLIF(5e-3 * one, tau_mem, one, 0 * one, one, 0 * one, one)
    nodes = {
        "in": nir.Input(np.array([CHANNELS])),
        "w": nir.Linear(rng.normal(size=(SIZE, CHANNELS))),
        "neurons": neurons,
        "out": nir.Output(np.array([SIZE])),
    }
    edges = [("in", "w"), ("w", "neurons"), ("neurons", "out")]
    if kind.endswith("recurrent"):
        nodes["loop"] = nir.Linear(0.2 * rng.normal(size=(SIZE, SIZE)))
        edges += [("neurons", "loop"), ("loop", "neurons")]
    if kind == "LI → LIF":
        nodes["dendrites"] = nir.LI(5e-3 * one, one, 0 * one)
        edges[1:2] = [("w", "dendrites"), ("dendrites", "neurons")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def measure(kind: str, bins: int, repeat: int) -> dict[str, Any]:
    """Shortest of several runs of one network, half of whose input bins hold a spike."""
    rng = np.random.default_rng(0)
    graph = network(kind, rng)
    raster = rng.random((bins, CHANNELS)) < 0.5
    seconds = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        found = simulate_continuous(graph, raster, DT)
        seconds = min(seconds, time.perf_counter() - start)
    return {
        "network": f"{kind} ({CHANNELS}, {SIZE})",
        "input_spikes": int(raster.sum()),
        "spikes": len(found.spikes["neurons"].times),
        "events": found.events,
        "seconds": seconds,
        "events_per_s": found.events / seconds,
    }


def main() -> None:
    """Measure all networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bins", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    rows = [measure(kind, options.bins, options.repeat) for kind in KINDS]
    table = Table(title="Ideal event-driven model, one core")
    for column in ("network", "input spikes", "spikes", "events", "time", "events/s"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in rows:
        table.add_row(
            row["network"],
            f"{row['input_spikes']:,}",
            f"{row['spikes']:,}",
            f"{row['events']:,}",
            f"{row['seconds']:.2f} s",
            f"{row['events_per_s']:,.0f}",
        )
    Console().print(table)
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
