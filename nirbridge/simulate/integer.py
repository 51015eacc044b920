"""``simulate``: run a configuration on a raster, bit for bit as the chip does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse, refuse_all
from nirbridge.intformat import HIDDEN_SPIKES, INPUT_SPIKES, INT16, IntFormat
from nirbridge.mapping import XyloConfig
from nirbridge.rasters import check_raster
from nirbridge.simulate.packing import packed, whole_lanes
from nirbridge.simulate.recording import RECORDED, Recording, State
from nirbridge.simulate.reference import simulate_by_rule
from nirbridge.targets import arithmetic, target

_SPIKES = IntFormat(0, HIDDEN_SPIKES, np.int16)


def simulate(
    config: XyloConfig,
    raster: Any,
    record: bool = False,
    *,
    state: State | None = None,
    threads: int | None = None,
) -> Recording:
    """Run a configuration on a raster of spike counts, in the arithmetic of its target.

    The first call on a machine compiles the kernel, which takes some seconds. Where Numba is told
    not to compile (``NUMBA_DISABLE_JIT``), the readable rules are run instead: the same integers,
    several thousand times slower.

    Parameters
    ----------
    config
        Any well-formed configuration, also one that is larger than the chip.
    raster
        Integers >= 0, (T, n_in), or (B, T, n_in) for B independent samples. Counts above 15 are
        limited to 15, as on the chip; the recording says how many spikes were lost.
    record
        Whether to record hidden spikes and all states.
    state
        Where to carry on from (``Recording.state`` of the piece before); zeros by default.
    threads
        Most threads for a batch; by default as many as the process may use.

    Returns
    -------
    Recording
        Arrays with the raster's leading axes.

    Raises
    ------
    Refused
        NB801, NB802 for a raster that does not fit; NB802, NB702, NB703 for such a state; NB606
        for biases on a chip whose arithmetic has none.

    """
    _check_biases(config)
    counts = check_raster(raster, config.n_in)
    batched = counts.ndim == 3
    limited, clipped = _limited(counts)
    spikes = limited if batched else limited[None]
    batch, steps, _ = spikes.shape
    carried = _start(config, state, batch, batched)
    output = np.zeros((batch, steps, config.n_out), np.uint8)
    recorded = _recorders(config, batch, steps if record else 0)
    _run(config, spikes, carried, output, recorded, threads)
    carried = [array[:, :n] for array, n in zip(carried, _sizes(config), strict=True)]
    if not batched:
        output, recorded, carried = output[0], [r[0] for r in recorded], [s[0] for s in carried]
    named: dict[str, Any] = dict(zip(RECORDED, recorded, strict=True)) if record else {}
    return Recording(output, State(*carried), clipped, **named)


def _check_biases(config: XyloConfig) -> None:
    """The first chip would leave biases out without a word."""
    if arithmetic(config.target) == "v1":
        for name in ("bias", "bias_out"):
            if getattr(config, name).any():
                i = int(np.argmax(getattr(config, name) != 0))
                found = f"{name}[{i}] = {getattr(config, name)[i]}"
                limit = f"0: {target(config.target).cite('bias_bits')}"
                raise refuse("NB606", node=f"{name}[{i}]", limit=limit, found=found)


def _run(
    config: XyloConfig,
    spikes: NDArray[np.uint8],
    state: list[NDArray[np.int16]],
    output: NDArray[np.uint8],
    recorded: list[NDArray[Any]],
    threads: int | None,
) -> None:
    """Share the batch among threads; the kernel releases Python's lock."""
    from numba import config as numba_config  # a slow import, so not at that of the package

    if numba_config.DISABLE_JIT:
        _run_by_rule(config, spikes, state, output, recorded)
        return
    from nirbridge.simulate.kernel import run

    batch = spikes.shape[0]
    arguments = (packed(config), tuple(state), output, tuple(recorded))
    workers = max(1, min(batch, threads or cores()))
    first, *others = pairwise(batch * k // workers for k in range(workers + 1))
    if not others:
        run(spikes, *first, *arguments)
        return
    pool = _pool(os.getpid())
    pieces = [pool.submit(run, spikes, *piece, *arguments) for piece in others]
    run(spikes, *first, *arguments)
    for piece in pieces:
        piece.result()


def _run_by_rule(
    config: XyloConfig,
    spikes: NDArray[np.uint8],
    state: list[NDArray[np.int16]],
    output: NDArray[np.uint8],
    recorded: list[NDArray[Any]],
) -> None:
    """As the kernel's ``run``, by :mod:`nirbridge.simulate.reference`."""
    sizes = _sizes(config)
    for b, sample in enumerate(spikes):
        start = State(*(array[b, :n] for array, n in zip(state, sizes, strict=True)))
        found = simulate_by_rule(config, sample, start)
        output[b] = found["output"]
        for name, array, rows, n in zip(RECORDED, state, recorded, sizes, strict=True):
            if len(sample):
                array[b, :n] = found[name][-1]
            if rows.shape[1]:
                rows[b] = found[name]


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001
    """Threads that stay for the next call, and new ones in each process: a fork takes none along.

    To start them costs as much as hundreds of steps of a small network.
    """
    return ThreadPoolExecutor(cores())


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limited(counts: NDArray[np.integer[Any]]) -> tuple[NDArray[np.uint8], int]:
    """Counts limited to what the chip takes, as the kernel wants them; the spikes it cost."""
    clipped = 0
    if counts.size and counts.max() > INPUT_SPIKES:
        over = counts[counts > INPUT_SPIKES]
        clipped = sum(over.tolist()) - INPUT_SPIKES * len(over)
        counts = np.minimum(counts, INPUT_SPIKES)
    # Writeable, although nobody writes: the kernel is compiled for one kind of array only.
    return np.require(counts, np.uint8, ["C", "A", "W"]), clipped


def _start(
    config: XyloConfig, state: State | None, batch: int, batched: bool
) -> list[NDArray[np.int16]]:
    """The six state arrays (B, n), padded to whole lanes."""
    sizes = _sizes(config)
    padded = [np.zeros((batch, whole_lanes(n)), np.int16) for n in sizes]
    if state is not None:
        for name, array, n in zip(RECORDED, padded, sizes, strict=True):
            given = np.asarray(getattr(state, name))
            expected = (batch, n) if batched else (n,)
            if given.shape != expected:
                raise refuse("NB802", node=f"state.{name}", limit=str(expected), found=given.shape)
            number = _SPIKES if name == "spikes" else INT16
            refuse_all(number.problems(f"state.{name}", given))
            array[:, :n] = given
    return padded


def _recorders(config: XyloConfig, batch: int, steps: int) -> list[NDArray[Any]]:
    types = (np.uint8, *[np.int16] * 5)
    return [
        np.zeros((batch, steps, n), dtype)
        for n, dtype in zip(_sizes(config), types, strict=True)
    ]


def _sizes(config: XyloConfig) -> list[int]:
    """How many neurons each array named in ``RECORDED`` covers."""
    return [config.n_hidden] * 4 + [config.n_out] * 2
