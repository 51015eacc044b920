"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Track = Callable[[list[int]], Iterable[int]]


def bar(what: str) -> Track:
    """What wraps a list of pieces of work in a bar; nothing is shown elsewhere than on a terminal.

    ``what`` stands in front of it.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)

    def wrap(items: list[int]) -> Iterable[int]:
        shown = console.is_terminal and len(items) > 1
        return track(items, what, console=console, transient=True, disable=not shown)

    return wrap
