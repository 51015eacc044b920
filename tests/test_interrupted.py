"""Runs that are killed at random moments, and runs that write to one place at once."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirbridge
from nirbridge import Deployment, Refused, cli, convert, files, read
from tests.conftest import GRAPHS

GOOD = GRAPHS / "refused" / "good.nir"

if not hasattr(os, "fork"):
    pytest.skip("processes are forked and killed here", allow_module_level=True)


def start(action: Callable[[], Any]) -> int:
    """The id of a process that does this, silently, and ends: 0 done, 3 refused, 1 failed."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        action()
        code = 0
    except Refused:
        code = 3
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a process; its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def killed_after(seconds: float, action: Callable[[], Any]) -> Iterator[None]:
    """Kill what does this after a while, and look what is left."""
    child = start(action)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    ended(child)
    yield


def command(*words: object) -> Callable[[], None]:
    """The ``nirbridge`` command."""

    def run() -> None:
        sys.argv = ["nirbridge", *map(str, words)]
        cli.main()

    return run


def duration(action: Callable[[], Any]) -> float:
    """Seconds that it takes, in a process as it will be killed in."""
    began = time.monotonic()
    assert ended(start(action)) == 0
    return time.monotonic() - began


@pytest.fixture(scope="module")
def two() -> tuple[Deployment, Deployment]:
    """Two deployments that load apart: their files must not be mixed."""
    first = convert(read(GOOD))
    config = replace(first.config, threshold=first.config.threshold + np.int16(1))
    return first, first.with_config(config, "other")


