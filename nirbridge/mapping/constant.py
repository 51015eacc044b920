"""Biases as one more input channel that spikes in every step, where the chip's biases do not do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import diagnose, refuse_all
from nirbridge.journal import Note
from nirbridge.mapping.place import Network
from nirbridge.targets import ChipSpec


def with_constant_channel(network: Network, chip: ChipSpec) -> tuple[Network, list[Note]]:
    """V = B·v + ΣI + c → v = B·v + ΣI, with a channel of weight (1 − A)·c onto the first synapse.

    One spike per step brings the current of that synapse to c, with its time constant: the note
    gives the charge that is missing at the start. A synapse that is not used yet gets the
    shortest decay.

    Raises
    ------
    Refused
        NB601 if no input channel is left, NB606 if an output neuron has a bias, because output
        neurons take no input.

    """
    hidden, outputs = network.hidden, network.outputs
    names = network.placement.output_names()
    if network.n_in >= chip.inputs.value:
        limit = f"{chip.cite('inputs')}, one of them for the biases"
        remedy = "leave a channel free, train without biases, or choose a target that has them"
        found = network.n_in + 1
        refuse_all([diagnose("NB601", node="input", limit=limit, found=found, remedy=remedy)])
    limit = "no bias of an output neuron"
    remedy = "train the outputs without biases, or choose a target that has them"
    refuse_all(
        diagnose("NB606", node=name, limit=limit, found=f"{c:.3g}", remedy=remedy)
        for name, c in list(zip(names, outputs.c, strict=True))[:1]
        if outputs.c.any()
    )
    keep = np.where(hidden.A[:, 0] > 0, hidden.A[:, 0], 0.5)
    row = np.zeros((1, *network.weights_in.shape[1:]))
    row[0, :, 0] = (1 - keep) * hidden.c
    late = np.abs(hidden.c) * keep / (1 - keep)
    changed = replace(
        network,
        weights_in=np.concatenate([network.weights_in, row]),
        hidden=replace(hidden, c=np.zeros_like(hidden.c)),
        constant=True,
    )
    text = "biases as a constant input channel; they rise through the synapse"
    unit = "thresholds of charge, once at the start"
    return changed, [Note("place", "input", text, float(late.max(initial=0.0)), unit)]


def with_constant(counts: NDArray[Any]) -> NDArray[Any]:
    """A raster with one more channel, which spikes once in every step."""
    return np.concatenate([counts, np.ones_like(counts[..., :1])], axis=-1)
