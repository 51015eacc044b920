"""The chip's time step, compiled. :mod:`nirbridge.simulate.reference` says the same for reading.

One call advances a range of samples through all their steps. Only the weight rows of channels and
neurons that spiked are touched, and currents, membranes and spikes are worked out for 32 neurons
at a time (:mod:`nirbridge.simulate.lanes`). Currents saturate after each entry: rows are taken
together, but each current sees them in the order of the chip. Indices are unsigned so that Numba
adds no checks for negative ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from nirbridge.simulate import lanes

_LANES = np.uint64(lanes.LANES)
_GROUP = np.uint64(lanes.LANES * lanes.GROUP)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_AHEAD = np.uint64(4)  # neurons listed without asking whether there are more: a guess less


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use, and keep the machine code on disk where there is a place for it."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, error_model="numpy")(function)


def _inlined(function: Callable[..., Any]) -> Any:
    """Compile as a part of the caller; a call in every step costs too much."""
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)


@_inlined
def _accumulate(current: Any, base: Any, spiking: Any, shift: Any, rows: Any, scratch: Any) -> None:
    """current[j] = sat(current[j] + n·(w[j] << shift)) for each source that spiked, in order.

    ``spiking``: the sources, how many they are, and the spike count n of every source. Source s
    has row ``base`` + s of the packed ``rows``. Rows that follow each other in the same band are
    added together; ``scratch`` then lists their places and factors n << shift.
    """
    source, n_sources, count = spiking
    bands, band, place, fits, _, _ = rows
    places, factors = scratch
    k = _ZERO
    while k < n_sources:
        this = band[base + source[k]]
        m = _ZERO
        wide = False
        while k < n_sources and band[base + source[k]] == this:
            row = base + source[k]
            factor = np.int16(np.uint64(count[source[k]]) << shift)
            wide |= factor > fits[row]
            places[m], factors[m] = place[row], factor
            m += _ONE
            k += _ONE
        first, length, is_list = bands[this, 0], bands[this, 1], bands[this, 2]
        if is_list:
            _add_lists(current, length, m, rows, scratch)
        else:
            _add_rows(current, first, length, m, wide, rows, scratch)


@_inlined
def _add_rows(
    current: Any, first: Any, length: Any, m: Any, wide: Any, rows: Any, scratch: Any
) -> None:
    """Add ``m`` dense rows to the ``length`` currents from ``first`` on.

    Most products fit 16 bits. Where one may not (``wide``), they are evaluated in 32.
    """
    weights = rows[4]
    places, factors = scratch
    j = _ZERO
    if wide:
        while j < length:
            lanes.add_rows_wide(current, first + j, places, factors, m, weights, j)
            j += _LANES
    while j + _GROUP <= length:
        lanes.add_rows_group(current, first + j, places, factors, m, weights, j)
        j += _GROUP
    while j < length:
        lanes.add_rows(current, first + j, places, factors, m, weights, j)
        j += _LANES


@_inlined
def _add_lists(current: Any, length: Any, m: Any, rows: Any, scratch: Any) -> None:
    """Add ``m`` rows that are lists of ``length`` entries."""
    weights, index = rows[4], rows[5]
    places, factors = scratch
    for k in range(_ZERO, m):
        for e in range(places[k], places[k] + length):
            current[index[e]] = lanes.add_entry(current[index[e]], factors[k], weights[e])


@_inlined
def _fire(v: Any, threshold: Any, limit: Any, counts: Any, source: Any) -> Any:
    """Count spikes, subtract thresholds; list in ``source`` who fired. Returns how many did.

    ``source`` is longer than ``counts`` by ``_AHEAD``; what lies behind the list is of no meaning.
    """
    fired = _ZERO
    for first in range(_ZERO, np.uint64(v.shape[0]), _LANES):
        mask = lanes.fire(v, threshold, counts, limit, first)
        k = fired
        fired += lanes.count_bits(mask)
        while k < fired:
            for a in range(_AHEAD):
                source[k + a] = first + lanes.lowest_bit(mask)
                mask &= mask - _ONE
            k += _AHEAD
    return fired


@_compiled
def _fire_aliased(
    v: Any, threshold: Any, limit: Any, counts: Any, source: Any, aliases: Any
) -> Any:
    """As :func:`_fire`; each neuron's total is also added to its alias target, in index order."""
    counts[:] = 0
    for j in range(aliases.shape[0]):
        while v[j] >= threshold[j] and counts[j] < limit:
            v[j] -= threshold[j]
            counts[j] += 1
        if aliases[j] >= 0:
            counts[aliases[j]] = min(limit, counts[aliases[j]] + counts[j])
    return _spiking(counts, source)


