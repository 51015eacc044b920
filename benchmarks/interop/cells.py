"""One cell of the table: a network of one framework, through NIR, in another."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.interop.nets import EXPORTERS, IMPOSSIBLE, Net, for_graph, network, raster
from nirbridge import Refused, adapters

LAG = 4  # the longest shift that is looked for
LIMIT = 60  # seconds per cell
TOLERANCE = 1e-5  # of the largest membrane: single precision, added up in another order


@dataclass(frozen=True)
class Outcome:
    """What became of one network on its way: a word, and details."""

    word: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.word} ({self.detail})" if self.detail else self.word


def compare(theirs: Any, found: Any) -> Outcome:
    """Equal, equal after a shift, or from where on not.

    Spikes must be equal. Membranes (a network whose last layer does not spike) may differ by
    :data:`TOLERANCE` of the largest.
    """
    if theirs.shape != found.shape:
        return Outcome("differs", f"shape {found.shape} for {theirs.shape}")
    if not theirs.any():
        return Outcome("error", "the network is silent")
    values = bool(np.any(theirs % 1))
    allowed = TOLERANCE * float(np.abs(theirs).max()) if values else 0.0
    if _near(theirs, found, allowed):
        return Outcome("exact", f"membranes, to {TOLERANCE:g}" if values else "")
    for lag in range(1, LAG + 1):
        if _near(theirs[:, :-lag], found[:, lag:], allowed) and not found[:, :lag].any():
            return Outcome(f"exact after lag {lag}")
    steps = np.flatnonzero((np.abs(theirs - found) > allowed).any(axis=(0, 2)))
    ratio = float(np.abs(found).sum() / np.abs(theirs).sum())
    return Outcome("differs", f"t{steps[0]}, x{ratio:.2f}")


def _near(a: Any, b: Any, allowed: float) -> bool:
    return bool(np.all(np.abs(a - b) <= allowed))


def ours(net: Net, importer: str, x: Any) -> Any:
    """Spikes of the model that nirbridge builds."""
    graph = adapters.export(net.model, net.sample)
    return adapters.run(adapters.build(graph, importer), for_graph(graph, net, x))


def outcome(exporter: str, importer: str, kind: str, by: str, steps: int, seeds: int) -> Outcome:
    """One cell of the table: the worst of all seeds. ``by`` is "ours" or "theirs"."""
    if (exporter, kind) in IMPOSSIBLE:
        return nearest(exporter, kind, steps, seeds)
    worst = Outcome("exact")
    for seed in range(seeds):
        found = _guarded(exporter, importer, kind, by, steps, seed)
        if not found.word.startswith("exact"):
            return found
        if found.word != "exact" or worst.word == "exact":
            worst = found
    return worst


@lru_cache
def nearest(exporter: str, kind: str, steps: int, seeds: int) -> Outcome:
    """Why there is no such network, and how far the nearest one is from it."""
    from benchmarks.interop.rockpool_nets import NEAREST

    words, both = NEAREST[exporter, kind]
    found = [compare(*both(steps, seed)) for seed in range(seeds)]
    worst = next((o for o in found if o.word != "exact"), found[0])
    return Outcome("impossible", f"{IMPOSSIBLE[exporter, kind]}; nearest: {words}, {worst}")


def _guarded(exporter: str, importer: str, kind: str, by: str, steps: int, seed: int) -> Outcome:
    try:
        with _quiet(), _limited(LIMIT):
            net, x, theirs = source(exporter, kind, steps, seed)
            if by == "ours":
                return compare(theirs, ours(net, importer, x))
            from benchmarks.interop.own import own

            return compare(theirs, own(net, EXPORTERS[exporter], importer, x))
    except Refused as refusal:
        first = refusal.diagnostics[0]  # the step is possible: what is not is in IMPOSSIBLE
        return Outcome("not yet", f"{first.limit}: {first.found}"[:60])
    except Exception as error:  # noqa: BLE001  # frameworks raise everything
        text = str(error).splitlines()
        return Outcome("error", f"{type(error).__name__}: {text[0] if text else ''}"[:60])


@lru_cache(maxsize=128)
def source(exporter: str, kind: str, steps: int, seed: int) -> tuple[Net, Any, Any]:
    """A network, its input and what it answers."""
    net = network(exporter, kind, seed)
    x = raster(net.shape, steps, seed)
    return net, x, adapters.run(net.model, x, net.shape)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Frameworks print and warn."""
    logging.disable(logging.CRITICAL)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_number: int, _frame: Any) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
