"""The chip's time step written for reading: the specification beside the fast kernel.

Plain Python integers and lists, one rule after the other, in the order of the hardware. It is
slow, and both it and the kernel are tested against the vendor's simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import HIDDEN_SPIKES, INPUT_SPIKES, OUTPUT_SPIKES
from nirbridge.mapping import XyloConfig
from nirbridge.simulate.recording import RECORDED, State
from nirbridge.targets import arithmetic


def sat(x: int) -> int:
    """Clamp to 16 bits."""
    return max(-(2**15), min(2**15 - 1, x))


def wrap(x: int) -> int:
    """Keep the low 16 bits, as two's complement."""
    return (x + 2**15) % 2**16 - 2**15


def decay(x: int, dash: int) -> int:
    """What x loses in a step: x / 2^dash rounded down, at least 1 where x is positive."""
    loss = x >> dash
    return 1 if loss == 0 and x > 0 else loss


class Population:
    """Hidden or output neurons with their currents (one per synapse) and membranes."""

    def __init__(
        self,
        dash_mem: Any,
        dash_syn: Sequence[Any],
        threshold: Any,
        bias: Any,
        limit: int,
        v: Any,
        i: Sequence[Any],
        *,
        v1: bool,
    ):
        self.dash_mem, self.threshold, self.bias = map(_ints, (dash_mem, threshold, bias))
        self.dash_syn = [_ints(d) for d in dash_syn]
        self.limit, self.v1 = limit, v1
        self.v = _ints(v)
        self.i = [_ints(x) for x in i]

    def receive(self, counts: Iterable[int], weights: Any, shift: int) -> None:
        """Add n·(w << shift) to the currents, sources in order, saturating after each entry."""
        for source, n in enumerate(counts):
            if n == 0:
                continue
            for j, k in np.argwhere(weights[source]):
                w = wrap(int(weights[source, j, k]) << shift)
                self.i[k][j] = sat(self.i[k][j] + n * w)

    def update(self, j: int, spikes: int) -> int:
        """Decay, integrate and fire neuron ``j``, which has ``spikes`` from aliases already."""
        for k, dash in enumerate(self.dash_syn):
            self.i[k][j] = sat(self.i[k][j] - decay(self.i[k][j], dash[j]))
        leak, drive = -decay(self.v[j], self.dash_mem[j]), sum(i[j] for i in self.i)
        if self.v1:
            self.v[j] = sat(self.v[j] + leak + drive)
        else:
            self.v[j] = sat(self.v[j] + sat(sat(wrap(leak) + drive) + self.bias[j]))
        while self.v[j] >= self.threshold[j] and spikes < self.limit:
            spikes += 1
            self.v[j] = wrap(self.v[j] - self.threshold[j])
        return spikes


def simulate_by_rule(
    config: XyloConfig, raster: NDArray[Any], state: State | None = None
) -> dict[str, NDArray[np.int64]]:
    """Run (T, n_in) counts, from zeros or a state; arrays (T, n) named as in ``Recording``."""
    h, o = config.n_hidden, config.n_out
    v1 = arithmetic(config.target) == "v1"
    start = state or State(*([np.zeros(n, np.int16) for n in (h, h, h, h, o, o)]))
    hidden = Population(
        config.dash_mem,
        [config.dash_syn, config.dash_syn_2],
        config.threshold,
        config.bias,
        HIDDEN_SPIKES,
        start.v_mem,
        [start.i_syn, start.i_syn_2],
        v1=v1,
    )
    outputs = Population(
        config.dash_mem_out,
        [config.dash_syn_out],
        config.threshold_out,
        config.bias_out,
        OUTPUT_SPIKES,
        start.v_mem_out,
        [start.i_syn_out],
        v1=v1,
    )
    spikes = _ints(start.spikes)
    rows: dict[str, list[list[int]]] = {name: [] for name in ("output", *RECORDED)}
    for counts in raster.tolist():
        limited = [min(n, INPUT_SPIKES) for n in counts]
        hidden.receive(limited, config.weights_in, config.weight_shift_in)
        hidden.receive(spikes, config.weights_rec, config.weight_shift_rec)
        outputs.receive(spikes, config.weights_out[:, :, None], config.weight_shift_out)
        spikes = [0] * h
        for j in range(h):
            spikes[j] = hidden.update(j, spikes[j])
            target = int(config.aliases[j])
            if target >= 0:
                spikes[target] = min(HIDDEN_SPIKES, spikes[target] + spikes[j])
        output = [outputs.update(j, 0) for j in range(o)]
        states = (output, spikes, *hidden.i, hidden.v, *outputs.i, outputs.v)
        for name, values in zip(rows, states, strict=True):
            rows[name].append(list(values))
    sizes = (o, h, h, h, h, o, o)
    return {
        name: np.array(values, np.int64).reshape(len(raster), n)
        for (name, values), n in zip(rows.items(), sizes, strict=True)
    }


def _ints(values: Any) -> list[int]:
    return [int(x) for x in values]
