"""What travels to a simulator's process, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

RAN, MISSING, REFUSED, FAILED, TIMEOUT, CRASHED = (
    "ran", "not installed", "refused", "failed", "time-out", "crashed"
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One simulator on one input; it holds all that a process on another machine needs.

    Attributes
    ----------
    simulator
        One of :func:`nirbridge.bench.names`.
    input
        Name of the input.
    graph
        A .nir file, as bytes, with its complete dynamics in the metadata.
    counts
        Spike counts (B, T, n_in).
    threads
        Most threads of the simulator.
    repeat
        How often it is run after the first time, >= 1.
    timeout
        Seconds after which its process is stopped.
    ideal
        Samples to run in continuous time.

    """

    simulator: str
    input: str
    graph: bytes
    counts: NDArray[Any]
    threads: int = 1
    repeat: int = 3
    timeout: float = 300.0
    ideal: int = 10


@dataclass(frozen=True, eq=False)
class Result:
    """What became of a :class:`Job`.

    Attributes
    ----------
    simulator, input
        Those of the job.
    status
        ``ran``, ``not installed``, ``refused``, ``failed``, ``time-out`` or ``crashed``.
    error
        Why it did not run, in a line; empty if it ran.
    output
        What it sends: float32 (B, T, n_out) in the source's own time, spike counts or values. B
        is less than that of the job where only the first samples were run.
    version, host
        Version of the simulator's package, and name of the machine.
    import_s, build_s, first_s
        Seconds to import it, to build the network, and of the first run, which includes whatever
        it compiles.
    run_s
        Seconds of each further run.
    peak_bytes
        Most memory that its process held, with Python and the framework itself.
    notes
        What to know about the figures.

    """

    simulator: str
    input: str
    status: str
    error: str = ""
    output: NDArray[np.float32] | None = None
    version: str = ""
    host: str = ""
    import_s: float = 0.0
    build_s: float = 0.0
    first_s: float = 0.0
    run_s: tuple[float, ...] = ()
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether there is an output."""
        return self.output is not None

    @property
    def step_s(self) -> float:
        """Seconds per step and sample: the median of the further runs."""
        if self.output is None or not self.run_s:
            return 0.0
        batch, steps, _ = self.output.shape
        return float(np.median(self.run_s) / max(1, batch * steps))

    @property
    def warm_up_s(self) -> float:
        """Seconds that the first run took longer than the others: compiling, filling caches."""
        return max(0.0, self.first_s - float(np.median(self.run_s))) if self.run_s else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON; the output as its shape."""
        shape = None if self.output is None else list(self.output.shape)
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "output"}
        return {
            **own,
            "run_s": list(self.run_s),
            "notes": list(self.notes),
            "output_shape": shape,
            "step_s": self.step_s,
            "warm_up_s": self.warm_up_s,
        }


def failure(job: Job, status: str, error: str) -> Result:
    """The result of a job that gave no output."""
    return Result(job.simulator, job.input, status, error)
