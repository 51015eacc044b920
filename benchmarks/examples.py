"""Accuracy of the example networks in float and on the chip, and the NIR paper's Braille sample.

``python -m benchmarks.examples [--json FILE]``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import Deployment, convert, read
from nirbridge.check.metrics import cosine
from nirbridge.quantize import METHODS
from nirbridge.simulate import simulate_stepped

ROOT = Path(__file__).resolve().parents[1]
GRAPHS = ROOT / "graphs"
BRAILLE = ROOT.parent / "shared" / "reference" / "nir-paper" / "braille"


def examples() -> list[dict[str, Any]]:
    """One row per example graph and method, on the test set that goes with the graph."""
    with np.load(GRAPHS / "digits.npz") as stored:
        x, y = stored["x"], stored["y"]
    rows = []
    for path in sorted(GRAPHS.glob("*.nir")):
        for method in METHODS:
            drift = convert(read(path), method=method).check(x, y)
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


def braille() -> list[dict[str, Any]]:
    """Cosine of mean hidden rates to what each platform recorded on the first real sample."""
    graph = read(BRAILLE / "braille_noDelay_noBias_subtract.nir")
    sample = np.load(BRAILLE / "test_sample_0_label_1.npy")
    models: dict[str, NDArray[Any]] = {}
    for method in METHODS:
        result = convert(graph, method=method, reset="subtract")
        models.setdefault("stepped float", hidden_float(result, sample))
        spikes = result.simulate(sample, record=True).spikes
        assert spikes is not None
        models[f"chip, {method}"] = spikes
    return [
        {
            "model": model,
            "spikes": int(spikes.sum()),
            **{
                name: cosine(
                    spikes.mean(axis=0),
                    recorded(f"{name}_activity").mean(axis=0),
                )
                for name in ("norse", "spyx", "snntorch")
            },
            "equal_to_spyx": bool(np.array_equal(spikes[:-1], recorded("spyx_activity")[1:])),
        }
        for model, spikes in models.items()
    ]


def hidden_float(result: Deployment, sample: NDArray[Any]) -> NDArray[Any]:
    """Hidden spikes (T, 40) of the source network in its own steps."""
    name = result.placement.hidden[0].name
    return simulate_stepped(result.source, sample, result.dynamics).spikes[name]


def recorded(name: str) -> NDArray[np.float64]:
    """Activity (256, 40) that a platform recorded."""
    array = np.load(BRAILLE / f"{name}_noDelay_noBias_subtract.npy")
    return np.asarray(array, np.float64).reshape(256, 40)


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows as a table; shares in per cent where they are accuracies."""
    shown = Table(*rows[0], title=title)
    for row in rows:
        shown.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    return shown


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    found = {"examples": examples()}
    console = Console(width=120)
    console.print(table("Example networks on Xylo Audio 2", found["examples"]))
    if BRAILLE.is_dir():
        found["braille"] = braille()
        console.print(table("Braille, first real sample: rate cosines", found["braille"]))
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
