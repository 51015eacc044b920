"""What the tests share: the example graphs, the reference data, the frameworks."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
GRAPHS = ROOT / "graphs"
REFERENCE = ROOT.parent / "shared" / "reference"
EXAMPLES = ("digits_conv", "digits_cuba", "digits_lif", "digits_recurrent")

ALL_INSTALLED = "NIRBRIDGE_ALL_INSTALLED"
"""Set by .ci/run, which installs every optional library."""


def missing(reason: str) -> NoReturn:
    """Skip what needs a library that is not there; fail where all of them should be."""
    if os.environ.get(ALL_INSTALLED):
        pytest.fail(f"{ALL_INSTALLED} is set, but {reason}")
    pytest.skip(reason)


def hear_interruptions() -> None:
    """In a new process: a shell that runs jobs in the background has them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(process: subprocess.Popen[str], seconds: float = 60) -> str:
    """Press Ctrl-C until a process ends, as a user does; what it wrote on stderr.

    While modules are imported or compiled an interruption may get lost in a callback.
    """
    end = time.monotonic() + seconds
    while True:
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                process.kill()
                raise


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """Test inputs (N, T, 16) and labels (N,) that go with all example graphs."""
    with np.load(GRAPHS / "digits.npz") as stored:
        return stored["x"], stored["y"]


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the NIR paper's data, which are not part of the repository."""
    folder = REFERENCE / "nir-paper"
    if not folder.is_dir():
        pytest.skip("the NIR paper's data are not beside this checkout")
    return folder
