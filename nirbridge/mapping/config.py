"""``XyloConfig``: the integers that a chip of the Xylo family holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.intformat import DASH, INT8, INT16, SHIFT, THRESHOLD, IntFormat
from nirbridge.mapping.limits import violations
from nirbridge.targets import ChipSpec

SCHEMA = "nirbridge/xylo-config"
SCHEMA_VERSION = 1

Integers = NDArray[np.integer[Any]]

_ALIAS = IntFormat(-1, 2**31 - 1, np.int32)

# A record may claim no matrix larger than this: 8000 hidden neurons twice over, 256 MiB.
MOST_WEIGHTS = 2**28

# Name, shape (in sizes that the weights fix), number format, and whether the NumPy type itself
# must be that of the format. Small vectors may come in any integer type: they are copied exactly.
_ARRAYS: tuple[tuple[str, tuple[str, ...], IntFormat, bool], ...] = (
    ("weights_in", ("n_in", "n_hidden", "2"), INT8, True),
    ("weights_rec", ("n_hidden", "n_hidden", "2"), INT8, True),
    ("weights_out", ("n_hidden", "n_out"), INT8, True),
    ("dash_mem", ("n_hidden",), DASH, False),
    ("dash_syn", ("n_hidden",), DASH, False),
    ("dash_syn_2", ("n_hidden",), DASH, False),
    ("dash_mem_out", ("n_out",), DASH, False),
    ("dash_syn_out", ("n_out",), DASH, False),
    ("threshold", ("n_hidden",), THRESHOLD, True),
    ("threshold_out", ("n_out",), THRESHOLD, True),
    ("bias", ("n_hidden",), INT16, False),
    ("bias_out", ("n_out",), INT16, False),
    ("aliases", ("n_hidden",), _ALIAS, False),
)
_SHIFTS = ("weight_shift_in", "weight_shift_rec", "weight_shift_out")
_SPARSE = ("weights_in", "weights_rec", "weights_out")


@dataclass(frozen=True, kw_only=True, eq=False)
class XyloConfig:
    """Everything that decides what the chip computes. Frozen; the arrays are read-only copies.

    Vectors without a type below may come in any integer type, or as lists; they are kept as uint8
    (decays), int16 (biases), int32 (aliases).

    Parameters
    ----------
    weights_in
        int8 (n_in, n_hidden, 2): from each input channel to both synapses of each hidden neuron.
    weights_rec
        int8 (n_hidden, n_hidden, 2): row = source, column = target.
    weights_out
        int8 (n_hidden, n_out).
    dash_mem, dash_syn, dash_syn_2
        (n_hidden,), 0..15: bit shifts of the decays of the membrane and both synaptic currents. A
        state x loses x >> dash per step, a factor of 1 − 2^−dash.
    dash_mem_out, dash_syn_out
        (n_out,), 0..15.
    threshold, threshold_out
        int16 (n_hidden,) and (n_out,), 1..32767.
    bias, bias_out
        16 bits, (n_hidden,) and (n_out,): added to the membrane in every step.
    weight_shift_in, weight_shift_rec, weight_shift_out
        0..7: weights act as ``weight << shift``.
    aliases
        (n_hidden,): hidden neuron that also fires when this one does, or −1.
    dt
        Time step in seconds.
    target
        Name of the chip that it was made for, which decides the arithmetic.

    Raises
    ------
    Refused
        NB701 (shape), NB702 (type), NB703 (range), naming field, index, value and limit. Nothing
        is cast or clipped.

    """

    weights_in: NDArray[np.int8]
    weights_rec: NDArray[np.int8]
    weights_out: NDArray[np.int8]
    dash_mem: Integers
    dash_syn: Integers
    dash_syn_2: Integers
    dash_mem_out: Integers
    dash_syn_out: Integers
    threshold: NDArray[np.int16]
    threshold_out: NDArray[np.int16]
    bias: Integers
    bias_out: Integers
    aliases: Integers
    weight_shift_in: int = 0
    weight_shift_rec: int = 0
    weight_shift_out: int = 0
    dt: float
    target: str = "xylo-audio-2"

    def __post_init__(self) -> None:
        for name, *_ in _ARRAYS:
            object.__setattr__(self, name, as_array(getattr(self, name)))
        refuse_all(self._format_problems())
        for name, _, number, _ in _ARRAYS:
            array = getattr(self, name).astype(number.dtype, order="C")  # a copy, exact by now
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name in _SHIFTS:
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "dt", float(self.dt))

    @property
    def n_in(self) -> int:
        """Number of input channels."""
        return int(self.weights_in.shape[0])

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return int(self.weights_rec.shape[0])

    @property
    def n_out(self) -> int:
        """Number of output neurons."""
        return int(self.weights_out.shape[1])

    @property
    def uses_second(self) -> bool:
        """Whether any weight sits on a second synapse."""
        return bool(self.weights_in[..., 1].any() or self.weights_rec[..., 1].any())

    def violations(self, target: str | ChipSpec | None = None) -> list[Diagnostic]:
        """What of this configuration the chip cannot hold (NB601 to NB610), all at once.

        ``target``: name or record of the chip, by default the one that it was made for; NB806 if
        there is none of that name.
        """
        return violations(self, self.target if target is None else target)

    def _format_problems(self) -> list[Diagnostic]:
        shapes = self._shape_problems()
        problems = list(shapes)
        for name, _, number, exact in _ARRAYS:
            array = getattr(self, name)
            found = number.problems(name, array)
            if not found and exact and array.dtype != number.dtype:
                found = [diagnose("NB702", node=name, limit=str(number), found=str(array.dtype))]
            if not found and not shapes and name == "aliases":
                found = IntFormat(-1, self.n_hidden - 1, np.int32).problems(name, array)
            problems += found
        for name in _SHIFTS:
            shift = as_array(getattr(self, name))
            if shift.ndim:
                problems.append(
                    diagnose("NB701", node=name, limit="a number", found=f"shape {shift.shape}")
                )
            else:
                problems += SHIFT.problems(name, shift)
        problems += _dt_problems(self.dt)
        if not isinstance(self.target, str):
            problems.append(
                diagnose("NB702", node="target", limit="a name", found=type(self.target).__name__)
            )
        return problems

    def _shape_problems(self) -> list[Diagnostic]:
        """The weights fix the sizes; everything else must follow."""
        sizes = {"2": 2}
        for name, axes in (("weights_in", 3), ("weights_rec", 3), ("weights_out", 2)):
            shape = getattr(self, name).shape
            if len(shape) != axes:
                return [
                    diagnose("NB701", node=name, limit=f"{axes} axes", found=f"shape {shape}")
                ]
        sizes["n_in"] = self.weights_in.shape[0]
        sizes["n_hidden"] = self.weights_rec.shape[0]
        sizes["n_out"] = self.weights_out.shape[1]
        problems = []
        for name, axis_names, _, _ in _ARRAYS:
            expected = tuple(sizes[axis] for axis in axis_names)
            if getattr(self, name).shape != expected:
                problems.append(
                    diagnose(
                        "NB701",
                        node=name,
                        limit=f"({', '.join(axis_names)}) = {expected}",
                        found=f"shape {getattr(self, name).shape}",
                    )
                )
        return problems

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, XyloConfig):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __reduce__(self) -> tuple[Callable[[], XyloConfig], tuple[()]]:
        """Copies and pickles are made anew: checked, read-only, and without what is cached."""
        return partial(type(self), **{f.name: getattr(self, f.name) for f in fields(self)}), ()

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, for JSON; weights as their entries that are not 0.

        A weight matrix becomes ``{"shape", "index", "value"}``, the index counting in row-major
        (C) order.
        """
        content: dict[str, Any] = {"schema": SCHEMA, "version": SCHEMA_VERSION}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in _SPARSE:
                index = np.flatnonzero(value)
                content[f.name] = {
                    "shape": list(value.shape),
                    "index": index.tolist(),
                    "value": value.ravel()[index].tolist(),
                }
            else:
                content[f.name] = value.tolist() if isinstance(value, np.ndarray) else value
        return content

    @classmethod
    def from_dict(cls, content: Any) -> XyloConfig:
        """The configuration that :meth:`to_dict` describes.

        Raises
        ------
        Refused
            NB704 if it is not such a record, NB701 to NB703 if its values are wrong.

        """
        names = {f.name for f in fields(cls)}
        if not isinstance(content, dict):
            raise refuse("NB704", limit="an object", found=type(content).__name__)
        header = content.get("schema"), content.get("version")
        if header != (SCHEMA, SCHEMA_VERSION) or isinstance(header[1], (bool, float)):
            raise refuse("NB704", limit=f"{SCHEMA} version {SCHEMA_VERSION}", found=shown(header))
        wrong = set(content) ^ (names | {"schema", "version"})
        if wrong:
            differs = shown(sorted(wrong, key=str))
            raise refuse("NB704", limit="exactly the known fields", found=f"differs in {differs}")
        values = {name: content[name] for name in names}
        for name, _, number, _ in _ARRAYS:
            if name not in _SPARSE:
                values[name] = integers(name, values[name], number)
        sizes = {
            "2": 2,
            "n_hidden": len(values["dash_mem"]),
            "n_out": len(values["dash_mem_out"]),
        }
        for name, axes, number, _ in _ARRAYS:
            if name in _SPARSE:
                values[name] = _dense(name, values[name], number, [sizes.get(a) for a in axes])
        return cls(**values)

    def to_json(self) -> str:
        """:meth:`to_dict` as a JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> XyloConfig:
        """The configuration in a JSON text; errors as in :meth:`from_dict`."""
        return cls.from_dict(parse_json(text, "NB704"))


def parse_json(text: str, code: str) -> Any:
    """What a JSON text holds, no key of an object twice; else refused with ``code``."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, TypeError, RecursionError) as error:
        raise refuse(code, limit="a JSON text", found=str(error)[:80]) from None


