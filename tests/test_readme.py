"""What the README says to type works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("$ "))
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ nirbridge")
]
WITH_SNNTORCH = re.findall(r"```py\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which ``graphs/`` is found, and typical input."""
    (tmp_path / "graphs").symlink_to(ROOT / "graphs")
    with np.load(ROOT / "graphs" / "digits.npz") as digits:
        np.savez(tmp_path / "typical.npz", x=digits["x"][:20])
    return tmp_path


def test_commands(place: Path) -> None:
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        done = subprocess.run(  # one after the other: later ones need what earlier ones wrote
            [sys.executable, "-m", *command], cwd=place, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program: str, place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", WITH_SNNTORCH)
def test_programs_with_snntorch(program: str, place: Path) -> None:
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    test_programs(program, place)


def test_files_named_exist() -> None:
    for name in re.findall(r"`((?:graphs|benchmarks|nirbridge|tests)/[\w./]*)`", TEXT):
        assert (ROOT / name).exists(), name
