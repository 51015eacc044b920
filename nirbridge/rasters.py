"""Spike rasters: what counts as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse

MAX_BYTES = 2**31  # of a raster


def check_raster(raster: Any, n_in: int | None = None) -> NDArray[np.integer[Any]]:
    """A raster of spike counts, integers >= 0, of shape (T, n_in) or (B, T, n_in).

    Raises
    ------
    Refused
        NB801 (not counts), NB802 (not ``n_in`` channels).

    """
    try:
        array = np.asarray(raster)
    except ValueError:
        array = np.asarray(None)
    limit = "integers >= 0, 2 or 3 axes"
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise refuse("NB801", node="raster", limit=limit, found=f"type {array.dtype}")
    if array.ndim not in (2, 3):
        raise refuse("NB801", node="raster", limit=limit, found=f"shape {array.shape}")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        index = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise refuse("NB801", node="raster", limit=limit, found=f"{array[index]} at {index}")
    if n_in is not None and array.shape[-1] != n_in:
        raise refuse(
            "NB802", node="raster", limit=f"{n_in} channels", found=f"{array.shape[-1]} channels"
        )
    return array


def check_samples(raster: Any, n_in: int | None = None) -> NDArray[np.integer[Any]]:
    """Counts (B, T, n_in) of a raster of which something can be measured.

    Raises
    ------
    Refused
        NB801 (not counts, or not a step of a sample), NB802 (not ``n_in`` channels).

    """
    array = check_raster(raster, n_in)
    batch = array if array.ndim == 3 else array[None]
    if 0 in batch.shape[:2]:
        limit = "at least one step of one sample"
        remedy = "give a raster with spikes"
        found = f"shape {array.shape}"
        raise refuse("NB801", node="raster", limit=limit, found=found, remedy=remedy)
    return batch


def binned(
    name: str,
    times: NDArray[np.float64],
    channels: NDArray[np.int64],
    n_in: int,
    *,
    length: float = 0,
    samples: NDArray[np.int64] | None = None,
    batch: int = 1,
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.unsignedinteger]:
    """Counts (B, T, n_in) of events, in the smallest type that holds them.

    Parameters
    ----------
    name
        Of the file, for the refusal.
    times
        (E,) in steps; a time on the border of two bins belongs to the later one, rounding aside.
    channels
        (E,), 0..n_in − 1.
    n_in
        Channels.
    length
        Least T; more if there are later events.
    samples
        (E,) places in the batch, 0..batch − 1; all 0 by default.
    batch
        B.
    counts
        (E,) how often each event counts, whole numbers >= 0; once by default.

    Raises
    ------
    Refused
        NB803 for more than 2 GiB.

    """
    width = max(1, n_in * batch)
    latest = max(float(times.max(initial=-1.0)), length - 1.0)
    if not latest < MAX_BYTES / width:
        found = f"{latest:.6g} steps of {width} channels"
        raise refuse("NB803", node=name, limit=f"{MAX_BYTES} bytes", found=found)
    steps = np.floor(times + 1e-6).astype(np.int64)
    size = max(int(length), int(steps.max(initial=-1)) + 1)
    first = 0 if samples is None else samples * size
    places, inverse = np.unique((first + steps) * n_in + channels, return_inverse=True)
    totals = np.bincount(inverse, counts, minlength=len(places))
    kind = np.min_scalar_type(int(totals.max(initial=0)))
    if size * width * kind.itemsize > MAX_BYTES:
        found = f"{size} steps of {width} channels of {kind}"
        raise refuse("NB803", node=name, limit=f"{MAX_BYTES} bytes", found=found)
    raster = np.zeros(batch * size * n_in, kind)
    raster[places] = totals.astype(kind)
    return raster.reshape(batch, size, n_in)