def as_array(value: Any) -> NDArray[Any]:
    """``value`` as an array; one of objects, which no format takes, where that is impossible."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return np.asarray(None)


def _dt_problems(dt: Any) -> list[Diagnostic]:
    limit = "seconds, > 0 and finite"
    if isinstance(dt, bool) or not isinstance(dt, (int, float, np.integer, np.floating)):
        return [diagnose("NB702", node="dt", limit=limit, found=type(dt).__name__)]
    try:
        if 0 < float(dt) < math.inf:
            return []
    except OverflowError:  # an int beyond all floats
        pass
    return [diagnose("NB703", node="dt", limit=limit, found=shown(dt))]


def shown(value: Any) -> str:
    """The beginning of a value that may be hostile."""
    try:
        return repr(value)[:60]
    except (ValueError, RecursionError):  # more digits, or more levels, than Python prints
        return type(value).__name__


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no key may come twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("an object with the same key twice")
    return content


def integers(name: str, values: Any, number: IntFormat, code: str = "NB704") -> Integers:
    """A list of whole numbers of that format; floats, truth values, nested lists are refused."""
    if not isinstance(values, list) or any(type(x) is not int for x in values):
        raise refuse(code, node=name, limit="a list of integers", found=shown(values))
    array = np.array(values) if values else np.zeros(0, np.int64)
    refuse_all(number.problems(name, array))
    return array.astype(number.dtype)


def _dense(name: str, entry: Any, number: IntFormat, sizes: list[int | None]) -> Integers:
    """The matrix of ``{"shape", "index", "value"}``.

    Nothing is allocated before its shape is that of the vectors, which are really there.
    """
    if not isinstance(entry, dict) or set(entry) != {"shape", "index", "value"}:
        raise refuse("NB704", node=name, limit="shape, index, value", found=shown(entry))
    place = IntFormat(0, MOST_WEIGHTS - 1, np.int64)
    shape = integers(f"{name}.shape", entry["shape"], place).tolist()
    index = integers(f"{name}.index", entry["index"], place)
    value = integers(f"{name}.value", entry["value"], number)
    if len(shape) != len(sizes) or any(
        b is not None and a != b for a, b in zip(shape, sizes, strict=True)
    ):
        limit = ", ".join("n_in" if n is None else str(n) for n in sizes)
        raise refuse("NB701", node=name, limit=f"({limit})", found=f"shape {shown(shape)}")
    size = math.prod(shape)
    if size > MOST_WEIGHTS:
        raise refuse("NB704", node=name, limit=f"{MOST_WEIGHTS} weights", found=size)
    if len(index) != len(value):
        limit = "as many values as indices"
        raise refuse("NB704", node=name, limit=limit, found=f"{len(value)} for {len(index)}")
    if np.any(np.diff(index) <= 0) or np.any(index >= size):
        limit = f"increasing indices below {size}"
        raise refuse("NB704", node=name, limit=limit, found=shown(index.tolist()))
    dense: Integers = np.zeros(shape, number.dtype)
    dense.reshape(-1)[index] = value
    return dense
