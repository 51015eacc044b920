"""``python -m benchmarks.interop``: compare, print both tables, write those of the page."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.interop import EXPORTERS, KINDS, tables
from benchmarks.interop.cells import outcome
from benchmarks.machine import write_json
from nirbridge import adapters
from nirbridge.optional import installed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "measured.md"


def compute(by: str, steps: int, seeds: int) -> tables.Cells:
    """All cells of a table, for the frameworks that are installed."""
    own = adapters.IMPORTERS if by == "ours" else adapters.FRAMEWORKS
    importers = [f for f in own if installed(f)]
    return {
        (exporter, kind, importer): outcome(exporter, importer, kind, by, steps, seeds)
        for exporter, framework in EXPORTERS.items()
        if framework in importers
        for kind in KINDS
        for importer in importers
    }


def one_thread() -> None:
    """Small networks lose time with more."""
    if installed("torch"):
        import torch

        torch.set_num_threads(1)


def main() -> None:
    """Compare and print both tables."""
    parser = argparse.ArgumentParser(description="every framework out, every framework in")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(tables.TITLES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help=f"replace the tables in {PAGE.name}")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write takes both tables: leave out --only")
    one_thread()
    results, console = {}, Console()
    for by in [options.only] if options.only else tables.TITLES:
        cells = results[by] = compute(by, options.steps, options.seeds)
        importers = dict.fromkeys(i for _, _, i in cells)
        console.print(tables.table(tables.TITLES[by], cells, importers))
    if options.write:
        text = tables.section(results, options.steps, options.seeds)
        tables.replace_section(PAGE, text)
    if options.json:
        rows = {
            by: [
                {"exporter": e, "layers": k, "importer": i, **asdict(o)}
                for (e, k, i), o in cells.items()
            ]
            for by, cells in results.items()
        }
        write_json(options.json, {"steps": options.steps, "seeds": options.seeds, **rows})


if __name__ == "__main__":
    main()
