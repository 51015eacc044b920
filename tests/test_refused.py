"""Every refusal has an example, and says where, what was allowed, what was found, what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge import Refused, XyloConfig, convert, read
from nirbridge.diagnostics import RULES
from nirbridge.graph.verify import verify
from tests.conftest import GRAPHS

FOLDER = GRAPHS / "refused"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())

# Codes that no file can bring about, with the test here that does.
BY_CALL = {"NB101", "NB208", "NB805", "NB807"}
# In test_continuous, test_bench, test_finetune, test_adapters, test_deploy.
ELSEWHERE = {
    "NB305", "NB306", "NB810", "NB811", "NB812", "NB901", "NB902", "NB903", "NB904", "NB905",
    "NB906", "NB907",
}


def run(command: str, **places: Path) -> subprocess.CompletedProcess[str]:
    words = [word.format(**places) for word in command.split()]
    return subprocess.run(
        [sys.executable, "-m", "nirbridge", *words], capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment of the small network that most examples are variants of."""
    place = tmp_path_factory.mktemp("good") / "deployment"
    convert(read(FOLDER / "good.nir")).save(place)
    return place


def codes(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line[:2] == "NB"]


@pytest.mark.parametrize("entry", CASES, ids=lambda e: e["file"])
def test_example_is_refused(entry: dict[str, Any], good: Path, tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    shutil.copytree(good, deployment)
    if entry["replaces"]:
        shutil.copy(FOLDER / entry["file"], deployment / entry["replaces"])
    places = {"file": FOLDER / entry["file"], "out": tmp_path / "out", "deployment": deployment}
    done = run(entry["command"], **places, raster=FOLDER / "good.npy")
    assert done.returncode == 3, done.stderr
    assert sorted(set(codes(done.stderr))) == sorted(entry["codes"]), done.stderr
    assert "Traceback" not in done.stderr
    for field in ("rule", "limit", "found", "remedy"):
        said = [x for x in done.stderr.splitlines() if x.strip().startswith(field)]
        lines = [x.split(maxsplit=1) for x in said]
        assert lines, f"no {field}"
        assert all(len(x) == 2 for x in lines), f"an empty {field}"
    assert [p.name for p in tmp_path.iterdir()] == ["deployment"], "something was left behind"


def test_every_code_has_an_example() -> None:
    shown = {code for entry in CASES for code in entry["codes"]}
    assert shown | BY_CALL | ELSEWHERE == set(RULES)


def test_the_good_ones_are_good(good: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    done = run("simulate {deployment} {raster} -o {out}", deployment=good,
               raster=FOLDER / "good.npy", out=out)
    assert done.returncode == 0, done.stderr
    assert out.exists()


def test_examples_are_small() -> None:
    assert max(p.stat().st_size for p in FOLDER.iterdir()) < 100_000
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 1_000_000


@pytest.mark.parametrize("command", [
    "convert {missing} -o {out}",
    "inspect {missing}",
    "simulate {missing} {raster} -o {out}",
    "check {missing} {raster}",
])
def test_missing_files(command: str, tmp_path: Path) -> None:
    places = {"missing": tmp_path / "gone.nir", "out": tmp_path / "out.npz"}
    done = run(command, **places, raster=FOLDER / "good.npy")
    assert (done.returncode, codes(done.stderr)) == (3, ["NB101"])
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_kept(good: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("important")
    for force in ("", " --force"):
        done = run("convert {file} -o {out}" + force, file=FOLDER / "good.nir", out=mine)
        assert (done.returncode, codes(done.stderr)) == (3, ["NB805"])
    assert (mine / "thesis.txt").read_text() == "important"
    done = run("convert {file} -o {out}", file=FOLDER / "good.nir", out=good)
    assert codes(done.stderr) == ["NB805"]
    done = run("convert {file} -o {out} --force", file=FOLDER / "good.nir", out=good)
    assert done.returncode == 0, done.stderr


def test_a_place_that_cannot_be_written() -> None:
    done = run("convert {file} -o {out}", file=FOLDER / "good.nir", out=Path("/proc/none/x"))
    assert (done.returncode, codes(done.stderr)) == (3, ["NB807"])
    assert "Traceback" not in done.stderr


def test_a_node_that_is_no_primitive() -> None:
    graph = read(FOLDER / "good.nir")
    graph.nodes["hidden"] = object()
    assert [d.code for d in verify(graph)] == ["NB208"]


def test_a_synapse_that_would_be_silent() -> None:
    config = convert(read(FOLDER / "good.nir")).config
    fields = {**config.to_dict(), "dash_syn": [0] * config.n_hidden}
    found = XyloConfig.from_dict(fields).violations()
    assert [d.code for d in found] == ["NB607"]
    assert found[0].found.startswith("dash_syn[0] = 0")


def test_all_reasons_of_a_stage_come_together() -> None:
    graph = read(FOLDER / "good.nir")
    graph.nodes["hidden"].tau_mem = np.array([0.0, 1.0, 1.0])
    graph.nodes["w1"].weight = np.full((3, 2), np.inf)
    with pytest.raises(Refused) as refusal:
        convert(graph)
    assert sorted(d.code for d in refusal.value.diagnostics) == ["NB201", "NB202"]
