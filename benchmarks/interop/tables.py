"""The tables: all cells for the screen, and counts of them for ``docs/measured.md``."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from benchmarks.interop.cells import TOLERANCE, Outcome
from benchmarks.interop.nets import EXPORTERS, IMPOSSIBLE, KINDS

Cells = dict[tuple[str, str, str], Outcome]
"""Outcome of (exporter, layer kind, importer)."""

BEGIN, END = "<!-- interop:begin -->", "<!-- interop:end -->"
TITLES = {"ours": "Through nirbridge", "theirs": "Through the frameworks' own functions"}


def table(title: str, cells: Cells, importers: Iterable[str]) -> Table:
    """Rows: exporter and layer kind. Columns: importers."""
    made = Table(title=title, caption=counts(cells))
    names = list(importers)
    for column in ("exporter", "layers", *names):
        made.add_column(column, overflow="fold")
    for exporter in EXPORTERS:
        for kind in KINDS:
            row = [cells.get((exporter, kind, i)) for i in names]
            if any(row):
                made.add_row(exporter, kind, *(str(o or "") for o in row))
    return made


def counts(cells: Cells) -> str:
    """How many cells have each word."""
    words = Counter(o.word for o in cells.values())
    return f"{len(cells)} cells: " + ", ".join(f"{n} {word}" for word, n in words.most_common())


def exact(cells: Cells, exporter: str, importer: str) -> int:
    """How many layer kinds come through spike for spike, in the same step."""
    return sum(
        o.word == "exact" for (e, _, i), o in cells.items() if (e, i) == (exporter, importer)
    )


def expressed(exporter: str) -> int:
    """How many layer kinds a framework can express."""
    return sum((exporter, kind) not in IMPOSSIBLE for kind in KINDS)


def matrix(cells: Cells) -> str:
    """Exact layer kinds of those that the exporter has: exporters × importers, in Markdown."""
    importers = list(dict.fromkeys(i for _, _, i in cells))
    head = ["from ↓ to →", *importers]
    rows = [head, ["---"] * len(head)]
    for exporter in dict.fromkeys(e for e, _, _ in cells):
        of = expressed(exporter)
        rows.append([exporter, *(f"{exact(cells, exporter, i)}/{of}" for i in importers)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def remarks(cells: Cells) -> str:
    """What is not exact, and why: one line for exporters and importers that have it in common."""
    to: dict[tuple[str, str, str], list[str]] = {}
    for (exporter, kind, importer), outcome in cells.items():
        if outcome.word != "exact":
            to.setdefault((exporter, kind, str(outcome)), []).append(importer)
    everyone = len({i for _, _, i in cells})
    lines: dict[tuple[str, str, str], list[str]] = {}
    for (exporter, kind, words), importers in to.items():
        where = "" if len(importers) == everyone else f" to {', '.join(importers)}"
        lines.setdefault((kind, where, words), []).append(exporter)
    return "\n".join(
        f"* {kind}, from {', '.join(exporters)}{where}: {words}"
        for (kind, where, words), exporters in lines.items()
    )


def section(results: dict[str, Cells], steps: int, seeds: int) -> str:
    """The text between the page's markers."""
    frameworks = list(dict.fromkeys(EXPORTERS.values()))
    importers = {i for cells in results.values() for _, _, i in cells} - set(frameworks)
    versions = ", ".join(f"{n} {version(n)}" for n in [*frameworks, *sorted(importers)])
    head = (
        f"{len(KINDS)} networks ({'; '.join(KINDS)}), {steps} steps, seeds: {seeds}. Of those that "
        "a framework can express, how many compute the same in another, spike for spike "
        f"(membranes of LI readouts to {TOLERANCE:g} of the largest)? Written by `python -m "
        f"benchmarks.interop --steps {steps} --seeds {seeds} --write` with {versions}."
    )
    text = [textwrap.fill(head, 100, break_on_hyphens=False)]
    for by, cells in results.items():
        text += [f"{TITLES[by]}: {counts(cells)}.", matrix(cells)]
        if by == "ours" and remarks(cells):
            text += ["What is not exact:", remarks(cells)]
    return "\n\n".join(text)


def replace_section(path: Path, text: str) -> None:
    """Write the text between the markers of a file."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def parse(text: str, title: str) -> dict[tuple[str, str], int]:
    """The counts in a page's matrix: (exporter, importer) → exact kinds."""
    _, _, rest = text.partition(BEGIN)
    _, _, rest = rest.partition(END)[0].partition(f"{title}:")
    rows = [line.strip("| ").split(" | ") for line in re.findall(r"(?m)^\|.*", rest)]
    found: dict[tuple[str, str], int] = {}
    importers = rows[0][1:]
    for row in rows[2:]:
        if row[0] == rows[0][0]:
            break
        found |= {
            (row[0], i): int(n.split("/")[0]) for i, n in zip(importers, row[1:], strict=True)
        }
    return found
