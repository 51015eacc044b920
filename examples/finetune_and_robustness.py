"""A network that suffers from rounding is trained on through the chip, with and without noise.

Needs torch. Afterwards chips are perturbed at random, as devices differ from each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nirbridge

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"
TRAINING = 300
LEVELS = (0.1, 0.3, 0.5)


def main() -> None:
    """Three chips in a table: rounded, trained on, trained on with noise."""
    data = np.load(GRAPHS / "digits.npz")
    x, y = data["x"], data["y"]
    rounded = nirbridge.convert(nirbridge.read(GRAPHS / "digits_recurrent.nir"), method="global")
    # The forward pass of the training is the chip's simulator itself; the epoch that does best on
    # samples kept apart comes back.
    chips = {
        "rounded": rounded,
        "trained on": nirbridge.finetune(rounded, x[:TRAINING], y[:TRAINING], epochs=4),
        "with noise": nirbridge.finetune(rounded, x[:TRAINING], y[:TRAINING], epochs=4, noise=0.3),
    }
    print("accuracy     clean " + " ".join(f"  ±{level:.0%}" for level in LEVELS))
    for name, chip in chips.items():
        found = chip.robustness(x[TRAINING:], y[TRAINING:], levels=LEVELS, draws=10)
        row = " ".join(f"{found.at(level).mean:6.1%}" for level in LEVELS)
        print(f"{name:11} {found.clean:6.1%} {row}")

    tuned = chips["trained on"]
    print(f"\n{tuned.method}:")
    for note in tuned.journal[len(rounded.journal) :]:
        print(" ", note)


if __name__ == "__main__":
    main()
