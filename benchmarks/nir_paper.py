"""The NIR paper's three tasks (arXiv 2311.14641), as far as their data exist.

``python -m benchmarks.nir_paper [--only lif|braille|cnn] [--reference DIR] [--output DIR]
[--json FILE]``

What each simulator gives stands beside what the paper recorded. The data are not part of this
repository: graphs and recordings of https://github.com/neuromorphs/NIR in the folders ``lif``,
``braille`` and ``cnn`` of the reference. The digits for ``cnn`` come with scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks import paper_braille, paper_cnn, paper_lif
from benchmarks.machine import write_json

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT.parent / "shared" / "reference" / "nir-paper"
TASKS = ("lif", "braille", "cnn")


def lif(folder: Path, output: Path, console: Console) -> list[dict[str, Any]]:
    """Print and plot the single neuron."""
    rows, traces = paper_lif.measure(folder)
    console.print(table("One LIF neuron, 1000 steps of 0.1 ms, against the exact solution", rows))
    console.print(paper_lif.verdict(rows))
    console.print(f"plot: {paper_lif.plot(traces, output)}")
    return rows


def braille(folder: Path, output: Path, console: Console) -> list[dict[str, Any]]:
    """Print and plot the recurrent network."""
    rows, found, recorded = paper_braille.measure(folder)
    title = "Braille, first sample (class 1): cosine of hidden rates, first step that differs"
    console.print(table(title, rows))
    console.print(f"plot: {paper_braille.plot(found, recorded, output)}")
    return rows


def cnn(folder: Path, output: Path, console: Console) -> list[dict[str, Any]]:
    """Print and plot the convolutional network."""
    rows, outputs, digits = paper_cnn.measure(folder)
    raster = digits[0]
    events = raster.sum() / len(raster)
    title = f"N-MNIST network, {len(raster)} digits of our own, {events:.0f} events each"
    console.print(table(title, rows))
    for place in paper_cnn.plot(outputs, digits, output):
        console.print(f"plot: {place}")
    return rows


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows as a table; what a row does not have stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shown = Table(*columns, title=title, box=SIMPLE)
    for row in rows:
        shown.add_row(*(_text(row.get(name)) for name in columns))
    return shown


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.05 else f"{value:.2g}"
    return "" if value is None else str(value)


def main() -> None:
    """Run the tasks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TASKS, help="one of the tasks")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="the paper's data")
    parser.add_argument("--output", type=Path, default=Path("nir-paper-out"), help="for the plots")
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # the frameworks' own, about their dependencies
    console = Console(width=150, highlight=False)
    found = {}
    for task in [options.only] if options.only else TASKS:
        folder = options.reference / task
        if not folder.is_dir():
            sys.exit(
                f"{folder} is missing: copy the paper's data there (see this file's beginning), "
                "or say where they are with --reference DIR"
            )
        found[task] = {"lif": lif, "braille": braille, "cnn": cnn}[task](
            folder, options.output, console
        )
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
