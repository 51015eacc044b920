"""Which recurrent weights to give up where a chip has too little room for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics
from nirbridge.mapping.place import Network
from nirbridge.passes import Lowered
from nirbridge.passes.fan_out import Mask, Pair, recurrent
from nirbridge.passes.schedule import RESERVE
from nirbridge.simulate import simulate_stepped
from nirbridge.targets import ChipSpec

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Spots = tuple[slice, slice]
Placed = tuple[Lowered, Network]

UNSEEN = 1e-9  # spikes: so that of silent neurons too the smallest weights go first
ROUNDS = 16  # relays take up room of their own, so one round may not be enough


def prune_to_fit(
    graph: nir.NIRGraph,
    dynamics: Dynamics,
    chip: ChipSpec,
    place: Callable[[dict[Pair, Mask]], Placed],
    raster: NDArray[np.integer],
) -> Placed:
    """Remove the weights of the smallest effect until the fan-outs and all entries fit the chip.

    The effect of a connection is |w|·(mean spikes per step of its source on the raster), where w
    is in thresholds of the target, at rest under a constant input; where that is 0, |w| decides.
    Populations that have the same weights towards a third, which a chip may hold once, lose them
    together; their effects add up.

    Parameters
    ----------
    graph, dynamics
        The network in normal form (``nirbridge.passes.lower.NORMAL_FORM``).
    chip
        For its limits of fan-out and entries.
    place
        Lowers and places the network without the weights given to it.
    raster
        Counts (B, T, n_in).

    Returns
    -------
    tuple of Lowered and Network
        What ``place`` gave last. It may still be too large, if nothing is left to remove.

    Raises
    ------
    Refused
        What ``place`` raises.

    """
    weights = recurrent(graph)
    spikes = simulate_stepped(graph, raster, dynamics).spikes
    rates = {n: (s.sum(axis=(0, 1)) + UNSEEN) / (len(s) * s.shape[1]) for n, s in spikes.items()}
    candidates = _Candidates(weights, rates)
    removed = {pair: np.zeros(w.shape[1:], bool) for pair, w in weights.items()}
    placed = place({})
    for _ in range(ROUNDS):
        if not candidates.remove(placed[1], chip, removed):
            break
        placed = place(removed)
    return placed


@dataclass(frozen=True)
class _Candidates:
    """What may be removed. ``weights`` (links, target, source); ``rates``: spikes per step."""

    weights: dict[Pair, Array]
    rates: dict[str, Array]

    def remove(self, network: Network, chip: ChipSpec, removed: dict[Pair, Mask]) -> bool:
        """Mark in ``removed`` as many as are too many in a placed network; whether there are any.

        First of each neuron with too many targets, then of the whole chip.
        """
        entries = (network.weights_rec != 0).any(axis=2)
        effect = self._effects(network, entries)
        chosen = np.zeros(entries.shape, bool)
        surplus = entries.sum(axis=1) - self._room(network, chip)
        for source in np.flatnonzero(surplus > 0):
            least = np.argsort(effect[source], kind="stable")[: surplus[source]]
            chosen[source, least[np.isfinite(effect[source, least])]] = True
        left = np.where(chosen, np.inf, effect).ravel()
        many = max(int((entries & ~chosen).sum()) - chip.entries.value, 0)
        least = np.argsort(left, kind="stable")[:many]
        chosen.flat[least[np.isfinite(left[least])]] = True
        self._mark(network, chosen, removed)
        return bool(chosen.any())

    def _room(self, network: Network, chip: ChipSpec) -> Indices:
        """Most targets of each neuron, (n_hidden,).

        What has twins leaves as much as a relay does: its twin comes through one, which shares its
        weights only as long as it need not be doubled.
        """
        shared = {a for a, b in self.weights if self._twins(a, b)}
        reserve = [RESERVE * (p.name in shared) for p in network.placement.hidden]
        return chip.fan_out.value - np.repeat(reserve, [p.size for p in network.placement.hidden])

    def _effects(self, network: Network, entries: NDArray[np.bool_]) -> Array:
        """Of each entry, (n_hidden, n_hidden); infinite where there is none to be removed."""
        found = np.full(entries.shape, np.inf)
        for (source, target), spots, (i, j) in self._places(network):
            total = sum(
                np.abs(self.weights[name, target]).sum(axis=0) * self.rates[name]
                for name in (source, *self._twins(source, target))
            )
            found[spots] = np.where(entries[spots], total[np.ix_(j, i)].T, np.inf)
        return found

    def _mark(self, network: Network, chosen: NDArray[np.bool_], removed: dict[Pair, Mask]) -> None:
        for (source, target), spots, (i, j) in self._places(network):
            mask = np.zeros(self.weights[source, target].shape[1:], bool)
            mask[np.ix_(j, i)] = chosen[spots].T
            for name in (source, *self._twins(source, target)):
                removed[name, target] = removed[name, target] | mask

    def _places(self, network: Network) -> list[tuple[Pair, Spots, tuple[Indices, Indices]]]:
        """Of each pair of populations, where its entries lie on the chip, and which they are."""
        spans = {p.name: p for p in network.placement.hidden}
        kept = {n: np.array(p.kept or range(p.size), np.int64) for n, p in spans.items()}
        return [
            ((a, b), (spans[a].ids, spans[b].ids), (kept[a], kept[b]))
            for a, b in self.weights
            if a in spans and b in spans
        ]

    def _twins(self, source: str, target: str) -> list[str]:
        """Populations that have all weights of ``source`` towards a target, and perhaps more."""
        own = self.weights[source, target]
        return [
            a
            for (a, b), w in self.weights.items()
            if (b, w.shape) == (target, own.shape)
            and a != source
            and np.array_equal(w[own != 0], own[own != 0])
        ]
