"""The stepped dynamics on 128 bytes of neurons at a time, as LLVM vector instructions.

As :mod:`nirbridge.simulate.lanes` for the chip, in float32 (32 lanes) or float64 (16), whichever
the arrays hold. Products and sums are rounded one by one, in the order of the formulae and of
:mod:`nirbridge.simulate.stepped`, so that both paths compute the same numbers. Every array has one
axis and is contiguous; an index is that of the first lane. Nothing checks bounds.

Numba keeps the compiled kernel until ``stepped_kernel.py`` changes. Whoever edits this file must
touch that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTES = 128  # two vectors of AVX-512; the weights of 256 sources onto them fit the fastest cache

_SPLIT = 2  # sums of every other row, so that one addition need not wait for the one before


def _vector(type_: Any) -> Any:
    """The LLVM vector for lanes of a Numba float type."""
    element = ir.DoubleType() if type_.bitwidth == types.float64.bitwidth else ir.FloatType()
    return ir.VectorType(element, BYTES * 8 // type_.bitwidth)


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


class _Array:
    """An array argument of an intrinsic, of which lanes or single elements are read and written."""

    def __init__(self, context: Any, builder: Any, type_: Any, value: Any):
        self.builder = builder
        self.data = context.make_array(type_)(context, builder, value).data
        self.bytes = type_.dtype.bitwidth // 8
        is_float = isinstance(type_.dtype, types.Float)
        self.vector: Any = _vector(type_.dtype) if is_float else None

    def _lanes(self, index: Any) -> Any:
        place = cgutils.gep_inbounds(self.builder, self.data, index)
        return self.builder.bitcast(place, self.vector.as_pointer())

    def load(self, index: Any) -> Any:
        return self.builder.load(self._lanes(index), align=self.bytes)

    def store(self, index: Any, value: Any) -> None:
        self.builder.store(value, self._lanes(index), align=self.bytes)

    def element(self, index: Any) -> Any:
        return self.builder.load(cgutils.gep_inbounds(self.builder, self.data, index))

    def splat(self, index: Any) -> Any:
        """One element in all lanes."""
        empty, zero = ir.Constant(self.vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(empty, self.element(index), zero)
        first = ir.VectorType(ir.IntType(32), self.vector.count)
        return self.builder.shuffle_vector(one, empty, ir.Constant(first, None))


def _arguments(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    """Arrays as :class:`_Array`, numbers as they are."""
    return [
        _Array(context, builder, type_, value) if isinstance(type_, types.Array) else value
        for type_, value in zip(signature.args, args, strict=True)
    ]


@intrinsic  # type: ignore[untyped-decorator]
def lanes_of(typing: Any, values: Any) -> Any:  # noqa: ARG001
    """How many elements of an array are worked on at a time."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return ir.Constant(ir.IntType(64), _vector(signature.args[0].dtype).count)

    return types.uint64(values), codegen


def _row_adder(graded: bool) -> Any:
    """Make the intrinsic that adds weight rows: as they are, or multiplied by what was sent."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = _arguments(context, builder, signature, args)
        total, j, weights, base, listed, at, n, values, first = given
        lanes, split = (ir.Constant(n.type, k) for k in (total.vector.count, _SPLIT))
        zero = _constant(total.vector, 0.0)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(_SPLIT)]

        def add(place: Any, cell: Any) -> None:
            source = builder.zext(listed.element(builder.add(at, place)), n.type)
            row = weights.load(builder.add(base, builder.mul(source, lanes)))
            if graded:
                row = builder.fmul(values.splat(builder.add(first, source)), row)
            builder.store(builder.fadd(builder.load(cell), row), cell)

        whole = builder.udiv(n, split)
        with cgutils.for_range(builder, whole) as loop:
            place = builder.mul(loop.index, split)
            for k, cell in enumerate(sums):
                add(builder.add(place, ir.Constant(n.type, k)), cell)
        with cgutils.for_range(builder, n, start=builder.mul(whole, split)) as loop:
            add(loop.index, sums[0])
        result = total.load(j)
        for cell in sums:
            result = builder.fadd(result, builder.load(cell))
        total.store(j, result)
        return context.get_dummy_value()

    def add_rows(
        typing: Any,  # noqa: ARG001
        total: Any,
        j: Any,  # noqa: ARG001
        weights: Any,
        base: Any,  # noqa: ARG001
        listed: Any,
        at: Any,  # noqa: ARG001
        n: Any,  # noqa: ARG001
        values: Any,
        first: Any,  # noqa: ARG001
    ) -> Any:
        """total[j:] += Σ row over the ``n`` sources that ``listed`` names from ``at`` on.

        Source s has its row of one weight per lane at the s-th place from weights[base] on, and
        sent values[first + s]. The sums stay in registers until all rows are added.
        """
        size = types.uintp
        arrays = total, size, weights, size, listed, size, size, values, size
        return types.void(*arrays), codegen

    return intrinsic(add_rows)


add_rows, add_graded_rows = _row_adder(graded=False), _row_adder(graded=True)


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled(typing: Any, total: Any, j: Any, gains: Any, g: Any, values: Any, k: Any) -> Any:  # noqa: ARG001
    """total[j:] += values[k:] · gains[g:]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, j, gains, g, values, k = _arguments(context, builder, signature, args)
        product = builder.fmul(values.load(k), gains.load(g))
        total.store(j, builder.fadd(total.load(j), product))
        return context.get_dummy_value()

    size = types.uintp
    return types.void(total, size, gains, size, values, size), codegen


