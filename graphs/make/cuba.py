"""Feed-forward current-based network, 16-60-60-8, trained and exported with snnTorch."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise

import digits
import publish
import snn_common
import snntorch as snn
import torch
import training
from torch import nn

from nirbridge import Dynamics

SIZES = (16, 60, 60, 8)
ALPHA = 0.75
BETA = 0.85
GAIN = 0.3
SEED = 1
EPOCHS = 40
RATE = 3e-3

EXAMPLE = publish.Example(
    name="digits_cuba",
    script="cuba.py",
    framework="snntorch",
    seed=SEED,
    sizes=SIZES,
    dynamics=Dynamics(
        dt=snn_common.DT,
        scheme="euler",
        reset="subtract",
        reset_delay=1,
        spikes_per_step=1,
        comparison=">",
    ),
    description="Feed-forward CubaLIF with two hidden layers, the same decays everywhere.",
)


def synaptic(size: int) -> nn.Module:
    """One layer of neurons with snnTorch's default reset, by subtraction in the next step.

    The parameters are vectors because the exporter needs a shape.
    """
    neuron: nn.Module = snn.Synaptic(
        alpha=torch.full((size,), ALPHA),
        beta=torch.full((size,), BETA),
        threshold=torch.ones(size),
        init_hidden=True,
    )
    return neuron


def build() -> nn.Sequential:
    """The network, as a snnTorch user writes it."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (before, after) in enumerate(pairwise(SIZES), 1):
        layers[f"fc{index}"] = nn.Linear(before, after, bias=False)
        layers[f"lif{index}"] = synaptic(after)
    return nn.Sequential(layers)


def train(seed: int, data: digits.Digits) -> training.Trained:
    """Train with this seed; export."""
    training.fix(seed)
    net = build()
    snn_common.shrink(net, GAIN)
    run = partial(snn_common.run, net)
    training.fit(net, run, data, epochs=EPOCHS, rate=RATE)
    return training.Trained(snn_common.export(net, SIZES[0]), run)


def main() -> None:
    """Train and record the network."""
    publish.publish(EXAMPLE, train)


if __name__ == "__main__":
    main()
