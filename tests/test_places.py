"""Where commands write: nobody's files are lost, and what is refused is refused before any work."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import nirbridge
from nirbridge import Refused, convert, files, read
from nirbridge.configfiles import names_beside
from nirbridge.datafiles import write_data
from nirbridge.places import OWN
from tests.conftest import GRAPHS
from tests.test_cli import Command, left
from tests.test_cli import nirbridge as command  # noqa: F401  # a fixture

GOOD, RASTER = GRAPHS / "refused" / "good.nir", GRAPHS / "refused" / "good.npy"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A deployment with all formats."""
    place = tmp_path / "out"
    convert(read(GOOD)).save(place, formats=["rockpool", "samna"])
    return place


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- folders ---------------------------------------------------------------------------------


def test_all_that_a_deployment_holds_is_known(out: Path, command: Command) -> None:  # noqa: F811
    assert set(left(out)) == {*OWN, *names_beside()}
    assert command("convert", GOOD, "-o", out, "--force").code == 0
    assert set(left(out)) == set(OWN)


@pytest.mark.parametrize("name", ["thesis.tex", "notes.txt", "report.html", ".hidden", "plots/a"])
def test_what_is_not_ours_is_named_and_kept(
    name: str, out: Path, command: Command  # noqa: F811
) -> None:
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("important")
    before = content(out)
    done = command("convert", GOOD, "-o", out, "--force")
    assert (done.code, done.codes) == (3, ["NB805"])
    assert name.split("/")[0] in done.err
    with pytest.raises(Refused, match="NB805"):
        convert(read(GOOD)).save(out, force=True)
    assert content(out) == before


@pytest.mark.parametrize("record", ["{}", "[]", "text", '{"schema": "nirbridge/report"}', ""])
def test_a_record_is_told_by_its_schema(
    record: str, command: Command, tmp_path: Path  # noqa: F811
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "deployment.json").write_text(record)
    assert command("convert", GOOD, "-o", fake, "--force").codes == ["NB805"]
    assert content(fake) == {"deployment.json": record.encode()}


def test_links_are_not_followed(out: Path, command: Command) -> None:  # noqa: F811
    elsewhere = out.parent / "elsewhere"
    shutil.copytree(out, elsewhere)
    (out / "config.json").unlink()
    (out / "config.json").symlink_to(elsewhere / "config.json")
    link, nothing = out.parent / "link", out.parent / "nothing"
    link.symlink_to(elsewhere)
    nothing.symlink_to(out.parent / "gone")
    for place in (out, link, nothing):
        assert command("convert", GOOD, "-o", place, "--force").codes == ["NB805"]
    assert (link.is_symlink(), nothing.is_symlink()) == (True, True)
    assert "config.json" in left(elsewhere)


# --- files -----------------------------------------------------------------------------------


