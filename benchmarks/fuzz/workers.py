"""Processes that run cases, so that one that crashes, hangs or eats memory takes none along."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmarks.fuzz.case import HUNG, KILLED, Outcome, Watch, run
from benchmarks.fuzz.readers import Reader, readers

Case = tuple[str, int]
Make = Callable[[Path], dict[str, Reader]]

_ROOM = 3 * 2**30  # bytes of addresses that a process may take beyond what it starts with
_BATCH = 100
_START = 600.0  # seconds for a process to import, and to compile what it will use


def work(connection: Connection, place: str, make: Make) -> None:
    """Run the cases that come, and send how each ended."""
    folder = Path(place)
    (folder / "good").mkdir()
    known = make(folder / "good")
    (folder / "case").mkdir()
    (folder / "case" / "neighbour").write_text("not to be touched")
    watch = Watch()
    for name, reader in known.items():
        for k, seed in enumerate(reader.seeds):  # compiles and imports what good files need
            path, out = folder / f"good{reader.suffix}", folder / "warm" / f"{name}{k}"
            path.write_bytes(seed)
            out.mkdir(parents=True)
            reader.use(path, out)
    _limit_memory()
    while True:
        connection.send(None)  # which asks for cases
        try:
            given = connection.recv()
        except EOFError:  # no more of them
            return
        for name, seed in given:
            connection.send(run(known[name], name, seed, folder / "case", watch))


def _limit_memory() -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Worker:
    """One process, again and again, and the cases that it has been given."""

    def __init__(self, folder: Path, cases: Iterator[Case], make: Make):
        self.folder, self.cases, self.make = folder, cases, make
        self.given: list[Case] = []
        self.done = False
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        place = tempfile.mkdtemp(dir=self.folder)
        self.process = context.Process(target=work, args=(theirs, place, self.make), daemon=True)
        self.process.start()
        theirs.close()
        self.since, self.busy = time.monotonic(), False

    def hear(self, timeout: float) -> Iterator[Outcome]:
        """What it has to say; or how its case ended, if it died or has been silent for too long."""
        try:
            while not self.done and self.connection.poll():
                said = self.connection.recv()
                self.since = time.monotonic()
                if isinstance(said, Outcome):
                    self.given.pop(0)
                    yield said
                else:
                    self.given = self.given or list(islice(self.cases, _BATCH))
                    self.done = not self.given
                    self.busy = bool(self.given)
                    if self.given:
                        self.connection.send(self.given)
        except (EOFError, OSError):
            yield self._lost(KILLED)
        limit = timeout if self.busy else _START
        if not self.done and time.monotonic() - self.since > limit:
            yield self._lost(HUNG)

    def _lost(self, kind: str) -> Outcome:
        """The case that ended the process, which is started again with those that are left."""
        if kind == KILLED:
            self.process.join(10)
        code = self.process.exitcode
        self.stop()
        if not self.given:
            raise RuntimeError(f"a worker ended before its first case: {code}")
        name, seed = self.given.pop(0)
        seconds = time.monotonic() - self.since
        self._start()
        return Outcome(name, seed, kind, f"exit code {code}", seconds)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def outcomes(
    cases: Iterable[Case], workers: int = 2, timeout: float = 60.0, make: Make = readers
) -> Iterator[Outcome]:
    """How each case ended, as they come.

    Parameters
    ----------
    cases
        Names of readers and seeds.
    workers
        Processes side by side.
    timeout
        Seconds after which a case counts as hung.
    make
        Gives the readers by name.

    """
    queue = iter(cases)
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
        running = [Worker(Path(folder), queue, make) for _ in range(workers)]
        try:
            while running := [worker for worker in running if not worker.done]:
                wait([worker.connection for worker in running], timeout=1)
                for worker in running:
                    yield from worker.hear(timeout)
        finally:
            for worker in running:
                worker.stop()
