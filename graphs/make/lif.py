"""Feed-forward network without synaptic currents, 16-60-40-8, with biases, from Norse."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import digits
import nir
import publish
import torch
import training
from norse.torch import LIFBoxCell, LIFBoxParameters, SequentialState, to_nir
from torch import Tensor, nn

from nirbridge import Dynamics

SIZES = (16, 60, 40, 8)
TAUS = (6e-3, 11e-3, 13e-3)  # seconds, one per layer
THRESHOLD = 0.2
DT = 1e-3  # seconds, Norse's default
SHARPNESS = 10.0  # of the surrogate gradient, a few steps wide at this threshold
SEED = 3
EPOCHS = 50
RATE = 5e-3

EXAMPLE = publish.Example(
    name="digits_lif",
    script="lif.py",
    framework="norse",
    seed=SEED,
    sizes=SIZES,
    dynamics=Dynamics(
        dt=DT, scheme="euler", reset="value", reset_delay=0, spikes_per_step=1, comparison=">"
    ),
    description="Feed-forward LIF with trained biases, one time constant per layer, reset to 0.",
)


def neurons(size: int, tau: float) -> nn.Module:
    """One layer of neurons; the parameters are vectors because a file holds no scalars."""
    cell: nn.Module = LIFBoxCell(
        LIFBoxParameters(
            tau_mem_inv=torch.full((size,), 1.0 / tau),
            v_leak=torch.zeros(size),
            v_th=torch.full((size,), THRESHOLD),
            v_reset=torch.zeros(size),
            method="tanh",  # Norse 1.1.0's default ignores its sharpness
            alpha=torch.tensor(SHARPNESS),
        ),
        dt=DT,
    )
    return cell


def build() -> nn.Module:
    """The network, as a Norse user writes it."""
    layers: list[nn.Module] = []
    for (before, after), tau in zip(pairwise(SIZES), TAUS, strict=True):
        layers += [nn.Linear(before, after), neurons(after, tau)]
    net: nn.Module = SequentialState(*layers)
    return net


def run(net: nn.Module, x: Tensor) -> Tensor:
    """Output spike counts (N, 8) for spikes (N, T, 16), from a network at rest."""
    state = None
    counts = torch.zeros(len(x), SIZES[-1])
    for step in x.unbind(1):
        spikes, state = net(step, state)
        counts = counts + spikes
    return counts


def export(net: nn.Module) -> nir.NIRGraph:
    """The network as Norse writes it.

    ``dt=1`` is no time step here: Norse 1.1.0 writes tau as dt divided by its inverse, which is
    in seconds only for 1. The sample has no batch axis, as it would become part of the shape.
    """
    return to_nir(net, torch.zeros(SIZES[0]), dt=1.0)


def train(seed: int, data: digits.Digits) -> training.Trained:
    """Train with this seed; export."""
    training.fix(seed)
    net = build()
    counted = partial(run, net)
    training.fit(net, counted, data, epochs=EPOCHS, rate=RATE)
    return training.Trained(export(net), counted)


def main() -> None:
    """Train and record the network."""
    publish.publish(EXAMPLE, train)


if __name__ == "__main__":
    main()