def test_without_force_nothing_is_replaced_at_the_end_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have been quicker."""

    def write(place: Path, force: bool, linked: bool) -> None:
        with files.replacing(place, force) as path:
            path.write_text("ours")
            if linked and not force:
                place.symlink_to(tmp_path / "gone")
            elif not force:
                place.write_text("theirs")

    for links in (True, False):
        if not links:
            monkeypatch.setattr(os, "link", lambda *_: Path("/none").stat())  # fails
        for name in ("file", "link"):
            place = tmp_path / f"{name}{links}"
            with pytest.raises(Refused, match="NB805"):
                write(place, False, name == "link")
            assert place.is_symlink() if name == "link" else place.read_text() == "theirs"
            write(place, True, name == "link")
            assert (place.read_text(), place.is_symlink()) == ("ours", False)
            place.unlink()
            with files.replacing(place, False) as path:
                path.write_text("first")
            assert place.read_text() == "first"
    assert left(tmp_path) == ["fileFalse", "fileTrue", "linkFalse", "linkTrue"]


def test_a_link_to_nothing_is_there(out: Path, command: Command) -> None:  # noqa: F811
    link = out.parent / "link.npy"
    link.symlink_to(out.parent / "gone.npy")
    assert command("simulate", out, RASTER, "-o", link).codes == ["NB805"]
    assert link.is_symlink()
    assert not link.exists()


@pytest.mark.parametrize("words", [
    ["convert", "{good}", "-o", "{new}/c", "--format", "rockpool",
     "--report", "{new}/c/rockpool.html"],
    ["convert", "{good}", "-o", "{new}/c", "--report", "{new}/c/samna.html"],
    ["convert", "{good}", "-o", "{new}/c.html", "--report", "{new}/c.html"],
    ["convert", "{out}/source.nir", "-o", "{out}"],
    ["convert", "{good}", "-o", "{out}", "--calibration", "{out}/config.json"],
    ["import", "{out}/config.json", "-o", "{out}"],
    ["simulate", "{out}", "{new}/in.npz", "-o", "{new}/in.npz"],
    ["simulate", "{out}", "{new}/in.npz", "-o", "{new}/link.npz"],
    ["simulate", "{out}", "{new}/in.npz", "-o", "{out}/source.nir"],
    ["simulate", "{out}", "{new}/in.npz", "-o", "{out}/rockpool.npz"],
    ["check", "{out}", "{new}/in.npz", "--report", "{out}/config.html"],
    ["report", "{out}", "--input", "{new}/in.npz", "-o", "{out}/samna.html"],
    ["bench", "{good}", "--input", "{new}/in.npz", "-o", "{out}/config.json"],
    ["export", "{out}", "--format", "json", "-o", "{out}/config.json"],
    ["finetune", "{out}", "{new}/in.npz", "-o", "{new}/f", "--checkpoint", "{new}/f"],
    ["finetune", "{out}", "{new}/in.npz", "-o", "{new}/f", "--checkpoint", "{new}/in.npz"],
    ["finetune", "{out}", "{new}/in.npz", "-o", "{out}"],
])  # fmt: skip
def test_outputs_keep_off_each_other_and_off_inputs(
    words: list[str], out: Path, tmp_path: Path, command: Command  # noqa: F811
) -> None:
    """Even with --force, and before anything is done."""
    np.savez(tmp_path / "in.npz", x=np.ones((2, 4, 2), np.uint8), y=[0, 1])
    (tmp_path / "link.npz").symlink_to("in.npz")
    before = content(tmp_path)
    done = command(*(w.format(good=GOOD, out=out, new=tmp_path) for w in words), "--force")
    assert (done.code, done.codes) == (3, ["NB805"])
    assert content(tmp_path) == before
    assert left(tmp_path) == ["in.npz", "link.npz", "out"]


def test_a_format_may_be_added(out: Path, command: Command) -> None:  # noqa: F811
    (out / "rockpool.npz").unlink()
    place = out / "rockpool.npz"
    assert command("export", out, "--format", "rockpool", "-o", place).code == 0
    assert command("convert", GOOD, "-o", out, "--force").code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("words", [
    ["convert", GOOD, "-o", "/proc/none/x"],
    ["convert", "gone.nir", "-o", "/proc/x"],
    ["simulate", "gone", "gone.npy", "-o", "/proc/x.npy"],
    ["report", "gone", "-o", "/proc/x.html"],
    ["inspect", "gone.nir", "--draw", "/proc/x.svg"],
    ["finetune", "gone", "gone.npz", "-o", "x", "--checkpoint", "/proc/x.pt"],
    ["finetune", "gone", "gone.npz", "-o", "x", "--checkpoint", "none/x.pt"],
])  # fmt: skip
def test_a_place_that_cannot_be_written_to_is_refused_first(
    words: list[str], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    """/proc has no room for files, and all rights for root."""
    monkeypatch.chdir(tmp_path)
    done = command(*words)
    assert (done.code, done.codes) == (3, ["NB807"])
    assert files.PREFIX not in done.err
    assert left(tmp_path) == []


# --- a full disk -----------------------------------------------------------------------------


def full_after(size: int) -> None:
    """In a process: files end at this size, as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit of POSIX, in a forked process")
@pytest.mark.parametrize("what", ["graph", "data", "deployment", "checkpoint", "npz", "npy"])
def test_a_full_disk_is_an_error_that_names_the_place(what: str, tmp_path: Path) -> None:
    """HDF5 ends the process when it cannot write what it holds; torch gives no reason."""
    rng = np.random.default_rng(0)
    place = tmp_path / f"x.{what}"
    deployment = convert(read(GOOD))
    raster = rng.integers(0, 3, (9, 3000, 2), np.uint8)
    recording = deployment.simulate(raster, record=what in ("data", "npz"))
    if what == "checkpoint":
        pytest.importorskip("torch", reason="torch is not installed")

    def write() -> None:
        from nirbridge.data import to_nir
        from nirbridge.rasterfiles import write_recording

        if what == "graph":
            nirbridge.write(read(GRAPHS / "digits_cuba.nir"), place)
        elif what == "data":
            write_data(to_nir(recording, 1e-4, deployment.placement), place)
        elif what == "deployment":
            deployment.save(place)
        elif what == "checkpoint":
            y = np.arange(9) % deployment.config.n_out
            nirbridge.finetune(deployment, raster, y, 1, checkpoint=place)
        else:
            write_recording(recording, place.with_suffix(f".{what}"), 1e-4)

    child = os.fork()
    if not child:
        code = 1
        try:
            full_after(2000)
            write()
        except OSError as error:
            named = str(tmp_path / "x.") in str(error) and files.PREFIX not in str(error)
            code = 7 if named else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert left(tmp_path) == []
