"""Does a placed network fit a chip? Counted before anything is rounded."""

from __future__ import annotations

import numpy as np

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.mapping.place import Network
from nirbridge.targets import ChipSpec
from nirbridge.targets.spec import named_sum


def fits(network: Network, chip: ChipSpec) -> list[Diagnostic]:
    """NB604, NB605 and NB608: every connection that the chip has no room for."""
    return _connections(network, chip) + _second_synapses(network, chip)


def _connections(network: Network, chip: ChipSpec) -> list[Diagnostic]:
    fan_out = (network.weights_rec != 0).any(axis=2).sum(axis=1)
    names = network.placement.hidden_names()
    problems = []
    over = np.flatnonzero(fan_out > chip.fan_out.value)
    if len(over):
        worst = int(fan_out.argmax())
        excess = chip.excess("fan_out", int(fan_out[worst]))
        found = f"{excess} ({len(over)} neurons over the limit)"
        limit = chip.cite("fan_out")
        problems.append(diagnose("NB604", node=names[worst], limit=limit, found=found))
    if fan_out.sum() > chip.entries.value:
        parts = {
            p.name: int(fan_out[p.ids].sum())
            for p in network.placement.hidden
            if fan_out[p.ids].any()
        }
        excess = chip.excess("entries", sum(parts.values()))
        node, found = next(iter(parts)), f"{excess}: {named_sum(parts)}"
        problems.append(diagnose("NB605", node=node, limit=chip.cite("entries"), found=found))
    return problems


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
