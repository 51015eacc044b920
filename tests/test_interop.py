"""The page's table of what comes through between the frameworks still holds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.interop import EXPORTERS, IMPOSSIBLE, KINDS, cells, tables
from benchmarks.interop.__main__ import PAGE, one_thread
from nirbridge import adapters, optional

STEPS = 20
COMPILED = {"spyx": ("LIF", "recurrent CubaLIF")}
"""Kinds of importers that compile each model anew: not all of them, to be quick."""


@pytest.mark.parametrize("importer", adapters.IMPORTERS)
def test_cells_of_the_page_are_exact(importer: str) -> None:
    """As many layer kinds as it says, on short rasters; all of them where it says all."""
    for framework in (*adapters.FRAMEWORKS, importer):
        if not optional.installed(framework):
            pytest.skip(f"{framework} is not installed")
    one_thread()
    kinds = COMPILED.get(importer, KINDS)
    promised = tables.parse(PAGE.read_text(encoding="utf-8"), tables.TITLES["ours"])
    for exporter in EXPORTERS:
        possible = [k for k in kinds if (exporter, k) not in IMPOSSIBLE]
        found = {k: cells.outcome(exporter, importer, k, "ours", STEPS, 1) for k in possible}
        exact = [k for k, o in found.items() if o.word == "exact"]
        least = promised[exporter, importer] if kinds is KINDS else len(possible)
        assert len(exact) >= least, {k: str(o) for k, o in found.items()}


def test_the_page_names_what_is_impossible() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for (exporter, kind), reason in IMPOSSIBLE.items():
        assert f"* {kind}, from {exporter}: impossible ({reason}; nearest: " in text


def test_every_promise_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for by, importers in (("ours", adapters.IMPORTERS), ("theirs", adapters.FRAMEWORKS)):
        promised = tables.parse(text, tables.TITLES[by])
        assert set(promised) == {(e, i) for e in EXPORTERS for i in importers}


def test_comparison_of_spikes_is_strict() -> None:
    spikes = (np.random.default_rng(0).random((1, 50, 4)) < 0.3).astype(np.float32)
    late = np.concatenate([np.zeros((1, 1, 4), np.float32), spikes[:, :-1]], axis=1)
    other = spikes.copy()
    other[0, 7, 2] = 1 - other[0, 7, 2]
    assert cells.compare(spikes, spikes).word == "exact"
    assert cells.compare(spikes, late).word == "exact after lag 1"
    assert cells.compare(spikes, other).detail.startswith("t7, ")
    assert cells.compare(0 * spikes, 0 * spikes).word == "error"
    assert "shape" in cells.compare(spikes, spikes[..., :2]).detail


def test_comparison_of_membranes_allows_rounding_only() -> None:
    v = np.random.default_rng(0).normal(size=(1, 50, 4)).astype(np.float32)
    assert cells.compare(v, v * np.float32(1 + 1e-6)).word == "exact"
    assert cells.compare(v, v * np.float32(1 + 1e-4)).word == "differs"


def test_the_section_of_a_file_is_replaced(tmp_path: object) -> None:
    path = PAGE.__class__(f"{tmp_path}/x.md")
    path.write_text(f"a\n{tables.BEGIN}\nold\n{tables.END}\nb\n", encoding="utf-8")
    tables.replace_section(path, "new")
    assert path.read_text(encoding="utf-8") == f"a\n{tables.BEGIN}\nnew\n{tables.END}\nb\n"
