"""What fine-tuning through the chip gains, and what it costs: accuracy, time, memory.

``python -m benchmarks.finetune [--epochs N] [--seeds N] [--graphs NAME ...] [--json FILE]``

Each example network is converted by each method and trained on the training half of its digits;
accuracies are those of the chip on the 433 test digits.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.examples import table
from benchmarks.machine import write_json
from nirbridge import convert, finetune, read
from nirbridge.quantize import DATA_FREE

ROOT = Path(__file__).resolve().parents[1]
GRAPHS = ROOT / "graphs"


def measure(name: str, method: str, epochs: int, seeds: int) -> dict[str, Any]:
    """One row: a graph, a method; the accuracy after training over seeds."""
    sys.path.insert(0, str(GRAPHS / "make"))
    import digits

    data = digits.load()
    start = convert(read(GRAPHS / f"{name}.nir"), method=method)
    before = start.check(data.x_test, data.y_test)
    found: list[float] = []
    began = time.perf_counter()
    for seed in range(seeds):
        tuned = finetune(
            start, data.x_train, data.y_train, epochs, seed=seed, patience=epochs, track=list
        )
        found.append(tuned.robustness(data.x_test, data.y_test, [], draws=1).clean)
    seconds = time.perf_counter() - began
    return {
        "graph": name,
        "method": method,
        "trained": before.trained_accuracy,
        "chip before": before.accuracy,
        "chip after": float(np.mean(found)),
        "worst seed": float(np.min(found)),
        "s/epoch": seconds / (epochs * seeds),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--graphs", nargs="*", default=["digits_recurrent"])
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    rows = [
        measure(name, method, options.epochs, options.seeds)
        for name in options.graphs
        for method in DATA_FREE
    ]
    Console(width=120).print(table("Fine-tuning on Xylo Audio 2", rows))
    if options.json:
        write_json(options.json, {"finetune": rows})


if __name__ == "__main__":
    main()
