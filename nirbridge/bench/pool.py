"""Jobs on this machine or on a Dask cluster, each in a process of its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import nirbridge
from nirbridge.bench.job import CRASHED, FAILED, TIMEOUT, Job, Result, failure
from nirbridge.bench.worker import JOB, LOG, RESULT
from nirbridge.diagnostics import refuse
from nirbridge.files import workplace
from nirbridge.optional import need

CONNECT = 15.0  # seconds for a cluster to answer

# The worker must run this nirbridge, and not another that happens to be installed.
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); import nirbridge; del sys.path[0]; "
    "from nirbridge.bench.worker import main; main(sys.argv[2])"
)
_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC",
)  # fmt: skip


def run_job(job: Job, stop: threading.Event | None = None) -> Result:
    """Run a job in a process; time-out, crash, and a process that cannot start become a result.

    Parameters
    ----------
    job
        What to run.
    stop
        Ends the process early when it is set.

    """
    try:
        return _run(job, stop or threading.Event())
    except OSError as error:
        return failure(job, FAILED, f"no process for it: {error.strerror or error}")


def _run(job: Job, stop: threading.Event) -> Result:
    with workplace(Path(tempfile.gettempdir())) as folder:
        (folder / JOB).write_bytes(pickle.dumps(job))
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, str(Path(nirbridge.__file__).parents[1]), folder],
                stdin=subprocess.PIPE,  # which ends with this process, however that ends
                stdout=log,
                stderr=log,
                env=_environment(job.threads),
                start_new_session=True,  # so that what it starts is stopped with it
            )
            assert process.stdin is not None
            with process.stdin:
                in_time = _wait(process, job.timeout, stop)
        result = folder / RESULT
        if result.is_file():
            found = pickle.loads(result.read_bytes())
            assert isinstance(found, Result)
            return found
        if not in_time:
            return failure(job, TIMEOUT, f"stopped after {job.timeout:g} s")
        said = _last_line(folder / LOG)
        return failure(job, CRASHED, _ending(process.returncode) + (f": {said}" if said else ""))


def _environment(threads: int) -> dict[str, str]:
    """Thread counts are read when a library is loaded, so before Python starts."""
    flags = os.environ.get("XLA_FLAGS", "")
    eigen = "true" if threads > 1 else "false"
    return {
        **os.environ,
        **dict.fromkeys(_THREADS, str(threads)),
        "XLA_FLAGS": f"{flags} --xla_cpu_multi_thread_eigen={eigen}".strip(),
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
    }


def _wait(process: subprocess.Popen[bytes], timeout: float, stop: threading.Event) -> bool:
    """Whether a process ended by itself in time; otherwise it is stopped, with its children."""
    waited, pause = 0.0, 0.1
    try:
        while waited < timeout and not stop.is_set():
            try:
                process.wait(min(pause, timeout - waited))
                return True
            except subprocess.TimeoutExpired:
                waited += pause
        return False
    finally:
        if process.poll() is None:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session, see start_new_session
    else:
        process.kill()
    process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace")[-4000:].splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:200] if said else ""


def run_local(jobs: Sequence[Job], at_once: int = 1) -> Iterator[Result]:
    """Results as they come, of ``at_once`` processes side by side.

    Interrupted, it stops those that run and starts no others.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(run_job, job, stop) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def run_dask(jobs: Sequence[Job], address: str) -> Iterator[Result]:
    """Results as they come from a Dask cluster whose workers have nirbridge and the frameworks.

    Raises
    ------
    Refused
        NB903 without dask.distributed, NB810 if no cluster with a worker answers.

    """
    distributed = need("dask")
    try:
        client = distributed.Client(address, timeout=CONNECT)
    except (OSError, ValueError, TimeoutError) as error:
        raise _no_cluster(address, " ".join(f"{error}".split())[:120] or "no answer") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise _no_cluster(address, "no workers") from None
        futures = {client.submit(run_job, job, pure=False, retries=0): job for job in jobs}
        try:
            for future in distributed.as_completed(futures):
                yield _collected(future, futures[future])
        finally:
            client.cancel(list(futures))


def _no_cluster(address: str, found: str) -> Exception:
    return refuse("NB810", node=address, limit="a scheduler with a worker", found=found)


def _collected(future: object, job: Job) -> Result:
    try:
        found: Result = future.result()  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001  a worker that died, or one without nirbridge
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return failure(job, FAILED, f"on the cluster: {text}")
    return found
