"""Does a placed network fit a chip? Counted before anything is rounded."""

from __future__ import annotations

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.mapping.limits import too_many
from nirbridge.mapping.place import Network
from nirbridge.targets import ChipSpec


def fits(network: Network, chip: ChipSpec) -> list[Diagnostic]:
    """NB604, NB605 and NB608: every connection that the chip has no room for."""
    place = network.placement
    spots = {p.name: p.ids for p in place.hidden}
    found = too_many(network.weights_rec, chip, place.hidden_names(), spots)
    return found + _second_synapses(network, chip)


def _second_synapses(network: Network, chip: ChipSpec) -> list[Diagnostic]:
    used = [
        p.name
        for p in network.placement.hidden
        if network.weights_in[:, p.ids, 1].any() or network.weights_rec[:, p.ids, 1].any()
    ]
    if chip.synapses.value > 1 or not used:
        return []
    found = f"2 synapses in {', '.join(used)}"
    return [diagnose("NB608", node=used[0], limit=chip.cite("synapses"), found=found)]
