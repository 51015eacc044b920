"""Accuracy of the example networks in float and on the chip.

``python -m benchmarks.examples [--target CHIP] [--json FILE]``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import Refused, convert, read
from nirbridge.quantize import DATA_FREE
from nirbridge.targets import TARGETS

# Without data: the inputs at hand are the test set, on which nothing may be calibrated.
ROOT = Path(__file__).resolve().parents[1]
GRAPHS = ROOT / "graphs"


def examples(target: str = "xylo-audio-2") -> list[dict[str, Any]]:
    """One row per example graph and method, on the test set that goes with the graph.

    What does not fit the chip has none.
    """
    with np.load(GRAPHS / "digits.npz") as stored:
        x, y = stored["x"], stored["y"]
    rows = []
    for path in sorted(GRAPHS.glob("*.nir")):
        for method in DATA_FREE:
            try:
                drift = convert(read(path), target, method=method).check(x, y)
            except Refused:
                continue
            rows.append(
                {
                    "graph": path.stem,
                    "method": method,
                    "trained": drift.trained_accuracy,
                    "on chip": drift.accuracy,
                    "agreement": drift.agreement,
                    "spike_ratio": drift.rungs[-1].spikes / drift.rungs[0].spikes,
                    **{rung.model: rung.loss for rung in drift.rungs[1:]},
                }
            )
    return rows


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows as a table; shares in per cent where they are accuracies."""
    shown = Table(*rows[0], title=title)
    for row in rows:
        shown.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    return shown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    parser.add_argument("--target", choices=list(TARGETS), default="xylo-audio-2")
    options = parser.parse_args()
    found = {"examples": examples(options.target)}
    console = Console(width=120)
    console.print(table(f"Example networks on {TARGETS[options.target].title}", found["examples"]))
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
