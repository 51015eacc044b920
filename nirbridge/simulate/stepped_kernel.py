"""The stepped dynamics, compiled. :mod:`nirbridge.simulate.stepped` says the same for reading.

One call advances a range of samples through all their steps, several samples side by side, so that
weights fetched for one serve the others. Only the weight rows of sources that sent something are
touched; currents, membranes and spikes are worked out for 128 bytes of neurons at a time
(:mod:`nirbridge.simulate.stepped_lanes`). What a network is made of lies in the tables of
:mod:`nirbridge.simulate.stepped_plan`. Indices are unsigned so that Numba adds no checks for
negative ones.

The values that populations send are kept in a ring of as many steps as the longest delay, one
``slot`` for a step: for each sample the values of all populations, one after the other, and in the
same places the numbers of the neurons whose value is not 0.

Numba keeps the compiled kernel until this file changes. Whoever changes a constant of
``stepped_plan.py`` must touch it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from nirbridge.simulate import stepped_lanes as lanes
from nirbridge.simulate import stepped_plan as plan
from nirbridge.simulate.lanes import count_bits, lowest_bit

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_AHEAD = np.uint64(4)  # sources listed without asking whether there are more: a guess less
_NOWHERE = np.uint64(plan.NOWHERE)
_INPUT, _SUM, _GRADED = (np.uint64(k) for k in (plan.INPUT, plan.SUM, plan.GRADED))
_TO_VALUE, _BY_ONE, _LATE, _BLOCKED, _AT_MOST = (
    np.uint64(k) for k in (plan.TO_VALUE, plan.BY_ONE, plan.LATE, plan.BLOCKED, plan.AT_MOST)
)
_BINARY, _ROWS = np.uint64(plan.BINARY), np.uint64(plan.ROWS)
_NO_SYNAPSE, _SYNAPSE_FIRST = np.uint64(plan.NO_SYNAPSE), np.uint64(plan.SYNAPSE_FIRST)


# Without Numba's counting of references: in a loop as short as this it took half of the time. So
# nothing may be allocated here; all room comes from the caller, who also keeps it alive.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use, and keep the machine code on disk where there is a place for it."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(**_OPTIONS)(function)


def _inlined(function: Callable[..., Any]) -> Any:
    """Compile as a part of the caller; a call in every step costs too much."""
    return njit(forceinline=True, **_OPTIONS)(function)


@_inlined
def _list(mask: Any, first: Any, listed: Any, at: Any, n: Any) -> Any:
    """Append ``first`` + k for each bit k of a mask to the ``n`` entries listed from ``at`` on.

    Returns how many there are then. What lies behind them is of no meaning.
    """
    k = n
    n += count_bits(mask)
    while k < n:
        for a in range(_AHEAD):
            listed[at + k + a] = first + lowest_bit(mask)
            mask &= mask - _ONE
        k += _AHEAD
    return n


@_inlined
def _list_nonzero(padded: Any, ring: Any, now: Any) -> Any:
    """List what is not 0 in the ring at ``now``. Returns how many there are."""
    values, listed = ring
    step = lanes.lanes_of(values)
    n = _ZERO
    for j in range(_ZERO, padded, step):
        n = _list(lanes.nonzero(values, now + j), j, listed, now, n)
    return n


def _looped(fire: Any) -> Any:
    """Make the loop over a population for one rule of firing. It returns how many fired."""

    @_inlined
    def loop(v: Any, j: Any, neurons: Any, place: Any, ring: Any, now: Any, held: Any) -> Any:
        threshold, bar, v_reset, limit = neurons
        first, padded = place
        values, listed = ring
        step = lanes.lanes_of(values)
        n = _ZERO
        for k in range(_ZERO, padded, step):
            mask = fire(
                v, j + k, threshold, bar, v_reset, limit, first + k, values, now + k, held + k
            )
            n = _list(mask, k, listed, now, n)
        return n

    return loop


_fire_to_value, _fire_by_one, _fire_held, _fire_blocked, _fire_at_most, _fire_below = map(
    _looped,
    (
        lanes.fire_to_value,
        lanes.fire_by_one,
        lanes.fire_late,
        lanes.fire_blocked,
        lanes.fire_at_most,
        lanes.fire_below,
    ),
)


@_inlined
def _send(
    mode: Any, v: Any, j: Any, neurons: Any, place: Any, ring: Any, now: Any, before: Any
) -> Any:
    """Spike, reset and list who fired, in the ring at ``now``. Returns how many."""
    if mode == _TO_VALUE:
        return _fire_to_value(v, j, neurons, place, ring, now, now)
    if mode == _BY_ONE:
        return _fire_by_one(v, j, neurons, place, ring, now, now)
    if mode == _LATE:
        return _fire_held(v, j, neurons, place, ring, now, before)
    if mode == _BLOCKED:
        return _fire_blocked(v, j, neurons, place, ring, now, now)
    if mode == _AT_MOST:
        return _fire_at_most(v, j, neurons, place, ring, now, now)
    if mode == _GRADED:
        for k in range(place[1]):
            ring[0][now + k] = v[j + k]
        return _list_nonzero(place[1], ring, now)
    return _fire_below(v, j, neurons, place, ring, now, now)


@_inlined
def _store(values: Any, first: Any, into: Any, at: Any, size: Any) -> None:
    """Record one step without the padding, if there is a place for it."""
    if at != _NOWHERE:
        for j in range(size):
            into[at + j] = values[first + j]


@_inlined
def _place(record: Any, row: Any, size: Any) -> Any:
    """Where in a record a step of a sample lies."""
    return record if record == _NOWHERE else record + row * size


@_inlined
def _present(raster: Any, channel: Any, size: Any, padded: Any, ring: Any, now: Any) -> Any:
    """Show one step of the raster to an Input. Returns how many channels are not silent."""
    for j in range(size):
        ring[0][now + j] = raster[channel + j]
    return _list_nonzero(padded, ring, now)


@_inlined
def _gather(x: Any, own: Any, weights: Any, term: Any, padded: Any, sent: Any, ring: Any) -> None:
    """Add what one source has sent to the inputs ``x`` of a population, sample by sample.

    ``own`` and ``sent``: where the population lies in ``x`` and the source in the ring, the number
    of places from one sample to the next, and for the source how many neurons sent something.
    """
    base, form, rows = term
    into, width, samples = own
    at, counts = sent
    values, listed = ring
    step = lanes.lanes_of(x)
    for j in range(_ZERO, padded, step):
        for s in range(samples):
            to, from_ = into + s * width + j, at + s * width
            if form == _BINARY:
                lanes.add_rows(
                    x, to, weights, base + j * rows, listed, from_, counts[s], values, from_
                )
            elif form == _ROWS:
                lanes.add_graded_rows(
                    x, to, weights, base + j * rows, listed, from_, counts[s], values, from_
                )
            else:
                lanes.add_scaled(x, to, weights, base + j, values, from_ + j)


@_inlined
def _integrate(rule: Any, states: Any, j: Any, factors: Any, place: Any, held: Any) -> None:
    """Currents and membranes of one population, from its input.

    ``held``: where to put the resets that a residual holds back.
    """
    mode, synapse = rule
    i, v, x = states
    A, gs, B, gm, c, threshold = factors
    first, padded = place
    values, now = held
    step = lanes.lanes_of(v)
    for k in range(_ZERO, padded, step):
        if mode == _BLOCKED:
            lanes.hold_back(v, threshold, j + k, first + k, values, now + k)
        if synapse == _NO_SYNAPSE:
            lanes.membrane(v, B, gm, c, x, j + k, first + k)
        elif synapse == _SYNAPSE_FIRST:
            lanes.synapse(i, A, gs, x, j + k, first + k)
            lanes.membrane(v, B, gm, c, i, j + k, first + k)
        else:
            lanes.membrane(v, B, gm, c, i, j + k, first + k)
            lanes.synapse(i, A, gs, x, j + k, first + k)


@_inlined
def _input_of(p: Any, t: Any, x: Any, bias: Any, weights: Any, tables: Any, sizes: Any) -> None:
    """All that arrives at population ``p`` in step ``t``, into ``x``."""
    populations, terms, ring, counts = tables
    slots, most, width, samples, padded = sizes
    first = populations[p, 1]
    for s in range(samples):
        for j in range(padded):
            x[s * width + first + j] = bias[first + j]
    for k in range(populations[p, 4], populations[p, 5]):
        source, late = terms[k, 0], terms[k, 1]
        slot = (t + slots - late) % slots
        term = terms[k, 2], terms[k, 3], populations[source, 2]
        sent = slot * most * width + populations[source, 1], counts[slot, source]
        _gather(x, (first, width, samples), weights, term, padded, sent, ring)


@_inlined
def _advance(
    population: Any, states: Any, own: Any, factors: Any, neurons: Any, ring: Any, moment: Any
) -> Any:
    """Integrate, spike and reset. Returns how many neurons sent something."""
    mode, first, synapse, padded = population
    now, before = moment
    place = first, padded
    _integrate((mode, synapse), states, own, factors, place, (ring[0], now))
    return _send(mode, states[1], own, neurons, place, ring, now, before)


@_compiled
def run(
    raster: Any,
    first_sample: int,
    last_sample: int,
    scratch: Any,
    tables: Any,
    arrays: Any,
    records: Any,
) -> None:
    """Advance samples ``first_sample`` to ``last_sample`` (exclusive) through all steps.

    ``raster`` (B, T, n_in) of counts. ``scratch``, ``tables``, ``arrays`` and ``records``: see
    :class:`nirbridge.simulate.stepped_plan.Plan`.
    """
    populations, terms, slots = tables
    A, gs, B, gm, c, threshold, bar, v_reset, limit, bias, weights = arrays
    outputs, spikes_out, i_out, v_out = records
    factors, neurons = (A, gs, B, gm, c, threshold), (threshold, bar, v_reset, limit)
    steps, n_populations = np.uint64(raster.shape[1]), np.uint64(populations.shape[0])
    step = lanes.lanes_of(A)
    last, width = np.uint64(last_sample), np.uint64(A.shape[0])
    i, v, x, values, listed, counts = scratch
    most = np.uint64(counts.shape[2])  # samples side by side
    ring = values, listed
    for b in range(np.uint64(first_sample), last, most):
        samples = min(most, last - b)
        i[:], v[:], values[:], counts[:] = 0, 0, 0, 0
        for t in range(steps):
            slot, slot_before = t % slots, (t + slots - _ONE) % slots
            for p in range(n_populations):
                mode, first = populations[p, 0], populations[p, 1]
                size, fourth = populations[p, 2], populations[p, 3]
                padded = (size + step - _ONE) // step * step
                if mode != _INPUT:
                    everything = populations, terms, ring, counts
                    sizes = slots, most, width, samples, padded
                    _input_of(p, t, x, bias, weights, everything, sizes)
                for s in range(samples):
                    row, own = (b + s) * steps + t, s * width + first
                    now = slot * most * width + own
                    before = slot_before * most * width + own
                    sent_at = _place(populations[p, 6], row, size)
                    if mode == _INPUT:
                        counts[slot, p, s] = _present(
                            raster[b + s, t], fourth, size, padded, ring, now
                        )
                    elif mode == _SUM:
                        _store(x, own, outputs, sent_at, size)
                    else:
                        population = mode, first, fourth, padded
                        counts[slot, p, s] = _advance(
                            population, (i, v, x), own, factors, neurons, ring, (now, before)
                        )
                        _store(values, now, spikes_out, sent_at, size)
                        _store(i, own, i_out, _place(populations[p, 7], row, size), size)
                        _store(v, own, v_out, _place(populations[p, 8], row, size), size)