@intrinsic  # type: ignore[untyped-decorator]
def synapse(typing: Any, i: Any, A: Any, gs: Any, x: Any, j: Any, n: Any) -> Any:  # noqa: ARG001
    """i[j:] = A·i + gs·x[j:]; parameters from ``n`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i, A, gs, x, j, n = _arguments(context, builder, signature, args)
        kept = builder.fmul(A.load(n), i.load(j))
        i.store(j, builder.fadd(kept, builder.fmul(gs.load(n), x.load(j))))
        return context.get_dummy_value()

    return types.void(i, A, gs, x, types.uintp, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def membrane(
    typing: Any,  # noqa: ARG001
    v: Any,
    B: Any,
    gm: Any,
    c: Any,
    x: Any,
    j: Any,  # noqa: ARG001
    n: Any,  # noqa: ARG001
) -> Any:
    """v[j:] = B·v + gm·x[j:] + c; parameters from ``n`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v, B, gm, c, x, j, n = _arguments(context, builder, signature, args)
        kept = builder.fmul(B.load(n), v.load(j))
        driven = builder.fadd(kept, builder.fmul(gm.load(n), x.load(j)))
        v.store(j, builder.fadd(driven, c.load(n)))
        return context.get_dummy_value()

    return types.void(v, B, gm, c, x, types.uintp, types.uintp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def nonzero(typing: Any, values: Any, j: Any) -> Any:  # noqa: ARG001
    """Bit k says whether values[j + k] is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, j = _arguments(context, builder, signature, args)
        zero = _constant(values.vector, 0.0)
        return _bits(builder, builder.fcmp_unordered("!=", values.load(j), zero))

    return types.uint64(values, types.uintp), codegen


def _bits(builder: Any, mask: Any) -> Any:
    return builder.zext(builder.bitcast(mask, ir.IntType(mask.type.count)), ir.IntType(64))


@intrinsic  # type: ignore[untyped-decorator]
def hold_back(
    typing: Any,  # noqa: ARG001
    v: Any,
    threshold: Any,
    j: Any,  # noqa: ARG001
    n: Any,  # noqa: ARG001
    values: Any,
    now: Any,  # noqa: ARG001
) -> Any:
    """values[now:] = 1 where v[j:] is above its threshold, else 0; parameters from ``n`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v, threshold, j, n, values, now = _arguments(context, builder, signature, args)
        above = builder.fcmp_ordered(">", v.load(j), threshold.load(n))
        ones = builder.select(above, _constant(v.vector, 1.0), _constant(v.vector, 0.0))
        values.store(now, ones)
        return context.get_dummy_value()

    size = types.uintp
    return types.void(v, threshold, size, size, values, size), codegen


class _Firing:
    """What the comparison and the reset of neurons need, and the arithmetic that they share."""

    def __init__(self, builder: Any, v: Any, threshold: Any, bar: Any, held: Any):
        self.builder, self.v, self.threshold, self.bar, self.held = builder, v, threshold, bar, held
        self.zero, self.one = (_constant(v.type, x) for x in (0.0, 1.0))

    def above(self, v: Any, bar: Any) -> Any:
        """Where a membrane fires."""
        return self.builder.fcmp_ordered(">", v, bar)

    def ones(self, above: Any) -> Any:
        """One spike where ``above`` holds."""
        return self.builder.select(above, self.one, self.zero)

    def less(self, v: Any, count: Any) -> Any:
        """The membrane after ``count`` thresholds are subtracted."""
        return self.builder.fsub(v, self.builder.fmul(self.threshold, count))


