"""Train a network in snnTorch, bring it to Xylo Audio 2 by each method, keep the best one.

Needs snnTorch. The folder ``xylo-snntorch`` is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import snntorch
import torch
from snntorch import utils

import nirbridge

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"
TRAINING = 300  # digits; the other 133 are the test


def train(net: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Cross-entropy on output spike counts; x (T, B, 16)."""
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(epochs):
        for at in torch.randperm(len(y)).split(50):
            utils.reset(net)
            counts = torch.stack([net(step) for step in x[:, at]]).sum(0)
            loss = torch.nn.functional.cross_entropy(0.3 * counts, y[at])
            adam.zero_grad()
            loss.backward()
            adam.step()


def main() -> None:
    """From random weights to a folder of integers."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # layers this small only make threads wait for each other
    data = np.load(GRAPHS / "digits.npz")
    net = torch.nn.Sequential(
        torch.nn.Linear(16, 40),
        snntorch.Leaky(beta=0.85, init_hidden=True),
        torch.nn.Linear(40, 8),
        snntorch.Leaky(beta=0.85, init_hidden=True),
    )
    x = torch.from_numpy(data["x"]).float().transpose(0, 1)
    train(net, x[:, :TRAINING], torch.from_numpy(data["y"])[:TRAINING], epochs=10)

    # What the model computes, with the time step, reset and biases that it was trained with.
    graph = nirbridge.export(net, torch.zeros(1, 16), dt=1e-3)

    test = data["x"][TRAINING:], data["y"][TRAINING:]
    best, most = None, -1.0
    for method in ("global", "channel", "fit"):
        deployment = nirbridge.convert(graph, method=method)
        drift = deployment.check(*test)
        print(
            f"{method:8} trained {drift.trained_accuracy:.1%}, on the chip {drift.accuracy:.1%}, "
            f"{drift.agreement:.1%} decided alike"
        )
        if drift.agreement > most:
            best, most = deployment, drift.agreement
    assert best is not None
    best.save("xylo-snntorch", force=True)
    print(f"{best.method} is kept, in xylo-snntorch; what it approximates:")
    for note in best.journal:
        if note.size:
            print(" ", note)


if __name__ == "__main__":
    main()
