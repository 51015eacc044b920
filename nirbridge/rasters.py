"""Spike rasters: what counts as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse


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