Rule = Callable[[_Firing, Any, Any], tuple[Any, Any]]  # (context, v_reset, limit) → spikes, v


def _to_value(f: _Firing, v_reset: Any, limit: Any) -> tuple[Any, Any]:  # noqa: ARG001
    above = f.above(f.v, f.bar)
    return f.ones(above), f.builder.select(above, v_reset, f.v)


def _by_one(f: _Firing, v_reset: Any, limit: Any) -> tuple[Any, Any]:  # noqa: ARG001
    spikes = f.ones(f.above(f.v, f.bar))
    return spikes, f.less(f.v, spikes)


def _late(f: _Firing, v_reset: Any, limit: Any) -> tuple[Any, Any]:  # noqa: ARG001
    v = f.less(f.v, f.held)
    return f.ones(f.above(v, f.bar)), v


def _blocked(f: _Firing, v_reset: Any, limit: Any) -> tuple[Any, Any]:  # noqa: ARG001
    v = f.less(f.v, f.held)
    spikes = f.ones(f.above(v, f.bar))
    return spikes, f.less(v, f.builder.fsub(spikes, f.held))


def _many(rounded: Callable[[Any, Any], Any]) -> Rule:
    """As many spikes as fit, at most ``limit``; ``rounded`` makes v/θ the number that fits."""

    def rule(f: _Firing, v_reset: Any, limit: Any) -> tuple[Any, Any]:  # noqa: ARG001
        builder = f.builder
        count = rounded(f, builder.fdiv(f.v, f.threshold))
        count = builder.select(builder.fcmp_ordered(">", count, f.one), count, f.one)
        count = builder.select(builder.fcmp_ordered("<", count, limit), count, limit)
        spikes = builder.select(f.above(f.v, f.bar), count, f.zero)
        return spikes, f.less(f.v, spikes)

    return rule


def _call(builder: Any, name: str, x: Any) -> Any:
    width = "f64" if isinstance(x.type.element, ir.DoubleType) else "f32"
    signature = ir.FunctionType(x.type, [x.type])
    full = f"llvm.{name}.v{x.type.count}{width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, full), [x])


def _below_or_at(f: _Firing, ratio: Any) -> Any:
    return _call(f.builder, "floor", ratio)


def _below(f: _Firing, ratio: Any) -> Any:
    return f.builder.fsub(_call(f.builder, "ceil", ratio), f.one)


def _firing(rule: Rule) -> Any:
    """Make the intrinsic that spikes and resets by one rule."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = _arguments(context, builder, signature, args)
        v, j, threshold, bar, v_reset, limit, n, values, now, held = given
        level = threshold.load(n), bar.load(n), values.load(held)
        firing = _Firing(builder, v.load(j), *level)
        spikes, after = rule(firing, v_reset.load(n), limit.load(n))
        v.store(j, after)
        values.store(now, spikes)
        return _bits(builder, builder.fcmp_unordered("!=", spikes, firing.zero))

    def fire(
        typing: Any,  # noqa: ARG001
        v: Any,
        j: Any,  # noqa: ARG001
        threshold: Any,
        bar: Any,
        v_reset: Any,
        limit: Any,
        n: Any,  # noqa: ARG001
        values: Any,
        now: Any,  # noqa: ARG001
        held: Any,  # noqa: ARG001
    ) -> Any:
        """Spikes of v[j:], whose parameters begin at ``n``, into values[now:].

        A neuron fires where v > ``bar``. Resets that act before that are at values[held:].
        Returns a bit for each lane that says whether it fired.
        """
        size = types.uintp
        parameters = threshold, bar, v_reset, limit
        return types.uint64(v, size, *parameters, size, values, size, size), codegen

    return intrinsic(fire)


fire_to_value, fire_by_one, fire_late, fire_blocked, fire_at_most, fire_below = map(
    _firing, (_to_value, _by_one, _late, _blocked, _many(_below_or_at), _many(_below))
)
