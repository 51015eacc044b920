"""Every simulator under one call: a graph and its dynamics in, a function of the raster out.

All answer in the source's own time: an answer that comes some steps late, on the chip or in a
framework, is moved back by these steps, behind an input that is as many silent steps longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import adapters
from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.optional import LIBRARIES, need

OWN = ("stepped", "continuous", "xylo")

Run = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Prepared:
    """A simulator with its network: ``run`` takes (B, T, n_in) and gives (B, T, n_out).

    ``samples``: how many to run at most. ``once``: it has nothing to warm up, and takes too long
    to be run again only for its timing.
    """

    run: Run
    samples: int | None = None
    once: bool = False
    notes: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """All simulators: the stepped model, every framework with an adapter, the ideal, the chip."""
    return (OWN[0], *adapters.IMPORTERS, *OWN[1:])


def chosen(wanted: Iterable[str] | None) -> tuple[str, ...]:
    """The simulators to run, each once; by default those that seem to be installed.

    Raises
    ------
    Refused
        NB806 for a name that is not among :func:`names`, or for none at all.

    """
    known = names()
    if wanted is None:
        return tuple(name for name in known if name in OWN or _seems_installed(name))
    found = tuple(dict.fromkeys(wanted))
    unknown = [name for name in found if name not in known]
    if unknown or not found:
        raise refuse(
            "NB806", node="simulator", limit=", ".join(known),
            found=", ".join(map(repr, unknown)) or "none",
        )  # fmt: skip
    return found


def _seems_installed(name: str) -> bool:
    """Whether the packages are there; without importing them, which takes seconds."""
    return all(find_spec(path.split(".")[0]) for path in LIBRARIES[name].modules)


def load(name: str) -> None:
    """Import what a simulator needs.

    Raises
    ------
    Refused
        NB903 if it is not installed.

    """
    if name not in OWN:
        need(name)


def prepare(name: str, graph: nir.NIRGraph, threads: int = 1, ideal: int = 10) -> Prepared:
    """Build a simulator's network.

    Parameters
    ----------
    name
        One of :func:`names`.
    graph
        A well-formed graph with its dynamics in the metadata.
    threads
        Most threads of nirbridge's own simulators; the frameworks are told by their environment.
    ideal
        Samples to run in continuous time, which takes long.

    Raises
    ------
    Refused
        By the framework's adapter or the conversion to the chip, with their reasons.

    """
    how = Dynamics.of(graph)
    assert how is not None
    if name == "stepped":
        return _stepped(graph, how, threads)
    if name == "continuous":
        return _continuous(graph, how, ideal)
    if name == "xylo":
        return _xylo(graph, how, threads)
    return _framework(name, graph, how)


def _stepped(graph: nir.NIRGraph, how: Dynamics, threads: int) -> Prepared:
    from nirbridge.simulate import simulate_stepped

    how = replace(how, output_lag=0)

    def run(counts: NDArray[Any]) -> NDArray[Any]:  # in the precision of the frameworks
        return simulate_stepped(graph, counts, how, dtype=np.float32, threads=threads).output

    return Prepared(run)


def _continuous(graph: nir.NIRGraph, how: Dynamics, ideal: int) -> Prepared:
    from nirbridge.simulate import simulate_continuous

    def run(counts: NDArray[Any]) -> NDArray[Any]:
        return simulate_continuous(graph, counts, how.dt, reset=how.reset).output

    return Prepared(run, samples=ideal, once=True, notes=("timed on its only run",))


def _xylo(graph: nir.NIRGraph, how: Dynamics, threads: int) -> Prepared:
    from nirbridge.check.models import padded
    from nirbridge.pipeline import convert
    from nirbridge.simulate import simulate

    deployment = convert(graph, dynamics=how)
    ends = sorted(deployment.placement.outputs, key=lambda p: p.end)
    record = any(p.readout for p in ends)

    def run(counts: NDArray[Any]) -> NDArray[Any]:
        fed = deployment.chip_input(padded(deployment.placement, counts))
        recording = simulate(deployment.config, fed, record, threads=threads)
        said, steps = deployment.decode(recording), counts.shape[1]
        parts = [said[p.end][:, p.latency : p.latency + steps] for p in ends]
        return np.concatenate(parts, axis=-1)

    late = max((p.latency for p in ends), default=0)
    notes = (f"{deployment.config.target}, method {deployment.method}", *_moved(late))
    return Prepared(run, notes=notes)


def _framework(name: str, graph: nir.NIRGraph, how: Dynamics) -> Prepared:
    # The lag is how a framework shows its outputs. Only cells that pass all spikes on one step
    # late cannot do without it.
    how = how if how.layer_delay else replace(how, output_lag=0)
    model = adapters.build(graph, name, how)
    call: Run = _jitted(model) if name == "spyx" else lambda counts: adapters.run(model, counts)
    lag = how.output_lag

    def run(counts: NDArray[Any]) -> NDArray[Any]:
        return call(np.pad(counts, ((0, 0), (0, lag), (0, 0))))[:, lag:]

    composed = len(getattr(model, "differences", ()))
    cells = f"{composed} population(s) composed of the framework's cells and operations"
    return Prepared(run, notes=((cells,) if composed else ()) + _moved(lag))


def _moved(late: int) -> tuple[str, ...]:
    return (f"answers {late} step(s) late, and is moved back",) if late else ()


def _jitted(model: Any) -> Run:
    """As users of Spyx do; otherwise JAX traces the network anew in each call."""
    import jax

    spyx = need("spyx")
    compiled = jax.jit(lambda x: spyx.run(model, x)[0])

    def run(counts: NDArray[Any]) -> NDArray[Any]:
        out: NDArray[Any] = np.asarray(compiled(counts.swapaxes(0, 1).astype(np.float32)))
        return np.swapaxes(out, 0, 1)

    return run
