"""The main job, top to bottom: a network in NIR → a verified configuration of a chip."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import nir
import numpy as np

from nirbridge.deployment import Deployment
from nirbridge.diagnostics import Diagnostic, Refused, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.read import repairs
from nirbridge.graph.verify import verify
from nirbridge.intformat import INT16
from nirbridge.journal import Note
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.constant import with_constant, with_constant_channel
from nirbridge.mapping.fits import fits
from nirbridge.mapping.lift import lift
from nirbridge.mapping.limits import violations
from nirbridge.mapping.place import Network, place
from nirbridge.passes import Lowered, lower, passes
from nirbridge.passes.twin import TwinSynapses
from nirbridge.quantize import quantize
from nirbridge.quantize.methods import FITTED, check_method
from nirbridge.rasters import check_raster
from nirbridge.simulate import simulate
from nirbridge.targets import ChipSpec
from nirbridge.targets import target as find_target
from nirbridge.targets.fit import demand
from nirbridge.timing import check_taus, resolve, source_of_dt


def convert(
    graph: nir.NIRGraph,
    target: str | ChipSpec = "xylo-audio-2",
    dt: float | None = None,
    dynamics: Dynamics | None = None,
    method: str = "fit",
    calibration: Any = None,
    exact: bool | None = None,
    balance: bool | None = None,
    **words: Any,
) -> Deployment:
    """Turn a network into a configuration of a chip.

    Parameters
    ----------
    graph
        The network; it is not changed.
    target
        Name of the chip (``nirbridge.targets.TARGETS``), or its record.
    dt
        Time step in seconds. By default the graph's own record says it, or its parameters imply
        it.
    dynamics
        How the source steps time; by default the graph's own record.
    method
        How to quantise; a key of ``nirbridge.quantize.METHODS``.
    calibration
        A raster (T, n_in) or (B, T, n_in) of typical input. The journal then tells how often the
        chip's states saturate on it.
    exact
        Whether neurons without a synapse (LIF) keep their dynamics exactly, at the price of relay
        neurons. By default they do if the result fits the chip.
    balance
        Whether paths of unequal length are made equal by relay neurons; else the journal only
        says how far they are apart. By default they are if the result fits the chip.
    words
        Single fields of :class:`Dynamics` (``scheme``, ``reset``, ``spikes_per_step``, ...),
        which override those of the graph's record.

    Raises
    ------
    Refused
        With every reason of the stage that refuses: NB2xx (the graph), NB3xx (time), NB4xx (no
        form on the chip), NB5xx (method), NB6xx (it does not fit), NB8xx (calibration).

    """
    chip = find_target(target)
    check_method(method)
    refuse_all(verify(graph))
    refuse_all(demand(graph).over(chip))
    how = resolve(graph, dt, dynamics, **words)
    if how.output_lag:  # of the source's log, not of its dynamics
        how = replace(how, output_lag=0)
    check_taus(graph, how)
    notes = [Note("read", "", sentence) for sentence in repairs(graph)]
    notes.append(Note("time", "", f"dt = {how.dt:g} s, {source_of_dt(graph, dt, dynamics)}"))
    lowered, network = _lower_to_fit(graph, how, chip, exact, balance)
    if method in FITTED and network.grid is None:
        lowered, network = _with_twins(lowered, network, chip)
    network, moved = _biases(network, chip)
    made = quantize(network, chip, method)
    config = made.config
    refuse_all(violations(config, chip, network.placement.hidden_names()))
    notes += [*lowered.journal, *moved, *made.notes]
    if calibration is not None:
        counts = check_raster(calibration, channels(graph))
        notes += saturation(config, with_constant(counts) if network.constant else counts)
    return Deployment(
        config=config,
        lowered=lowered.graph,
        shifted=lift(made.shifted, network.placement, lowered.graph, how.dt, network.aliases),
        deployed=lift(made.rounded, network.placement, lowered.graph, how.dt, network.aliases),
        journal=tuple(notes),
        source=how.attach(graph),
        dynamics=how,
        placement=network.placement,
        units=made.units,
        constant=network.constant,
        method=method,
    )


def _lower_to_fit(
    graph: nir.NIRGraph,
    how: Dynamics,
    chip: ChipSpec,
    exact: bool | None,
    balance: bool | None,
) -> tuple[Lowered, Network]:
    """Lower and place; what the caller leaves open is done the best way that fits the chip."""
    choices = product(
        (True, False) if exact is None else (exact,),
        (True, False) if balance is None else (balance,),
    )
    problems: list[Diagnostic] = []
    for chosen in sorted(choices, key=lambda c: (c.count(False), c)):
        lowered = lower(graph, how, passes(*chosen, chip.fan_out.value))
        try:
            network = place(lowered, chip)
        except Refused as refusal:
            found = list(refusal.diagnostics)
        else:
            found = fits(network, chip)
            if not found:
                return lowered, network
        problems = found  # of the cheapest way, which comes last
    raise Refused(problems)


def _with_twins(lowered: Lowered, network: Network, chip: ChipSpec) -> tuple[Lowered, Network]:
    """The same with two synapses for each neuron, if the chip has them."""
    if chip.synapses.value < 2:
        return lowered, network
    each = TwinSynapses()
    graph, notes = each.run(lowered.graph, lowered.dynamics)
    twins = replace(lowered, graph=graph, journal=(*lowered.journal, *notes))
    return twins, place(twins, chip)


def _biases(network: Network, chip: ChipSpec) -> tuple[Network, list[Note]]:
    """Leave the biases to the quantiser, unless the chip has none or they are out of its range."""
    largest = max(np.abs(network.hidden.c).max(initial=0), np.abs(network.outputs.c).max(initial=0))
    if largest == 0 or (chip.bias_bits.value and largest <= chip.bias_range[1]):
        return network, []
    return with_constant_channel(network, chip)


def channels(graph: nir.NIRGraph) -> int:
    """Input channels of a graph, all Inputs together."""
    return sum(demand(graph).inputs.values())


def saturation(config: XyloConfig, raster: Any) -> list[Note]:
    """How often the chip's states lie on their 16-bit rails while it runs a raster."""
    recording = simulate(config, raster, record=True)
    notes = []
    for name in ("i_syn", "i_syn_2", "v_mem", "i_syn_out", "v_mem_out"):
        values = getattr(recording, name)
        share = float(np.mean((values == INT16.low) | (values == INT16.high)))
        if share > 0:
            notes.append(Note("calibration", "", f"{name} saturated", share, "of all steps"))
    return notes
