"""The command in one process: usage, mistakes, what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from nirbridge import cli, convert, read
from nirbridge.graph.write import write
from tests.conftest import GRAPHS, ROOT

GOOD = GRAPHS / "refused" / "good.nir"
RASTER = GRAPHS / "refused" / "good.npy"


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def codes(self) -> list[str]:
        return [line.split()[0] for line in self.err.splitlines() if line[:2] == "NB"]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Runs ``nirbridge`` within this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
        self.monkeypatch, self.capfd = monkeypatch, capfd

    def __call__(self, *words: object) -> Done:
        self.monkeypatch.setattr(sys, "argv", ["nirbridge", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self.capfd.readouterr()
        assert "Traceback" not in err
        return Done(int(end.value.code or 0), out, err)


@pytest.fixture
def nirbridge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_the_version_is_that_of_the_package(nirbridge: Command) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    done = nirbridge("--version")
    assert (done.code, done.out.split()[0]) == (0, "nirbridge")
    assert f'\nversion = "{done.out.split()[1]}"\n' in project


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cli") / "good"
    convert(read(GOOD)).save(place)
    return place


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- convert ---------------------------------------------------------------------------------


def test_convert_makes_a_whole_directory(nirbridge: Command, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    done = nirbridge("convert", GOOD, "-o", out, "-v")
    assert (done.code, done.err) == (0, "")
    assert left(tmp_path / "a") == ["b"]
    files = ["config.json", "deployed.nir", "deployment.json", "lowered.nir", "shifted.nir"]
    assert left(out) == [*files, "source.nir"]
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o666 & ~mask}


def test_a_refusal_leaves_nothing(nirbridge: Command, tmp_path: Path) -> None:
    for words in (["--method", "guess"], ["--target", "loihi"], ["--dt", "nan"], ["--dt", "-1"]):
        assert nirbridge("convert", GOOD, "-o", tmp_path / "x" / "y", *words).code == 3
    assert left(tmp_path) == []


@pytest.mark.parametrize("word", ["few", "-1", "1.5", "", "²", "9" * 5000])
def test_spikes_per_step_is_a_number(word: str, nirbridge: Command, tmp_path: Path) -> None:
    done = nirbridge("convert", GOOD, "-o", tmp_path / "x", f"--spikes-per-step={word}")
    assert done.code == 2
    assert "neither a number nor 'any'" in done.err.replace("\n", " ")


def test_force_replaces_a_deployment_only(nirbridge: Command, tmp_path: Path) -> None:
    for taken in ("file", "folder"):
        place = tmp_path / taken
        if taken == "folder":
            place.mkdir()
            (place / "thesis.tex").write_text("important")
        else:
            place.write_text("important")
        for words in ([], ["--force"]):
            assert nirbridge("convert", GOOD, "-o", place, *words).codes == ["NB805"]
    assert (tmp_path / "file").read_text() == "important"
    assert left(tmp_path / "folder") == ["thesis.tex"]

    place = tmp_path / "again"
    assert nirbridge("convert", GOOD, "-o", place).code == 0
    before = (place / "deployment.json").read_text()
    assert nirbridge("convert", GOOD, "-o", place).codes == ["NB805"]
    bad = GRAPHS / "refused" / "NB201_nan.nir"
    assert nirbridge("convert", bad, "-o", place, "--force").codes == ["NB201"]
    assert (place / "deployment.json").read_text() == before
    assert nirbridge("convert", GOOD, "-o", place, "--force", "--method", "global").code == 0
    assert (place / "deployment.json").read_text() != before
    assert left(tmp_path) == ["again", "file", "folder"]


def test_an_empty_folder_needs_force(nirbridge: Command, tmp_path: Path) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    assert nirbridge("convert", GOOD, "-o", place).codes == ["NB805"]
    assert nirbridge("convert", GOOD, "-o", place, "--force").code == 0


def test_calibration(nirbridge: Command, tmp_path: Path) -> None:
    busy = tmp_path / "busy.npy"
    np.save(busy, np.full((50, 2), 15))
    words = ["convert", GOOD, "--calibration", busy, "--json", "-o"]
    done = nirbridge(*words, tmp_path / "a")
    assert done.code == 0
    quiet = nirbridge("convert", GOOD, "--json", "-o", tmp_path / "b").json["journal"]
    assert [note for note in done.json["journal"] if note not in quiet] == [
        note for note in done.json["journal"] if note["stage"] == "calibration"
    ]
    events = tmp_path / "events.csv"
    events.write_text("0.001,0\n0.002,1\n")
    words[3] = events
    assert nirbridge(*words, tmp_path / "c").code == 0
    np.save(busy, np.ones((5, 3), int))
    words[3] = busy
    done = nirbridge(*words, tmp_path / "d")
    assert (done.code, done.codes) == (3, ["NB802"])
    assert [d["code"] for d in done.json["refused"]] == ["NB802"]
    assert left(tmp_path) == ["a", "b", "busy.npy", "c", "events.csv"]


# --- simulate and check ----------------------------------------------------------------------


def test_simulate_writes_what_was_asked(
    nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    done = nirbridge("simulate", deployment, RASTER, "-o", out, "--json")
    assert set(done.json) >= {"file", "shape", "output_spikes", "clipped_inputs"}
    with np.load(out) as stored:
        assert sorted(stored.files) == ["dt", "output"]
        before = stored["output"]
    assert nirbridge("simulate", deployment, RASTER, "-o", out).codes == ["NB805"]
    assert nirbridge("simulate", deployment, RASTER, "-o", out, "--force", "--record").code == 0
    with np.load(out) as stored:
        assert "v_mem" in stored.files
        np.testing.assert_array_equal(stored["output"], before)
    assert left(tmp_path) == ["out.npz"]


@pytest.mark.parametrize(
    ("out", "words", "code"),
    [
        ("out.npy", ["--record"], "NB806"),  # states would be lost
        ("out.csv", ["--record"], "NB806"),
        ("out.txt", [], "NB806"),
        ("out", [], "NB806"),
        ("folder.npy", [], "NB807"),
        ("folder.npy", ["--force"], "NB807"),
        ("none/out.npy", [], "NB807"),
    ],
)
def test_places_for_output(
    out: str, words: list[str], code: str, nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.npy").mkdir()
    done = nirbridge("simulate", deployment, RASTER, "-o", tmp_path / out, *words)
    assert (done.code, done.codes) == (3, [code])
    assert left(tmp_path) == ["folder.npy"]


def test_a_batch_is_no_list_of_events(
    nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "batch.npy", np.ones((2, 3, 2), np.uint8))
    words = ["simulate", deployment, tmp_path / "batch.npy", "-o"]
    assert nirbridge(*words, tmp_path / "out.csv").codes == ["NB806"]
    assert nirbridge(*words, tmp_path / "out.npy").code == 0


def test_output_that_cannot_be_written_is_refused_before_simulating(
    nirbridge: Command, deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nirbridge.deployment.simulate", None)
    (tmp_path / "out.npy").write_bytes(b"mine")
    words = ["simulate", deployment, RASTER, "-o", tmp_path / "out.npy"]
    assert nirbridge(*words).codes == ["NB805"]


def test_long_recordings(nirbridge: Command, deployment: Path, tmp_path: Path) -> None:
    """Ten minutes in steps of a millisecond, as events and as counts."""
    rng = np.random.default_rng(1)
    steps = np.sort(rng.integers(0, 600_000, 200_000))
    channels = rng.integers(0, 2, len(steps))
    raster = np.zeros((steps[-1] + 1, 2), np.uint8)
    np.add.at(raster, (steps, channels), 1)
    np.save(tmp_path / "counts.npy", raster)
    lines = [f"{t + 0.5:.1f}e-3,{c}" for t, c in zip(steps, channels, strict=True)]
    (tmp_path / "events.csv").write_text("time,channel\n" + "\n".join(lines))
    found = []
    for name in ("counts.npy", "events.csv"):
        out = tmp_path / f"{name}.npy"
        assert nirbridge("simulate", deployment, tmp_path / name, "-o", out).code == 0
        found.append(np.load(out))
    assert len(found[0]) == len(raster)
    np.testing.assert_array_equal(*found)


def test_no_steps_at_all(nirbridge: Command, deployment: Path, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("time,channel\n")
    out = tmp_path / "out.npy"
    assert nirbridge("simulate", deployment, tmp_path / "none.csv", "-o", out).code == 0
    assert np.load(out).shape == (0, 2)


@pytest.mark.parametrize("shape", [(2, 0, 2), (0, 5, 2), (0, 2)])
def test_nothing_can_be_said_without_steps_or_samples(
    shape: tuple[int, ...], nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    raster = tmp_path / "empty.npz"
    np.savez(raster, x=np.zeros(shape, np.uint8), y=np.zeros(shape[0] if shape[2:] else 1, int))
    words = ["-o", tmp_path / "x"]
    for command in (["check", deployment, raster], ["finetune", deployment, raster, *words]):
        assert nirbridge(*command).codes == ["NB801"], command
    assert left(tmp_path) == ["empty.npz"]


@pytest.mark.parametrize("tolerance", ["nan", "-0.1", "1.1", "much"])
def test_tolerance_is_a_share(tolerance: str, nirbridge: Command, deployment: Path) -> None:
    assert nirbridge("check", deployment, RASTER, f"--tolerance={tolerance}").code == 2


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0.0, 1.0], [[0, 1]], ["a", "b"], [-1, 0]])
def test_labels(
    labels: list[Any], nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    place = tmp_path / "raster.npz"
    np.savez(place, x=np.ones((2, 5, 2), np.uint8), y=np.array(labels))
    done = nirbridge("check", deployment, place, "--ideal", 0)
    assert (done.code, done.codes) == (3, ["NB804"])


# --- mistakes --------------------------------------------------------------------------------


def test_a_directory_instead_of_a_file(
    nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    for words in (
        ["convert", tmp_path, "-o", tmp_path / "x"],
        ["inspect", tmp_path],
        ["simulate", tmp_path, RASTER, "-o", tmp_path / "x.npy"],
        ["simulate", GOOD, RASTER, "-o", tmp_path / "x.npy"],
        ["simulate", deployment, tmp_path, "-o", tmp_path / "x.npy"],
        ["check", deployment, tmp_path],
        ["inspect", "x" * 5000],
    ):
        done = nirbridge(*words)
        assert (done.code, done.codes) == (3, ["NB101"]), words
    assert left(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_files_that_may_not_be_read(nirbridge: Command, tmp_path: Path) -> None:
    secret = tmp_path / "graph.nir"
    secret.write_bytes(GOOD.read_bytes())
    secret.chmod(0)
    assert nirbridge("inspect", secret).codes == ["NB101"]


@pytest.mark.parametrize("dt", ["0", "-1", "nan", "inf"])
def test_inspect_refuses_what_is_no_step(dt: str, nirbridge: Command) -> None:
    assert nirbridge("inspect", GOOD, f"--dt={dt}").codes == ["NB304"]


def test_names_are_shown_as_they_are(nirbridge: Command, tmp_path: Path) -> None:
    """Rich takes [red] for a colour, [/x] for a mistake and :smile: for a picture."""
    name = "[red]:smile:"
    graph = read(GOOD)
    graph.nodes = {name if n == "hidden" else n: node for n, node in graph.nodes.items()}
    graph.edges = [tuple(name if n == "hidden" else n for n in edge) for edge in graph.edges]
    (tmp_path / "[").mkdir()
    place = tmp_path / "[/red].nir"
    write(graph, place)
    assert name in nirbridge("inspect", place).out
    assert name in nirbridge("convert", place, "-o", tmp_path / "[/a]", "-v").out
    out = tmp_path / "[/b].npy"
    assert "[/b].npy" in nirbridge("simulate", tmp_path / "[/a]", RASTER, "-o", out).out
    assert nirbridge("check", tmp_path / "[/a]", RASTER, "--ideal", 0, "--tolerance", 1).code == 0


def test_escapes_in_names_are_shown(nirbridge: Command, tmp_path: Path) -> None:
    """No file name changes the colours or the title of a terminal."""
    place = tmp_path / "a\x1b[31m\x1b]0;title\x07.nir"
    place.write_bytes(GOOD.read_bytes())
    out = tmp_path / "out\x1b[31m"
    for words in (
        ["inspect", place],
        ["targets", "--fits", place],
        ["convert", place, "-o", out],
        ["simulate", out, RASTER, "-o", tmp_path / "\x1b[31m.npy"],
        ["export", out, "--format", "json", "-o", tmp_path / "\x1b[31m.json"],
        ["report", out, "-o", tmp_path / "r\x1b[31m.html"],
        ["bench", place, "--random", 0.5, "--on", "stepped", "--repeat", 1],
    ):
        done = nirbridge(*words)
        assert done.code == 0, done.err
        assert "\x1b" not in done.out
        assert "\x07" not in done.out


@pytest.mark.parametrize(
    "words",
    [
        ["convert", GOOD, "-o", "x", "--node", "input"],
        ["targets", "--dt", "0.001"],
        ["targets", "--reset", "value"],
        ["targets", "--scheme", "euler"],
        ["targets", "--spikes-per-step", "1"],
        ["report", "x", "-o", "x.html", "--node", "input"],
        ["deploy", "x", "--node", "input"],
    ],
)
def test_options_that_would_be_ignored_are_wrong_usage(
    words: list[object], nirbridge: Command
) -> None:
    done = nirbridge(*words)
    assert done.code == 2
    assert "not without" in done.err


def test_remedies_fit_what_was_wrong(
    nirbridge: Command, deployment: Path, tmp_path: Path
) -> None:
    for words, code, says in (
        (["simulate", deployment, RASTER, "-o", tmp_path / "a.txt"], "NB806", ".npy"),
        (["inspect", tmp_path], "NB101", "is a directory"),
        (["check", deployment, tmp_path], "NB101", "is a directory"),
        (["inspect", tmp_path / "gone"], "NB101", "no file"),
        (["import", deployment / "deployment.json", "-o", tmp_path / "x"], "NB705",
         "'nirbridge/deployment'"),
        (["inspect", GOOD, "--dt", "nan"], "NB304", "--dt"),
    ):  # fmt: skip
        done = nirbridge(*words)
        assert done.codes == [code]
        assert says in done.err
    assert left(tmp_path) == []


# --- the process -----------------------------------------------------------------------------


def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nirbridge", *map(str, words)]
    return subprocess.run(command, text=True, timeout=60, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "words", [["--help"], ["targets", "--json"], ["inspect", GOOD], ["inspect", "gone", "--json"]]
)
def test_nobody_reads(words: list[object]) -> None:
    """Stdout is a pipe that is closed at the other end from the start."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == (3 if "gone" in words else 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    "words", [["--help"], ["targets"], ["inspect", GOOD], ["inspect", "gone", "--json"], ["bogus"]]
)
def test_output_that_takes_nothing(words: list[object]) -> None:
    """What could not be shown is no success; what is refused is said where that can be."""
    with Path("/dev/full").open("w") as full:
        done = run(*words, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == (2 if words == ["bogus"] else 3)
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        done = run(*words, stdout=subprocess.PIPE, stderr=full)
        assert done.returncode == (3 if "gone" in words or words == ["bogus"] else 0)
        assert "Traceback" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "nirbridge").mkdir()
    early = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    (tmp_path / "nirbridge" / "__init__.py").write_text(early)
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from nirbridge_command import main\nmain()"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "")