def which(place: Path, two: tuple[Deployment, Deployment]) -> int:
    """The deployment that is in a folder, whole: its number."""
    found = nirbridge.load(place)
    number = [each.config == found.config for each in two].index(True)
    assert found.method == two[number].method
    assert json.dumps([n.to_dict() for n in found.journal]) == json.dumps(
        [n.to_dict() for n in two[number].journal]
    )
    return number


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- killed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("exchanges", [True, False])
def test_saving(
    exchanges: bool,
    two: tuple[Deployment, Deployment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At every moment of one save after the other, the old or the new deployment is there.

    A system that cannot exchange two folders may take the old one from its place; the next run
    brings it back.
    """
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    place = tmp_path / "out"
    two[0].save(place)

    def save_for_ever() -> None:
        while True:
            for each in two:
                each.save(place, force=True)

    takes = duration(partial(two[0].save, place, force=True))
    rng = random.Random(0)
    seen = set()
    for _ in range(30 if exchanges else 10):
        with killed_after(rng.uniform(0, 4 * takes), save_for_ever):
            if not exchanges:
                with files.replacing(tmp_path / "other") as other:
                    other.touch()
            seen.add(which(place, two))
    assert len(seen) == 2 or not exchanges
    two[0].save(place, force=True)
    # what the killed ones left went with the next run
    assert left(tmp_path) == (["out"] if exchanges else ["other", "out"])


def test_what_was_moved_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / f"{files.PREFIX}dead" / f"{files.ASIDE}x"
    for name in ("lost", "kept"):
        (aside / name).mkdir(parents=True)
        (aside / name / "old").touch()
    (tmp_path / "kept").mkdir()
    with files.replacing(tmp_path / "other") as other:
        other.touch()
    assert left(tmp_path) == ["kept", "lost", "other"]
    assert (left(tmp_path / "kept"), left(tmp_path / "lost")) == ([], ["old"])


def test_convert(tmp_path: Path, two: tuple[Deployment, Deployment]) -> None:
    place = tmp_path / "out"
    two[1].save(place)
    run = command("convert", GOOD, "-o", place, "--force")
    takes = duration(run)
    assert which(place, two) == 0
    rng = random.Random(1)
    found = []
    for _ in range(8):
        two[1].save(place, force=True)
        with killed_after(rng.uniform(0, 1.3 * takes), run):
            found.append(which(place, two))
    assert set(found) <= {0, 1}
    assert ended(start(run)) == 0
    assert left(tmp_path) == ["out"]


@pytest.mark.parametrize("suffix", [".npz", ".nir"])
def test_simulate(suffix: str, tmp_path: Path, two: tuple[Deployment, Deployment]) -> None:
    """Large enough a file to be half-written at times."""
    place, raster, out = tmp_path / "out", tmp_path / "x.npy", tmp_path / f"y{suffix}"
    two[0].save(place)
    rng = np.random.default_rng(0)
    np.save(raster, rng.integers(0, 3, (50, 400, 2), np.uint8))
    run = command("simulate", place, raster, "-o", out, "--record", "--force")
    takes = duration(run)
    new, old = out.read_bytes(), b"the old result"
    chance = random.Random(2)
    for _ in range(10):
        out.write_bytes(old)
        with killed_after(chance.uniform(0, 1.3 * takes), run):
            found = out.read_bytes()
            assert found == old or len(found) == len(new)
            if found != old and suffix == ".npz":
                with np.load(out) as stored:
                    assert stored["v_mem"].shape == (50, 400, 3)
    assert ended(start(run)) == 0
    assert left(tmp_path) == ["out", "x.npy", f"y{suffix}"]


def test_bench(tmp_path: Path) -> None:
    """Its simulators have processes of their own, which write nothing but into their own folder."""
    out = tmp_path / "bench.json"
    words = ("--on", "stepped", "--random", "0.2", "--steps", "10", "-o", out, "--force")
    run = command("bench", GOOD, *words)
    takes = duration(run)
    rng = random.Random(3)
    for _ in range(3):
        out.write_text('"old"')
        with killed_after(rng.uniform(0, 1.2 * takes), run):
            found = json.loads(out.read_text())
            assert found == "old" or found["simulators"]
    assert ended(start(run)) == 0
    assert left(tmp_path) == ["bench.json"]


def test_a_folder_that_changes_is_read_again(tmp_path: Path) -> None:
    place = tmp_path / "out"

    def write(content: str) -> None:
        with files.replacing_folder(place) as folder:
            for name in ("a", "b"):
                (folder / name).write_text(content)

    write("old")
    reads = []

    def read_both() -> tuple[str, str]:
        first = (place / "a").read_text()
        reads.append(first)
        if len(reads) == 1:
            write("new")
        if len(reads) == 2:
            write("newer")
            raise FileNotFoundError
        return first, (place / "b").read_text()

    assert files.steady(place, read_both) == ("newer", "newer")
    assert reads == ["old", "new", "newer"]
    with pytest.raises(FileNotFoundError):
        files.steady(place, lambda: (place / "none").read_text())


def test_report(tmp_path: Path, two: tuple[Deployment, Deployment]) -> None:
    """Two files, each the old or the new one; the page has a digest of its facts."""
    import nirbridge.report.page
    import nirbridge.report.pictures  # noqa: F401  # Matplotlib, once for all processes

    place, page, facts = tmp_path / "out", tmp_path / "r.html", tmp_path / "r.json"
    two[0].save(place)
    run = command("report", place, "-o", page, "--force")
    takes = duration(run)
    rng = random.Random(4)
    for _ in range(4):
        page.write_text("old")
        facts.write_text('"old"')
        with killed_after(rng.uniform(0, 1.2 * takes), run):
            found, known = page.read_text(), json.loads(facts.read_text())
            assert found == "old" or found.rstrip().endswith("</html>")
            assert known == "old" or "energy" in known
    assert ended(start(run)) == 0
    assert left(tmp_path) == ["out", "r.html", "r.json"]


# --- at once ---------------------------------------------------------------------------------


def test_several_into_one_folder(tmp_path: Path, two: tuple[Deployment, Deployment]) -> None:
    place = tmp_path / "out"
    two[0].save(place)

    def save_often(each: Deployment) -> None:
        for _ in range(10):
            each.save(place, force=True)

    running = [start(partial(save_often, two[k % 2])) for k in range(4)]
    seen = [which(place, two) for _ in range(30)]
    assert [ended(child) for child in running] == [0] * 4
    assert set(seen) <= {0, 1}
    assert which(place, two) in (0, 1)
    assert left(tmp_path) == ["out"]


def test_without_force_one_wins(tmp_path: Path, two: tuple[Deployment, Deployment]) -> None:
    for attempt in range(5):
        place = tmp_path / str(attempt)
        running = [start(partial(two[k % 2].save, place)) for k in range(4)]
        assert sorted(ended(child) for child in running) == [0, 3, 3, 3]
        which(place, two)
    assert len(left(tmp_path)) == 5


def test_several_into_one_file(tmp_path: Path) -> None:
    place = tmp_path / "graph.nir"

    def write_often() -> None:
        for _ in range(10):
            nirbridge.write(read(GOOD), place)

    nirbridge.write(read(GOOD), place)
    running = [start(write_often) for _ in range(4)]
    for _ in range(30):
        read(place)
    assert [ended(child) for child in running] == [0] * 4
    assert left(tmp_path) == ["graph.nir"]


def test_only_folders_of_the_dead_are_swept(tmp_path: Path) -> None:
    dead, alive = tmp_path / f"{files.PREFIX}dead", tmp_path / f"{files.PREFIX}alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "file").touch()
    lock = os.open(alive, os.O_RDONLY)
    import fcntl

    fcntl.flock(lock, fcntl.LOCK_EX)
    with files.replacing(tmp_path / "new") as path:
        path.touch()
    assert left(tmp_path) == [alive.name, "new"]
    os.close(lock)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("old")

    def fail() -> None:
        with files.replacing(place) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert place.read_text() == "old"
    assert left(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_moved_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "old").touch()
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise PermissionError(13, "no", str(target))
        return rename(self, target)

    def replaced() -> None:
        with files.replacing_folder(place):
            pass

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        with pytest.raises(PermissionError):
            replaced()
    assert left(place) == ["old"]
    assert left(tmp_path) == ["out"]
