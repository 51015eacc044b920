"""A network of Norse in every framework that is installed, spike for spike, and back.

Needs Norse.
"""

from __future__ import annotations

import norse.torch as norse
import numpy as np
import torch

import nirbridge
from nirbridge.adapters import IMPORTERS, run


def main() -> None:
    """Export once, build everywhere, compare."""
    torch.manual_seed(1)
    net = norse.SequentialState(
        torch.nn.Linear(16, 24),
        norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(150.0))),
        torch.nn.Linear(24, 8),
        norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(150.0))),
    )
    for layer in (net[0], net[2]):
        torch.nn.init.normal_(layer.weight, 0.6, 1.5)

    graph = nirbridge.export(net, torch.zeros(1, 16))
    how = nirbridge.Dynamics.of(graph)
    assert how is not None
    print(f"Norse steps by {how.dt:g} s, {how.scheme}, and resets by {how.reset}")

    raster = np.random.default_rng(0).integers(0, 2, (500, 16))
    wanted = run(net, raster)
    print(f"{int(wanted.sum())} output spikes in 500 steps")
    for name in IMPORTERS:
        try:
            model = nirbridge.build(graph, name)
        except nirbridge.Refused as refusal:  # it is not installed, most likely
            print(f"{name:13} {refusal.diagnostics[0].found}")
            continue
        spikes = run(model, raster)
        assert np.array_equal(spikes, wanted), name
        own = "its own cells" if not model.differences else "composed of its operations"
        print(f"{name:13} the same spikes, {own}")

    # A built model is exported like any other; what comes back computes the same.
    again = nirbridge.export(nirbridge.build(graph, "norse"), torch.zeros(1, 16))
    assert np.array_equal(nirbridge.simulate_stepped(again, raster).output, wanted)
    print("and back: the same spikes")


if __name__ == "__main__":
    main()
