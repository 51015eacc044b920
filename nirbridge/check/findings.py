"""Neurons and weights that the chip cannot use as they were meant, by the user's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.models import Run
from nirbridge.intformat import HIDDEN_SPIKES, INT16
from nirbridge.simulate import Recording

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

LOST = "weights became 0"
SHOWN = 8  # names in a finding; the rest are counted


@dataclass(frozen=True)
class Finding:
    """``count`` neurons or weights of one population for which ``what`` holds."""

    node: str
    what: str
    count: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {self.count - len(self.names)} more" if self.count > len(self.names) else ""
        return f"{self.node}: {self.count} {self.what}: {', '.join(self.names)}{more}"


class Findings:
    """Gathers, piece by piece of the input, what happened to each neuron."""

    def __init__(self, deployment: Deployment):
        self.deployment = deployment
        h, o = deployment.config.n_hidden, deployment.config.n_out
        self.saturated = np.zeros(h, bool)
        self.saturated_out = np.zeros(o, bool)
        self.capped = np.zeros(h, bool)
        self.fired = np.zeros(h, bool)
        self.fired_out = np.zeros(o, bool)
        self.meant = np.zeros(h, bool)

    def add(self, recording: Recording, trained: Run) -> None:
        """Take in what the chip did on one piece, and what the trained network did."""
        assert recording.spikes is not None
        for name in ("i_syn", "i_syn_2", "v_mem"):
            self.saturated |= _at_rails(getattr(recording, name))
        for name in ("i_syn_out", "v_mem_out"):
            self.saturated_out |= _at_rails(getattr(recording, name))
        self.capped |= (recording.spikes == HIDDEN_SPIKES).any(axis=(0, 1))
        self.fired |= (recording.spikes > 0).any(axis=(0, 1))
        self.fired_out |= (recording.output > 0).any(axis=(0, 1))
        for p in self.deployment.placement.hidden:
            if p.name in trained.spikes:
                self.meant[p.ids] |= (trained.spikes[p.name] > 0).any(axis=(0, 1))

    def silent(self) -> tuple[str, ...]:
        """Populations of which no neuron ever fires; membranes that are read need not."""
        place = self.deployment.placement
        hidden = [p.name for p in place.hidden if not self.fired[p.ids].any()]
        spiking = [p for p in place.outputs if not p.readout]
        return (*hidden, *(p.name for p in spiking if not self.fired_out[p.ids].any()))

    def result(self) -> tuple[Finding, ...]:
        """All findings, population by population."""
        found: list[Finding] = []
        for p in self.deployment.placement.hidden:
            names = p.names()
            for what, mask in (
                ("neurons reach the 16-bit rails", self.saturated),
                ("neurons fire at the cap of 31 per step", self.capped),
                ("neurons never fire on the chip, but did in training", self.meant & ~self.fired),
            ):
                found += _list(p.name, what, mask[p.ids], names)
        for p in self.deployment.placement.outputs:
            what = "output neurons reach the 16-bit rails"
            found += _list(p.name, what, self.saturated_out[p.ids], p.names())
        return (*found, *self._lost_weights())

    def _lost_weights(self) -> list[Finding]:
        """Weights that were not 0 before rounding and are now."""
        found = []
        before, after = self.deployment.shifted.nodes, self.deployment.deployed.nodes
        for name, node in before.items():
            if hasattr(node, "weight") and name in after:
                lost = (np.asarray(node.weight) != 0) & (np.asarray(after[name].weight) == 0)
                places = [f"[{i}, {j}]" for i, j in np.argwhere(lost)[:SHOWN].tolist()]
                if places:
                    found.append(Finding(name, LOST, int(lost.sum()), tuple(places)))
        return found


def _at_rails(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    return np.asarray(((values == INT16.low) | (values == INT16.high)).any(axis=(0, 1)), bool)


def _list(node: str, what: str, mask: NDArray[np.bool_], names: list[str]) -> list[Finding]:
    which = np.flatnonzero(mask)
    if not len(which):
        return []
    return [Finding(node, what, len(which), tuple(names[i] for i in which[:SHOWN]))]
