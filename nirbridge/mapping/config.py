"""``XyloConfig``: the integers that a chip of the Xylo family holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.intformat import DASH, INT8, INT16, SHIFT, THRESHOLD, IntFormat
from nirbridge.mapping.limits import violations
from nirbridge.targets import ChipSpec

SCHEMA = "nirbridge/xylo-config"
SCHEMA_VERSION = 1

_ALIAS = IntFormat(-1, 2**31 - 1, np.int32)

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
        Name of the chip that it was made for.

    Raises
    ------
    Refused
        NB701 (shape), NB702 (type), NB703 (range), naming field, index, value and limit. Nothing
        is cast or clipped.

    """

    weights_in: NDArray[np.int8]
    weights_rec: NDArray[np.int8]
    weights_out: NDArray[np.int8]
    dash_mem: NDArray[np.uint8]
    dash_syn: NDArray[np.uint8]
    dash_syn_2: NDArray[np.uint8]
    dash_mem_out: NDArray[np.uint8]
    dash_syn_out: NDArray[np.uint8]
    threshold: NDArray[np.int16]
    threshold_out: NDArray[np.int16]
    bias: NDArray[np.int16]
    bias_out: NDArray[np.int16]
    aliases: NDArray[np.int32]
    weight_shift_in: int = 0
    weight_shift_rec: int = 0
    weight_shift_out: int = 0
    dt: float
    target: str = "xylo-audio-2"

    def __post_init__(self) -> None:
        for name, *_ in _ARRAYS:
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        refuse_all(self._format_problems())
        for name, _, number, _ in _ARRAYS:
            array = getattr(self, name).astype(number.dtype)  # a copy, exact after the checks
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

    def violations(self, target: str | ChipSpec | None = None) -> list[Diagnostic]:
        """What of this configuration the chip cannot hold; its own target by default."""
        return violations(self, target or self.target)

    def _format_problems(self) -> list[Diagnostic]:
        problems = self._shape_problems()
        for name, _, number, exact in _ARRAYS:
            array = getattr(self, name)
            found = number.problems(name, array)
            if not found and exact and array.dtype != number.dtype:
                found = [diagnose("NB702", node=name, limit=str(number), found=str(array.dtype))]
            problems += found
        for name in _SHIFTS:
            problems += SHIFT.problems(name, np.asarray(getattr(self, name)))
        if not self._shape_problems() and not any(d.node == "aliases" for d in problems):
            last = IntFormat(-1, len(self.aliases) - 1, np.int32)
            problems += last.problems("aliases", self.aliases)
        if not (isinstance(self.dt, (int, float)) and 0 < self.dt < float("inf")):
            problems.append(
                diagnose("NB703", node="dt", limit="seconds, > 0 and finite", found=repr(self.dt))
            )
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
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]  # holds arrays

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
        header = content.get("schema") if isinstance(content, dict) else type(content).__name__
        if header != SCHEMA or content.get("version") != SCHEMA_VERSION:
            raise refuse("NB704", limit=f"{SCHEMA} version {SCHEMA_VERSION}", found=repr(header))
        if set(content) != names | {"schema", "version"}:
            wrong = sorted(set(content) ^ (names | {"schema", "version"}))
            raise refuse("NB704", limit="exactly the known fields", found=f"differs in {wrong}")
        formats = {name: number for name, _, number, _ in _ARRAYS}
        values = {name: content[name] for name in names}
        for name, number in formats.items():
            dense = _dense(name, values[name]) if name in _SPARSE else _integers(name, values[name])
            refuse_all(number.problems(name, dense))
            values[name] = dense.astype(number.dtype)
        return cls(**values)

    def to_json(self) -> str:
        """:meth:`to_dict` as a JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> XyloConfig:
        """The configuration in a JSON text; errors as in :meth:`from_dict`."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise refuse("NB704", limit="a JSON text", found=str(error)[:80]) from None
        return cls.from_dict(content)


def _integers(name: str, values: Any) -> NDArray[np.int64]:
    """A list of whole numbers as an array; floats, strings and ragged lists are refused."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = np.asarray(None)
    if isinstance(values, list) and array.size == 0:
        return np.zeros(0, np.int64)
    if not isinstance(values, list) or array.dtype.kind not in "iu" or array.ndim != 1:
        raise refuse("NB704", node=name, limit="a list of integers", found=repr(values)[:60])
    return array.astype(np.int64)


def _dense(name: str, entry: Any) -> NDArray[np.int64]:
    """The matrix of ``{"shape", "index", "value"}``, without allocating what a lie claims."""
    if not isinstance(entry, dict) or set(entry) != {"shape", "index", "value"}:
        raise refuse("NB704", node=name, limit="shape, index, value", found=repr(entry)[:60])
    shape, index, value = (_integers(f"{name}.{k}", entry[k]) for k in ("shape", "index", "value"))
    size = 1
    for n in shape.tolist():
        size *= n
    if np.any(shape < 0) or size > 2**28 or len(index) != len(value):
        raise refuse("NB704", node=name, limit="as many values as indices", found=shape.tolist())
    if len(index) and (index.min() < 0 or index.max() >= size):
        raise refuse("NB704", node=name, limit=f"indices 0..{size - 1}", found=int(index.max()))
    dense = np.zeros(size, np.int64)
    dense[index] = value
    return dense.reshape(shape.tolist())
