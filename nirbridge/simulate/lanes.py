"""The chip's arithmetic on 32 neurons at a time, as LLVM vector instructions.

Numba promotes small integers to 64 bits, and its loops carry checks for overlapping arrays and a
scalar remainder. These intrinsics say exactly what is meant: load 32 lanes of 16 bits, compute,
store. LLVM turns that into whatever vectors the machine has (SSE, AVX2, AVX-512, NEON).

Every array is contiguous and padded to a multiple of ``LANES``; the index is that of the first
lane. Nothing checks bounds.

Numba keeps the compiled kernel until ``kernel.py`` changes. Whoever edits this file must touch
that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32

_BIT, _I8, _I16, _I32 = (ir.IntType(n) for n in (1, 8, 16, 32))


def _vector(element: Any) -> Any:
    return ir.VectorType(element, LANES)


def _constant(element: Any, value: int) -> Any:
    return ir.Constant(_vector(element), [value] * LANES)


def _call(builder: Any, name: str, type_: Any, a: Any, b: Any) -> Any:
    """Call the two-operand LLVM intrinsic ``name`` on vectors of ``type_``."""
    signature = ir.FunctionType(type_, [type_, type_])
    full = f"{name}.v{LANES}i{type_.element.width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, full), [a, b])


def _sat_add(builder: Any, a: Any, b: Any) -> Any:
    return _call(builder, "llvm.sadd.sat", _vector(_I16), a, b)


def _clamp(builder: Any, wide: Any) -> Any:
    """32-bit lanes, saturated to 16 bits."""
    wide = _call(builder, "llvm.smin", _vector(_I32), wide, _constant(_I32, 2**15 - 1))
    wide = _call(builder, "llvm.smax", _vector(_I32), wide, _constant(_I32, -(2**15)))
    return builder.trunc(wide, _vector(_I16))


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(_constant(_I16, 0), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, _constant(_I16, 0), _constant(_I32, 0))


def _lost(builder: Any, x: Any, dash: Any) -> Any:
    """What x loses in one step: x >> dash, but at least 1 where x > 0 (the linear floor)."""
    zero, one = _constant(_I16, 0), _constant(_I16, 1)
    shifted = builder.ashr(x, dash)
    floor = builder.and_(
        builder.icmp_signed(">", x, zero), builder.icmp_signed("==", shifted, zero)
    )
    return builder.select(floor, one, shifted)


class _Lanes:
    """32 lanes of an array argument, to be loaded and stored."""

    def __init__(
        self, context: Any, builder: Any, type_: Any, array: Any, index: Any, element: Any = _I16
    ):
        data = context.make_array(type_)(context, builder, array).data
        self.builder = builder
        self.pointer = builder.bitcast(
            cgutils.gep_inbounds(builder, data, index), _vector(element).as_pointer()
        )
        self.align = element.width // 8

    def load(self) -> Any:
        return self.builder.load(self.pointer, align=self.align)

    def store(self, value: Any) -> None:
        self.builder.store(value, self.pointer, align=self.align)


def _element(context: Any, builder: Any, type_: Any, array: Any, index: Any) -> Any:
    data = context.make_array(type_)(context, builder, array).data
    return builder.load(cgutils.gep_inbounds(builder, data, index))


def _narrow(builder: Any, current: Any, m: Any, w: Any) -> Any:
    return _sat_add(builder, current, builder.mul(m, builder.sext(w, _vector(_I16))))


def _wide(builder: Any, current: Any, m: Any, w: Any) -> Any:
    current, m, w = (builder.sext(x, _vector(_I32)) for x in (current, m, w))
    return _clamp(builder, builder.add(current, builder.mul(m, w)))


def _row_adder(groups: int, combine: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """Make the intrinsic that adds rows to ``groups`` · 32 currents.

    The currents stay in registers until all rows are added. ``combine`` adds one row.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        current, j, places, factors, n, weights, offset = args
        t_current, _, t_places, t_factors, _, t_weights, _ = signature.args

        def lanes(type_: Any, array: Any, index: Any, group: int, element: Any) -> _Lanes:
            index = builder.add(index, ir.Constant(index.type, group * LANES))
            return _Lanes(context, builder, type_, array, index, element)

        targets = [lanes(t_current, current, j, g, _I16) for g in range(groups)]
        sums = [cgutils.alloca_once_value(builder, target.load()) for target in targets]
        with cgutils.for_range(builder, n) as loop:
            place = _element(context, builder, t_places, places, loop.index)
            factor = _element(context, builder, t_factors, factors, loop.index)
            place, factor = builder.add(place, offset), _splat(builder, factor)
            for g, total in enumerate(sums):
                w = lanes(t_weights, weights, place, g, _I8).load()
                builder.store(combine(builder, builder.load(total), factor, w), total)
        for target, total in zip(targets, sums, strict=True):
            target.store(builder.load(total))
        return context.get_dummy_value()

    def add_rows(
        typing: Any,  # noqa: ARG001
        current: Any,
        j: Any,  # noqa: ARG001
        places: Any,
        factors: Any,
        n: Any,  # noqa: ARG001
        weights: Any,
        offset: Any,  # noqa: ARG001
    ) -> Any:
        """current[j:] = sat(current + m·w) for each of n rows, whose weights are 8 bits.

        Row k has the factor m = factors[k], and the weight of current j at places[k] + offset.
        """
        size = types.uintp
        signature = types.void(current, size, places, factors, size, weights, size)
        return signature, codegen

    return intrinsic(add_rows)


GROUP = 4
add_rows = _row_adder(1, _narrow)  # where every m·w is known to fit 16 bits
add_rows_group = _row_adder(GROUP, _narrow)
add_rows_wide = _row_adder(1, _wide)  # any m·w, evaluated in 32 bits and saturated once


