"""The ways to round a network, by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.journal import Note
from nirbridge.mapping import XyloConfig
from nirbridge.mapping.place import Layer, Network
from nirbridge.quantize.decays import SHORTEST_SYNAPSE, chip_factor, rounded_shift, tau_error
from nirbridge.quantize.rounding import Rounded, round_layer
from nirbridge.targets import ChipSpec

Array = NDArray[np.float64]

METHODS = {
    "global": "one scale for all hidden neurons, one for all outputs",
    "channel": "one scale per target neuron",
}


def quantize(network: Network, chip: ChipSpec, method: str) -> tuple[XyloConfig, list[Note]]:
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

    Raises
    ------
    Refused
        NB501 for an unknown method, NB606 for a bias that no threshold makes fit.

    """
    check_method(method)
    per_neuron = method == "channel"
    shifts = {name: _shifts(layer) for name, layer in _layers(network)}
    gain = 1.0 / chip_factor(shifts["hidden"]["syn"])
    gain_out = 1.0 / chip_factor(shifts["outputs"]["syn"])
    biases = bias_range(chip)
    w_in, w_rec = network.weights_in * gain, network.weights_rec * gain
    _, n_hidden, synapses = w_in.shape
    hidden = round_layer(
        tuple(w[:, :, k] for w in (w_in, w_rec) for k in range(synapses)),
        network.hidden.c,
        biases,
        per_neuron,
    )
    w_out = network.weights_out * gain_out[:, 0]
    outputs = round_layer((w_out,), network.outputs.c, biases, per_neuron)
    refuse_all(
        [
            *_overflows(hidden, network.placement.hidden_names(), chip),
            *_overflows(outputs, network.placement.output_names(), chip),
        ]
    )
    config = XyloConfig(
        weights_in=_int8(np.stack(hidden.weights[:synapses], axis=2)),
        weights_rec=_int8(np.stack(hidden.weights[synapses:], axis=2)),
        weights_out=_int8(outputs.weights[0]),
        dash_mem=shifts["hidden"]["mem"].astype(np.uint8),
        dash_syn=shifts["hidden"]["syn"][:, 0].astype(np.uint8),
        dash_syn_2=shifts["hidden"]["syn"][:, 1].astype(np.uint8),
        dash_mem_out=shifts["outputs"]["mem"].astype(np.uint8),
        dash_syn_out=shifts["outputs"]["syn"][:, 0].astype(np.uint8),
        threshold=hidden.threshold.astype(np.int16),
        threshold_out=outputs.threshold.astype(np.int16),
        bias=hidden.bias.astype(np.int16),
        bias_out=outputs.bias.astype(np.int16),
        aliases=np.full(n_hidden, -1, np.int32),
        weight_shift_in=hidden.shift,
        weight_shift_rec=hidden.shift,
        weight_shift_out=outputs.shift,
        dt=network.dynamics.dt,
        target=chip.name,
    )
    return config, _journal(network, shifts, {"hidden": hidden, "outputs": outputs})


def check_method(method: str) -> None:
    """Refuse (NB501) a method that does not exist."""
    if method not in METHODS:
        raise refuse("NB501", node="method", limit=", ".join(METHODS), found=repr(method))


def bias_range(chip: ChipSpec) -> tuple[int, int]:
    """Lowest and highest bias of a chip; (0, 0) if it has none."""
    bits = chip.bias_bits.value
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (0, 0)


def _overflows(made: Rounded, names: list[str], chip: ChipSpec) -> list[Diagnostic]:
    """NB606 for the first neuron whose bias does not fit, even at a threshold of one unit."""
    if not len(made.overflow):
        return []
    first = int(made.overflow[0])
    low, high = bias_range(chip)
    found = f"{made.bias[first]} at threshold {made.threshold[first]}"
    return [
        diagnose(
            "NB606",
            node=names[first],
            limit=f"{low}..{high}: {chip.cite('bias_bits')}",
            found=f"{found} ({len(made.overflow)} such neurons)",
        )
    ]


def _layers(network: Network) -> tuple[tuple[str, Layer], tuple[str, Layer]]:
    return (("hidden", network.hidden), ("outputs", network.outputs))


def _shifts(layer: Layer) -> dict[str, NDArray[np.int64]]:
    return {
        "syn": rounded_shift(layer.A, SHORTEST_SYNAPSE),
        "mem": rounded_shift(layer.B, 0),
    }


def _int8(values: NDArray[np.int64]) -> NDArray[np.int8]:
    return values.astype(np.int8)  # round_layer limits to ±127


def _journal(
    network: Network, shifts: dict[str, dict[str, NDArray[np.int64]]], rounded: dict[str, Rounded]
) -> list[Note]:
    """The size of every rounding, by population."""
    notes = []
    sources = {
        "hidden": (network.weights_in[:, :, 0], network.weights_rec[:, :, 0]),
        "outputs": (network.weights_out,),
    }
    for name, layer in _layers(network):
        part = getattr(network.placement, name)
        made = rounded[name]
        for population in part:
            ids = population.ids
            for state, factor, dash in (
                ("tau_syn", layer.A[ids, 0], shifts[name]["syn"][ids, 0]),
                ("tau_mem", layer.B[ids], shifts[name]["mem"][ids]),
            ):
                notes.append(_decay_note(population.name, state, factor, dash))
            notes.append(_weight_note(population.name, made, sources[name], ids, name))
    return notes


def _decay_note(node: str, state: str, factor: Array, dash: NDArray[np.int64]) -> Note:
    error = np.abs(tau_error(factor, dash))
    low, high = int(dash.min(initial=15)), int(dash.max(initial=0))
    shift = f"shift {low}" if low == high else f"shifts {low} to {high}"
    return Note(
        "quantize", node, f"{state} -> {shift}", float(error.max(initial=0.0)), "of tau, largest"
    )


def _weight_note(
    node: str, made: Rounded, sources: tuple[Array, ...], ids: slice, layer: str
) -> Note:
    zeroed = 0
    groups = made.weights[::2] if layer == "hidden" else made.weights
    for weights, source in zip(groups, sources, strict=True):
        zeroed += int(np.sum((weights[:, ids] == 0) & (source[:, ids] != 0)))
    threshold = made.threshold[ids]
    text = f"thresholds {threshold.min()} to {threshold.max()}, weights << {made.shift}"
    return Note("quantize", node, text, float(zeroed), "weights became 0")
