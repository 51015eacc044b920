"""What a simulation of the chip gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class State:
    """The chip's state between two steps. Arrays (n,) for one sample or (B, n) for a batch.

    ``spikes`` are the hidden spike counts of the last step, which act in the next one.
    """

    spikes: NDArray[np.int16]
    i_syn: NDArray[np.int16]
    i_syn_2: NDArray[np.int16]
    v_mem: NDArray[np.int16]
    i_syn_out: NDArray[np.int16]
    v_mem_out: NDArray[np.int16]


@dataclass(frozen=True)
class Recording:
    """Spikes and, on request, states of a simulation; (T, n), or (B, T, n) for a batch.

    ``output`` uint8: output spikes, at most one per step. ``state``: to carry on from.
    ``clipped_inputs``: input spikes beyond 15 per channel and step, which the chip does not take.
    The rest is None unless it was recorded: ``spikes`` uint8 hidden spike counts; the int16
    states after decay and reset.
    """

    output: NDArray[np.uint8]
    state: State
    clipped_inputs: int
    spikes: NDArray[np.uint8] | None = None
    i_syn: NDArray[np.int16] | None = None
    i_syn_2: NDArray[np.int16] | None = None
    v_mem: NDArray[np.int16] | None = None
    i_syn_out: NDArray[np.int16] | None = None
    v_mem_out: NDArray[np.int16] | None = None

    def _repr_html_(self) -> str:
        """Shape and spikes, for a notebook."""
        from nirbridge.report.notebook import recording_html

        return recording_html(self)

    def plot(self, sample: int = 0) -> Figure:
        """Spikes of one sample as a raster of Matplotlib's; hidden ones if they were recorded."""
        from nirbridge.report.notebook import recording_figure

        return recording_figure(self, sample)


RECORDED = ("spikes", "i_syn", "i_syn_2", "v_mem", "i_syn_out", "v_mem_out")
