"""The choice of dt, for input that comes as events and can be binned in any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from nirbridge.calibrate.retime import retime
from nirbridge.calibrate.score import Judge, Score
from nirbridge.data import to_raster
from nirbridge.deployment import Deployment
from nirbridge.diagnostics import Refused
from nirbridge.dynamics import Dynamics
from nirbridge.journal import Note

FACTORS = (1.0, 0.5, 2**-0.5, 2**0.5, 2.0)
"""Steps that are tried, in those of the source; the source's own first."""

Fit = Callable[[nir.NIRGraph, Dynamics], Deployment]
Step = tuple[nir.NIRGraph, Dynamics, Any, Note]


def best_step(
    graph: nir.NIRGraph, dynamics: Dynamics, data: nir.NIRGraphData, n_in: int, fit: Fit
) -> Step:
    """The step in which a fitted chip keeps nearest to the trained network.

    Parameters
    ----------
    graph, dynamics
        The network as it was trained.
    data
        Its input. On a time grid it has one step only, and nothing is chosen.
    n_in
        Input channels.
    fit
        Converts a graph without data.

    Returns
    -------
        The graph in that step, its dynamics, its raster, and what was gained.

    Raises
    ------
    Refused
        NB80x for data that are no input of the network, and what ``fit`` refuses in the source's
        own step.

    """
    counts = to_raster(data, n_in, dynamics.dt)
    judge: Judge | None = None
    found: list[tuple[Score, Step]] = []
    for factor in FACTORS:
        try:
            retimed = (graph, dynamics) if factor == 1 else retime(graph, dynamics, factor)
            binned = counts if factor == 1 else to_raster(data, n_in, retimed[1].dt)
            made = fit(*retimed)
        except Refused:
            if factor == 1:
                raise
            continue  # data on a grid, or no room in that step
        judge = judge or Judge(made, _batch(counts))
        score = judge.score(made.config, made, _batch(binned))
        text = f"dt = {retimed[1].dt:g} s, {factor:.3g} of the source's: {score}"
        note = Note("time", "", text, score.total)
        found.append((score, (*retimed, binned, note)))
    return found[int(np.argmin([score.total for score, _ in found]))][1]


def _batch(counts: Any) -> Any:
    return counts if counts.ndim == 3 else counts[None]
