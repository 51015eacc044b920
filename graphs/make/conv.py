"""Convolutional network, 1x4x4 - 8x4x4 - 16x2x2 - 8, trained and exported with snnTorch."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import digits
import publish
import snn_common
import snntorch as snn
import torch
import training
from torch import Tensor, nn

from nirbridge import Dynamics

SHAPES = ((1, 4, 4), (8, 4, 4), (16, 2, 2), (8,))
BETA = 0.8
GAIN = 0.7
SEED = 4
EPOCHS = 40
RATE = 3e-3

EXAMPLE = publish.Example(
    name="digits_conv",
    script="conv.py",
    framework="snntorch",
    seed=SEED,
    sizes=(16, 128, 64, 8),
    dynamics=Dynamics(
        dt=snn_common.DT,
        scheme="euler",
        reset="value",
        reset_delay=0,
        spikes_per_step=1,
        comparison=">",
    ),
    description="Two strided convolutions and a linear layer of LIF neurons, reset to 0.",
)


def leaky(shape: tuple[int, ...]) -> nn.Module:
    """One layer of neurons; the parameters have its shape because the exporter needs it."""
    neuron: nn.Module = snn.Leaky(
        beta=torch.full(shape, BETA),
        threshold=torch.ones(shape),
        init_hidden=True,
        reset_mechanism="zero",
        reset_delay=False,
    )
    return neuron


def build() -> nn.Sequential:
    """The network, as a snnTorch user writes it."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv2d(1, 8, 3, padding=1)
    layers["lif1"] = leaky(SHAPES[1])
    layers["conv2"] = nn.Conv2d(8, 16, 2, stride=2)
    layers["lif2"] = leaky(SHAPES[2])
    layers["flat"] = nn.Flatten(1)
    layers["fc"] = nn.Linear(64, 8)
    layers["lif3"] = leaky(SHAPES[3])
    return nn.Sequential(layers)


def run(net: nn.Sequential, x: Tensor) -> Tensor:
    """Output spike counts (N, 8) for spikes (N, T, 16), whose channels are a 4x4 image."""
    return snn_common.run(net, x.reshape(*x.shape[:2], *SHAPES[0]))


def train(seed: int, data: digits.Digits) -> training.Trained:
    """Train with this seed; export."""
    training.fix(seed)
    net = build()
    snn_common.shrink(net, GAIN)
    counted = partial(run, net)
    training.fit(net, counted, data, epochs=EPOCHS, rate=RATE)
    return training.Trained(snn_common.export(net, *SHAPES[0]), counted)


def main() -> None:
    """Train and record the network."""
    publish.publish(EXAMPLE, train)


if __name__ == "__main__":
    main()
