"""Settings of torch for many small operations, and its random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def quick() -> Iterator[None]:
    """One thread that flushes denormals; what was set before holds again afterwards.

    Gradients that vanish through time become denormals, which cost ten times as much as zeros. The
    operations of a step are so small that threads wait for each other longer than they work (2.5
    times slower with two, measured); the simulator has its own.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def generator_of(*seed: int) -> torch.Generator:
    """Random numbers, on the CPU, of whole numbers >= 0 of any size."""
    (state,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))
