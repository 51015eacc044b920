"""Which population comes where, on chips that reach only some hidden neurons from outside.

Hidden neurons that take input have ids below ``input_neurons``; those that drive outputs are among
the last ``output_neurons`` of the neurons in use. Populations keep together, so to place them is to
put them into a row in which some may start no later, and some no earlier, than at a certain id.
Silent neurons between them would only move the two ends apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.targets import ChipSpec
from nirbridge.targets.spec import named_sum

if TYPE_CHECKING:
    from nirbridge.mapping.place import Network, Placement

TRIES = 100_000  # places of populations that are tried before a search is given up


@dataclass(frozen=True)
class Block:
    """A population: which of its neurons take input, and which drive outputs, (size,)."""

    name: str
    takes: NDArray[np.bool_]
    drives: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.takes)


def blocks(network: Network, chip: ChipSpec) -> list[Block]:
    """Which hidden neurons take input and which drive outputs, by population.

    Biases take input too where the chip has none: they become a channel.
    """
    takes = (network.weights_in != 0).any(axis=(0, 2))
    if not chip.bias_bits.value:
        takes |= network.hidden.c != 0
    drives = (network.weights_out != 0).any(axis=1)
    return [Block(p.name, takes[p.ids], drives[p.ids]) for p in network.placement.hidden]


def alias_pairs(placement: Placement, aliases: NDArray[np.integer[Any]]) -> set[tuple[int, int]]:
    """Pairs of populations, by number, of which the first has aliases in the second."""
    who = np.repeat(np.arange(len(placement.hidden)), [p.size for p in placement.hidden])
    source = np.flatnonzero(aliases >= 0)
    target = aliases[source]
    return set(zip(who[source].tolist(), who[target].tolist(), strict=True))


def reordered(network: Network, order: list[int]) -> Network:
    """The same network with its hidden populations in another order."""
    if order == sorted(order):
        return network
    old = [network.placement.hidden[k] for k in order]
    ids = np.concatenate([np.arange(p.first, p.first + p.size) for p in old])
    new = np.empty(len(ids) + 1, np.int32)
    new[ids], new[-1] = np.arange(len(ids)), -1  # no alias, −1, stays none
    first = np.cumsum([0, *(p.size for p in old)]).tolist()
    hidden = tuple(replace(p, first=k) for p, k in zip(old, first[:-1], strict=True))
    layer, grid = network.hidden, network.grid
    return replace(
        network,
        placement=replace(network.placement, hidden=hidden),
        weights_in=network.weights_in[:, ids],
        weights_rec=network.weights_rec[np.ix_(ids, ids)],
        weights_out=network.weights_out[ids],
        hidden=replace(layer, **{f.name: getattr(layer, f.name)[ids] for f in fields(layer)}),
        aliases=new[network.aliases[ids]],
        grid=None if grid is None else replace(grid, hidden=grid.hidden[ids], aliases=None),
    )


def find_order(
    blocks: Sequence[Block], chip: ChipSpec, before: set[tuple[int, int]]
) -> list[int] | None:
    """Blocks in an order that the chip can hold, as near to the given one as it goes.

    ``before``: pairs of blocks of which the first must have the lower ids. None if no order was
    found; with more than about 16 constrained blocks the search may end before it has seen all.
    """
    total = sum(block.size for block in blocks)
    latest = [_latest(block, chip, total) for block in blocks]
    earliest = [_earliest(block, chip, total) for block in blocks]
    search = _Search([block.size for block in blocks], earliest, latest, before)
    return search.run()


def _latest(block: Block, chip: ChipSpec, total: int) -> int:
    """Highest first id with which all that take input are reached; ``total`` if none does."""
    last = int(np.flatnonzero(block.takes).max(initial=-1))
    return chip.input_neurons.value - 1 - last if last >= 0 else total


def _earliest(block: Block, chip: ChipSpec, total: int) -> int:
    """Lowest first id with which all that drive outputs are reached."""
    first = np.flatnonzero(block.drives)[:1]
    return total - chip.output_neurons.value - int(first[0]) if len(first) else 0


class _Search:
    """Depth first, the given order first. Which blocks are placed says where the next starts."""

    def __init__(
        self,
        sizes: list[int],
        earliest: list[int],
        latest: list[int],
        before: set[tuple[int, int]],
    ):
        self.sizes, self.earliest, self.latest, self.before = sizes, earliest, latest, before
        self.total = sum(sizes)
        everyone = range(len(sizes))
        self.due = sorted(everyone, key=lambda k: latest[k] + sizes[k])
        self.due_from_end = sorted(everyone, key=lambda k: -earliest[k])

    def run(self) -> list[int] | None:
        """The order, or None."""
        placed: list[int] = []
        seen = {frozenset(placed)}
        choices = [self._choices(placed)]
        for _ in range(TRIES):
            if len(placed) == len(self.sizes):
                return placed
            if choices[-1]:
                placed.append(choices[-1].pop(0))
                state = frozenset(placed)
                choices.append([] if state in seen else self._choices(placed))
                seen.add(state)
            elif placed:
                choices.pop()
                placed.pop()
            else:
                return None
        return None

    def _choices(self, placed: list[int]) -> list[int]:
        """Who may come next, so that there is still room for all others."""
        at = sum(self.sizes[k] for k in placed)
        left = set(range(len(self.sizes))) - set(placed)
        if self._hopeless(left, at):
            return []
        waiting = {b for a, b in self.before if a in left}
        return [k for k in sorted(left - waiting) if self.earliest[k] <= at <= self.latest[k]]

    def _hopeless(self, left: set[int], at: int) -> bool:
        """Whether one of those left has no place though the most urgent go first, at both ends."""
        start = at
        for k in self.due:
            if k in left:
                if start > self.latest[k]:
                    return True
                start += self.sizes[k]
        end = self.total
        for k in self.due_from_end:
            if k in left:
                end -= self.sizes[k]
                if end < self.earliest[k]:
                    return True
        return False


def misplaced(blocks: Sequence[Block], chip: ChipSpec) -> list[Diagnostic]:
    """NB609, NB610 or NB611: who needs how many, where there is no order of the blocks."""
    takes = {b.name: int(b.takes.sum()) for b in blocks if b.takes.any()}
    drives = {b.name: int(b.drives.sum()) for b in blocks if b.drives.any()}
    found = [
        diagnose(code, node=next(iter(parts)), limit=chip.cite(limit), found=named_sum(parts))
        for code, limit, parts in (
            ("NB609", "input_neurons", takes),
            ("NB610", "output_neurons", drives),
        )
        if sum(parts.values()) > chip.limits()[limit].value
    ]
    if found:
        return found
    both = {b.name: int((b.takes & b.drives).sum()) for b in blocks}
    both = {name: n for name, n in both.items() if n}
    parts = [
        f"{what} {named_sum(who)}"
        for what, who in (("take input:", takes), ("drive outputs:", drives), ("both:", both))
        if who
    ]
    text = f"{sum(b.size for b in blocks)} hidden neurons; {'; '.join(parts)}"
    limit = f"{chip.input_neurons}; {chip.output_neurons} ({chip.title})"
    return [diagnose("NB611", node=next(iter(both or takes)), limit=limit, found=text)]


def sorting(block: Block) -> NDArray[np.int64]:
    """Neurons of a block so that those that take input come first, those that drive outputs last.

    Between them, first who does both, then who does neither.
    """
    rank = np.select([block.takes & ~block.drives, block.takes, ~block.drives], [0, 1, 2], 3)
    return np.argsort(rank, kind="stable")
