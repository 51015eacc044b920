"""What is asked of a device, whoever drives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from nirbridge.mapping.config import XyloConfig


class Device(Protocol):
    """Chips that are attached to this machine, one of which runs a configuration."""

    def find(self) -> list[str]:
        """Names of the chips that are attached, as :data:`nirbridge.targets.TARGETS` has them."""
        ...

    def apply(self, config: XyloConfig) -> None:
        """Configure the chip ``config.target``; all its states are 0 afterwards."""
        ...

    def run(self, counts: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """What the chip answers to spike counts 0..15, (T, n_in), one row per step.

        Returns
        -------
        Mapping
            ``output`` (T, n_out): output spikes. Where states are read, also any of ``spikes``,
            ``i_syn``, ``i_syn_2``, ``v_mem`` (T, n_hidden), ``i_syn_out``, ``v_mem_out``
            (T, n_out), after each step.

        Raises
        ------
        TimeoutError
            If the answer does not come.

        """
        ...
