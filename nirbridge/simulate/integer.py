"""``simulate``: run a configuration on a raster, bit for bit as the chip does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse, refuse_all
from nirbridge.intformat import HIDDEN_SPIKES, INPUT_SPIKES, INT16, OUTPUT_SPIKES
from nirbridge.mapping import XyloConfig
from nirbridge.rasters import check_raster
from nirbridge.simulate.packing import LANES, packed
from nirbridge.simulate.recording import RECORDED, Recording, State



def simulate(
    config: XyloConfig,
    raster: Any,
    record: bool = False,
    *,
    state: State | None = None,
    threads: int | None = None,
) -> Recording:
    """Run a configuration on a raster of spike counts.

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
        NB801, NB802 for a raster (or state) that does not fit.

    """
    counts = check_raster(raster, config.n_in)
    batched = counts.ndim == 3
    limited = np.minimum(counts, INPUT_SPIKES)
    clipped = int(counts.sum(dtype=np.int64) - limited.sum(dtype=np.int64))
    spikes = np.ascontiguousarray(limited if batched else limited[None], np.uint8)
    batch, steps, _ = spikes.shape
    carried = _start(config, state, batch, batched)
    output = np.zeros((batch, steps, config.n_out), np.uint8)
    recorded = _recorders(config, batch, steps if record else 0)
    _run(packed(config), spikes, carried, output, recorded, threads)
    sizes = [config.n_hidden] * 4 + [config.n_out] * 2
    carried = [array[:, :n] for array, n in zip(carried, sizes, strict=True)]
    if not batched:
        output, recorded, carried = output[0], [r[0] for r in recorded], [s[0] for s in carried]
    named: dict[str, Any] = dict(zip(RECORDED, recorded, strict=True)) if record else {}
    return Recording(output, State(*carried), clipped, **named)


def _run(
    network: tuple[Any, ...],
    spikes: NDArray[np.uint8],
    state: list[NDArray[np.int16]],
    output: NDArray[np.uint8],
    recorded: list[NDArray[Any]],
    threads: int | None,
) -> None:
    """Share the batch among threads; the kernel releases Python's lock."""
    from nirbridge.simulate.kernel import run  # compiled, so not at import of the package

    batch = spikes.shape[0]
    workers = max(1, min(batch, threads or len(os.sched_getaffinity(0))))
    bounds = np.linspace(0, batch, workers + 1).astype(int)
    arguments = (*network, tuple(state), output, tuple(recorded))
    if workers == 1:
        run(spikes, 0, batch, *arguments)
        return
    with ThreadPoolExecutor(workers) as pool:
        pieces = [
            pool.submit(run, spikes, int(a), int(b), *arguments)
            for a, b in zip(bounds, bounds[1:], strict=False)
        ]
    for piece in pieces:
        piece.result()


def _start(
    config: XyloConfig, state: State | None, batch: int, batched: bool
) -> list[NDArray[np.int16]]:
    """The six state arrays (B, n), padded to whole lanes."""
    sizes = [config.n_hidden] * 4 + [config.n_out] * 2
    padded = [np.zeros((batch, _padded(n)), np.int16) for n in sizes]
    if state is not None:
        for name, array, n in zip(RECORDED, padded, sizes, strict=True):
            given = np.asarray(getattr(state, name))
            expected = (batch, n) if batched else (n,)
            if given.shape != expected:
                raise refuse("NB802", node=f"state.{name}", limit=str(expected), found=given.shape)
            refuse_all(INT16.problems(f"state.{name}", given))
            array[:, :n] = given
    return padded


def _recorders(config: XyloConfig, batch: int, steps: int) -> list[NDArray[Any]]:
    h, o = (batch, steps, config.n_hidden), (batch, steps, config.n_out)
    shapes = (h, h, h, h, o, o)
    types = (np.uint8, *[np.int16] * 5)
    return [np.zeros(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]


def _padded(n: int) -> int:
    return -(-n // LANES) * LANES
