"""Populations with the same outgoing weights → one set of weights, shared through aliases.

A neuron with an alias also counts its spikes as spikes of its target, in the same step. Where a
residual connection brings two populations into the same map, the first needs no weights of its
own there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def find_aliases(
    spots: list[slice],
    weights_rec: Array,
    weights_out: Array,
    known: Collection[tuple[int, int]] | None = None,
) -> tuple[NDArray[np.int32], Array, Array]:
    """Aliases (n_hidden,), and both matrices without the weights that they save.

    ``spots``: hardware ids of each hidden population, ascending. An alias leads from a population
    to a later one of the same size, if every weight of the latter is also one of the former. Only
    upwards, because spikes that an alias brings to a lower index are not passed on. What the
    former has beyond the latter's weights stays. ``known``: the only pairs of populations, by
    number, that may have any: of integers, others are alike by chance.
    """
    n = len(weights_rec)
    rows = np.concatenate([weights_rec.reshape(n, -1), weights_out], axis=1)
    aliases = np.full(n, -1, np.int32)
    kept = rows.copy()
    for i, source in enumerate(spots):
        best: tuple[int, slice] | None = None
        for k, target in enumerate(spots[i + 1 :], i + 1):
            if known is not None and (i, k) not in known:
                continue
            shared = rows[target] != 0
            same = target.stop - target.start == source.stop - source.start
            if same and shared.any() and np.all(rows[source][shared] == rows[target][shared]):
                saved = int(shared.sum())
                if best is None or saved > best[0]:
                    best = (saved, target)
        if best is not None:
            target = best[1]
            aliases[source] = np.arange(target.start, target.stop)
            kept[source] = np.where(rows[target] != 0, 0.0, kept[source])
    flat = weights_rec[0].size if n else 0
    return aliases, kept[:, :flat].reshape(weights_rec.shape), kept[:, flat:]


def follows(aliases: NDArray[Any], spots: list[slice]) -> bool:
    """Whether aliases are such as :func:`find_aliases` gives: whole populations, upwards."""
    for source in spots:
        own = aliases[source]
        if (own < 0).all():
            continue
        target = slice(int(own[0]), int(own[0]) + len(own))
        upwards = target in spots and target.start > source.start
        if not upwards or not np.array_equal(own, np.arange(target.start, target.stop)):
            return False
    return True


def counted(aliases: NDArray[Any]) -> Array:
    """How often each spike of neuron i counts as one of neuron j, (n, n) by [j, i].

    Neurons come in the order of their ids: what an alias brings to a higher id is passed on by
    that neuron's own alias, what it brings to a lower one is not.
    """
    found = np.eye(len(aliases))
    for source, target in enumerate(aliases.tolist()):
        if target >= 0:
            found[target] += found[source]
    return found