def test_a_terminal_without_greek_letters() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("inspect", GOOD, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_imports_stay_small() -> None:
    heavy = {"torch", "snntorch", "norse", "rockpool", "numba", "matplotlib", "scipy"}
    code = f"import sys, nirbridge; sys.exit(' '.join({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_what_fits_on_which_chip(nirbridge: Command) -> None:
    path = GRAPHS / "digits_lif.nir"
    found = nirbridge("targets", "--fits", path, "--json")
    assert found.code == 0
    assert {name for name, said in found.json.items() if not said["fits"]} == {"xylo-1"}
    assert found.json["xylo-1"]["reasons"][0]["code"] == "NB601"
    hidden = found.json["xylo-imu"]["resources"]["hidden"]
    assert (hidden["used"], hidden["limit"], hidden["fits"]) == (216, 496, True)
    shown = nirbridge("targets", "--fits", path)
    assert shown.code == 0
    for text in ("output_neurons", "216 / 496", "17 / 16", "xylo-1: NB601"):
        assert text in shown.out
    unknown = nirbridge("targets", "--fits", GRAPHS / "refused" / "NB301_no_dt.nir")
    assert (unknown.code, unknown.codes) == (3, ["NB301"])
    step = nirbridge("targets", "--fits", GRAPHS / "refused" / "NB301_no_dt.nir", "--dt", 1e-3)
    assert step.code == 0


def test_pruning_is_an_option(nirbridge: Command, tmp_path: Path) -> None:
    path = GRAPHS / "refused" / "NB604_fan_out.nir"
    refused = nirbridge("convert", path, "-o", tmp_path / "a")
    assert (refused.code, refused.codes) == (3, ["NB604"])
    assert "--prune fan-out" in refused.err
    assert "36 too many" in refused.err
    done = nirbridge("convert", path, "-o", tmp_path / "a", "--prune", "fan-out", "--json")
    assert done.code == 0
    notes = [note for note in done.json["journal"] if note["stage"] == "fan-out"]
    assert any("36 of 100" in note["what"] for note in notes)
    wrong = nirbridge("convert", path, "-o", tmp_path / "b", "--prune", "all")
    assert (wrong.code, wrong.codes) == (3, ["NB806"])


def test_all_chips_are_listed_with_what_sources_disagree_about(nirbridge: Command) -> None:
    shown = nirbridge("targets")
    for text in ("xylo-imu", "SYNS65302", "SYNS61300, v1", "assumed", "inferred", "note:"):
        assert text in shown.out
    found = nirbridge("targets", "--json").json
    assert "64 000" in found["xylo-audio-2"]["entries"]["note"]
    assert found["xylo-1"]["weight_bits"]["value"] == 8


def test_narrow_terminals_cut_nothing(
    nirbridge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    for words in (("targets",), ("inspect", GRAPHS / "digits_conv.nir")):
        done = nirbridge(*words)
        assert "…" not in done.out
        assert max(map(len, done.out.splitlines())) <= 50
