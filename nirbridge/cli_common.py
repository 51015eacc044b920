"""What the commands share: arguments, options, and ways to print."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

DIFFERS, USAGE, REFUSED, BROKEN = 1, 2, 3, 141


class Scheme(str, Enum):
    """Integration schemes."""

    euler = "euler"
    exponential = "exponential"


class Reset(str, Enum):
    """Resets."""

    value = "value"
    subtract = "subtract"


GraphFile = Annotated[Path, typer.Argument(metavar="GRAPH", help="A .nir file.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="What `convert` wrote.")]
RasterFile = Annotated[
    Path,
    typer.Argument(
        metavar="RASTER",
        help=".npy, .npz (x, optional y), .csv of events, or NIR's data (.nir, .h5, .hdf5).",
    ),
]
DataNode = Annotated[
    str | None,
    typer.Option(
        metavar="NODE",
        help="What to take from NIR's data: a node, or NODE/OBSERVABLE.",
        show_default="input, or the only one",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAMES",
        help="What to write beside config.json: json, rockpool, samna; may be repeated.",
        show_default="json",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.")]
Dt = Annotated[float | None, typer.Option(help="Time step in seconds.", show_default="the graph's")]
SchemeWord = Annotated[
    Scheme | None, typer.Option(help="How the framework that trained it integrates.")
]
ResetWord = Annotated[Reset | None, typer.Option(help="How the framework that trained it resets.")]
SpikeLimit = Annotated[
    str | None, typer.Option(metavar="N|any", help="Most spikes of a neuron in one step.")
]


def format_names(words: list[str] | None) -> list[str]:
    """The formats in options that hold one or several, with commas between."""
    return [name.strip() for word in words or [] for name in word.split(",") if name.strip()]


def dynamics_words(
    scheme: Scheme | None, reset: Reset | None, spikes_per_step: str | None
) -> dict[str, Any]:
    """The fields of :class:`nirbridge.Dynamics` that the user has given.

    Raises
    ------
    typer.BadParameter
        If ``spikes_per_step`` is neither a number nor ``any``.

    """
    words: dict[str, Any] = {}
    if scheme is not None:
        words["scheme"] = scheme.value
    if reset is not None:
        words["reset"] = reset.value
    if spikes_per_step is not None:
        words["spikes_per_step"] = _spike_limit(spikes_per_step)
    return words


def _spike_limit(word: str) -> int | None:
    if word == "any":
        return None
    if not word.isdecimal() or len(word) > 9:
        raise typer.BadParameter(f"{word[:20]!r} is neither a number nor 'any'")
    return int(word)


def given(*files: Path | None) -> list[Path]:
    """The files of those options that the user gave."""
    return [file for file in files if file is not None]


def needs(value: object, name: str, other: object, other_name: str) -> None:
    """Refuse, as wrong usage, an option that has no meaning without another."""
    if value is not None and other is None:
        raise typer.BadParameter(f"not without {other_name}", param_hint=name)


def show(*shown: RenderableType) -> None:
    """Print on the terminal; where it is narrow, cells go on in the next line and are not cut."""
    from rich.console import Console

    # no markup: what looks like it is the user's own name of a node or a file
    console = Console(highlight=False, markup=False, emoji=False)
    for each in shown:
        for table in _tables(each):
            for column in (c for c in table.columns if not c.no_wrap):
                column.overflow = "fold"
        console.print(each)


def _tables(shown: RenderableType) -> Iterator[Table]:
    from rich.console import Group
    from rich.table import Table

    if isinstance(shown, Table):
        yield shown
    elif isinstance(shown, Group):
        for each in shown.renderables:
            yield from _tables(each)


def show_json(content: Any) -> None:
    """Print JSON."""
    from nirbridge.report.facts import to_json

    typer.echo(to_json(content))
