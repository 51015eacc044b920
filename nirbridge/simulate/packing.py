"""A configuration laid out for the kernel: padded vectors and packed weight rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import HIDDEN_SPIKES, INT16, OUTPUT_SPIKES
from nirbridge.mapping import XyloConfig

LANES = 32  # as in nirbridge.simulate.lanes, which cannot be imported without the compiler

# A list entry costs about as much as this many lanes of a dense row.
_ENTRY_COST = 20

_CACHE = "_packed"


def packed(config: XyloConfig) -> tuple[Any, ...]:
    """The arguments of the kernel that depend on the configuration alone; made once for each."""
    cached = config.__dict__.get(_CACHE)
    if cached is None:
        cached = _pack(config)
        object.__setattr__(config, _CACHE, cached)
    return cached  # type: ignore[no-any-return]


def _pack(config: XyloConfig) -> tuple[Any, ...]:
    w_in, w_rec = config.weights_in, config.weights_rec
    rows = _Rows()
    for synapse in (0, 1):
        rows.add(w_in[:, :, synapse])
        rows.add(w_rec[:, :, synapse])
    rows.add(config.weights_out)
    hidden = (
        *(_lanes(x) for x in (config.dash_mem, config.dash_syn, config.dash_syn_2)),
        _lanes(config.threshold, INT16.high),
        _lanes(config.bias),
        np.array(config.aliases, np.int64),
        HIDDEN_SPIKES,
    )
    outputs = (
        *(_lanes(x) for x in (config.dash_mem_out, config.dash_syn_out)),
        _lanes(config.threshold_out, INT16.high),
        _lanes(config.bias_out),
        OUTPUT_SPIKES,
    )
    two = bool(w_in[:, :, 1].any() or w_rec[:, :, 1].any())
    aliased = bool((config.aliases >= 0).any())
    shifts = (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out)
    return rows.arrays(), shifts, hidden, outputs, two, aliased


def _lanes(values: NDArray[Any], fill: int = 0) -> NDArray[np.int16]:
    """16-bit values, padded to whole lanes. Padding neurons stay at 0 and never fire."""
    padded = np.full(-(-len(values) // LANES) * LANES, fill, np.int16)
    padded[: len(values)] = values
    return padded


class _Rows:
    """Weight rows: dense in the whole lanes that hold entries, or a list of entries.

    Rows of the same form lie in the same band: ``(first target, number of targets, whether it is
    a list)``. A row has its band, the place of its first weight, and the largest multiplier for
    which all its products fit 16 bits.
    """

    def __init__(self) -> None:
        self.bands: dict[tuple[int, ...], int] = {}
        self.band: list[int] = []
        self.place: list[int] = []
        self.fits: list[int] = []
        self.weights = [np.zeros(0, np.int8)]
        self.index = [np.zeros(0, np.uint64)]
        self.end = 0

    def add(self, matrix: NDArray[np.int8]) -> None:
        """Append the rows of a matrix (source, target)."""
        for row in matrix:
            entries = np.flatnonzero(row)
            fits = INT16.high
            first = length = 0
            if len(entries):
                fits = INT16.high // int(np.abs(row.astype(np.int16)).max())
                first = int(entries[0]) // LANES * LANES
                length = -(-(int(entries[-1]) + 1 - first) // LANES) * LANES
            if len(entries) * _ENTRY_COST >= length:
                dense = np.zeros(length, np.int8)
                part = row[first : first + length]
                dense[: len(part)] = part
                self._append((first, length, 0), fits, dense, np.zeros(length, np.uint64))
            else:
                self._append((0, len(entries), 1), fits, row[entries], entries.astype(np.uint64))

    def _append(self, band: tuple[int, ...], fits: int, weights: Any, index: Any) -> None:
        self.band.append(self.bands.setdefault(band, len(self.bands)))
        self.place.append(self.end)
        self.fits.append(fits)
        self.weights.append(weights)
        self.index.append(index)
        self.end += len(weights)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Bands; band, place and multiplier of each row; weights; targets of list entries."""
        return (
            np.array(list(self.bands), np.uint64).reshape(-1, 3),
            np.array(self.band, np.uint64),
            np.array(self.place, np.uint64),
            np.array(self.fits, np.int16),
            np.concatenate(self.weights),
            np.concatenate(self.index),
        )
