"""How near a configuration keeps the chip to the trained network on the calibration raster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.metrics import decisions
from nirbridge.check.models import MODELS, Run, chip_run
from nirbridge.deployment import Deployment
from nirbridge.mapping.config import XyloConfig

Array = NDArray[np.float64]

# Weights of the distances of outputs and hidden spikes, beside that of the decisions.
OUTPUTS = HIDDEN = 0.2
SAFE = 0.1  # lead that a decision should keep, of the mean largest output


@dataclass(frozen=True)
class Score:
    """Distances to the trained network; smaller is better.

    ``differing``: share of decisions that differ. ``lead``: what the trained decision lacks of a
    safe lead, of the mean largest output. ``outputs`` and ``hidden``: Σ|difference| of the sums
    over time, per sample and neuron, of those of the trained network.
    """

    differing: float
    lead: float
    outputs: float
    hidden: float

    @property
    def total(self) -> float:
        """What is made small on typical input."""
        return self.differing + self.lead + OUTPUTS * self.outputs + HIDDEN * self.hidden

    @property
    def distance(self) -> float:
        """What is made small on random input, on which a decision means nothing."""
        return self.outputs + self.hidden

    def __str__(self) -> str:
        return (
            f"{self.differing:.1%} of the decisions differ, outputs by {self.outputs:.1%}, "
            f"hidden spikes by {self.hidden:.1%}"
        )


@dataclass(frozen=True, eq=False)
class Judge:
    """The trained network's answer to a raster, and a way to compare others with it.

    ``raster``: (B, T, n_in) counts.
    """

    deployment: Deployment
    raster: NDArray[Any]

    @cached_property
    def _trained(self) -> Run:
        return MODELS[0].run(self.deployment, self.raster)

    @cached_property
    def _wanted(self) -> tuple[Array, Array]:
        return self._outputs(self._trained), self._hidden(self._trained)

    def _outputs(self, run: Run) -> Array:
        """Sums over time of all Outputs, side by side (B, n_out)."""
        parts = [np.asarray(run.outputs[p.end], np.float64).sum(axis=1) for p in self._ends]
        return np.concatenate(parts, axis=1)

    def _hidden(self, run: Run) -> Array:
        """Spike counts (B, n) of the hidden populations that the source has too."""
        names = [p.name for p in self.deployment.placement.hidden if p.name in self._trained.spikes]
        parts = [run.spikes[n].sum(axis=1, dtype=np.float64) for n in names]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(self.raster), 0))

    @property
    def _ends(self) -> tuple[Any, ...]:
        return self.deployment.placement.outputs

    def outputs(self, config: XyloConfig) -> tuple[Array, Array]:
        """Sums over time of the outputs, of the trained network and of the chip (B, n_out)."""
        return self._wanted[0], self._outputs(self._run(config))

    def score(
        self,
        config: XyloConfig,
        deployment: Deployment | None = None,
        raster: NDArray[Any] | None = None,
    ) -> Score:
        """Run a configuration, of another deployment of the same network if given.

        ``raster``: the same input in the steps of that deployment, if they are others.
        """
        run = self._run(config, deployment, raster)
        wanted, hidden = self._wanted
        found = self._outputs(run)
        choice = decisions(wanted[:, None])
        largest = float(np.abs(wanted).max(axis=1).mean()) or 1.0
        return Score(
            float(np.mean(decisions(found[:, None]) != choice)),
            _lead(choice, wanted, found) / largest,
            _relative(wanted, found),
            _relative(hidden, self._hidden(run)),
        )

    def _run(
        self,
        config: XyloConfig,
        deployment: Deployment | None = None,
        raster: NDArray[Any] | None = None,
    ) -> Run:
        counts = self.raster if raster is None else raster
        return chip_run(replace(deployment or self.deployment, config=config), counts)[0]


def _lead(choice: NDArray[np.int64], wanted: Array, found: Array) -> float:
    """Mean over samples of what the chosen output lacks of a safe lead, at the trained scale."""
    if wanted.shape[1] < 2:
        return 0.0
    norm = float((found**2).sum())
    scale = max(float((found * wanted).sum()) / norm, 0.0) if norm else 0.0
    rows = np.arange(len(choice))
    others = found.copy()
    others[rows, choice] = -np.inf
    lead = scale * (found[rows, choice] - others.max(axis=1))
    safe = SAFE * float(np.abs(wanted).max(axis=1).mean())
    return float(np.maximum(safe - lead, 0).mean())


def _relative(wanted: Array, found: Array) -> float:
    size = float(np.abs(wanted).sum())
    return float(np.abs(wanted - found).sum()) / size if size else 0.0
