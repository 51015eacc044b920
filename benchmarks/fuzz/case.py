"""One case: a mutated file is read, and everything that it must not do is looked for."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz.readers import Reader
from nirbridge import Refused

READ, REFUSED = "read", "refused"  # the only ways in which a case may end
FINE = (READ, REFUSED)
ESCAPED, MEMORY = "wrote or ran something", "out of memory"
HUNG, KILLED = "hung", "killed"  # which only another process can see

_RUNS = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
    "socket.connect", "socket.bind", "pickle.find_class",
)  # fmt: skip
_CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod",
    "os.truncate", "os.chown", "os.mkfifo", "os.mknod", "os.utime", "os.setxattr",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``kind``, with details of what went wrong, seconds, and bytes it took."""

    reader: str
    seed: int
    kind: str
    details: str = ""
    seconds: float = 0.0
    grown: int = 0


def mutated(reader: Reader, name: str, seed: int) -> bytes:
    """The file of a case, always the same one."""
    rng = random.Random(f"{name} {seed}")
    return reader.mutate(rng.choice(reader.seeds), rng)


def run(reader: Reader, name: str, seed: int, folder: Path, watch: Watch) -> Outcome:
    """Read the file of one case in a folder of its own, which is emptied again."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    path = folder / f"case{reader.suffix}"
    path.write_bytes(mutated(reader, name, seed))
    before, floor, began = _listing(folder), _memory("VmRSS"), time.monotonic()
    _forget_peak()
    with watch.over(out):
        kind, details = _use(reader, path, out)
    seconds, grown = time.monotonic() - began, max(0, _memory("VmHWM") - floor)
    changed = before ^ _listing(folder)
    if watch.seen or changed:
        kind, details = ESCAPED, "; ".join([*watch.seen, *map(str, sorted(changed))])
    return Outcome(name, seed, kind, details, seconds, grown)


def _use(reader: Reader, path: Path, out: Path) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.use(path, out)
    except Refused as refused:
        codes = {d.code for d in refused.diagnostics}
        if any("Traceback" in str(d) or str(d).count("\n") != 4 for d in refused.diagnostics):
            return "diagnostic", str(refused)
        return REFUSED, " ".join(sorted(codes))
    except MemoryError:
        return MEMORY, traceback.format_exc()
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        return type(error).__name__, traceback.format_exc()
    return READ, ""


class Watch:
    """Notes what Python itself is asked to run, and to write outside of one folder."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._inside: str | None = None
        sys.addaudithook(self._hear)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """Watch; only what is written into the folder is right."""
        self.seen.clear()
        self._inside = str(folder.resolve()) + os.sep
        try:
            yield
        finally:
            self._inside = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._inside is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not self._may(path):
                self.seen.append(f"open {path!r}")
        elif event in _CHANGES:
            handles = [a for a in arguments if isinstance(a, int) and a >= 0]
            paths = [a for a in arguments if isinstance(a, (str, bytes, os.PathLike))]
            relative = any(Path(f"/proc/self/fd/{h}").exists() for h in handles)
            if not relative and not all(map(self._may, paths)):
                self.seen.append(f"{event} {paths}")
        elif event in _RUNS or (event == "exec" and _unnamed(arguments[0])):
            self.seen.append(f"{event} {arguments!r}"[:200])

    def _may(self, path: Any) -> bool:
        if isinstance(path, int):  # opened before, which was heard
            return True
        place = os.fsdecode(path)
        folder = os.path.realpath(os.path.dirname(place))  # noqa: PTH120
        return f"{folder}/{os.path.basename(place)}/".startswith(self._inside or "")  # noqa: PTH119


def _unnamed(code: Any) -> bool:
    """Whether code comes from no file: modules that are imported late do."""
    return not os.path.isfile(getattr(code, "co_filename", ""))  # noqa: PTH113


def _listing(folder: Path) -> set[tuple[str, int, int]]:
    """All files of a case but for its output: name, size, time."""
    found = set()
    for path in folder.iterdir():
        if path.name != "out":
            status = path.stat()
            found.add((path.name, status.st_size, status.st_mtime_ns))
    return found


def _memory(field: str) -> int:
    """A field of this process's status, in bytes; 0 where there is none."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _forget_peak() -> None:
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("5")
