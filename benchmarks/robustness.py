"""Standard, noise and adversarial training of a chip: accuracy of perturbed chips (2106.05009).

``python -m benchmarks.robustness [--seeds N ...] [--epochs N] [--draws N] [--json FILE]``

The experiment of networks with constant drive, fitted to a Xylo Audio 2: handwritten digits 0 to
7 as 4x4 patches, whose mean brightness is a spike count in each of 16 steps; 16-96-8, random
weights, outputs read by their membranes, trained through the chip alone. Weights and biases are
perturbed, as in the figures of the paper; then thresholds too, where a relative error of one may
leave a neuron without any. A few minutes on a core.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from typing import Any

import nir
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.machine import write_json
from nirbridge import Deployment, Dynamics, convert, finetune

DT, STEPS, HIDDEN, CLASSES = 1e-3, 16, 96, 8
RATE = 5e-2
PARTS = {"": ("weights", "biases"), "all, ": ("weights", "thresholds", "biases")}
LEVELS = (0.1, 0.3, 0.5, 0.7)
BOUNDS = (0.05, 0.1, 0.2)
WAYS: dict[str, dict[str, float]] = {
    "standard": {},
    "noise 0.3": {"noise": 0.3},
    "adversarial 0.1": {"adversarial": 0.1, "beta": 0.5},
}


def task() -> list[Any]:
    """Counts (N, 16, 16) and labels of the training half, then of the test half."""
    images, labels = load_digits(return_X_y=True)
    images, labels = images[labels < CLASSES], labels[labels < CLASSES]
    patches = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    counts = np.rint(patches * 15 / 16).astype(np.uint8)
    x = np.repeat(counts[:, None], STEPS, axis=1)
    halves = train_test_split(x, labels, test_size=0.3, stratify=labels, random_state=20)
    return [halves[k] for k in (0, 2, 1, 3)]


def untrained(seed: int) -> Deployment:
    """16-96-8, current-based, with decays that the chip has and random weights."""
    rng = np.random.default_rng(seed)
    hidden = _neurons(HIDDEN)
    nodes = {
        "input": nir.Input(np.array([16])),
        "w1": nir.Linear(rng.normal(0, 0.03, (HIDDEN, 16))),
        "hidden": hidden,
        "w2": nir.Linear(rng.normal(0, 0.1, (CLASSES, HIDDEN))),
        "readout": nir.CubaLI(
            *(v[:CLASSES] for v in (hidden.tau_syn, hidden.tau_mem, hidden.r, hidden.v_leak)),
            hidden.w_in[:CLASSES],
        ),
        "output": nir.Output(np.array([CLASSES])),
    }
    how = Dynamics(DT, scheme="exponential", reset="subtract", spikes_per_step=None)
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)))
    return convert(graph, dynamics=how, method="channel")


def _neurons(n: int) -> nir.CubaLIF:
    """Per step half of the current and 7/8 of the membrane stay."""
    syn, mem = np.full(n, 0.5), np.full(n, 0.875)
    zero, one = np.zeros(n), np.ones(n)
    tau_syn, tau_mem = -DT / np.log(syn), -DT / np.log(mem)
    return nir.CubaLIF(tau_syn, tau_mem, 1 / (1 - mem), zero, one, zero, 1 / (1 - syn))


def measure(seed: int, epochs: int, draws: int) -> list[dict[str, Any]]:
    """A row for each way of training, all from the same start."""
    x_train, y_train, x_test, y_test = task()
    start, rows = untrained(seed), []
    for way, options in WAYS.items():
        began = time.perf_counter()
        trained = finetune(
            start, x_train, y_train, epochs, rate=RATE, patience=max(epochs, 1), seed=seed,
            perturbs=PARTS[""], **options,  # type: ignore[arg-type]
        )  # fmt: skip
        row: dict[str, Any] = {"training": way, "seed": seed}
        row["seconds"] = time.perf_counter() - began
        for part, perturbs in PARTS.items():
            found = trained.robustness(
                x_test, y_test, LEVELS, draws, seed, BOUNDS, perturbs
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    console = Console(width=120)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        rows += measure(seed, options.epochs, options.draws)
        console.print(f"seed {seed}", table(rows[-len(WAYS) :]))
    console.print(f"mean of {len(options.seeds)} seeds")
    for part in PARTS:
        console.print(table(means(rows), part))
    if options.json:
        write_json(options.json, {"robustness": rows})


if __name__ == "__main__":
    main()
