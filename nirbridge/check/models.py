"""The models between a network as it was trained and the chip, one change at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics, annotate
from nirbridge.intformat import HIDDEN_SPIKES, OUTPUT_SPIKES
from nirbridge.mapping.lift import chip_dynamics, fires_once
from nirbridge.mapping.place import Placement, Population
from nirbridge.passes.base import rebuilt, with_fields
from nirbridge.simulate import Recording, simulate_stepped

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """One model on one piece of input, in the source's time.

    ``spikes`` of the hidden populations that the source has too, by name, (B, T, n);
    ``outputs`` by name of the Output: spikes, or volts.
    """

    spikes: Arrays
    outputs: Arrays

    @property
    def output(self) -> NDArray[Any]:
        """All outputs side by side, (B, T, n), in the order of the Outputs' names."""
        return np.concatenate([self.outputs[name] for name in sorted(self.outputs)], axis=2)


@dataclass(frozen=True)
class Model:
    """A rung of the ladder, and what it adds to the one before."""

    name: str
    adds: str
    run: Callable[[Deployment, NDArray[Any]], Run]


def trained_run(deployment: Deployment, counts: NDArray[Any]) -> Run:
    """The network as it was trained, in its own steps."""
    found = simulate_stepped(deployment.source, counts, deployment.dynamics)
    spikes = {
        p.name: kept(found.spikes[p.name], p)
        for p in deployment.placement.hidden
        if p.name in found.spikes
    }
    return Run(spikes, {p.end: found.outputs[p.end] for p in deployment.placement.outputs})


def kept(values: NDArray[Any], population: Population) -> NDArray[Any]:
    """Columns of the source's population that were not removed as dead."""
    return values if population.kept is None else values[:, :, list(population.kept)]


def _on_chip_time(
    graph: Callable[[Deployment], nir.NIRGraph], how: Callable[[Deployment], Dynamics]
) -> Callable[[Deployment, NDArray[Any]], Run]:
    """Stepping a graph that has the chip's latencies; the answer is moved back by them."""

    def run(deployment: Deployment, counts: NDArray[Any]) -> Run:
        found = simulate_stepped(
            graph(deployment), padded(deployment.placement, counts), how(deployment)
        )
        spikes, steps = {}, counts.shape[1]
        for p in deployment.placement.hidden:
            spikes[p.name] = found.spikes[p.name][:, p.latency : p.latency + steps]
        outputs = {
            p.end: found.outputs[p.end][:, p.latency : p.latency + steps]
            for p in deployment.placement.outputs
        }
        return Run(spikes, outputs)

    return run


def padded(placement: Placement, counts: NDArray[Any]) -> NDArray[Any]:
    """The raster followed by as many silent steps as the chip's answer is late."""
    longest = max((p.latency for p in placement.populations), default=0)
    return np.pad(counts, ((0, 0), (0, longest), (0, 0)))


def chip_run(deployment: Deployment, counts: NDArray[Any]) -> tuple[Run, Recording]:
    """The chip itself, and all that it recorded."""
    placement = deployment.placement
    recording = deployment.simulate(padded(placement, counts), record=True)
    assert recording.spikes is not None
    own = own_spikes(deployment, recording.spikes)
    steps = counts.shape[1]
    spikes = {p.name: own[:, p.latency : p.latency + steps, p.ids] for p in placement.hidden}
    decoded = deployment.decode(recording)
    outputs = {
        p.end: decoded[p.end][:, p.latency : p.latency + steps] for p in placement.outputs
    }
    return Run(spikes, outputs), recording


def own_spikes(deployment: Deployment, spikes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Hidden spikes (B, T, n) without those that aliases have added."""
    own = spikes.astype(np.int16)
    for source, target in enumerate(deployment.config.aliases.tolist()):
        if target >= 0:
            own[:, :, target] -= spikes[:, :, source]
    return own


def _resets(deployment: Deployment) -> Dynamics:
    """How the lowered graph steps, but with the chip's reset and spikes per step."""
    how = Dynamics.of(deployment.lowered)
    assert how is not None
    return replace(
        how,
        reset="subtract",
        reset_delay=0,
        residual="fires",
        comparison=">=",
        spikes_per_step=HIDDEN_SPIKES,
    )


def _lowered_with_chip_limits(deployment: Deployment) -> nir.NIRGraph:
    """The lowered graph in which what fires once per step on the chip does so."""
    graph, place = deployment.lowered, deployment.placement
    nodes = dict(graph.nodes)
    once = fires_once(deployment.config.threshold)
    limited = [p for p in place.outputs if not p.readout]
    limited += [p for p in place.hidden if p.size and once[p.ids].all()]
    for p in limited:
        if not p.relay:
            nodes[p.name] = with_fields(nodes[p.name])
            annotate(nodes[p.name], spikes_per_step=OUTPUT_SPIKES)
    return rebuilt(graph, nodes, list(graph.edges))


MODELS: tuple[Model, ...] = (
    Model("trained", "the network in its own steps", trained_run),
    Model(
        "lowered",
        "the chip's form and latency",
        _on_chip_time(lambda d: d.lowered, lambda d: Dynamics.of(d.lowered) or d.dynamics),
    ),
    Model(
        "reset",
        "reset by subtraction, many spikes per step",
        _on_chip_time(_lowered_with_chip_limits, _resets),
    ),
    Model(
        "decays",
        "decays by bit shift",
        _on_chip_time(lambda d: d.shifted, lambda d: chip_dynamics(d.config.dt)),
    ),
    Model(
        "rounded",
        "rounded weights, thresholds and biases",
        _on_chip_time(lambda d: d.deployed, lambda d: chip_dynamics(d.config.dt)),
    ),
    Model(
        "chip",
        "16-bit saturation, the linear floor, 15 spikes per input",
        lambda d, counts: chip_run(d, counts)[0],
    ),
)
