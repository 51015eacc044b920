"""The command as a user meets it: output, JSON, exit codes, interruptions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import GRAPHS, hear_interruptions, interrupted

GRAPH, DIGITS = GRAPHS / "digits_cuba.nir", GRAPHS / "digits.npz"


def nirbridge(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nirbridge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("command") / "out"
    assert nirbridge("convert", GRAPH, "-o", place).returncode == 0
    return place


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    """Stdout must be JSON and nothing else."""
    return json.loads(done.stdout)


def test_help_names_the_commands_and_exit_codes() -> None:
    done = nirbridge("--help")
    assert done.returncode == 0
    words = "convert", "simulate", "check", "bench", "report", "inspect", "targets", "Exit codes"
    for word in words:
        assert word in done.stdout


@pytest.mark.parametrize("words", [["nonsense"], ["convert"], ["check", "a", "b", "--ideal", "x"]])
def test_wrong_usage(words: list[str]) -> None:
    done = nirbridge(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_json_of_every_command(deployment: Path, tmp_path: Path) -> None:
    made = parsed(nirbridge("convert", GRAPH, "-o", tmp_path / "a", "--json"))
    assert made["journal"]
    done = nirbridge("simulate", deployment, DIGITS, "-o", tmp_path / "s.npz", "--json")
    assert parsed(done)["shape"] == [433, 44, 8]
    drift = parsed(nirbridge("check", deployment, DIGITS, "--json", "--ideal", 0))
    assert drift["within"] is True
    losses = [rung["loss"] for rung in drift["rungs"]]
    assert sum(losses) == pytest.approx(1 - drift["agreement"])
    found = parsed(nirbridge("inspect", GRAPH, "--json"))
    assert found["targets"]["xylo-audio-2"]["fits"] is True
    assert found["dynamics"]["reset"] == "subtract"
    assert parsed(nirbridge("targets", "--json"))["xylo-audio-2"]["hidden"]["value"] == 1000


def test_refusals_in_json(tmp_path: Path) -> None:
    path = GRAPHS / "refused" / "NB202_tau_zero.nir"
    done = nirbridge("convert", path, "-o", tmp_path / "x", "--json")
    assert done.returncode == 3
    assert [d["code"] for d in parsed(done)["refused"]] == ["NB202"]


def test_check_beyond_its_tolerance(tmp_path: Path) -> None:
    coarse = tmp_path / "coarse"
    assert nirbridge("convert", GRAPH, "-o", coarse, "--method", "global").returncode == 0
    done = nirbridge("check", coarse, DIGITS, "--tolerance", 0.001, "--ideal", 0)
    assert done.returncode == 1
    assert "BEYOND" in done.stdout


def test_events_are_binned_at_dt(deployment: Path, tmp_path: Path) -> None:
    raster = np.zeros((30, 16), np.uint8)
    raster[[0, 3, 3, 29], [2, 5, 6, 15]] = [1, 2, 1, 1]
    np.save(tmp_path / "r.npy", raster)
    events = [(t, c) for t, c in np.argwhere(raster) for _ in range(raster[t, c])]
    lines = [f"{(t + 0.5) * 1e-4:.8f},{c}" for t, c in events]
    (tmp_path / "r.csv").write_text("\n".join(["time,channel", *lines]) + "\n")
    outputs = []
    for kind in ("npy", "csv"):
        out = tmp_path / f"from_{kind}.npz"
        done = nirbridge("simulate", deployment, tmp_path / f"r.{kind}", "-o", out, "--record")
        assert done.returncode == 0, done.stderr
        with np.load(out) as stored:
            outputs.append({name: stored[name] for name in stored.files})
    assert set(outputs[0]) >= {"output", "spikes", "v_mem", "i_syn_out", "dt"}
    for name, values in outputs[0].items():
        np.testing.assert_array_equal(outputs[1][name], values)


def test_output_as_events(deployment: Path, tmp_path: Path) -> None:
    with np.load(DIGITS) as stored:
        np.save(tmp_path / "one.npy", stored["x"][0])
    for suffix in ("npy", "csv"):
        nirbridge("simulate", deployment, tmp_path / "one.npy", "-o", tmp_path / f"out.{suffix}")
    spikes = np.load(tmp_path / "out.npy")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "time,channel"
    assert len(lines) - 1 == spikes.sum() > 0


def test_dynamics_on_the_command_line(tmp_path: Path) -> None:
    words = ["--dt", 2e-4, "--reset", "subtract", "--scheme", "euler", "--spikes-per-step", "any"]
    done = nirbridge("convert", GRAPH, "-o", tmp_path / "a", *words)
    assert done.returncode == 3  # the record's late reset has no meaning with many spikes
    assert "NB304" in done.stderr
    done = nirbridge("convert", GRAPH, "-o", tmp_path / "a", "--dt", 2e-4)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "a" / "deployment.json").read_text())
    assert record["dynamics"]["dt"] == 2e-4
    done = nirbridge("convert", GRAPH, "-o", tmp_path / "b", "--spikes-per-step", "few")
    assert done.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interruption_leaves_no_traceback(deployment: Path) -> None:
    words = ["check", str(deployment), str(DIGITS), "--ideal", "40"]
    command = [sys.executable, "-m", "nirbridge", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_interruptions,
    )  # fmt: skip
    time.sleep(4)
    errors = interrupted(process)
    assert process.returncode != 0
    assert "Traceback" not in errors


def test_closed_pipe() -> None:
    command = f"{sys.executable} -m nirbridge targets | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
