"""How far two recordings are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNDECIDED = -1


@dataclass(frozen=True)
class Difference:
    """Spikes of one population in a reference and in what is judged, on the same samples.

    ``rate_cosine``: cosine between the vectors of mean rates per neuron, the figure of the NIR
    paper. ``first_step``: first step at which any sample differs, or None. ``equal_samples``:
    share of samples without a difference.
    """

    population: str
    spikes: int
    reference_spikes: int
    rate_cosine: float
    first_step: int | None
    equal_samples: float

    @property
    def count_ratio(self) -> float:
        """Spikes over those of the reference; infinite if only the reference is silent."""
        if self.reference_spikes == 0:
            return 1.0 if self.spikes == 0 else float("inf")
        return self.spikes / self.reference_spikes


def compare(name: str, reference: NDArray[Any], found: NDArray[Any]) -> Difference:
    """Compare spike counts (B, T, n)."""
    reference, found = np.asarray(reference, np.float64), np.asarray(found, np.float64)
    differs = (reference != found).any(axis=2)
    steps = np.flatnonzero(differs.any(axis=0))
    return Difference(
        name,
        int(found.sum()),
        int(reference.sum()),
        cosine(reference.sum(axis=(0, 1)), found.sum(axis=(0, 1))),
        int(steps[0]) if len(steps) else None,
        float(1 - differs.any(axis=1).mean()) if len(differs) else 1.0,
    )


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Cosine of the angle between two vectors; 1 if both are zero, 0 if one is."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return float(a @ b / lengths)


def decisions(output: NDArray[Any]) -> NDArray[np.int64]:
    """Index of the output with the largest sum over time for each sample of (B, T, n).

    The sum is a spike count, or the mean membrane times T. The lowest index wins a tie, as where
    frameworks count what is right.
    """
    return np.asarray(np.argmax(np.asarray(output).sum(axis=1), axis=1), np.int64)


def answers(output: NDArray[Any]) -> NDArray[np.int64]:
    """The same for the check, which no luck may pass: a network that is silent decides nothing.

    Where all outputs say the same it is :data:`UNDECIDED`; a single output decides 0 unless it is
    silent.
    """
    sums = np.asarray(output).sum(axis=1)
    same = (sums == (sums[:, :1] if sums.shape[1] > 1 else 0)).all(axis=1)
    return np.where(same, UNDECIDED, decisions(output))


def output_distance(reference: NDArray[Any], found: NDArray[Any]) -> float:
    """Mean over samples of Σ over outputs of |difference of sums over time|."""
    sums = [np.asarray(x, np.float64).sum(axis=1) for x in (reference, found)]
    return float(np.abs(sums[0] - sums[1]).sum(axis=1).mean()) if len(sums[0]) else 0.0
