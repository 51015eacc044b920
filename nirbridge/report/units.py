"""Numbers as people read them: durations, shares, ranges, shapes; and names from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nirbridge.energy import Range

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
PREFIXES = (
    (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
    (1e-12, "p"),
)  # fmt: skip
SHORTEST = 24  # characters to which a long name is cut on a figure


def seconds(value: float) -> str:
    """A duration with the unit that reads best."""
    scale, unit = next(((s, u) for s, u in UNITS if abs(value) >= s), UNITS[-1])
    return f"{value / scale:.4g} {unit}"


def quantity(value: float, unit: str) -> str:
    """A value in SI units with the prefix that reads best: ``44.5 MHz``."""
    scale, prefix = next(((s, p) for s, p in PREFIXES if abs(value) >= s), PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}" if value else f"0 {unit}"


def span(values: Range | None, unit: str) -> str:
    """A range with the unit that reads best."""
    if values is None:
        return "not known"
    low, high = quantity(values.low, unit), quantity(values.high, unit)
    if low == high:
        return low
    same = low.split()[1] == high.split()[1]
    return f"{low.split()[0] if same else low} to {high}"


def percent(value: float | None) -> str:
    """A share in percent, or a dash."""
    return "-" if value is None else f"{100 * value:.1f} %"


def points(share: float) -> str:
    """A share that is won or lost, in percentage points with their sign."""
    text = f"{100 * share:+.1f}".replace("-", "−")
    return "0" if text[1:] == "0.0" else text


def number(value: float) -> str:
    """Three digits that count, or a whole number with all of its digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def counted(n: int, thing: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{n:,} {thing}" + ("" if n == 1 else "s")


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names with commas between; beyond ``most`` the rest is counted."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def amount(size: float | None, unit: str) -> str:
    """The size of an approximation with its unit; nothing where nothing was approximated."""
    return f"{number(size)} {unit}".strip() if size else ""


def spread(values: Any, unit: Callable[[float], str] = lambda x: f"{x:.4g}") -> str:
    """The range of some values, or their only value."""
    low, high = unit(float(np.min(values))), unit(float(np.max(values)))
    return low if low == high else f"{low} to {high}"


def size(shape: tuple[int, ...]) -> str:
    """A shape as ``8×4×4``."""
    return "×".join(map(str, shape)) or "1"


def visible(text: str) -> str:
    """A name from a file without what a terminal, a page or XML would obey or refuse."""
    if text.isprintable():
        return text
    parts = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(parts)


def short(text: str, most: int = SHORTEST) -> str:
    """A name of at most ``most`` characters: its beginning and its end."""
    text = visible(text)
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
