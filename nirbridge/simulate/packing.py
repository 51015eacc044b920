"""A configuration laid out for the kernel: padded vectors and packed weight rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import HIDDEN_SPIKES, INT16, OUTPUT_SPIKES
from nirbridge.mapping import XyloConfig
from nirbridge.targets import arithmetic

LANES = 32  # as in nirbridge.simulate.lanes, which cannot be imported without the compiler

# A list entry costs about as much as this many lanes of a dense row (measured: 1.2 ns, 0.026 ns).
_ENTRY_COST = 48

_CACHE = "_packed"


def packed(config: XyloConfig) -> tuple[Any, ...]:
    """The kernel's arguments that depend on the configuration alone; made once for each.

    Weight rows: inputs then hidden neurons onto the first synapse, the same onto the second,
    hidden neurons onto the outputs. The three weight shifts. The vectors of the hidden and of the
    output neurons. Whether any weight uses the second synapse, whether there is any alias, whether
    the arithmetic is that of the first chip.
    """
    cached: tuple[Any, ...] | None = config.__dict__.get(_CACHE)
    if cached is None:
        cached = _pack(config)
        object.__setattr__(config, _CACHE, cached)
    return cached


def _pack(config: XyloConfig) -> tuple[Any, ...]:
    w_in, w_rec = config.weights_in, config.weights_rec
    rows = Rows()
    for synapse in (0, 1):
        rows.add(w_in[:, :, synapse])
        rows.add(w_rec[:, :, synapse])
    rows.add(config.weights_out)
    shifts = (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out)
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
    two = config.uses_second
    aliased = bool((config.aliases >= 0).any())
    v1 = arithmetic(config.target) == "v1"
    return rows.arrays(), tuple(map(np.uint64, shifts)), hidden, outputs, two, aliased, v1


def whole_lanes(n: int) -> int:
    """``n`` rounded up to a multiple of ``LANES``."""
    return -(-n // LANES) * LANES


def _lanes(values: NDArray[Any], fill: int = 0) -> NDArray[np.int16]:
    """16-bit values, padded to whole lanes. Padding neurons stay at 0 and never fire."""
    padded = np.full(whole_lanes(len(values)), fill, np.int16)
    padded[: len(values)] = values
    return padded


class Rows:
    """Weight rows, each dense or a list of its entries, whichever the kernel adds faster.

    Rows of one form make a band: first target, number of targets (or of list entries), and
    whether they are lists. The kernel adds the rows of a band together, so rows are sorted into
    few of them: a dense row spans the whole lanes from its first to its last entry, but all
    targets if that is not much longer.
    """

    def __init__(self) -> None:
        self.bands: dict[tuple[int, int, int], int] = {}
        self.rows: list[tuple[int, int, int]] = []
        self.weights = [np.zeros(0, np.int8)]
        self.index = [np.zeros(0, np.uint64)]
        self.end = 0

    def add(self, matrix: NDArray[np.int8]) -> None:
        """Append the rows of a matrix (source, target)."""
        whole = whole_lanes(matrix.shape[1])
        for row in matrix:
            entries = np.flatnonzero(row)
            first, stop = 0, 0
            if len(entries):
                first = int(entries[0]) // LANES * LANES
                stop = whole_lanes(int(entries[-1]) + 1)
            if 4 * (stop - first) > 3 * whole:
                first, stop = 0, whole
            if len(entries) * _ENTRY_COST < stop - first:
                self._append((0, len(entries), 1), row[entries], entries.astype(np.uint64))
            else:
                dense = np.zeros(stop - first, np.int8)
                part = row[first:stop]
                dense[: len(part)] = part
                self._append((first, len(dense), 0), dense, np.zeros(len(dense), np.uint64))

    def _append(
        self, band: tuple[int, int, int], weights: NDArray[np.int8], index: NDArray[np.uint64]
    ) -> None:
        largest = int(np.abs(weights.astype(np.int16)).max(initial=1))
        number = self.bands.setdefault(band, len(self.bands))
        self.rows.append((number, self.end, INT16.high // largest))
        self.weights.append(weights)
        self.index.append(index)
        self.end += len(weights)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Everything as arrays.

        Bands (n, 3); of each row its band, the place of its first weight, and the largest factor
        for which its products fit 16 bits; all weights; the targets of list entries.
        """
        band, place, fits = np.array(self.rows, np.int64).reshape(-1, 3).T
        return (
            np.array(list(self.bands), np.uint64).reshape(-1, 3),
            band.astype(np.uint64),
            place.astype(np.uint64),
            fits.astype(np.int16),
            np.concatenate(self.weights),
            np.concatenate(self.index),
        )
