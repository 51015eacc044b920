"""What is learned: data sets, and the networks that are trained on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import nir
import numpy as np
from numpy.typing import NDArray


class Data(NamedTuple):
    """Spike counts (N, T, channels) and labels (N,) of both parts; they share no sample."""

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


class Trained(NamedTuple):
    """A network with its record of :class:`nirbridge.Dynamics`.

    ``accuracy``: of the model that was trained, in its own framework, on the test data.
    """

    graph: nir.NIRGraph
    accuracy: float


@dataclass(frozen=True)
class Task:
    """One row of the table: ``load`` its data, ``train`` a network on them with a seed."""

    name: str
    network: str
    load: Callable[[], Data]
    train: Callable[[int, Data], Trained]
