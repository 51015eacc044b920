"""The vendor's simulator (``xylosim``, both versions of its neuron) behind our types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xylosim import v1, v2

from nirbridge.mapping import XyloConfig
from nirbridge.targets import arithmetic


def _synapses(version: Any, weights: NDArray[np.int8]) -> list[list[Any]]:
    """One list per source of a synapse object per non-zero weight of (source, target, synapse)."""
    return [
        [version.XyloSynapse(int(j), int(k), int(row[j, k])) for j, k in np.argwhere(row)]
        for row in weights
    ]


@dataclass
class Oracle:
    """A ``xylosim`` layer together with the synapse lists that it keeps raw pointers to."""

    layer: Any
    alive: list[Any]
    n_hidden: int
    n_out: int

    @classmethod
    def of(cls, config: XyloConfig) -> Oracle:
        """Build the layer; neurons get their second synapse only if any weight uses it."""
        two = config.uses_second
        dash_syns = [
            [int(a), int(b)] if two else [int(a)]
            for a, b in zip(config.dash_syn, config.dash_syn_2, strict=True)
        ]
        first = arithmetic(config.target) == "v1"
        version = v1 if first else v2
        matrices = (config.weights_in, config.weights_rec, config.weights_out[:, :, None])
        alive = [_synapses(version, weights) for weights in matrices]
        layer = version.XyloLayer(
            *alive,
            [[int(a)] if a >= 0 else [] for a in config.aliases],
            config.threshold.tolist(),
            config.threshold_out.tolist(),
            *([] if first else [True, config.bias.tolist(), config.bias_out.tolist()]),
            config.weight_shift_in,
            config.weight_shift_rec,
            config.weight_shift_out,
            config.dash_mem.tolist(),
            config.dash_mem_out.tolist(),
            dash_syns,
            [[int(d)] for d in config.dash_syn_out],
            "oracle",
        )
        return cls(layer, alive, config.n_hidden, config.n_out)

    def run(self, raster: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
        """Evolve over (T, n_in) counts 0..255; everything that is recorded, (T, n)."""
        self.layer.evolve(raster.astype(np.uint8).tolist())
        steps = len(raster)

        def neuron_major(values: Any, n: int) -> NDArray[np.int64]:
            array = np.array(values, np.int64)
            return array.reshape(n, steps).T if array.size else np.zeros((steps, n), np.int64)

        second = self.layer.rec_i_syn2
        two = bool(len(second)) and bool(len(second[0]))
        h, o = self.n_hidden, self.n_out
        return {
            "output": np.array(self.layer.rec_out_spikes, np.int64).reshape(steps, o),
            "spikes": np.array(self.layer.rec_recurrent_spikes, np.int64).reshape(steps, h),
            "i_syn": neuron_major(self.layer.rec_i_syn, h),
            "i_syn_2": neuron_major(second if two else [], h),
            "v_mem": neuron_major(self.layer.rec_v_mem, h),
            "i_syn_out": neuron_major(self.layer.rec_i_syn_out, o),
            "v_mem_out": neuron_major(self.layer.rec_v_mem_out, o),
        }

    def reset(self) -> None:
        """Zero the state."""
        self.layer.reset_all()
