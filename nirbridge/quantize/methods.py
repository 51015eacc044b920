"""The ways to round a network, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.journal import Note
from nirbridge.mapping import XyloConfig
from nirbridge.mapping.lift import Applied, chip_factor, fires_once
from nirbridge.mapping.place import Grid, Layer, Network, Population
from nirbridge.quantize.decays import SHORTEST_SYNAPSE, rounded_shift, tau_error
from nirbridge.quantize.fit import Form, fit_hidden, fit_notes, fit_outputs
from nirbridge.quantize.rounding import Integers, Plan, Rounded, round_layer
from nirbridge.targets import ChipSpec

Array = NDArray[np.float64]

METHODS = {
    "global": "one scale for all hidden neurons, one for all outputs",
    "channel": "one scale per target neuron",
    "fit": "decays, gains and both synapses fitted to the response to a spike",
    "calibrate": "as fit, then form, scales and rounding chosen on a raster of typical input",
}
FITTED = ("fit", "calibrate")
DATA_FREE = tuple(name for name in METHODS if name != "calibrate")


@dataclass(frozen=True)
class Quantized:
    """What a method gives back.

    ``shifted`` and ``rounded``: what the chip computes with the decays alone, and with all
    numbers rounded. ``units``: integer units per volt of the populations that are read by their
    membranes.
    """

    config: XyloConfig
    shifted: Applied
    rounded: Applied
    units: dict[str, list[int]]
    notes: list[Note]


def quantize(
    network: Network, chip: ChipSpec, method: str, form: Form | None = None
) -> Quantized:
    """Round a placed network to the integers of a chip.

    Input and recurrent weights share the hidden neurons' scales, output weights have those of the
    output neurons. The chip decays a current before the membrane reads it, so weights carry
    1/α_s of the shift that was chosen.

    Parameters
    ----------
    network
        The network in the chip's layout, in floats.
    chip
        For the width of its biases.
    method
        A key of :data:`METHODS`.
    form
        Of the fitted methods; by default many spikes per step.

    Raises
    ------
    Refused
        NB501 for an unknown method, NB606 for a bias that no threshold makes fit.

    """
    check_method(method)
    per_neuron = method != "global"
    biases = chip.bias_range
    plans = {"hidden": hidden_plan(network), "outputs": output_plan(network)}
    fitted: list[Note] = []
    if method in FITTED and network.grid is None:
        form = form or Form(False)
        made = (
            fit_hidden(network, plans["hidden"], chip, form),
            fit_outputs(network, plans["outputs"], form),
        )
        plans = dict(zip(plans, (each.plan for each in made), strict=True))
        fitted = fit_notes(network, *made)
    hidden, outputs = (round_layer(plan, biases, per_neuron) for plan in plans.values())
    placement = network.placement
    refuse_all(
        [
            *_overflows(hidden, placement.hidden_names(), chip),
            *_overflows(outputs, placement.output_names(), chip),
        ]
    )
    synapses = network.weights_in.shape[2]
    config = XyloConfig(
        weights_in=_int8(np.stack(hidden.weights[:synapses], axis=2)),
        weights_rec=_int8(np.stack(hidden.weights[synapses:], axis=2)),
        weights_out=_int8(outputs.weights[0]),
        dash_mem=plans["hidden"].dash_mem.astype(np.uint8),
        dash_syn=plans["hidden"].dash_syn[:, 0].astype(np.uint8),
        dash_syn_2=plans["hidden"].dash_syn[:, 1].astype(np.uint8),
        dash_mem_out=plans["outputs"].dash_mem.astype(np.uint8),
        dash_syn_out=plans["outputs"].dash_syn[:, 0].astype(np.uint8),
        threshold=hidden.threshold.astype(np.int16),
        threshold_out=outputs.threshold.astype(np.int16),
        bias=hidden.bias.astype(np.int16),
        bias_out=outputs.bias.astype(np.int16),
        aliases=network.aliases,
        weight_shift_in=hidden.shifts[0],
        weight_shift_rec=hidden.shifts[synapses],
        weight_shift_out=outputs.shifts[0],
        dt=network.dynamics.dt,
        target=chip.name,
    )
    units = {p.name: outputs.units[p.ids].tolist() for p in placement.outputs if p.readout}
    notes = fitted + _journal(placement.hidden, network.hidden, plans["hidden"], hidden)
    notes += _journal(placement.outputs, network.outputs, plans["outputs"], outputs)
    grid = Grid(
        hidden.units,
        outputs.units,
        (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out),
    )
    shifted = _applied(plans, config)
    rounded = Applied.of(config, grid)
    if network.constant:
        shifted, rounded = shifted.constant_as_bias(), rounded.constant_as_bias()
    return Quantized(
        config,
        shifted,
        rounded,
        units,
        notes,
    )


def _applied(plans: dict[str, Plan], config: XyloConfig) -> Applied:
    """Plans as what the chip would apply, were its weights not integers."""
    hidden, outputs = plans["hidden"], plans["outputs"]
    synapses = hidden.dash_syn.shape[1]
    return Applied(
        np.stack(hidden.groups[:synapses], axis=2),
        np.stack(hidden.groups[synapses:], axis=2),
        outputs.groups[0],
        hidden.c,
        outputs.c,
        hidden.dash_syn,
        hidden.dash_mem,
        outputs.dash_syn,
        outputs.dash_mem,
        fires_once(config.threshold),
    )


def hidden_plan(network: Network) -> Plan:
    """Decays rounded one by one; both synapses of both matrices as groups."""
    layer = network.hidden
    dash_syn = rounded_shift(layer.A, SHORTEST_SYNAPSE)
    gain = 1.0 / chip_factor(dash_syn)
    both = (network.weights_in * gain, network.weights_rec * gain)
    grid = network.grid
    return Plan(
        tuple(w[:, :, k] for w in both for k in range(gain.shape[1])),
        layer.c,
        dash_syn,
        rounded_shift(layer.B, 0),
        _mask(network.placement.hidden, "relay"),
        _mask(network.placement.hidden, "readout"),
        None if grid is None else grid.hidden,
        None if grid is None else tuple(s for s in grid.shifts[:2] for _ in range(gain.shape[1])),
    )


def output_plan(network: Network) -> Plan:
    """The same for the outputs and their single synapse."""
    layer = network.outputs
    dash_syn = rounded_shift(layer.A, SHORTEST_SYNAPSE)
    grid = network.grid
    return Plan(
        (network.weights_out / chip_factor(dash_syn)[:, 0],),
        layer.c,
        dash_syn,
        rounded_shift(layer.B, 0),
        _mask(network.placement.outputs, "relay"),
        network.placement.readouts,
        None if grid is None else grid.outputs,
        None if grid is None else grid.shifts[2:],
    )


def _mask(populations: tuple[Population, ...], field: str) -> NDArray[np.bool_]:
    return np.array([getattr(p, field) for p in populations for _ in range(p.size)], bool)


def check_method(method: str) -> None:
    """Refuse (NB501) a method that does not exist."""
    if method not in METHODS:
        raise refuse("NB501", node="method", limit=", ".join(METHODS), found=repr(method))


def _overflows(made: Rounded, names: list[str], chip: ChipSpec) -> list[Diagnostic]:
    """NB606 for the first neuron whose bias does not fit, even at a threshold of one unit."""
    if not len(made.overflow):
        return []
    first = int(made.overflow[0])
    low, high = chip.bias_range
    found = f"{made.bias[first]} at threshold {made.units[first]}"
    return [
        diagnose(
            "NB606",
            node=names[first],
            limit=f"{low}..{high}: {chip.cite('bias_bits')}",
            found=f"{found} ({len(made.overflow)} such neurons)",
        )
    ]


def _int8(values: Integers) -> NDArray[np.int8]:
    return values.astype(np.int8)  # round_layer limits to −128..127


def _journal(
    populations: tuple[Population, ...], layer: Layer, plan: Plan, made: Rounded
) -> list[Note]:
    """The size of every rounding, by population."""
    notes = []
    for population in populations:
        ids, name = population.ids, population.name
        for k in range(layer.A.shape[1]):
            factor = layer.A[ids, k]
            if k == 0 or factor.any():
                state = "tau_syn" if k == 0 else "tau_syn_2"
                notes.append(_decay_note(name, state, factor, plan.dash_syn[ids, k]))
        notes.append(_decay_note(name, "tau_mem", layer.B[ids], plan.dash_mem[ids]))
        zeroed = sum(
            int(np.sum((w[:, ids] == 0) & (exact[:, ids] != 0)))
            for w, exact in zip(made.weights, plan.groups, strict=True)
        )
        units = made.units[ids]
        unit = "units per volt" if population.readout else "thresholds"
        text = f"{unit} {units.min()} to {units.max()}, weights << {made.shifts[0]}"
        notes.append(Note("quantize", name, text, float(zeroed), "weights became 0"))
    if made.clipped:
        notes.append(Note("quantize", "", "weights limited to 8 bits", float(made.clipped)))
    return notes


def _decay_note(node: str, state: str, factor: Array, dash: Integers) -> Note:
    error = np.abs(tau_error(factor, dash))
    low, high = int(dash.min(initial=15)), int(dash.max(initial=0))
    shift = f"shift {low}" if low == high else f"shifts {low} to {high}"
    return Note(
        "quantize", node, f"{state} -> {shift}", float(error.max(initial=0.0)), "of tau, largest"
    )
