"""What has been published about the chips' clocks and power, each figure with its source.

Nothing here was measured by nirbridge. Figures stay in the unit in which they were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nirbridge.targets.spec import ChipSpec, Limit

Quantity = Literal[
    "idle power",  # configured, without input
    "active power",
    "dynamic power",  # active − idle
    "energy per inference",  # active power / inference rate
    "dynamic energy per inference",
    "dynamic energy per cycle",
]


@dataclass(frozen=True)
class Figure:
    """A published figure, or (``derived``) one that follows from such by the ``condition``."""

    quantity: Quantity
    value: float
    unit: str
    source: str
    condition: str
    derived: bool = False


@dataclass(frozen=True)
class ChipPower:
    """What is known of a chip's clock and power.

    Attributes
    ----------
    clock
        The clock that it runs at unless told otherwise.
    visits_all
        Whether each step visits every hidden neuron for its input and output weights, or only
        those that have some.
    figures
        All that was published.
    dynamic_of
        The chip whose energy per clock cycle is taken too where this one has little published.

    """

    clock: Limit | None = None
    visits_all: bool = True
    figures: tuple[Figure, ...] = ()
    dynamic_of: str | None = None

    def values(self, quantity: Quantity) -> tuple[Figure, ...]:
        """The figures of one quantity."""
        return tuple(f for f in self.figures if f.quantity == quantity)


_FREE = "by default; it can be set to less, and the vendor says that power grows with it"
_HDK_CLOCK = "Rockpool's tools for the development kits"
_PAGE = "open-neuromorphic.org's page on Xylo"
_NIR = "the NIR paper, arXiv 2311.14641"
_KWS = "arXiv 2406.15112"
_IMU = "Rockpool's documentation, devices/xylo-imu/xylo-imu-intro"
_INTRO = "Rockpool's documentation, devices/quick-xylo/xylo-audio-intro"
_MONITOR = "Rockpool's documentation, devices/xylo-a3/Using_XyloSamna_and_XyloMonitor"

_SPOKEN = "keyword spotting, front end excluded, 6.25 MHz"
_BRAILLE = "Braille, 12-40-7 recurrent, clock and share of idle power not stated"
_DEMO = "example of 8 neurons, accelerated time, 6.25 MHz"


def _figure(
    quantity: Quantity, value: float, source: str, condition: str, derived: bool = False
) -> Figure:
    unit = {"power": "µW", "inference": "µJ", "cycle": "pJ"}[quantity.split()[-1]]
    return Figure(quantity, value, unit, source, condition, derived)


# Cycles of the Braille network for one sample of 256 steps, by nirbridge's own conversion and
# cycle model: `python -m benchmarks.energy`.
BRAILLE_CYCLES = 362_000

POWER: dict[str, ChipPower] = {
    "xylo-audio-2": ChipPower(
        clock=Limit(50_000_000, "Hz", _HDK_CLOCK, note=_FREE),
        figures=(
            _figure("idle power", 219, _PAGE, "task, network and clock not stated"),
            _figure("dynamic power", 93, _PAGE, "task, network and clock not stated"),
            _figure("active power", 277, _NIR, _BRAILLE),
            _figure("energy per inference", 23.8, _NIR, f"{_BRAILLE}, one sample"),
            _figure("idle power", 216, _KWS, _SPOKEN),
            _figure("active power", 507, _KWS, _SPOKEN),
            _figure("dynamic power", 291, _KWS, _SPOKEN),
            _figure("dynamic energy per inference", 6.6, _KWS, _SPOKEN),
            _figure("energy per inference", 11, _KWS, _SPOKEN),
            _figure(
                "dynamic energy per cycle",
                291 / 6.25,
                _KWS,
                "291 µW / 6.25 MHz, as if no cycle was spent waiting; more if any was",
                derived=True,
            ),
            _figure(
                "dynamic energy per cycle",
                23.8 * (277 - 219) / 277 / BRAILLE_CYCLES * 1e6,
                _NIR,
                f"23.8 µJ (277 − 219) / 277 / {BRAILLE_CYCLES} cycles as modelled here, as if the "
                "277 µW include an idle power of 219 µW",
                derived=True,
            ),
        ),
    ),
    "xylo-imu": ChipPower(
        clock=Limit(50_000_000, "Hz", _HDK_CLOCK, note=_FREE),
        visits_all=False,
        figures=(
            _figure("idle power", 188.2, _IMU, "core and motion interface, 6.25 MHz"),
            _figure("active power", 201.0, _IMU, f"core and motion interface, {_DEMO}"),
            _figure(
                "dynamic energy per cycle",
                (201.0 - 188.2) / 6.25,
                _IMU,
                "(201.0 − 188.2) µW / 6.25 MHz, as if no cycle was spent waiting; more if any was",
                derived=True,
            ),
        ),
        dynamic_of="xylo-audio-2",
    ),
    "xylo-audio-3": ChipPower(
        clock=Limit(50_000_000, "Hz", _HDK_CLOCK, note=_FREE),
        visits_all=False,
        figures=(
            _figure("idle power", 542.9, _INTRO, "core, 6.25 MHz"),
            _figure("active power", 350, _INTRO, "core, about, the same network in real time"),
            _figure(
                "idle power",
                350,
                _INTRO,
                "no more than that active power, which contradicts the 542.9 µW",
                derived=True,
            ),
            _figure(
                "active power",
                588,
                _MONITOR,
                "core and digital front end, 16-189-4, real time, 12.5 MHz",
            ),
        ),
        dynamic_of="xylo-audio-2",
    ),
}


def power(chip: ChipSpec) -> ChipPower:
    """What is known of a chip; nothing is, of one that is not in :data:`POWER`."""
    return POWER.get(chip.name, ChipPower())


def clock(chip: ChipSpec) -> dict[str, Limit]:
    """The chip's clock by the name ``clock``, to stand beside its limits; none if not known."""
    known = power(chip).clock
    return {} if known is None else {"clock": known}
