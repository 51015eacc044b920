"""``convert --format``, ``export``, ``import`` and ``deploy`` as a user types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nirbridge
from nirbridge.configfiles import BESIDE, read_specification, write_config
from nirbridge.simulate import simulate
from tests import samna_standin
from tests.conftest import GRAPHS
from tests.test_cli import Command

GOOD = GRAPHS / "refused" / "good.nir"
RASTER = GRAPHS / "refused" / "good.npy"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, where a stand-in can be present."""
    return Command(monkeypatch, capfd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment in all formats, by a process of its own."""
    place = tmp_path_factory.mktemp("made") / "out"
    words = ["convert", str(GOOD), "-o", str(place), "--format", "json,rockpool"]
    command = [sys.executable, "-m", "nirbridge", *words, "--format", "samna"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def test_convert_writes_the_formats_beside_its_own(
    folder: Path, tmp_path: Path, run: Command
) -> None:
    names = {path.name for path in folder.iterdir()}
    config = nirbridge.load(folder).config
    for name in ("rockpool.npz", "rockpool.json", "samna.json", "config.json"):
        assert nirbridge.read_config(folder / name, "xylo-audio-2", config.dt) == config
    assert run("convert", GOOD, "-o", tmp_path / "plain").code == 0
    plain = {path.name for path in (tmp_path / "plain").iterdir()}
    assert names - plain == {"rockpool.npz", "rockpool.json", "samna.json", "samna.json.txt"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--format", "verilog"], "NB806"),
        (["--format", "json,,rockpool,verilog"], "NB806"),
        (["--format", "samna", "--target", "xylo-1"], "NB706"),
    ],
)
def test_formats_that_are_refused_before_anything_is_done(
    words: list[str], code: str, tmp_path: Path, run: Command
) -> None:
    done = run("convert", tmp_path / "no_such_graph.nir", "-o", tmp_path / "out", *words)
    assert (done.code, done.codes) == (3, [code])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "name"),
    [("rockpool", "a.npz"), ("rockpool", "a.json"), ("samna", "a.json"), ("json", "a.json")],
)
def test_there_and_back(form: str, name: str, folder: Path, tmp_path: Path, run: Command) -> None:
    config = nirbridge.load(folder).config
    place = tmp_path / name
    done = run("export", folder, "--format", form, "-o", place, "--json")
    assert done.code == 0
    assert done.json["files"][0] == str(place)
    assert all(Path(path).is_file() for path in done.json["files"])
    words = ["--target", "xylo-audio-2", "--dt", config.dt]
    assert run("import", place, "-o", tmp_path / "again", *words).code == 0
    again = nirbridge.load(tmp_path / "again")
    assert again.config == config
    raster = np.load(RASTER)
    np.testing.assert_array_equal(again.simulate(raster).output, simulate(config, raster).output)
    assert run("check", tmp_path / "again", RASTER).code == 0
    assert run("export", folder, "--format", form, "-o", place).codes == ["NB805"]
    assert run("export", folder, "--format", form, "-o", place, "--force").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["export", "{folder}", "--format", "rockpool", "-o", "{new}/a.csv"], "NB806"),
        (["export", "{folder}", "--format", "samna", "-o", "{new}/a.npz"], "NB806"),
        (["export", "{folder}", "--format", "hex", "-o", "{new}/a.json"], "NB806"),
        (["export", "{folder}", "--format", "json", "-o", "{new}/gone/a.json"], "NB807"),
        (["export", "{new}/gone", "--format", "json", "-o", "{new}/a.json"], "NB101"),
        (["import", "{new}/gone.json", "-o", "{new}/out"], "NB101"),
        (["import", "{folder}/rockpool.npz", "-o", "{new}/out"], "NB806"),
        (["import", "{folder}/rockpool.npz", "-o", "{new}/out", "--target", "no"], "NB806"),
        (["import", "{folder}/samna.json", "-o", "{new}/out"], "NB301"),
        (["import", "{folder}/samna.json.txt", "-o", "{new}/out"], "NB705"),
        (["import", "{folder}/config.json", "-o", "{folder}"], "NB805"),
        (["import", "{folder}/config.json", "-o", "{new}/out", "--dt", "nan"], "NB703"),
        (["deploy", "{new}/gone", "--input", str(RASTER)], "NB101"),
        (["deploy", "{folder}", "--input", "{new}/gone.npy"], "NB101"),
        (["deploy", "{folder}", "--input", str(RASTER)], "NB903"),
        (["deploy", "{folder}"], "NB903"),
        (["export", "{folder}", "--format", "json", "-o", "{folder}/config.json"], "NB805"),
        (["export", "{folder}", "--format", "samna", "-o", "{folder}/deployed.nir"], "NB805"),
        (["import", "{folder}/samna.json", "-o", "{new}/out", "--target", "bogus"], "NB806"),
    ],
)
def test_what_is_refused(
    words: list[str], code: str, folder: Path, tmp_path: Path, run: Command
) -> None:
    done = run(*(w.format(folder=folder, new=tmp_path) for w in words))
    assert (done.code, done.codes) == (3, [code])
    assert list(tmp_path.iterdir()) == []


def test_a_specification_as_rockpool_takes_it(folder: Path) -> None:
    for name in ("rockpool.npz", "rockpool.json"):
        spec = read_specification(folder / name)
        assert isinstance(spec["weights_in"], np.ndarray)
        assert spec["weights_in"].dtype.kind == "i"
        assert isinstance(spec["dt"], float)


def test_a_file_without_its_notes_is_not_left(folder: Path, tmp_path: Path) -> None:
    """Where the second cannot be written, the first is taken back, but not one that was there."""
    config = nirbridge.load(folder).config

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for there in (False, True):
        place = tmp_path / "chip.json"
        if there:
            write_config(config, place, "samna")
            (tmp_path / "chip.json.txt").unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(BESIDE, "samna", {".json.txt": full})
            with pytest.raises(OSError, match="No space"):
                write_config(config, place, "samna", force=True)
        assert list(tmp_path.iterdir()) == ([place] if there else [])


# With the stand-in for the vendor's library.


def test_deploy_with_a_device(folder: Path, run: Command) -> None:
    with samna_standin.present(samna_standin.make(("xylo-audio-2",))):
        done = run("deploy", folder, "--input", RASTER)
        found = run("deploy", folder, "--input", RASTER, "--json").json
        assert run("deploy", folder, "--json").json["samples"] == 24  # of random spikes
    assert done.code == 0
    assert "the device computes as in the simulation" in done.out
    assert found["same"] is True
    assert found["rows"][0]["name"] == "output"


def test_deploy_with_a_device_that_answers_wrongly(folder: Path, run: Command) -> None:
    with samna_standin.present(samna_standin.make(("xylo-audio-2",), {"wrong"})):
        done = run("deploy", folder, "--input", RASTER)
    assert done.code == 1
    assert "NOT as in the simulation" in done.out
    assert "step 4, neuron 0" in done.out


@pytest.mark.parametrize(
    ("attached", "faults", "code"),
    [
        ((), set(), "NB906"),
        (("xylo-audio-3",), set(), "NB906"),
        (("xylo-audio-2",), {"silent"}, "NB907"),
    ],
)
def test_deploy_without_an_answer(
    attached: tuple[str, ...], faults: set[str], code: str, folder: Path, run: Command
) -> None:
    with samna_standin.present(samna_standin.make(attached, faults)):
        done = run("deploy", folder, "--input", RASTER, "--timeout", "0.2")
    assert (done.code, done.codes) == (3, [code])
