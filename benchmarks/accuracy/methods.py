"""The ways onto the chip. One that the installed packages do not have gives nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import nir

import nirbridge
from benchmarks.accuracy.tasks import Data
from nirbridge import Deployment, convert

CALIBRATION = 300  # samples of the training data
FINETUNING = 12  # epochs

Make = Callable[[nir.NIRGraph, Data, int], Deployment]


@dataclass(frozen=True)
class Method:
    """``make`` deploys a graph, with the training data and the seed if it wants them.

    ``imports``: what else it takes, which is not its own time or memory. ``budget``: whether the
    rungs between the trained network and the chip are its own.
    """

    name: str
    make: Make
    imports: tuple[str, ...] = ()
    budget: bool = True

    @property
    def possible(self) -> bool:
        """Whether all that it takes is installed."""
        return all(find_spec(name.split(".")[0]) for name in self.imports)


def plain(name: str, graph: nir.NIRGraph, _data: Data, _seed: int) -> Deployment:
    """A method that looks at the network alone."""
    return convert(graph, method=name)


def calibrate(graph: nir.NIRGraph, data: Data, _seed: int) -> Deployment:
    """The method that looks at typical input too."""
    return convert(graph, method="calibrate", calibration=data.x_train[:CALIBRATION])


def finetune(graph: nir.NIRGraph, data: Data, seed: int) -> Deployment:
    """Training through the chip's arithmetic, from what ``fit`` makes."""
    start = convert(graph, method="fit")
    return nirbridge.finetune(start, data.x_train, data.y_train, epochs=FINETUNING, seed=seed)


def by_rockpool(quantiser: str, graph: nir.NIRGraph, _data: Data, _seed: int) -> Deployment:
    """One of Rockpool's quantisers."""
    from benchmarks.accuracy.rockpool import rockpool

    return rockpool(graph, quantiser)


def _ours(name: str) -> Method:
    return Method(name, partial(plain, name))


def _rockpool(quantiser: str) -> Method:
    name = "Rockpool " + quantiser.removesuffix("_quantize")
    imports = ("rockpool.transform.quantize_methods",)
    return Method(name, partial(by_rockpool, quantiser), imports=imports, budget=False)


METHODS = (
    _ours("global"),
    _ours("channel"),
    _rockpool("global_quantize"),
    _rockpool("channel_quantize"),
    _ours("fit"),
    Method("calibrate", calibrate),
    Method("finetune", finetune, imports=("torch",)),
)
