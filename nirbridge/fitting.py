"""Lower and place a network the best way that fits a chip."""

from __future__ import annotations

from itertools import product

import nir

from nirbridge.diagnostics import Diagnostic, Refused
from nirbridge.dynamics import Dynamics
from nirbridge.mapping.fits import fits
from nirbridge.mapping.place import Network, place, sort_neurons
from nirbridge.passes import Lowered, lower, passes
from nirbridge.targets import ChipSpec


def lower_to_fit(
    graph: nir.NIRGraph,
    how: Dynamics,
    chip: ChipSpec,
    exact: bool | None,
    balance: bool | None,
) -> tuple[Lowered, Network]:
    """Lower and place; what the caller leaves open is done the best way that fits the chip.

    Raises
    ------
    Refused
        NB4xx and NB6xx of the cheapest way, if none fits.

    """
    choices = product(
        (True, False) if exact is None else (exact,),
        (True, False) if balance is None else (balance,),
    )
    problems: list[Diagnostic] = []
    for chosen in sorted(choices, key=lambda c: (c.count(False), c)):
        lowered = lower(graph, how, passes(*chosen, chip.fan_out.value))
        try:
            lowered, network = _placed(lowered, chip)
        except Refused as refusal:
            found = list(refusal.diagnostics)
        else:
            found = fits(network, chip)
            if not found:
                return lowered, network
        problems = found  # of the cheapest way, which comes last
    raise Refused(problems)


def _placed(lowered: Lowered, chip: ChipSpec) -> tuple[Lowered, Network]:
    """Placed as it is, or else with neurons in another order within their populations."""
    try:
        return lowered, place(lowered, chip)
    except Refused as refusal:
        if any(d.code != "NB611" for d in refusal.diagnostics):
            raise
    lowered = sort_neurons(lowered, chip)
    return lowered, place(lowered, chip)
