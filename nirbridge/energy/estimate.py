"""``estimate``: cycles, clock, use of the chip, operations and power of a network on a raster."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from nirbridge.diagnostics import refuse
from nirbridge.energy.activity import Activity, measure
from nirbridge.energy.cycles import MARGIN, Cycles, cycles, slowest_clock
from nirbridge.energy.power import Estimate, estimate_power
from nirbridge.mapping import XyloConfig
from nirbridge.targets import ChipSpec, target
from nirbridge.targets.fit import Use
from nirbridge.targets.power import power

LONGEST = 1e12  # steps from one inference to the next: years


@dataclass(frozen=True)
class Energy:
    """What a network costs on the chip, on one raster.

    Attributes
    ----------
    chip, dt
        Title of the chip; seconds per step.
    steps_per_inference
        Steps from one inference to the next: 1 / (dt · rate).
    activity
        What was measured in the simulation.
    worst
        Cycles of a step if everything spiked in it.
    clock
        In Hz: the slowest that keeps real time in the busiest step of the raster.
    worst_clock
        The same if everything spiked at once.
    default_clock
        Of the chip; None where it is not known.
    use
        Of the chip's resources, by the names of its limits.
    power
        The estimate of power and energy.

    """

    chip: str
    dt: float
    steps_per_inference: float
    activity: Activity
    worst: Cycles
    clock: float
    worst_clock: float
    default_clock: int | None
    use: dict[str, Use]
    power: Estimate

    @property
    def operations_per_second(self) -> float:
        """Synaptic operations."""
        return self.activity.operations / self.dt

    @property
    def rates(self) -> Any:
        """Spikes of each hidden neuron per second, (n_hidden,)."""
        return self.activity.hidden_spikes / self.dt

    def to_dict(self) -> dict[str, Any]:
        """Plain values in SI units, for JSON."""
        activity = self.activity
        return {
            "chip": self.chip,
            "dt": self.dt,
            "cycles_per_step": {
                "mean": activity.mean.to_dict(),
                "busiest": activity.busiest.to_dict(),
                "worst": self.worst.to_dict(),
            },
            "clock": {
                "margin": MARGIN,
                "busiest": self.clock,
                "worst": self.worst_clock,
                "default": self.default_clock,
            },
            "use": {name: u.to_dict() for name, u in self.use.items()},
            "activity": activity.to_dict(),
            "operations_per_second": self.operations_per_second,
            "steps_per_inference": self.steps_per_inference,
            "power": self.power.to_dict(),
        }


def estimate(
    config: XyloConfig,
    raster: Any,
    *,
    rate: float | None = None,
    steps_per_inference: float | None = None,
    chip: str | ChipSpec | None = None,
) -> Energy:
    """Cycles, clock, use of the chip, operations and power, at the activity on a raster.

    Parameters
    ----------
    config
        The chip's integers.
    raster
        Typical input: integers >= 0, (T, n_in) or (B, T, n_in).
    rate
        Inferences per second of continuous operation.
    steps_per_inference
        The same as steps from one inference to the next. Without either, a sample of the raster is
        one inference.
    chip
        Name or record of the chip, by default the one that the configuration was made for.

    Raises
    ------
    Refused
        NB801, NB802 for the raster, NB806 for less than one step, or years, from one inference to
        the next, or if there is no such chip.
    ValueError
        If both ``rate`` and ``steps_per_inference`` are given.

    """
    spec = target(config.target if chip is None else chip)
    known, dt = power(spec), config.dt
    if rate is not None and steps_per_inference is not None:
        raise ValueError("either rate or steps_per_inference")
    name = "rate" if rate is not None else "steps_per_inference"
    if rate is not None:
        steps_per_inference = 1 / (dt * rate) if rate else inf
    # rounding of 1 / dt may fall short of the one step that it is
    if steps_per_inference is not None and not 1 - 1e-9 <= steps_per_inference <= LONGEST:
        limit = f"from one inference to the next 1 to {LONGEST:g} steps of {dt:g} s"
        found = rate if rate is not None else steps_per_inference
        raise refuse("NB806", node=name, limit=limit, found=found, remedy="give such a number")
    activity = measure(config, known, raster)
    steps = steps_per_inference or activity.steps
    worst = cycles(config, known)
    clock = slowest_clock(activity.busiest.total, dt)
    return Energy(
        chip=spec.title,
        dt=dt,
        steps_per_inference=steps,
        activity=activity,
        worst=worst,
        clock=clock,
        worst_clock=slowest_clock(worst.total, dt),
        default_clock=None if known.clock is None else known.clock.value,
        use=utilisation(config, spec),
        power=estimate_power(known, activity.mean.total / dt, 1 / (dt * steps), clock),
    )


def utilisation(config: XyloConfig, chip: ChipSpec) -> dict[str, Use]:
    """How much of each resource a configuration takes, by the names of the chip's limits."""
    pairs = (config.weights_rec != 0).any(axis=2)
    used = {
        "inputs": config.n_in,
        "hidden": config.n_hidden,
        "outputs": config.n_out,
        "synapses": 1 + config.uses_second,
        "fan_out": int(pairs.sum(axis=1).max(initial=0)),
        "entries": int(pairs.sum()),
        "input_neurons": int((config.weights_in != 0).any(axis=(0, 2)).sum()),
        "output_neurons": int((config.weights_out != 0).any(axis=1).sum()),
    }
    limits = chip.limits()
    return {
        name: Use(n, limits[name].value, unit=limits[name].unit)
        for name, n in used.items()
        if name in limits
    }
