"""Files with random damage end in a result or a refusal; `python -m benchmarks.fuzz` has more."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirbridge
from benchmarks.fuzz.__main__ import cases, summary, table
from benchmarks.fuzz.case import ESCAPED, HUNG, KILLED, MEMORY, Watch, mutated, run
from benchmarks.fuzz.readers import Reader, readers
from benchmarks.fuzz.workers import outcomes
from nirbridge import Refused, convert, read
from nirbridge.datafiles import read_data
from nirbridge.rasterfiles import read_raster
from tests.conftest import GRAPHS

GOOD = GRAPHS / "refused" / "good.nir"


def test_some_hundreds(tmp_path: Path) -> None:
    """In processes of their own: no crash, no hang, little memory, no file elsewhere."""
    known = readers(tmp_path)
    found = list(outcomes(cases(known, 300), workers=2))
    rows = summary(found)
    assert [row["which"] for row in rows if row["failures"]] == []
    assert {row["reader"] for row in rows} == set(known)
    for row in rows:
        assert row["cases"] >= 9
        assert row["refused"] > row["cases"] / 10
        assert row["most memory, MB"] < 300
    assert sum(row["read"] for row in rows) > 50
    assert table(rows).row_count == len(rows) + 1


def test_a_case_is_always_the_same(tmp_path: Path) -> None:
    known = readers(tmp_path)
    for name, seed in itertools.islice(cases(known, 400), 0, 400, 7):
        assert mutated(known[name], name, seed) == mutated(known[name], name, seed)


# --- what the benchmark would find -----------------------------------------------------------


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def reading(use: Callable[[Path, Path], Any]) -> Reader:
    return Reader(".x", 1, (b"good",), to_bad, use)


def to_bad(*_: Any) -> bytes:
    return b"bad"


def writes_elsewhere(path: Path, _: Path) -> None:
    (path.parent / "elsewhere").touch()


def changes_its_input(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def unpickles(*_: Path) -> None:
    pickle.loads(pickle.dumps(Path("x")))


def compiles(*_: Path) -> None:
    exec("1 + 1")


def eats_memory(*_: Path) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        (writes_elsewhere, ESCAPED),
        (changes_its_input, ESCAPED),
        (unpickles, ESCAPED),
        (compiles, ESCAPED),
        (eats_memory, MEMORY),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: np.float64(1) / 0, "RuntimeWarning"),
        (lambda path, _: read(path), "refused"),
        (lambda _, out: (out / "file").touch(), "read"),
    ],
)
def test_what_is_wrong_is_found(
    use: Callable[[Path, Path], Any], kind: str, watch: Watch, tmp_path: Path
) -> None:
    found = run(reading(use), "x", 0, tmp_path, watch)
    assert found.kind == kind, found.details


def dies(path: Path, _: Path) -> None:
    if path.read_bytes() == b"bad":
        os.kill(os.getpid(), signal.SIGSEGV)


def hangs(path: Path, _: Path) -> None:
    if path.read_bytes() == b"bad":
        time.sleep(1000)


def fine(*_: Path) -> None:
    pass


def mistaken(_: Path) -> dict[str, Reader]:
    """Readers with mistakes that only another process survives."""
    return {"fine": reading(fine), "dies": reading(dies), "hangs": reading(hangs)}


def test_crashes_and_hangs_are_found() -> None:
    """A process that dies or is silent costs one case; the others go on."""
    queue = [(name, k) for k, name in enumerate(["fine", "dies", "fine", "hangs", "fine"])]
    found = list(outcomes(queue, workers=1, timeout=2, make=mistaken))
    assert [each.kind for each in found] == ["read", KILLED, "read", HUNG, "read"]


# --- nothing in a file is executed -----------------------------------------------------------


class Trap:
    """What makes a directory when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.mark,)


def traps(folder: Path, trap: Trap) -> dict[str, Path]:
    """Files that execute something where NumPy or pickle are trusted."""
    objects = np.array([trap], object)
    raw = pickle.dumps(trap)
    found = {}
    for suffix in (".npy", ".npz", ".csv", ".nir", ".h5", ".json"):
        found[f"pickle{suffix}"] = folder / f"pickle{suffix}"
        found[f"pickle{suffix}"].write_bytes(raw)
    found["objects.npy"] = folder / "objects.npy"
    np.save(found["objects.npy"], objects, allow_pickle=True)
    for name, x in (("x.npz", objects), ("y.npz", np.ones((2, 2), int))):
        found[name] = folder / name
        np.savez(found[name], x=x, y=objects)
    return found


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark, deployment = tmp_path / "executed", tmp_path / "good"
    convert(read(GOOD)).save(deployment)
    for path in traps(tmp_path, Trap(mark)).values():
        for reader in (read, read_data, lambda p: read_raster(p, 2, 1e-3)):
            with pytest.raises(Refused):
                reader(path)
        for name in ("config.json", "deployment.json", "source.nir"):
            held = (deployment / name).read_bytes()
            (deployment / name).write_bytes(path.read_bytes())
            with pytest.raises(Refused):
                nirbridge.load(deployment)
            (deployment / name).write_bytes(held)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


def test_no_checkpoint_is_executed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from nirbridge.torch import XyloModule, checkpoints

    module = XyloModule(convert(read(GOOD)))
    mark, place = tmp_path / "executed", tmp_path / "checkpoint.pt"
    torch.save({"fingerprint": "x", "scores": Trap(mark)}, place)
    with pytest.raises(Refused) as refused:
        checkpoints.resume(place, "x", module, torch.optim.Adam(module.parameters()))
    assert refused.value.diagnostics[0].code == "NB812"
    assert not mark.exists()
