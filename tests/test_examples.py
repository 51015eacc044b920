"""The programs under examples/ run as they are, and print what they are about."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing
from tests.test_architecture import imports

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WORDS = {"many_simulators": ["stepped", "continuous", "xylo"]}  # all of them take a while
PRINTS = {
    "calibrate_on_events": ["1 of the source's", "calibrate  dt"],
    "finetune_and_robustness": ["accuracy     clean", "with noise", "finetune     4 epochs"],
    "many_simulators": ["stepped", "continuous", "xylo", "compared with stepped"],
    "norse_round_trip": ["norse         the same spikes", "and back: the same spikes"],
    "snntorch_to_xylo": ["global", "channel", "fit", "is kept, in xylo-snntorch"],
    "too_large": ["NB604  fit", "6720 of 14400 recurrent connections removed", "it fits"],
}
NEEDS = {"finetune_and_robustness": {"torch"}}  # which it does not import itself


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    for module in sorted({m.split(".")[0] for m in imports(path)} | NEEDS.get(path.stem, set())):
        if find_spec(module) is None:
            missing(f"{module} is not installed")
    done = subprocess.run(
        [sys.executable, str(path), *WORDS.get(path.stem, [])],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [words for words in PRINTS[path.stem] if words not in done.stdout] == [], done.stdout


def test_all_are_in_the_documentation() -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in EXAMPLES if f"examples/{p.name}" not in text] == []