@intrinsic  # type: ignore[untyped-decorator]
def add_entry(typing: Any, x: Any, m: Any, w: Any) -> Any:  # noqa: ARG001
    """One scalar: x + m·w in 32 bits, saturated to 16."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        x_, m_, w_ = (builder.sext(a, _I32) for a in args)
        total = builder.add(x_, builder.mul(m_, w_))
        for bound, test in ((2**15 - 1, "<"), (-(2**15), ">")):
            limit = ir.Constant(_I32, bound)
            total = builder.select(builder.icmp_signed(test, total, limit), total, limit)
        return builder.trunc(total, _I16)

    return types.int16(types.int16, types.int16, types.int8), codegen


@intrinsic  # type: ignore[untyped-decorator]
def decay(typing: Any, state: Any, dash: Any, j: Any) -> Any:  # noqa: ARG001
    """state[j:] loses its decay of one step."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = _Lanes(context, builder, signature.args[0], args[0], args[2])
        dashes = _Lanes(context, builder, signature.args[1], args[1], args[2])
        x = lanes.load()
        lanes.store(builder.sub(x, _lost(builder, x, dashes.load())))
        return context.get_dummy_value()

    return types.void(state, dash, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def integrate(typing: Any, v: Any, dash: Any, i1: Any, i2: Any, bias: Any, j: Any) -> Any:  # noqa: ARG001
    """v[j:] = sat(v + sat(sat(−decay(v) + i1 + i2) + bias)): the membranes of 32 neurons."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *arrays, index = args
        membrane, *rest = (
            _Lanes(context, builder, type_, array, index)
            for type_, array in zip(signature.args[:-1], arrays, strict=True)
        )
        x = membrane.load()
        dash_, i1_, i2_, bias_ = (lanes.load() for lanes in rest)
        leak = builder.neg(_lost(builder, x, dash_))  # wraps at −(−32768), as the chip does
        leak, i1_, i2_ = (builder.sext(y, _vector(_I32)) for y in (leak, i1_, i2_))
        change = _clamp(builder, builder.add(builder.add(leak, i1_), i2_))
        membrane.store(_sat_add(builder, x, _sat_add(builder, change, bias_)))
        return context.get_dummy_value()

    return types.void(v, dash, i1, i2, bias, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def integrate_v1(typing: Any, v: Any, dash: Any, i1: Any, i2: Any, j: Any) -> Any:  # noqa: ARG001
    """v[j:] = sat(v − decay(v) + i1 + i2): the membranes of the first chip, which has no bias."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *arrays, index = args
        membrane, *rest = (
            _Lanes(context, builder, type_, array, index)
            for type_, array in zip(signature.args[:-1], arrays, strict=True)
        )
        x = membrane.load()
        dash_, i1_, i2_ = (lanes.load() for lanes in rest)
        left = builder.sub(x, _lost(builder, x, dash_))
        left, i1_, i2_ = (builder.sext(y, _vector(_I32)) for y in (left, i1_, i2_))
        membrane.store(_clamp(builder, builder.add(builder.add(left, i1_), i2_)))
        return context.get_dummy_value()

    return types.void(v, dash, i1, i2, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def fire(typing: Any, v: Any, threshold: Any, counts: Any, limit: Any, j: Any) -> Any:  # noqa: ARG001
    """Spike while the threshold is reached, at most ``limit`` times; counts[j:] says how often.

    Returns 32 bits: bit k says whether neuron j + k fired. Whoever fires k times fires first in
    each of k rounds, so the limit is one of rounds. The first round needs no question asked.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        membrane, thresholds, spikes = (
            _Lanes(context, builder, type_, array, args[4])
            for type_, array in zip(signature.args[:3], args[:3], strict=True)
        )
        level, zero, one = thresholds.load(), _constant(_I16, 0), _constant(_I16, 1)
        v_ = cgutils.alloca_once_value(builder, membrane.load())
        n_ = cgutils.alloca_once_value(builder, zero)
        nobody = ir.Constant(_I32, 0)

        def spike() -> Any:
            """One round; returns the bits of those that could go on."""
            x, n = builder.load(v_), builder.load(n_)
            able = builder.icmp_signed(">=", x, level)
            x = builder.select(able, builder.sub(x, level), x)
            builder.store(x, v_)
            builder.store(builder.select(able, builder.add(n, one), n), n_)
            return _bits(builder, builder.icmp_signed(">=", x, level))

        go_on = builder.icmp_unsigned("!=", spike(), nobody)
        rounds_left = builder.sub(args[3], ir.Constant(args[3].type, 1))
        with builder.if_then(go_on, likely=False), cgutils.for_range(builder, rounds_left) as loop:
            done = builder.icmp_unsigned("==", spike(), nobody)
            with builder.if_then(done, likely=True):
                loop.do_break()
        membrane.store(builder.load(v_))
        spikes.store(builder.load(n_))
        fired = _bits(builder, builder.icmp_signed(">", builder.load(n_), zero))
        return builder.zext(fired, ir.IntType(64))

    return types.uint64(v, threshold, counts, types.uintp, types.uintp), codegen


def _bits(builder: Any, mask: Any) -> Any:
    return builder.bitcast(mask, ir.IntType(LANES))


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing: Any, mask: Any) -> Any:  # noqa: ARG001
    """Index of the lowest bit that is set; 64 if none is."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.cttz(args[0], ir.Constant(_BIT, 0))

    return types.uint64(types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(typing: Any, mask: Any) -> Any:  # noqa: ARG001
    """How many bits of a mask are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen
