"""Mutated files against every reader.

``python -m benchmarks.fuzz [--cases N] [--workers N] [--only READER] [--keep DIR] [--json FILE]``

Each case damages a good file at random, reads it, and goes on with what was read: converts,
simulates, writes again. It must end in a result or in a refusal. Anything else is a failure:
another exception, a crash, a hang, more memory than there is, something that is run, and a file
that appears or changes outside of the output folder. Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.fuzz.case import FINE, READ, REFUSED, Outcome, mutated
from benchmarks.fuzz.readers import Reader, readers
from benchmarks.fuzz.workers import Case, outcomes
from benchmarks.machine import write_json


def cases(known: dict[str, Reader], count: int, first: int = 0) -> Iterator[Case]:
    """About ``count`` cases, shared out among the readers, in turns."""
    whole = sum(reader.share for reader in known.values())
    turns = -(-count // whole)
    for turn in range(turns):
        for name, reader in known.items():
            for k in range(reader.share):
                yield name, first + turn * reader.share + k


def summary(found: Iterable[Outcome]) -> list[dict[str, Any]]:
    """One row per reader: how many cases ended how, the slowest, and the most memory."""
    by_reader: dict[str, list[Outcome]] = {}
    for each in found:
        by_reader.setdefault(each.reader, []).append(each)
    rows = []
    for name, ended in by_reader.items():
        kinds = Counter(each.kind for each in ended)
        failures = {kind: n for kind, n in kinds.items() if kind not in FINE}
        rows.append(
            {
                "reader": name,
                "cases": len(ended),
                "read": kinds[READ],
                "refused": kinds[REFUSED],
                "failures": sum(failures.values()),
                "which": ", ".join(f"{n} {kind}" for kind, n in failures.items()),
                "slowest, s": round(max(each.seconds for each in ended), 2),
                "most memory, MB": round(max(each.grown for each in ended) / 1e6),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows, and their sum."""
    shown = Table(*rows[0], title="Mutated files")
    for row in rows:
        shown.add_row(*map(str, row.values()))
    sums = [str(sum(row[k] for row in rows)) for k in ("cases", "read", "refused", "failures")]
    shown.add_row("all", *sums, style="bold")
    return shown


def main() -> None:
    """Run the cases, print each failure as it comes and the counts at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for a case")
    parser.add_argument("--only", help="readers with this in their name")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("--json", help="also write the counts, with the machine, to this file")
    options = parser.parse_args()
    console, began, found = Console(width=140), time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        known = readers(Path(folder))
        chosen = {n: r for n, r in known.items() if (options.only or "") in n}
        queue = cases(chosen, options.cases, options.first)
        for each in outcomes(queue, options.workers, options.timeout):
            found.append(each)
            if each.kind not in FINE:
                console.print(f"{each.reader}, seed {each.seed}: {each.kind}\n{each.details}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    name = f"{each.kind}-{each.seed}{chosen[each.reader].suffix}"
                    content = mutated(chosen[each.reader], each.reader, each.seed)
                    (options.keep / name).write_bytes(content)
            if len(found) % 10_000 == 0:
                console.print(f"{len(found)} cases, {time.monotonic() - began:.0f} s")
    rows = summary(found)
    console.print(table(rows))
    if options.json:
        write_json(options.json, rows)
    sys.exit(any(row["failures"] for row in rows))


if __name__ == "__main__":
    main()
