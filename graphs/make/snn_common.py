"""What the two snnTorch networks share: running one over time, and exporting it."""

from __future__ import annotations

import nir
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

DT = 1e-4
"""Seconds per step in snnTorch's NIR export; the exporter has no argument for it."""


def spiking_layers(net: nn.Sequential) -> list[snn.SpikingNeuron]:
    """The layers of a network that keep a state."""
    return [layer for layer in net if isinstance(layer, snn.SpikingNeuron)]


def run(net: nn.Sequential, x: Tensor) -> Tensor:
    """Output spike counts (N, 8) for spikes (N, T, 16), from a network at rest."""
    for layer in spiking_layers(net):
        layer.reset_mem()
    return torch.stack([net(step) for step in x.unbind(1)]).sum(0)


def shrink(net: nn.Sequential, gain: float) -> None:
    """Scale all weights down before training.

    PyTorch draws them for units without memory. A decaying current and a decaying membrane sum
    up some twenty steps, and at full size most neurons would fire in every step.
    """
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(gain)


def export(net: nn.Sequential, *shape: int) -> nir.NIRGraph:
    """The network as snnTorch writes it; the sample's first axis is a batch, not a shape."""
    for layer in spiking_layers(net):
        layer.reset_mem()
    return export_to_nir(net, torch.zeros(1, *shape), ignore_dims=[0])
