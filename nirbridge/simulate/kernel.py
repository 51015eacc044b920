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
_GROUP = np.uint64(lanes.LANES * lanes.GROUP)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_compiled = njit(cache=True, nogil=True, error_model="numpy")
_inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)


@_inlined
def _accumulate(current: Any, base: Any, source: Any, n: Any, amount: Any, shift: Any, rows: Any, places: Any, factors: Any) -> None:
    """current[j] = sat(current[j] + n·(w[j] << shift)), row after row."""
    bands, band, place, fits, weights, index = rows
    k = _ZERO
    while k < n:
        b = band[base + source[k]]
        m = _ZERO
        wide = False
        while k < n and band[base + source[k]] == b:
            row = base + source[k]
            f = np.int16(np.uint64(amount[source[k]]) << shift)
            wide |= f > fits[row]
            places[m] = place[row]
            factors[m] = f
            m += _ONE
            k += _ONE
        first, length = bands[b, 0], bands[b, 1]
        if bands[b, 2]:
            for r in range(_ZERO, m):
                for e in range(places[r], places[r] + length):
                    current[index[e]] = lanes.add_entry(current[index[e]], factors[r], weights[e])
        elif wide:
            for o in range(_ZERO, length, _LANES):
                lanes.add_rows_wide(current, first + o, places, factors, m, weights, o)
        else:
            o = _ZERO
            while o + _GROUP <= length:
                lanes.add_rows_group(current, first + o, places, factors, m, weights, o)
                o += _GROUP
            while o < length:
                lanes.add_rows(current, first + o, places, factors, m, weights, o)
                o += _LANES


@_inlined
def _fire(v: Any, threshold: Any, limit: Any, counts: Any, active: Any) -> Any:
    """Count spikes, subtract thresholds; ``active`` lists who fired. Returns how many fired."""
    fired = _ZERO
    for first in range(_ZERO, np.uint64(v.shape[0]), _LANES):
        mask = lanes.fire(v, threshold, counts, limit, first)
        while mask != _ZERO:
            active[fired] = first + lanes.lowest_bit(mask)
            mask &= mask - _ONE
            fired += _ONE
    return fired


@_compiled
def _fire_aliased(
    v: Any, threshold: Any, limit: Any, counts: Any, active: Any, aliases: Any
) -> Any:
    """As :func:`_fire`; each neuron's total is also added to its alias target, in index order."""
    counts[:] = 0
    for j in range(aliases.shape[0]):
        while v[j] >= threshold[j] and counts[j] < limit:
            v[j] -= threshold[j]
            counts[j] += 1
        if aliases[j] >= 0:
            counts[aliases[j]] = min(limit, counts[aliases[j]] + counts[j])
    return _spiking(counts, active)


@_compiled
def _spiking(counts: Any, active: Any) -> Any:
    """List in ``active`` the places whose count is not 0; returns how many."""
    fired = _ZERO
    for j in range(counts.shape[0]):
        active[fired] = j
        fired += np.uint64(counts[j] > 0)
    return fired


@_compiled
def run(
    raster: Any,
    first: int,
    last: int,
    rows: Any,
    shifts: Any,
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
    dash_mem, dash_syn, dash_syn_2, threshold, bias, aliases, limit = hidden
    dash_mem_out, dash_syn_out, threshold_out, bias_out, limit_out = outputs
    spikes_rec, i1_rec, i2_rec, v_rec, io_rec, vo_rec = record
    shift_in, shift_rec, shift_out = np.uint64(shifts[0]), np.uint64(shifts[1]), np.uint64(shifts[2])
    n_in, n_hidden, n_out = np.uint64(raster.shape[2]), aliases.shape[0], output.shape[2]
    second = n_in + np.uint64(n_hidden)
    onto_outputs = second + second
    recording = spikes_rec.shape[1] > 0
    active_in = np.zeros(n_in + _ONE, np.uint64)
    active = np.zeros(threshold.shape[0] + 1, np.uint64)
    active_out = np.zeros(threshold_out.shape[0] + 1, np.uint64)
    places = np.zeros(n_in + np.uint64(threshold.shape[0]), np.uint64)
    factors = np.zeros(n_in + np.uint64(threshold.shape[0]), np.int16)
    counts_in = np.zeros(n_in, np.int16)
    counts_out = np.zeros(threshold_out.shape[0], np.int16)
    none = np.zeros(threshold_out.shape[0], np.int16)
    for b in range(first, last):
        counts, i1, i2 = state[0][b], state[1][b], state[2][b]
        v, io, vo = state[3][b], state[4][b], state[5][b]
        n_active = _spiking(counts, active)
        for t in range(raster.shape[1]):
            n_active_in = _ZERO
            for c in range(n_in):
                counts_in[c] = raster[b, t, c]
                active_in[n_active_in] = c
                n_active_in += np.uint64(counts_in[c] > 0)
            _accumulate(i1, _ZERO, active_in, n_active_in, counts_in, shift_in, rows, places, factors)
            _accumulate(i1, n_in, active, n_active, counts, shift_rec, rows, places, factors)
            if two:
                _accumulate(i2, second, active_in, n_active_in, counts_in, shift_in, rows, places, factors)
                _accumulate(i2, second + n_in, active, n_active, counts, shift_rec, rows, places, factors)
            _accumulate(io, onto_outputs, active, n_active, counts, shift_out, rows, places, factors)
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
                lanes.fire(vo, threshold_out, counts_out, limit_out, j)
            for j in range(n_out):
                output[b, t, j] = counts_out[j]
            if recording:
                for j in range(n_hidden):
                    spikes_rec[b, t, j] = counts[j]
                i1_rec[b, t] = i1[:n_hidden]
                i2_rec[b, t] = i2[:n_hidden]
                v_rec[b, t] = v[:n_hidden]
                io_rec[b, t] = io[:n_out]
                vo_rec[b, t] = vo[:n_out]
