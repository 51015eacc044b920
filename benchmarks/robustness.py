"""Standard, noise and adversarial training of a chip: accuracy of perturbed chips (2106.05009).

``python -m benchmarks.robustness [--seeds N] [--epochs N] [--draws N] [--json FILE]``

The network is ``graphs/digits_cuba.nir`` (16-60-60-8, trained in snnTorch) on a Xylo Audio 2, its
task the digits of ``graphs/make``: 16 channels, 44 steps, 8 classes. All ways of training go on
from it for as many epochs, through the chip. Weights and biases are perturbed, as in the figures
of the paper; then thresholds too, where a relative error of one may leave a neuron without any.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import convert, finetune, read

ROOT = Path(__file__).resolve().parents[1]
GRAPH = ROOT / "graphs" / "digits_cuba.nir"
PARTS = {"": ("weights", "biases"), "all, ": ("weights", "thresholds", "biases")}
LEVELS = (0.1, 0.3, 0.5, 0.7)
BOUNDS = (0.05, 0.1, 0.2)
WAYS: dict[str, dict[str, float]] = {
    "standard": {},
    "noise 0.3": {"noise": 0.3},
    "adversarial 0.1": {"adversarial": 0.1},
}


def measure(seed: int, epochs: int, draws: int) -> list[dict[str, Any]]:
    """A row for each way of training."""
    sys.path.insert(0, str(ROOT / "graphs" / "make"))
    import digits

    data, rows = digits.load(), []
    start = convert(read(GRAPH), method="channel")
    for way, options in WAYS.items():
        began = time.perf_counter()
        trained = finetune(
            start, data.x_train, data.y_train, epochs, patience=max(epochs, 1), seed=seed,
            perturbs=PARTS[""], **options,  # type: ignore[arg-type]
        )  # fmt: skip
        row: dict[str, Any] = {"training": way, "seed": seed}
        row["seconds"] = time.perf_counter() - began
        for part, perturbs in PARTS.items():
            found = trained.robustness(
                data.x_test, data.y_test, LEVELS, draws, seed, BOUNDS, perturbs
            )
            row["clean"] = found.clean
            for level in LEVELS:
                at = found.at(level)
                for kind, figure in (("", at.mean), (" sd", at.sd), (" worst", at.worst)):
                    row[f"{part}random {level}{kind}"] = figure
            row |= {f"{part}attack {x}": found.at(x, "attack").mean for x in BOUNDS}
        rows.append(row)
    return rows


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over seeds for each way."""
    found: list[dict[str, Any]] = []
    for way in WAYS:
        own = [row for row in rows if row["training"] == way]
        figures = {k: float(np.mean([r[k] for r in own])) for k in own[0] if k != "training"}
        found.append({"training": way, **figures})
    return found


def table(rows: list[dict[str, Any]], part: str = "") -> Table:
    """Accuracies in per cent."""
    columns = ["clean", *(f"{part}random {x}" for x in LEVELS)]
    columns += [f"{part}attack {x}" for x in BOUNDS]
    title = f"Accuracy of chips with perturbed {', '.join(PARTS[part])}, %"
    shown = Table("training", *(c.removeprefix(part) for c in columns), "seconds", title=title)
    for row in rows:
        figures = [f"{100 * row[c]:.1f}" for c in columns]
        shown.add_row(row["training"], *figures, f"{row['seconds']:.0f}")
    return shown


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    console = Console(width=120)
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        rows += measure(seed, options.epochs, options.draws)
        console.print(f"seed {seed}", table(rows[-len(WAYS) :]))
    console.print(f"mean of {options.seeds} seeds")
    for part in PARTS:
        console.print(table(means(rows), part))
    if options.json:
        write_json(options.json, {"robustness": rows})


if __name__ == "__main__":
    main()
