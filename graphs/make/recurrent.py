"""Recurrent current-based network, 16-63-8, with decays learned per neuron, from snnTorch.

This is the hard case on purpose. Nothing in its training knows of a chip: no penalty on currents,
membranes or firing rates, and every neuron has its own pair of decays.
"""

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

SIZES = (16, 63, 8)
SPREAD = (0.5, 0.97)  # initial decays, drawn uniformly per neuron
RANGE = (0.05, 0.99)  # a decay of 1 has no time constant, one below 0 has no meaning
GAIN = 0.5
SEED = 2
EPOCHS = 80
RATE = 3e-3

EXAMPLE = publish.Example(
    name="digits_recurrent",
    script="recurrent.py",
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
    description=(
        "Recurrent CubaLIF with decays learned per neuron and a reset one step after the spike, "
        "trained without any penalty on currents, membranes or firing rates."
    ),
)


def spread(size: int) -> Tensor:
    """Draw the initial decays of a layer."""
    low, high = SPREAD
    return low + (high - low) * torch.rand(size)


def build() -> nn.Sequential:
    """The network, with snnTorch's default reset: by subtraction, one step after the spike.

    ``RSynaptic`` ignores ``reset_delay=False`` in snnTorch 1.0.0, so both layers keep the default.
    Its recurrent layer is replaced by one without a bias, which it has no argument for.
    """
    inputs, hidden, outputs = SIZES
    first = snn.RSynaptic(
        alpha=spread(hidden),
        beta=spread(hidden),
        linear_features=hidden,
        threshold=torch.ones(hidden),
        init_hidden=True,
        learn_alpha=True,
        learn_beta=True,
    )
    first.recurrent = nn.Linear(hidden, hidden, bias=False)
    last = snn.Synaptic(
        alpha=spread(outputs),
        beta=spread(outputs),
        threshold=torch.ones(outputs),
        init_hidden=True,
        learn_alpha=True,
        learn_beta=True,
    )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["fc1"] = nn.Linear(inputs, hidden, bias=False)
    layers["lif1"] = first
    layers["fc2"] = nn.Linear(hidden, outputs, bias=False)
    layers["lif2"] = last
    return nn.Sequential(layers)


def keep_decays(net: nn.Sequential) -> None:
    """Bring learned decays back into the range in which they have a time constant.

    snnTorch clamps them to 0..1 while it runs but exports what was learned.
    """
    with torch.no_grad():
        for layer in snn_common.spiking_layers(net):
            layer.alpha.clamp_(*RANGE)
            layer.beta.clamp_(*RANGE)


def train(seed: int, data: digits.Digits) -> training.Trained:
    """Train with this seed; export."""
    training.fix(seed)
    net = build()
    snn_common.shrink(net, GAIN)
    run = partial(snn_common.run, net)
    training.fit(
        net, run, data, epochs=EPOCHS, rate=RATE, after_step=partial(keep_decays, net)
    )
    return training.Trained(snn_common.export(net, SIZES[0]), run)


def main() -> None:
    """Train and record the network."""
    publish.publish(EXAMPLE, train)


if __name__ == "__main__":
    main()
