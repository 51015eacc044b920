"""Forms, scales and rounding chosen by what the chip does with typical, or with random, input."""

from nirbridge.calibrate.calibrate import calibrate, choose
from nirbridge.calibrate.probe import random_spikes
from nirbridge.calibrate.timestep import best_step

__all__ = ["best_step", "calibrate", "choose", "random_spikes"]
