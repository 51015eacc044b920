"""Integer number formats, and casts that refuse instead of wrapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose


@dataclass(frozen=True)
class IntFormat:
    """A range of integers and the NumPy type that holds it."""

    low: int
    high: int
    dtype: type[np.integer[Any]]

    def __str__(self) -> str:
        return f"integers {self.low}..{self.high} ({np.dtype(self.dtype).name})"

    @property
    def bits(self) -> int:
        """How many bits hold it."""
        return (self.high - self.low).bit_length()

    def problems(self, field: str, values: NDArray[Any]) -> list[Diagnostic]:
        """Why ``values`` cannot be held: NB702 (not integers) or NB703 (first value outside)."""
        if values.dtype.kind not in "iu":
            return [diagnose("NB702", node=field, limit=str(self), found=str(values.dtype))]
        outside = (values < self.low) | (values > self.high)
        if not np.any(outside):
            return []
        index = tuple(int(i) for i in np.argwhere(outside)[0]) if values.ndim else ()
        place = f"[{', '.join(map(str, index))}]" if index else ""
        return [
            diagnose(
                "NB703",
                node=field,
                limit=str(self),
                found=f"{field}{place} = {values[index]} ({int(np.sum(outside))} such values)",
            )
        ]


INT8 = IntFormat(-128, 127, np.int8)
INT16 = IntFormat(-(2**15), 2**15 - 1, np.int16)
THRESHOLD = IntFormat(1, 2**15 - 1, np.int16)
DASH = IntFormat(0, 15, np.uint8)
SHIFT = IntFormat(0, 7, np.uint8)

# Most spikes per channel or neuron that the family's counters hold in one step.
INPUT_SPIKES = 15
HIDDEN_SPIKES = 31
OUTPUT_SPIKES = 1

