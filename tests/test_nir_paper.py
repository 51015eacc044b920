"""The NIR paper's tasks: the camera's model, and what the benchmark claims."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import paper_braille, paper_events, paper_lif
from nirbridge import adapters


def test_camera() -> None:
    """The same every time, more where there is more contrast, silent in the dark."""
    pytest.importorskip("scipy", reason="scipy comes with scikit-learn")
    image = np.zeros((8, 8))
    assert not paper_events.events(image, 10).any()
    image[2:6, 3:5] = 16
    found = paper_events.events(image, 10)
    assert found.shape == (10, 2 * 34 * 34)
    assert np.array_equal(found, paper_events.events(image, 10))
    assert np.array_equal(found.reshape(5, 2, -1).sum(axis=1), paper_events.events(image, 5))
    image[2:6, 3:5] = 10
    assert paper_events.events(image, 10).sum() < found.sum()
    off, on = found.sum(axis=0, dtype=int).reshape(2, 34, 34)
    assert off.sum() == pytest.approx(on.sum(), rel=0.1)  # the way ends where it began
    assert np.abs(on - off).max() <= 4
    edges = np.flatnonzero((on + off).sum(axis=0))
    assert (edges.min(), edges.max()) == (11, 22)  # 5 pixels of a stroke and 7 of the way


def test_samples_are_of_all_digits() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    raster, labels = paper_events.load(100, 3)
    assert raster.shape == (100, 3, 2 * 34 * 34)
    assert set(labels.tolist()) == set(range(10))
    assert raster.any(axis=(1, 2)).all()


def test_lif(reference: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(adapters, "FRAMEWORKS", ())
    rows, traces = paper_lif.measure(reference / "lif")
    assert paper_lif.verdict(rows).startswith("closest: nirbridge continuous")
    assert paper_lif.plot(traces, tmp_path / "plots").stat().st_size > 10_000


def test_braille(reference: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(adapters, "FRAMEWORKS", ())
    rows, found, recorded = paper_braille.measure(reference / "braille")
    by_model = {row["model"]: row for row in rows}
    assert by_model["nirbridge stepped"]["spyx"] == "1.000 equal"
    assert {row["says"] for row in rows[:4]} == {1}
    assert paper_braille.plot(found, recorded, tmp_path).stat().st_size > 10_000


def test_missing_data_are_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.nir_paper", "--reference", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'lif'} is missing")
    assert "Traceback" not in done.stderr
