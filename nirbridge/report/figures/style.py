"""Matplotlib's figures: one look, and SVG that takes on the colours and the font of a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 4.7  # inches; a phone shows them at four fifths of their size

# Readable on white, told apart without red and green (after Okabe and Ito). A page names each of
# them as a property of its own, and chooses others for a dark background.
INK, SOFT, LINE = "#1c2733", "#5d6975", "#d4dae0"
CHIP, TRAINED, BOTH = "#0b6fb8", "#d1690e", "#7b8794"
COSTS, MENDS = "#c0492b", "#00795c"
NAMES = {
    INK: "ink", SOFT: "soft", LINE: "line", CHIP: "chip", TRAINED: "trained", BOTH: "both",
    COSTS: "costs", MENDS: "mends",
}  # fmt: skip

# Hues for populations, mid-tones that stand on white and on black.
HUES = (
    "#3c8dc9", "#dd8a24", "#2a9d7f", "#b565a7", "#8b7f3a", "#d9604c", "#5c6bc0", "#7d8f9a",
)  # fmt: skip



def over(hue: str) -> str:
    """Black or white, whichever is read better on a colour: at least 4.5 : 1 (WCAG 2.2)."""
    channels = (int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


_RC: Any = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollars
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "nirbridge",
    "image.interpolation": "none",
}


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's settings while a figure is made or written."""
    from matplotlib import rc_context

    with rc_context(_RC), warnings.catch_warnings():
        # names in scripts that Matplotlib's own font lacks: the page's fonts have them
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def to_svg(figure: Figure, key: str, description: str) -> str:
    """A figure as SVG to stand in a page: its colours and its font are the page's.

    ``key`` keeps the ids of this figure apart from those of others on the page; ``description``
    is for those who cannot see it.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with styled():
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    root = ElementTree.fromstring(text[text.index("<svg") :])
    used = {
        ref for each in root.iter() for ref in _REFERENCE.findall(" ".join(each.attrib.values()))
    }
    for parent in list(root.iter()):
        for child in [c for c in parent if _local(c.tag) in ("style", "metadata")]:
            parent.remove(child)  # a style sheet would hold for the whole page
        _adapt(parent, key, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": "figure", "role": "img", "aria-label": description}
    return ElementTree.tostring(root, encoding="unicode")


_REFERENCE = re.compile(r"#([\w-]+)")


def _local(name: str) -> str:
    """A name without its namespace, which in HTML follows from the element."""
    return name.rpartition("}")[2]


def _adapt(element: ElementTree.Element, key: str, used: set[str]) -> None:
    """Ids of this figure alone, colours and font of the page, no more digits than can be seen."""
    element.tag = _local(element.tag)
    element.tail = None
    if not (element.text or "").strip():
        element.text = None
    attributes = {_local(name): value for name, value in element.attrib.items()}
    if "id" in attributes and attributes.pop("id") in used:
        attributes["id"] = f"{key}-{element.attrib['id']}"
    for name in ("href", "clip-path"):
        if "#" in attributes.get(name, ""):
            attributes[name] = attributes[name].replace("#", f"#{key}-", 1)
    if "style" in attributes:
        attributes["style"] = _page_style(attributes["style"])
    if "d" in attributes:
        attributes["d"] = _rounded(attributes["d"])
    element.attrib.clear()
    element.attrib |= attributes


def _page_style(style: str) -> str:
    style = re.sub(r"font-family: [^;]*;?", "", style)
    style = re.sub(r"font: (?:\w+ )*?(bold )?([\d.]+px) [^;]*", _font, style)  # Matplotlib < 3.11
    for colour, name in NAMES.items():
        style = style.replace(colour, f"var(--{name})")
    return style


def _font(found: re.Match[str]) -> str:
    return ("font-weight: bold; " if found[1] else "") + f"font-size: {found[2]}"


def _rounded(path: str) -> str:
    """A path with two decimals: a hundredth of a point cannot be seen."""
    path = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), path)
    return " ".join(path.split())
