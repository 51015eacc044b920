"""Training common to the example networks, whichever framework they are built in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import digits
import nir
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Run = Callable[[Tensor], Tensor]
"""Runs a network on spikes (N, T, 16); returns its output spikes counted over time (N, 8)."""

BATCH = 64


class Trained(NamedTuple):
    """A trained network: as its framework exported it, and as it runs there."""

    graph: nir.NIRGraph
    run: Run


Train = Callable[[int, digits.Digits], Trained]
"""Trains a network with a seed; the one way to it, for the examples and for the benchmarks."""


def fix(seed: int) -> None:
    """Make a run repeat itself; denormal numbers would slow the decaying states down."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)


def fit(
    net: nn.Module,
    run: Run,
    data: digits.Digits,
    *,
    epochs: int,
    rate: float,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train on the cross entropy of the output spike counts and on nothing else.

    The number of epochs is fixed: stopping at the best test accuracy would flatter the result.
    ``after_step`` keeps parameters inside the range in which they mean something.
    """
    x = torch.from_numpy(data.x_train).float()
    y = torch.from_numpy(data.y_train)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(x)).split(BATCH):  # type: ignore[no-untyped-call]
            loss = nn.functional.cross_entropy(run(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            after_step()
            total += loss.item() * len(rows)
        schedule.step()
        if epoch % 10 == 0 or epoch == epochs:
            spent = time.perf_counter() - start
            print(f"  epoch {epoch:3d}  loss {total / len(x):.4f}  {spent:5.1f} s", flush=True)


def count(run: Run, x: digits.Raster) -> npt.NDArray[np.int64]:
    """Count the output spikes (N, 8) of a trained network on a raster (N, T, 16)."""
    with torch.no_grad():
        return run(torch.from_numpy(x).float()).round().long().numpy()


def accuracy(counts: npt.NDArray[np.int64], labels: digits.Labels) -> float:
    """Share of samples whose label has the most output spikes; the lowest index wins a tie."""
    return float(np.mean(np.argmax(counts, axis=1) == labels))
