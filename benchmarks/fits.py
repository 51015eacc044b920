"""Which graphs fit which chip: ``python -m benchmarks.fits [GRAPH ...] [--json FILE]``.

By default the example graphs. ``nirbridge targets --fits GRAPH`` says it resource by resource.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import read
from nirbridge.targets import TARGETS
from nirbridge.usage import Usage, usage

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"


def fits(paths: list[Path]) -> dict[str, dict[str, Usage]]:
    """By graph and chip, in the order given."""
    return {
        path.stem: {use.chip.name: use for use in usage(read(path), TARGETS.values())}
        for path in paths
    }


def cell(use: Usage) -> str:
    """A chip in a word: how many neurons are used, or what there is too much of."""
    if use.fits:
        return f"{use.uses['hidden'].used} of {use.uses['hidden'].limit} neurons"
    over = [f"{name} {u.used} of {u.limit}" for name, u in use.uses.items() if u.fits is False]
    return "no: " + ", ".join(over or [d.code for d in use.reasons])


def table(found: dict[str, dict[str, Usage]]) -> Table:
    """One row per graph, one column per chip."""
    shown = Table("graph", *TARGETS, title="What fits")
    for graph, uses in found.items():
        shown.add_row(graph, *(cell(use) for use in uses.values()))
    return shown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="*", type=Path, default=sorted(GRAPHS.glob("*.nir")))
    parser.add_argument("--json", help="also write everything, with the machine, to this file")
    options = parser.parse_args()
    found = fits(options.graphs)
    Console().print(table(found))
    if options.json:
        content: dict[str, Any] = {
            graph: {name: use.to_dict() for name, use in uses.items()}
            for graph, uses in found.items()
        }
        write_json(options.json, content)


if __name__ == "__main__":
    main()
