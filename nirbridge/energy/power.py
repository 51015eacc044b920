"""Power and energy per inference: an estimate from published figures, as a range.

    dynamic power = energy per cycle · cycles per step / dt
    active power  = idle power + dynamic power
    dynamic energy of an inference = (active − idle) / inferences per second

Idle power and energy per cycle lie between the lowest and the highest that was published. Where
nothing was, there is no estimate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nirbridge.targets.power import POWER, ChipPower, Figure, Quantity

_SI = {"µW": 1e-6, "µJ": 1e-6, "pJ": 1e-12}

ALWAYS: tuple[str, ...] = (
    "no figure was measured by nirbridge, and none on this network",
    "the chip runs in real time; what it spends beyond idling grows with its clock cycles alone",
    "the idle power does not depend on network and clock, though the vendor says that power grows "
    "with the clock",
    "the ends of a range are the lowest and the highest of few figures, not bounds",
    "core only: without audio or motion front end, without inputs and outputs of the board",
)


@dataclass(frozen=True)
class Range:
    """Lowest and highest value, in SI units."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        """Times a factor >= 0."""
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Estimate:
    """What a network is likely to draw; each value None where no figure supports it.

    Attributes
    ----------
    idle, dynamic, active
        Power in W: configured but without input; beyond that; both.
    per_cycle
        Dynamic energy of a clock cycle in J.
    rate
        Inferences per second.
    dynamic_energy, energy
        Of one inference in J: of the dynamic and of the active power.
    assumptions
        What the estimate takes for granted.
    figures
        All that was published on the chip, and what is assumed of another.

    """

    idle: Range | None
    dynamic: Range | None
    active: Range | None
    per_cycle: Range | None
    rate: float
    dynamic_energy: Range | None
    energy: Range | None
    assumptions: tuple[str, ...]
    figures: tuple[Figure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values in SI units, for JSON."""
        return {
            "unit": "W, J, inferences per second; each range from lowest to highest",
            **asdict(self),
        }


def estimate_power(
    chip: ChipPower, cycles_per_second: float, rate: float, clock: float = 0.0
) -> Estimate:
    """Power and energy of a chip that spends so many cycles.

    Parameters
    ----------
    chip
        What was published about it.
    cycles_per_second
        That are spent computing, on the mean.
    rate
        Inferences per second, > 0.
    clock
        In Hz, that the network needs.

    """
    figures, assumptions = chip.figures, ALWAYS
    if chip.dynamic_of is not None:
        own = chip.values("dynamic energy per cycle")
        figures = (*figures, *POWER[chip.dynamic_of].values("dynamic energy per cycle"))
        little = "one small example of its own" if own else "nothing"
        text = f"energy per cycle as of {chip.dynamic_of} too: {little} was published for this chip"
        assumptions = (text, *assumptions)
    per_cycle = _range(figures, "dynamic energy per cycle")
    idle = _range(figures, "idle power")
    if idle is not None and idle.low == idle.high:
        assumptions = (*assumptions, "one idle power alone was published, which makes no range")
    dynamic = None if per_cycle is None else per_cycle * cycles_per_second
    active = None if dynamic is None or idle is None else idle + dynamic
    if chip.clock is not None and clock > chip.clock.value:
        assumptions = (
            "the chip keeps real time, for which its own clock is too slow: run slower, it draws "
            "less power, for the same dynamic energy per inference",
            *assumptions,
        )
    if active is None:
        assumptions = ("no figures were published: there is no estimate",)
    return Estimate(
        idle=idle,
        dynamic=dynamic,
        active=active,
        per_cycle=per_cycle,
        rate=rate,
        dynamic_energy=None if dynamic is None else dynamic * (1 / rate),
        energy=None if active is None else active * (1 / rate),
        assumptions=assumptions,
        figures=figures,
    )


def _range(figures: tuple[Figure, ...], quantity: Quantity) -> Range | None:
    found = [f.value * _SI[f.unit] for f in figures if f.quantity == quantity]
    return Range(min(found), max(found)) if found else None
