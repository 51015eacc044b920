"""The chip's arithmetic on 32 neurons at a time, as LLVM vector instructions.

Numba promotes small integers to 64 bits, and its loops carry checks for overlapping arrays and a
scalar remainder. These intrinsics say exactly what is meant: load 32 lanes of 16 bits, compute,
store. LLVM turns that into whatever vectors the machine has (SSE, AVX2, AVX-512, NEON).

Every array is contiguous and padded to a multiple of ``LANES``; the index is that of the first
lane. Nothing checks bounds.
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


def _row_codegen(combine: Callable[[Any, Any, Any, Any], Any]) -> Callable[..., Any]:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        current, j, m, weights, o = args
        target = _Lanes(context, builder, signature.args[0], current, j)
        weight = _Lanes(context, builder, signature.args[3], weights, o, _I8)
        target.store(combine(builder, target.load(), _splat(builder, m), weight.load()))
        return context.get_dummy_value()

    return codegen


def _narrow(builder: Any, current: Any, m: Any, w: Any) -> Any:
    return _sat_add(builder, current, builder.mul(m, builder.sext(w, _vector(_I16))))


def _wide(builder: Any, current: Any, m: Any, w: Any) -> Any:
    current, m, w = (builder.sext(x, _vector(_I32)) for x in (current, m, w))
    return _clamp(builder, builder.add(current, builder.mul(m, w)))


@intrinsic  # type: ignore[untyped-decorator]
def add_row(typing: Any, current: Any, j: Any, m: Any, weights: Any, o: Any) -> Any:  # noqa: ARG001
    """current[j:] = sat(current + m·w), where m·w is known to fit 16 bits. Weights are 8 bits."""
    signature = types.void(current, types.uintp, types.int16, weights, types.uintp)
    return signature, _row_codegen(_narrow)


@intrinsic  # type: ignore[untyped-decorator]
def add_row_wide(typing: Any, current: Any, j: Any, m: Any, weights: Any, o: Any) -> Any:  # noqa: ARG001
    """As :func:`add_row` for any m·w, evaluated in 32 bits and saturated once."""
    signature = types.void(current, types.uintp, types.int16, weights, types.uintp)
    return signature, _row_codegen(_wide)


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
def reached(typing: Any, v: Any, threshold: Any, j: Any) -> Any:  # noqa: ARG001
    """32 bits: bit k says whether v[j + k] has reached its threshold."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, limit = (
            _Lanes(context, builder, type_, array, args[2]).load()
            for type_, array in zip(signature.args[:2], args[:2], strict=True)
        )
        mask = builder.bitcast(builder.icmp_signed(">=", x, limit), ir.IntType(LANES))
        return builder.zext(mask, ir.IntType(64))

    return types.uint64(v, threshold, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing: Any, mask: Any) -> Any:  # noqa: ARG001
    """Index of the lowest bit that is set in a mask that is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.cttz(args[0], ir.Constant(_BIT, 1))

    return types.uint64(types.uint64), codegen
