"""The trained network against its own equations in continuous time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.metrics import Difference, answers, compare
from nirbridge.check.models import kept, trained_run
from nirbridge.simulate import simulate_continuous

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

EVENTS = 5_000  # per sample; the examples take up to 2000, and 1000 take 0.2 s to 4 s


@dataclass(frozen=True)
class Ideal:
    """The trained network against the same equations in continuous time.

    ``samples``: how many were compared. ``populations``: spikes of the trained network
    (``spikes``) and of the ideal (``reference_spikes``). ``agreement``: share of decisions.
    """

    samples: int
    populations: tuple[Difference, ...]
    agreement: float


def against_ideal(deployment: Deployment, counts: NDArray[Any]) -> Ideal:
    """Compare on samples (B, T, n_in), each within :data:`EVENTS` events.

    Raises
    ------
    Refused
        NB305 and NB306 for what cannot be followed exactly, or only in more events.

    """
    how, trained = deployment.dynamics, trained_run(deployment, counts)
    found = simulate_continuous(
        deployment.source, counts, how.dt, reset=how.reset, max_events=EVENTS
    )
    binned = found.binned()
    populations = tuple(
        compare(p.name, kept(binned[p.name], p), trained.spikes[p.name])
        for p in deployment.placement.hidden
        if p.name in trained.spikes
    )
    same = answers(found.output) == answers(trained.output)
    return Ideal(len(counts), populations, float(np.mean(same)))
