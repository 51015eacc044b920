"""One sample on the chip and on the network as trained, step by step, as figures need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.check.models import chip_run, kept
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import canonical_step
from nirbridge.mapping.place import Population
from nirbridge.simulate import FloatRecording, Recording, simulate_stepped

if TYPE_CHECKING:
    import nir

    from nirbridge.deployment import Deployment

WINDOW = 1000  # steps of a sample that are shown
TYPICAL = 3  # hidden populations of which a typical neuron is shown

Array = NDArray[np.float64]
Counts = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spike counts of one population (T, n), moved back by its latency on the chip.

    ``role``: input, hidden or output. ``trained``: None where the trained network has no such
    population. Of the input both are the same.
    """

    name: str
    role: str
    latency: int
    chip: Counts
    trained: Counts | None


@dataclass(frozen=True, eq=False)
class Trace:
    """Membrane and current of one neuron, (T,), in thresholds (``unit`` says if in volts).

    ``current`` is what one step adds to the membrane. ``chip_spikes`` and ``trained_spikes`` are
    counts; a field is None where the trained network has nothing like it.
    """

    name: str
    why: str
    unit: str
    latency: int
    chip_membrane: Array
    chip_current: Array
    trained_membrane: Array | None
    trained_current: Array | None
    chip_spikes: Counts
    trained_spikes: Counts | None


@dataclass(frozen=True, eq=False)
class Sample:
    """What is shown of one sample: its number, the steps shown and those it has, spikes, traces."""

    number: int
    steps: int
    of_steps: int
    dt: float
    spikes: tuple[Spikes, ...]
    traces: tuple[Trace, ...]


def record(deployment: Deployment, sample: Counts, number: int) -> Sample:
    """Run one sample (T, n_in) on the chip and on the network as it was trained.

    Both answer step by step from the past alone: of a long sample the first steps are run.
    """
    counts = sample[None, :WINDOW]
    run, chip = chip_run(deployment, counts)
    trained = simulate_stepped(deployment.source, counts, deployment.dynamics, record=True)
    place = deployment.placement
    found = [Spikes("input", "input", 0, counts[0], counts[0])]
    for p in place.hidden:
        if not p.relay:
            old = trained.spikes.get(p.name)
            wanted = None if old is None else kept(old, p)[0]
            found.append(Spikes(p.name, "hidden", p.latency, run.spikes[p.name][0], wanted))
    for p in place.outputs:
        if not p.readout:
            outputs = (run.outputs[p.end][0], trained.outputs[p.end][0])
            found.append(Spikes(p.name, "output", p.latency, *outputs))
    steps = counts.shape[1]
    traces = [
        _Tracer(deployment, chip, trained, steps).trace(p, i, why, found)
        for p, i, why in _chosen(deployment, found, run.outputs)
    ]
    return Sample(number, steps, len(sample), deployment.config.dt, tuple(found), tuple(traces))


