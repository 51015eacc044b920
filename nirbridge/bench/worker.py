"""The process of one simulator: :func:`main` runs one job and leaves its result in a file.

Frameworks print, hang and crash. So the result goes through a file. The process ends itself when
the one that started it is gone, or, if a framework lets no other thread run, soon after its time.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nirbridge.bench import simulators
from nirbridge.bench.job import FAILED, MISSING, RAN, REFUSED, Job, Result, failure
from nirbridge.diagnostics import Refused
from nirbridge.optional import MISSING as NOT_INSTALLED

JOB, RESULT, LOG = "job.pickle", "result.pickle", "log.txt"
GRACE = 10.0  # seconds that whoever started the process has to stop it first

T = TypeVar("T")


def main(folder: str) -> None:
    """Run the job in ``folder`` and end the process, without waiting for a framework's threads."""
    place = Path(folder)
    _end_with_parent(place)
    tempfile.tempdir = folder
    job = pickle.loads((place / JOB).read_bytes())
    faulthandler.dump_traceback_later(job.timeout + GRACE, exit=True)
    partial = place / "partial"
    partial.write_bytes(pickle.dumps(work(job)))
    partial.replace(place / RESULT)
    sys.stdout.flush()
    os._exit(0)


def _end_with_parent(folder: Path) -> None:
    """Watch stdin, a pipe that ends with the process at its other end; what runs here gets none."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        while os.read(pipe, 1):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)  # with what a framework has started
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def work(job: Job) -> Result:
    """Import, build, run once and ``repeat`` times more; whatever fails becomes a result."""
    try:
        return _measure(job)
    except Refused as refusal:
        first = refusal.diagnostics[0]
        if first.code == NOT_INSTALLED:
            how = first.remedy.removeprefix("install it: ")
            return failure(job, MISSING, f"{how} ({first.found})")
        text = f"{first.code} {first.node}: {first.rule}; limit {first.limit}; found {first.found}"
        more = len(refusal.diagnostics) - 1
        return failure(job, REFUSED, text + (f" (and {more} more)" if more else ""))
    except Exception as error:  # noqa: BLE001  a framework may raise anything
        return failure(job, FAILED, " ".join(f"{type(error).__name__}: {error}".split())[:300])


def _measure(job: Job) -> Result:
    _, import_s = _timed(lambda: simulators.load(job.simulator))
    graph = _graph(job.graph)
    made, build_s = _timed(
        lambda: simulators.prepare(job.simulator, graph, job.threads, job.ideal)
    )
    counts, notes = job.counts, made.notes
    if made.samples is not None and made.samples < len(counts):
        counts = counts[: made.samples]
        notes = (*notes, f"the first {made.samples} of {len(job.counts)} samples")
    output, first_s = _timed(lambda: made.run(counts))
    again = [_timed(lambda: made.run(counts))[1] for _ in range(0 if made.once else job.repeat)]
    return Result(
        job.simulator,
        job.input,
        RAN,
        output=np.asarray(output, np.float32),
        version=_version(job.simulator),
        host=platform.node(),
        import_s=import_s,
        build_s=build_s,
        first_s=first_s,
        run_s=tuple(again) or (first_s,),
        peak_bytes=peak_bytes(),
        notes=notes,
    )


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    found = action()
    return found, time.perf_counter() - start


def _graph(content: bytes) -> Any:
    from nirbridge import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        path.write_bytes(content)
        return read(path)


def _version(simulator: str) -> str:
    try:
        return version("nirbridge" if simulator in simulators.OWN else simulator)
    except PackageNotFoundError:
        return ""


def peak_bytes() -> int:
    """Most memory that this process has held.

    Linux counts what the parent held at the start of a process into ``ru_maxrss``; its status file
    does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
