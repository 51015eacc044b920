"""What a network costs on the chip: clock cycles, operations, power, each with its assumptions."""

from nirbridge.energy.activity import Activity, measure
from nirbridge.energy.cycles import MARGIN, Cycles, cycles, slowest_clock
from nirbridge.energy.estimate import Energy, estimate, utilisation
from nirbridge.energy.power import Estimate, Range, estimate_power

__all__ = [
    "MARGIN",
    "Activity",
    "Cycles",
    "Energy",
    "Estimate",
    "Range",
    "cycles",
    "estimate",
    "estimate_power",
    "measure",
    "slowest_clock",
    "utilisation",
]
