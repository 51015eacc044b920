"""What a network takes up on a chip, resource by resource, found by really placing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, Refused, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.fitting import lower_to_fit, settle_biases, shaped
from nirbridge.graph.verify import verify
from nirbridge.mapping.order import blocks
from nirbridge.mapping.place import Network, place
from nirbridge.passes import lower, passes
from nirbridge.targets import ChipSpec
from nirbridge.targets.fit import Use, demand
from nirbridge.targets.spec import named_sum
from nirbridge.timing import check_taus, resolve

ROOM = 4000  # hidden neurons that are placed to be counted on a chip that cannot hold them


@dataclass(frozen=True)
class Usage:
    """A network on a chip. ``reasons``: every diagnostic of the stage that refuses, if one does.

    ``uses``: by the names of the chip's limits. Of a network that does not fit, counted in its
    cheapest form, without relays that could be left out.
    """

    chip: ChipSpec
    uses: dict[str, Use]
    reasons: tuple[Diagnostic, ...]

    @property
    def fits(self) -> bool:
        """Whether it can be converted for this chip."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        uses = {name: use.to_dict() for name, use in self.uses.items()}
        reasons = [d.to_dict() for d in self.reasons]
        return {"fits": self.fits, "resources": uses, "reasons": reasons}


def usage(
    graph: nir.NIRGraph, chips: Iterable[ChipSpec], dt: float | None = None, **words: Any
) -> list[Usage]:
    """What a graph takes up on each chip.

    Parameters
    ----------
    graph, dt, words
        As for :func:`nirbridge.convert`.
    chips
        Their records.

    Raises
    ------
    Refused
        NB2xx and NB3xx, for what is wrong on every chip.

    """
    refuse_all(verify(graph))
    how = replace(resolve(graph, dt, None, **words), output_lag=0)
    check_taus(graph, how)
    return [_usage(graph, how, chip) for chip in chips]


def _usage(graph: nir.NIRGraph, how: Dynamics, chip: ChipSpec) -> Usage:
    try:
        refuse_all(demand(graph).over(chip))
        _, network = shaped(*lower_to_fit(graph, how, chip), chip, None)
        network, _ = settle_biases(network, chip)
    except Refused as refusal:
        return Usage(chip, _uses_beyond(graph, how, chip), refusal.diagnostics)
    return Usage(chip, _uses(network, chip), ())


def _uses_beyond(graph: nir.NIRGraph, how: Dynamics, chip: ChipSpec) -> dict[str, Use]:
    """Of a network that does not fit: placed on a chip with more of everything, if it can be."""
    need = demand(graph)
    counts = {"inputs": need.inputs, "hidden": need.hidden, "outputs": need.outputs}
    plain = {name: sum(parts.values()) for name, parts in counts.items()}
    if plain["hidden"] <= ROOM:
        larger: dict[str, Any] = {
            name: replace(limit, value=ROOM)
            for name, limit in chip.limits().items()
            if name not in ("bias_bits", "aliases")
        }
        try:
            lowered = lower(graph, how, passes(False, False, chip.fan_out.value))
            return _uses(place(lowered, replace(chip, **larger)), chip)
        except Refused:
            pass
    limits = {name: limit for name, limit in chip.limits().items() if name != "bias_bits"}
    return {name: Use(plain.get(name), limit.value) for name, limit in limits.items()}


def _uses(network: Network, chip: ChipSpec) -> dict[str, Use]:
    """Every resource of a placed network, by the name of its limit; ``biases`` by neurons."""
    hidden, parts = network.placement.hidden, blocks(network, chip)
    entries = (network.weights_rec != 0).any(axis=2)
    fan_out = entries.sum(axis=1)
    widest = network.placement.hidden_names()[int(fan_out.argmax())] if fan_out.any() else ""
    relays = sum(p.size for p in hidden if p.relay)
    aliases = int((network.aliases >= 0).sum())
    two = bool(network.weights_in[..., 1].any() or network.weights_rec[..., 1].any())
    biases = int(np.count_nonzero(network.hidden.c) + np.count_nonzero(network.outputs.c))
    channel = network.constant or (biases > 0 and not chip.bias_bits.value)
    takes = {b.name: int(b.takes.sum()) for b in parts if b.takes.any()}
    drives = {b.name: int(b.drives.sum()) for b in parts if b.drives.any()}
    used: dict[str, tuple[int, str]] = {
        "inputs": (
            network.n_in + int(channel and not network.constant),
            "one of them for the biases" if channel else "",
        ),
        "hidden": (network.placement.n_hidden, f"{relays} of them relays" if relays else ""),
        "outputs": (network.placement.n_out, ""),
        "synapses": (1 + int(two), ""),
        "fan_out": (int(fan_out.max(initial=0)), widest),
        "entries": (int(entries.sum()), ""),
        "aliases": (int(aliases > 0), f"{aliases} in all" if aliases else ""),
        "input_neurons": (sum(takes.values()), named_sum(takes) if takes else ""),
        "output_neurons": (sum(drives.values()), named_sum(drives) if drives else ""),
    }
    limits = chip.limits()
    found = {name: Use(n, limits[name].value, text) for name, (n, text) in used.items()}
    most = chip.hidden.value + chip.outputs.value if chip.bias_bits.value else 0
    return found | {"biases": Use(biases, most)}
