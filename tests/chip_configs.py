"""Random configurations that a chip can hold: as extreme as its limits let them be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import any_config
from nirbridge import XyloConfig
from nirbridge.mapping.export_rockpool import input_neurons, output_neurons
from nirbridge.targets import ChipSpec


def any_chip_config(rng: np.random.Generator, chip: ChipSpec) -> XyloConfig:
    """A drawn network without what the chip has no room for."""
    made = any_config(rng)
    values: dict[str, Any] = {
        name: np.array(getattr(made, name))
        for name in (
            "weights_in", "weights_rec", "weights_out", "dash_mem", "dash_syn", "dash_syn_2",
            "dash_mem_out", "dash_syn_out", "threshold", "threshold_out", "bias", "bias_out",
            "aliases",
        )
    }  # fmt: skip
    values["weights_in"] = _only(values["weights_in"], input_neurons(made, chip), 1)
    values["weights_out"] = _only(values["weights_out"], output_neurons(made, chip), 0)
    if chip.synapses.value < 2:
        values["weights_in"][:, :, 1] = values["weights_rec"][:, :, 1] = 0
        values["dash_syn_2"][:] = 1  # what it has none of is written as 1
    for source in range(made.n_hidden):  # the first targets only
        pairs = np.flatnonzero(values["weights_rec"][source].any(axis=1))
        values["weights_rec"][source, pairs[chip.fan_out.value :]] = 0
    for name in ("dash_syn", "dash_syn_2", "dash_syn_out"):
        values[name] = np.maximum(values[name], 1)
    for name in ("bias", "bias_out"):
        values[name] = np.clip(values[name], *chip.bias_range)
    for name in ("weights_out", "dash_mem_out", "dash_syn_out", "threshold_out", "bias_out"):
        values[name] = values[name][..., : chip.outputs.value]
    found = XyloConfig(
        **values,
        weight_shift_in=made.weight_shift_in,
        weight_shift_rec=made.weight_shift_rec,
        weight_shift_out=made.weight_shift_out,
        dt=float(rng.choice([1e-3, 1e-4, 0.01])),
        target=chip.name,
    )
    assert found.violations() == []
    return found


def _only(weights: NDArray[Any], kept: slice, axis: int) -> NDArray[Any]:
    found = np.zeros_like(weights)
    place = (slice(None),) * axis + (kept,)
    found[place] = weights[place]
    return found