def _chosen(
    deployment: Deployment, spikes: list[Spikes], outputs: Any
) -> list[tuple[Population, int, str]]:
    """Neurons worth a look: typical ones, the one that differs most, the one that decides."""
    place = deployment.placement
    by_name = {s.name: s for s in spikes if s.trained is not None}
    hidden = [p for p in place.hidden if p.name in by_name]
    found: dict[tuple[str, int], tuple[Population, int, str]] = {}
    for p in hidden[:TYPICAL]:
        fired = np.asarray(by_name[p.name].trained).sum(axis=0)
        active = np.flatnonzero(fired)
        if len(active):
            i = int(active[np.argsort(fired[active], kind="stable")[(len(active) - 1) // 2]])
            found[p.name, i] = (p, i, "the median of those that fire")
    worst = [(_gap(by_name[p.name]).max(initial=0), -k) for k, p in enumerate(hidden)]
    if worst and max(worst)[0] > 0:
        p = hidden[-max(worst)[1]]
        i = int(_gap(by_name[p.name]).argmax())
        found[p.name, i] = (p, i, "differs most from the trained network")
    totals = [(float(x), p, i) for p in place.outputs for i, x in enumerate(_sum(outputs[p.end]))]
    if totals:
        _, p, i = max(totals, key=lambda t: t[0])
        found[p.name, i] = (p, i, "the output with the largest sum")
    return list(found.values())


def _gap(spikes: Spikes) -> Array:
    """How often a neuron of the chip and the trained one differ."""
    return np.asarray((spikes.chip != spikes.trained).sum(axis=0), np.float64)


def _sum(values: Any) -> Array:
    return np.asarray(values[0].sum(axis=0), np.float64)


class _Tracer:
    """Cuts the states of single neurons out of both recordings, in the same units and time."""

    def __init__(
        self, deployment: Deployment, chip: Recording, trained: FloatRecording, steps: int
    ):
        self.deployment, self.chip, self.trained, self.steps = deployment, chip, trained, steps
        self.flat = inline(deployment.source)

    def trace(self, p: Population, i: int, why: str, spikes: list[Spikes]) -> Trace:
        """The trace of neuron ``i`` of a population."""
        output = p in self.deployment.placement.outputs
        spot = p.first + i
        states = ("v_mem_out", "i_syn_out") if output else ("v_mem", "i_syn", "i_syn_2")
        membrane, *currents = (self._cut(getattr(self.chip, name), spot, p) for name in states)
        unit = self._unit(p, i, spot, output)
        membrane_before, current_before = self._before(p, i)
        own = next((s for s in spikes if s.name == p.name and s.role != "input"), None)
        none = np.zeros(self.steps, np.int64)
        return Trace(
            name=p.names()[i],
            why=why,
            unit="volts" if p.readout else "thresholds",
            latency=p.latency,
            chip_membrane=membrane / unit,
            chip_current=np.sum(currents, axis=0) / unit,
            trained_membrane=membrane_before,
            trained_current=current_before,
            chip_spikes=none if own is None else own.chip[:, i],
            trained_spikes=None if own is None or own.trained is None else own.trained[:, i],
        )

    def _cut(self, values: Any, spot: int, p: Population) -> Array:
        found = values[0, p.latency : p.latency + self.steps, spot]
        return np.asarray(found, np.float64)

    def _unit(self, p: Population, i: int, spot: int, output: bool) -> float:
        """Integers per threshold, or per volt."""
        if p.readout:
            return float(self.deployment.units[p.name][i])
        config = self.deployment.config
        return float((config.threshold_out if output else config.threshold)[spot])

    def _before(self, p: Population, i: int) -> tuple[Array | None, Array | None]:
        """Membrane and current of the trained neuron, with its threshold as the unit."""
        node = self.flat.nodes.get(p.name)
        if node is None or p.name not in self.trained.v:
            return None, None
        column = i if p.kept is None else p.kept[i]
        zero, unit, gain = self._scale(node, p.readout)
        v = np.asarray(self.trained.v[p.name][0, :, column], np.float64)
        current = self.trained.i.get(p.name)
        added = None if current is None else current[0, :, column] * gain[column] / unit[column]
        return (v - zero[column]) / unit[column], added

    def _scale(self, node: nir.NIRNode, readout: bool) -> tuple[Array, Array, Array]:
        """Where 0 lies, the unit, and the membrane's gain, for each neuron of a node.

        As the pass ``normalise`` has it: (v − v_reset)/(θ − v_reset), or v/θ where the reset
        subtracts.
        """
        how = self.deployment.dynamics.override(node)
        step = canonical_step(node, how)
        gain = step.gm.ravel()
        if readout or step.threshold is None or step.v_reset is None:
            return 0 * gain, 0 * gain + 1, gain
        threshold, v_reset = (np.ravel(x) + 0 * gain for x in (step.threshold, step.v_reset))
        if how.reset == "subtract":
            return 0 * gain, threshold, gain
        return v_reset, threshold - v_reset, gain
