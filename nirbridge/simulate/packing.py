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
    shift_in, shift_rec = config.weight_shift_in, config.weight_shift_rec
    rows = _Rows()
    for synapse in (0, 1):
        rows.add(w_in[:, :, synapse], shift_in)
        rows.add(w_rec[:, :, synapse], shift_rec)
    rows.add(config.weights_out, config.weight_shift_out)
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
    return rows.arrays(), hidden, outputs, two, aliased


def _lanes(values: NDArray[Any], fill: int = 0) -> NDArray[np.int16]:
    """16-bit values, padded to whole lanes. Padding neurons stay at 0 and never fire."""
    padded = np.full(-(-len(values) // LANES) * LANES, fill, np.int16)
    padded[: len(values)] = values
    return padded


class _Rows:
    """Weight rows: dense in the whole lanes that hold entries, or a list of entries.

    The table has a line per row: first target, number of targets, place of the first weight,
    shift, largest multiplier for which all products fit 16 bits, whether it is a list.
    """

    def __init__(self) -> None:
        self.table: list[tuple[int, ...]] = []
        self.weights = [np.zeros(0, np.int8)]
        self.index = [np.zeros(0, np.uint64)]
        self.place = 0

    def add(self, matrix: NDArray[np.int8], shift: int) -> None:
        """Append the rows of a matrix (source, target)."""
        for row in matrix:
            entries = np.flatnonzero(row)
            if not len(entries):
                self.table.append((0,) * 6)
                continue
            fits = INT16.high // int(np.abs(row.astype(np.int16)).max())
            first = int(entries[0]) // LANES * LANES
            length = -(-(int(entries[-1]) + 1 - first) // LANES) * LANES
            if len(entries) * _ENTRY_COST >= length:
                self._append(first, length, shift, fits, 0)
                dense = np.zeros(length, np.int8)
                part = row[first : first + length]
                dense[: len(part)] = part
                self._store(dense, np.zeros(length, np.uint64))
            else:
                self._append(0, len(entries), shift, fits, 1)
                self._store(row[entries], entries.astype(np.uint64))

    def _append(self, first: int, length: int, shift: int, fits: int, is_list: int) -> None:
        self.table.append((first, length, self.place, shift, fits, is_list))

    def _store(self, weights: NDArray[np.int8], index: NDArray[np.uint64]) -> None:
        self.weights.append(weights)
        self.index.append(index)
        self.place += len(weights)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Table, weights and the targets of list entries (which share their places)."""
        table = np.array(self.table, np.uint64).reshape(-1, 6)
        return table, np.concatenate(self.weights), np.concatenate(self.index)