@_inlined
def _spiking(counts: Any, source: Any) -> Any:
    """List in ``source`` (at least one longer) where ``counts`` is not 0. Returns how many."""
    found = _ZERO
    for j in range(np.uint64(counts.shape[0])):  # without a branch, which would be guessed wrong
        source[found] = j
        found += np.uint64(counts[j] > 0)
    return found


@_inlined
def _store(values: Any, into: Any, b: Any, t: Any) -> None:
    """Record one step without the padding; a slice assignment would cost three times as much."""
    for j in range(np.uint64(into.shape[2])):
        into[b, t, j] = values[j]


@_compiled
def run(
    raster: Any,
    first: int,
    last: int,
    packed: Any,
    state: Any,
    output: Any,
    record: Any,
) -> None:
    """Advance samples ``first`` to ``last`` (exclusive) of a batch through all steps.

    ``raster`` uint8 (B, T, n_in), already limited. ``packed``: see
    :func:`nirbridge.simulate.packing.packed`. ``state`` int16 arrays (B, padded n), updated in
    place; ``output`` uint8 (B, T, n_out); ``record`` arrays (B, T, n), or with T = 0 to skip.
    """
    rows, shifts, hidden, outputs, two, aliased, v1 = packed
    shift_in, shift_rec, shift_out = shifts
    dash_mem, dash_syn, dash_syn_2, threshold, bias, aliases, limit = hidden
    dash_mem_out, dash_syn_out, threshold_out, bias_out, limit_out = outputs
    spikes_rec, i1_rec, i2_rec, v_rec, io_rec, vo_rec = record
    n_in, n_hidden = np.uint64(raster.shape[2]), np.uint64(aliases.shape[0])
    onto_second = n_in + n_hidden  # where the rows onto the second synapse begin
    onto_outputs = onto_second + onto_second
    padded, padded_out = np.uint64(threshold.shape[0]), np.uint64(threshold_out.shape[0])
    recording = spikes_rec.shape[1] > 0
    count_in = np.zeros(n_in, np.int16)
    count_out = np.zeros(padded_out, np.int16)
    none = np.zeros(padded_out, np.int16)
    source_in = np.zeros(n_in + _ONE, np.uint64)
    source = np.zeros(padded + _AHEAD, np.uint64)
    scratch = np.zeros(n_in + padded, np.uint64), np.zeros(n_in + padded, np.int16)
    for b in range(first, last):
        count, i1, i2 = state[0][b], state[1][b], state[2][b]
        v, io, vo = state[3][b], state[4][b], state[5][b]
        fired = _spiking(count, source)
        for t in range(raster.shape[1]):
            for c in range(n_in):
                count_in[c] = raster[b, t, c]
            inputs = source_in, _spiking(count_in, source_in), count_in
            recurrent = source, fired, count
            _accumulate(i1, _ZERO, inputs, shift_in, rows, scratch)
            _accumulate(i1, n_in, recurrent, shift_rec, rows, scratch)
            if two:
                _accumulate(i2, onto_second, inputs, shift_in, rows, scratch)
                _accumulate(i2, onto_second + n_in, recurrent, shift_rec, rows, scratch)
            _accumulate(io, onto_outputs, recurrent, shift_out, rows, scratch)
            for j in range(_ZERO, padded, _LANES):
                lanes.decay(i1, dash_syn, j)
                if two:
                    lanes.decay(i2, dash_syn_2, j)
                if v1:
                    lanes.integrate_v1(v, dash_mem, i1, i2, j)
                else:
                    lanes.integrate(v, dash_mem, i1, i2, bias, j)
            if aliased:
                fired = _fire_aliased(v, threshold, limit, count, source, aliases)
            else:
                fired = _fire(v, threshold, limit, count, source)
            for j in range(_ZERO, padded_out, _LANES):
                lanes.decay(io, dash_syn_out, j)
                if v1:
                    lanes.integrate_v1(vo, dash_mem_out, io, none, j)
                else:
                    lanes.integrate(vo, dash_mem_out, io, none, bias_out, j)
                lanes.fire(vo, threshold_out, count_out, limit_out, j)
            _store(count_out, output, b, t)
            if recording:
                _store(count, spikes_rec, b, t)
                _store(i1, i1_rec, b, t)
                _store(i2, i2_rec, b, t)
                _store(v, v_rec, b, t)
                _store(io, io_rec, b, t)
                _store(vo, vo_rec, b, t)
