"""The chip's time step, compiled. :mod:`nirbridge.simulate.reference` says the same for reading.

One call advances a range of samples through all their steps. Weight rows are touched only for
channels and neurons that spiked; neurons are updated 32 at a time (:mod:`nirbridge.simulate.lanes`).
Indices are unsigned so that Numba adds no checks for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.simulate import lanes

_LANES = np.uint64(lanes.LANES)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_compiled = njit(cache=True, nogil=True, error_model="numpy")
_inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)


@_inlined  # type: ignore[untyped-decorator]
def _add_row(current: Any, row: Any, n: Any, rows: Any, weights: Any, index: Any) -> None:
    """current[j] = sat(current[j] + n·(w[j] << shift)) along one packed weight row.

    ``rows[row]`` is: first target, number of targets, place of the first weight, shift, largest
    multiplier for which all products fit 16 bits, and whether it is a list of entries.
    """
    first, length, place = rows[row, 0], rows[row, 1], rows[row, 2]
    m = np.int16(np.uint64(n) << rows[row, 3])
    if rows[row, 5]:
        for k in range(place, place + length):
            current[index[k]] = lanes.add_entry(current[index[k]], m, weights[k])
    elif np.uint64(m) <= rows[row, 4]:
        for k in range(_ZERO, length, _LANES):
            lanes.add_row(current, first + k, m, weights, place + k)
    else:
        for k in range(_ZERO, length, _LANES):
            lanes.add_row_wide(current, first + k, m, weights, place + k)


@_inlined  # type: ignore[untyped-decorator]
def _fire(v: Any, threshold: Any, limit: Any, counts: Any, active: Any) -> Any:
    """Count spikes, subtract thresholds; ``active`` lists who fired. Returns how many fired."""
    fired = _ZERO
    for first in range(_ZERO, np.uint64(v.shape[0]), _LANES):
        mask = lanes.reached(v, threshold, first)
        while mask != _ZERO:
            j = first + lanes.lowest_bit(mask)
            mask &= mask - _ONE
            n = 0
            rest = np.int32(v[j])
            while rest >= threshold[j] and n < limit:
                rest -= threshold[j]
                n += 1
            v[j] = rest
            counts[j] = n
            active[fired] = j
            fired += _ONE
    return fired


@_compiled  # type: ignore[untyped-decorator]
def _fire_aliased(
    v: Any, threshold: Any, limit: Any, counts: Any, active: Any, aliases: Any
) -> Any:
    """As :func:`_fire`; each neuron's total is also added to its alias target, in index order."""
    for j in range(aliases.shape[0]):
        while v[j] >= threshold[j] and counts[j] < limit:
            v[j] -= threshold[j]
            counts[j] += 1
        if aliases[j] >= 0:
            counts[aliases[j]] = min(limit, counts[aliases[j]] + counts[j])
    return _spiking(counts, active)


@_compiled  # type: ignore[untyped-decorator]
def _spiking(counts: Any, active: Any) -> Any:
    """List in ``active`` the neurons whose count is not 0."""
    fired = _ZERO
    for j in range(counts.shape[0]):
        if counts[j] > 0:
            active[fired] = j
            fired += _ONE
    return fired


@_compiled  # type: ignore[untyped-decorator]
def run(
    raster: Any,
    first: int,
    last: int,
    packed: Any,
    hidden: Any,
    outputs: Any,
    two: bool,
    aliased: bool,
    state: Any,
    output: Any,
    record: Any,
) -> None:
    """Advance samples ``first`` to ``last`` (exclusive) of a batch through all steps.

    ``raster`` uint8 (B, T, n_in), already limited. ``packed`` are the weight rows: inputs and
    hidden neurons onto the first synapse, the same onto the second, hidden neurons onto the
    outputs. ``state`` int16 arrays (B, padded n), updated in place; ``output`` uint8
    (B, T, n_out); ``record`` arrays (B, T, n), or with T = 0 to skip.
    """
    rows, weights, index = packed
    dash_mem, dash_syn, dash_syn_2, threshold, bias, aliases, limit = hidden
    dash_mem_out, dash_syn_out, threshold_out, bias_out, limit_out = outputs
    spikes_rec, i1_rec, i2_rec, v_rec, io_rec, vo_rec = record
    n_in, n_hidden, n_out = np.uint64(raster.shape[2]), aliases.shape[0], output.shape[2]
    second = n_in + np.uint64(n_hidden)
    onto_outputs = second + second
    recording = spikes_rec.shape[1] > 0
    active = np.zeros(threshold.shape[0], np.uint64)
    active_out = np.zeros(threshold_out.shape[0], np.uint64)
    counts_out = np.zeros(threshold_out.shape[0], np.int16)
    none = np.zeros(threshold_out.shape[0], np.int16)
    for b in range(first, last):
        counts, i1, i2 = state[0][b], state[1][b], state[2][b]
        v, io, vo = state[3][b], state[4][b], state[5][b]
        n_active = _spiking(counts, active)
        for t in range(raster.shape[1]):
            for c in range(n_in):
                n = raster[b, t, c]
                if n > 0:
                    _add_row(i1, c, n, rows, weights, index)
                    if two:
                        _add_row(i2, second + c, n, rows, weights, index)
            for k in range(n_active):
                j = active[k]
                n = counts[j]
                counts[j] = 0
                _add_row(i1, n_in + j, n, rows, weights, index)
                if two:
                    _add_row(i2, second + n_in + j, n, rows, weights, index)
                _add_row(io, onto_outputs + j, n, rows, weights, index)
            for j in range(_ZERO, np.uint64(threshold.shape[0]), _LANES):
                lanes.decay(i1, dash_syn, j)
                if two:
                    lanes.decay(i2, dash_syn_2, j)
                lanes.integrate(v, dash_mem, i1, i2, bias, j)
            if aliased:
                n_active = _fire_aliased(v, threshold, limit, counts, active, aliases)
            else:
                n_active = _fire(v, threshold, limit, counts, active)
            for j in range(_ZERO, np.uint64(threshold_out.shape[0]), _LANES):
                lanes.decay(io, dash_syn_out, j)
                lanes.integrate(vo, dash_mem_out, io, none, bias_out, j)
            for k in range(_fire(vo, threshold_out, limit_out, counts_out, active_out)):
                output[b, t, active_out[k]] = counts_out[active_out[k]]
            if recording:
                for j in range(n_hidden):
                    spikes_rec[b, t, j] = counts[j]
                i1_rec[b, t] = i1[:n_hidden]
                i2_rec[b, t] = i2[:n_hidden]
                v_rec[b, t] = v[:n_hidden]
                io_rec[b, t] = io[:n_out]
                vo_rec[b, t] = vo[:n_out]
