"""Rockpool's own quantisers on our lowered networks, run by the vendor's simulator's rules.

Its mapper needs ``samna``, which cannot be had without the vendor's servers, so the dictionary that
its quantisers take is made here from its description: weights in floats, thresholds, biases, and
decays as log2(τ/dt), which they round. Two things are done in its favour. A spike of weight w
delivers w·A in Rockpool's neuron, so the weights carry 1/A and the network in floats stays what it
is. And where the mapper refuses a τ of a step or less, the neuron gets the shortest decay there is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import Deployment, Dynamics, XyloConfig, convert
from nirbridge.mapping.constant import with_constant_channel
from nirbridge.mapping.place import Network, place
from nirbridge.passes import Lowered
from nirbridge.targets import target

Array = NDArray[np.float64]

CHIP = "xylo-audio-2"


def rockpool(graph: nir.NIRGraph, quantiser: str) -> Deployment:
    """The deployment whose integers ``global_quantize`` or ``channel_quantize`` has chosen.

    Raises
    ------
    Refused
        NB70x where its integers are out of the chip's range.

    """
    from rockpool.transform import quantize_methods

    ours = convert(graph, CHIP, method="global")
    how = Dynamics.of(ours.lowered)
    assert how is not None
    network = place(Lowered(ours.lowered, how, ()), target(CHIP))
    if ours.constant:
        network, _ = with_constant_channel(network, target(CHIP))
    made = getattr(quantize_methods, quantiser)(**specification(network))
    return replace(ours, config=_config(made, network), method=quantiser)


def specification(network: Network) -> dict[str, Any]:
    """What Rockpool's mapper would hand to a quantiser."""
    hidden, outputs = network.hidden, network.outputs
    gain = np.divide(1.0, hidden.A, out=np.zeros_like(hidden.A), where=hidden.A > 0)
    weights_in, weights_rec = network.weights_in * gain, network.weights_rec * gain
    if not hidden.A[:, 1].any():  # one synapse: the other branch of its code
        weights_in, weights_rec = weights_in[:, :, 0], weights_rec[:, :, 0]
    return {
        "weights_in": weights_in,
        "weights_rec": weights_rec,
        "weights_out": network.weights_out / outputs.A[:, 0],
        "threshold": np.ones(hidden.size),
        "threshold_out": np.ones(outputs.size),
        "dash_mem": dashes(hidden.B, 0),
        "dash_mem_out": dashes(outputs.B, 0),
        "dash_syn": dashes(hidden.A[:, 0], 1),
        "dash_syn_2": dashes(hidden.A[:, 1], 1),
        "dash_syn_out": dashes(outputs.A[:, 0], 1),
        "bias": hidden.c.copy(),
        "bias_out": outputs.c.copy(),
    }


def dashes(factor: Array, shortest: int) -> Array:
    """log2(τ/dt) of decays e^(−dt/τ), not rounded."""
    kept = np.clip(factor, 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(np.log2(-1 / np.log(kept)), shortest, 15), np.float64)


def _config(made: dict[str, Any], network: Network) -> XyloConfig:
    """The quantiser's integers as a configuration; what the chip would wrap is refused."""

    def whole(name: str, kind: type[np.integer[Any]]) -> NDArray[Any]:
        return _integers(made[name], kind)

    def two(name: str) -> NDArray[Any]:
        weights = whole(name, np.int8)
        both = np.concatenate([weights, np.zeros_like(weights)], axis=2)
        return both[:, :, :2]

    return XyloConfig(
        weights_in=two("weights_in"),
        weights_rec=two("weights_rec"),
        weights_out=whole("weights_out", np.int8),
        dash_mem=whole("dash_mem", np.uint8),
        dash_syn=whole("dash_syn", np.uint8),
        dash_syn_2=whole("dash_syn_2", np.uint8),
        dash_mem_out=whole("dash_mem_out", np.uint8),
        dash_syn_out=whole("dash_syn_out", np.uint8),
        threshold=whole("threshold", np.int16),
        threshold_out=whole("threshold_out", np.int16),
        bias=whole("bias", np.int16),
        bias_out=whole("bias_out", np.int16),
        aliases=network.aliases,
        dt=network.dynamics.dt,
        target=CHIP,
    )


def _integers(values: Any, kind: type[np.integer[Any]]) -> NDArray[Any]:
    """Whole numbers in a narrower type, if they all fit into it."""
    array = np.asarray(values)
    limits = np.iinfo(kind)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ValueError(f"{array.min()} to {array.max()} do not fit {limits.dtype}")
    return array.astype(kind)
