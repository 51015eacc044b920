"""How busy the chip is on a raster: who spikes how often, and which weights that reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.energy.cycles import Cycles, busiest, cycles
from nirbridge.mapping import XyloConfig
from nirbridge.rasters import check_samples
from nirbridge.simulate import Recording, State, simulate
from nirbridge.targets.power import ChipPower

_PIECE = 2**28  # bytes of states that are recorded at a time


@dataclass(frozen=True)
class Activity:
    """Means over all samples and steps of a simulation.

    Attributes
    ----------
    samples, steps
        Of the raster.
    inputs, hidden, outputs
        Share 0..1 of the steps with at least one spike: (n_in,), (n_hidden,), (n_out,).
    hidden_spikes
        (n_hidden,): spikes per step; of up to 31 in a step, each counts.
    operations
        Synaptic operations per step: weights other than 0 that a spike reaches. Several spikes of
        a neuron in one step reach each of its weights once, as in the chip.
    mean, busiest
        Cycles of a step: of all on the mean, and of the busiest one. A step is charged for the
        input spikes in it and for the hidden spikes of the step before, which arrive in it.

    """

    samples: int
    steps: int
    inputs: NDArray[np.float64]
    hidden: NDArray[np.float64]
    outputs: NDArray[np.float64]
    hidden_spikes: NDArray[np.float64]
    operations: float
    mean: Cycles
    busiest: Cycles

    @property
    def sparsity(self) -> float:
        """Share of the hidden neurons that are silent in a step, on the mean."""
        return 1 - float(self.hidden.mean()) if len(self.hidden) else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "input_probability": self.inputs.tolist(),
            "hidden_probability": self.hidden.tolist(),
            "output_probability": self.outputs.tolist(),
            "hidden_spikes_per_step": self.hidden_spikes.tolist(),
            "sparsity": self.sparsity,
            "operations_per_step": self.operations,
        }


def measure(config: XyloConfig, chip: ChipPower, raster: Any) -> Activity:
    """Simulate a raster, and see how busy the chip is.

    Parameters
    ----------
    config
        The chip's integers.
    chip
        What is known of the chip's clock.
    raster
        Integers >= 0, (T, n_in) or (B, T, n_in).

    Raises
    ------
    Refused
        NB801, NB802 for a raster that does not fit, or that has no step.

    """
    counts = check_samples(raster, config.n_in)
    samples, steps, _ = counts.shape
    peak: Cycles | None = None
    sizes = (config.n_in, config.n_hidden, config.n_hidden, config.n_out)
    present = [np.zeros(n) for n in sizes]
    spikes = np.zeros(config.n_hidden)
    for given, arriving, recording in _pieces(config, counts):
        assert recording.spikes is not None
        seen = given, arriving, recording.spikes, recording.output
        for total, array in zip(present, seen, strict=True):
            total += (array > 0).sum(axis=(0, 1))
        spikes += recording.spikes.sum(axis=(0, 1), dtype=np.float64)
        flat = (array.reshape(-1, array.shape[-1]) for array in (given, arriving))
        found = busiest(config, chip, *flat)
        peak = found if peak is None or found.total > peak.total else peak
    assert peak is not None
    inputs, arrived, hidden, outputs = (total / (samples * steps) for total in present)
    return Activity(
        samples=samples,
        steps=steps,
        inputs=inputs,
        hidden=hidden,
        outputs=outputs,
        hidden_spikes=spikes / (samples * steps),
        operations=_operations(config, inputs, hidden),
        mean=cycles(config, chip, inputs, arrived),
        busiest=peak,
    )


def _operations(
    config: XyloConfig, inputs: NDArray[np.float64], hidden: NDArray[np.float64]
) -> float:
    entering = (config.weights_in != 0).sum(axis=(1, 2))
    leaving = (config.weights_rec != 0).sum(axis=(1, 2)) + (config.weights_out != 0).sum(axis=1)
    return float(inputs @ entering + hidden @ leaving)


def _pieces(
    config: XyloConfig, counts: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], Recording]]:
    """Pieces (B, T, n_in) of a raster, the hidden spikes that arrive in each step, what was run."""
    room = max(1, _PIECE // (8 * (config.n_hidden + config.n_out + config.n_in)))
    samples, steps, _ = counts.shape
    height = max(1, room // steps)
    for first in range(0, samples, height):
        state: State | None = None
        for start in range(0, steps, room):
            given = counts[first : first + height, start : start + room]
            before = 0 if state is None else state.spikes
            recording = simulate(config, given, record=True, state=state)
            assert recording.spikes is not None
            arriving = np.zeros_like(recording.spikes)
            arriving[:, 0], arriving[:, 1:] = before, recording.spikes[:, :-1]
            yield given, arriving, recording
            state = recording.state
