"""Inputs of a bench: rasters with a name, given or drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.check.drift import check_labels
from nirbridge.diagnostics import refuse
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.shapes import infer
from nirbridge.rasters import check_raster


@dataclass(frozen=True, eq=False)
class Input:
    """A raster of spike counts, integers >= 0, (T, n_in) or (B, T, n_in).

    ``name``: what it is called in the results. ``labels``: integers (B,), or one integer for a
    single sample, or None.
    """

    name: str
    raster: Any
    labels: Any = None

    def checked(self, n_in: int, n_out: int, samples: int | None) -> Input:
        """The same as arrays (B, T, n_in) and int64 (B,), the first ``samples`` of them.

        Raises
        ------
        Refused
            NB801, NB802 for the raster, also for an empty one; NB804 for the labels.

        """
        counts = check_raster(self.raster, n_in)
        counts = counts if counts.ndim == 3 else counts[None]
        if 0 in counts.shape[:2]:
            limit = "at least one sample of one step"
            raise refuse("NB801", node=self.name, limit=limit, found=f"shape {counts.shape}")
        labels = check_labels(self.labels, len(counts), n_out)
        return replace(
            self, raster=counts[:samples], labels=None if labels is None else labels[:samples]
        )

    @property
    def counts(self) -> NDArray[Any]:
        """The raster of a checked input."""
        return np.asarray(self.raster)


def random_inputs(
    n_in: int, rate: float, steps: int, samples: int = 1, seeds: Iterable[int] = (0,)
) -> list[Input]:
    """One input per seed: each channel spikes in each step with the probability ``rate``.

    Parameters
    ----------
    n_in
        Channels.
    rate
        From 0 to 1.
    steps, samples
        T and B of each input, uint8 (B, T, n_in).
    seeds
        Of NumPy's default generator.

    """
    return [
        Input(
            f"seed {seed}",
            (np.random.default_rng(seed).random((samples, steps, n_in)) < rate).astype(np.uint8),
        )
        for seed in seeds
    ]


def sizes(graph: nir.NIRGraph) -> tuple[int, int]:
    """Channels of all Inputs, and values of all Outputs, of a well-formed graph."""
    flat = inline(graph)
    shapes, _ = infer(flat)

    def total(wanted: str) -> int:
        ends = [n for n, x in flat.nodes.items() if kind(x) == wanted]
        return sum(int(np.prod(shapes[n][0], dtype=int)) for n in ends)

    return total("Input"), total("Output")
