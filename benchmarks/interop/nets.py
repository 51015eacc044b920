"""One network of each layer kind, in each framework, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANNELS, HIDDEN, OUT = 8, 12, 6
IMAGE = (2, 6, 6)
MAPS = (4, 4, 4)  # what a convolution with four 3 x 3 kernels makes of an image

KINDS = (
    "LIF",
    "CubaLIF",
    "recurrent LIF",
    "recurrent CubaLIF",
    "IF, convolution",
    "LI readout",
    "biases",
    "per-neuron parameters",
    "branch",
    "nested",
)

EXPORTERS: dict[str, str] = {
    "snntorch": "snntorch",
    "snntorch, reset to zero": "snntorch",
    "norse": "norse",
    "rockpool": "rockpool",
    "sinabs": "sinabs",
    "spikingjelly": "spikingjelly",
    "spyx": "spyx",
}
"""Each row of the table, and its framework: snnTorch's two resets are different neurons."""

IMPOSSIBLE: dict[tuple[str, str], str] = {
    ("rockpool", "recurrent LIF"): "its neurons without a synapse have no recurrent weights",
    ("rockpool", "IF, convolution"): "it has no convolution",
}
"""Networks that a framework cannot express by itself, and why."""

@dataclass(frozen=True)
class Net:
    """A model, the shape of its input in one step, and a sample as the model takes it."""

    model: Any
    shape: tuple[int, ...]
    sample: Any


def network(exporter: str, kind: str, seed: int) -> Net:
    """The network of a kind in a framework; not for those in :data:`IMPOSSIBLE`."""
    if exporter == "spyx":
        from benchmarks.interop import spyx_nets

        return spyx_nets.make(kind, seed)
    import torch

    from benchmarks.interop import rockpool_nets, torch_nets

    torch.manual_seed(seed)
    make: dict[str, Callable[[str], Net]] = {
        "snntorch": torch_nets.snntorch,
        "snntorch, reset to zero": torch_nets.snntorch_zero,
        "norse": torch_nets.norse,
        "rockpool": rockpool_nets.make,
        "sinabs": torch_nets.sinabs,
        "spikingjelly": torch_nets.spikingjelly,
    }
    return make[exporter](kind)


def raster(shape: tuple[int, ...], steps: int, seed: int) -> Any:
    """Bernoulli spikes (1, T, n), three in ten."""
    size = int(np.prod(shape))
    return (np.random.RandomState(seed).rand(1, steps, size) < 0.3).astype(np.uint8)


def for_graph(graph: Any, net: Net, x: Any) -> Any:
    """A raster of ``net`` as its graph takes it: channels first, where the net has them last."""
    shapes = [n.input_type["input"] for n in graph.nodes.values() if type(n).__name__ == "Input"]
    if len(net.shape) == 1 or tuple(int(n) for n in shapes[0]) == net.shape:
        return x
    rows = x.reshape(*x.shape[:2], *net.shape)
    return np.moveaxis(rows, -1, 2).reshape(x.shape)
