"""The task all example networks share: handwritten digits 0 to 7 as spikes in 16 channels.

A channel looks at one 2x2 patch of the 8x8 image; the four pixels of each patch follow one another
in time. So 16 channels see the whole image, a channel keeps its place in it, and telling the
digits apart by more than the patches' brightness takes memory. The classes 8 and 9 are left out
because a Xylo Audio 2 has eight outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

GRAPHS = Path(__file__).resolve().parents[1]
INPUT_FILE = "digits.npz"
CLASSES = 8
CHANNELS = 16
PHASES = 4
STEPS_PER_PHASE = 10
SILENT_STEPS = 4  # at the end, so that the last spikes reach the outputs of a slower target
STEPS = PHASES * STEPS_PER_PHASE + SILENT_STEPS
BRIGHTEST = 16.0
TEST_SHARE = 0.3
SEED = 20
SPIKE_SEED = 21

Raster = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class Digits(NamedTuple):
    """Spikes (N, T, 16) and labels (N,) of both halves of the data."""

    x_train: Raster
    y_train: Labels
    x_test: Raster
    y_test: Labels


def encode(images: npt.NDArray[np.float64], rng: np.random.Generator) -> Raster:
    """Draw spikes (N, T, 16) from images (N, 64): a white pixel fires in every step of its phase.

    Each pixel fires at random with the probability of its brightness, so no two samples have the
    same timing and a network must average over time, as it would behind a sensor.
    """
    patches = images.reshape(-1, 4, 2, 4, 2).transpose(0, 2, 4, 1, 3) / BRIGHTEST
    chance = np.zeros((len(images), STEPS, CHANNELS))
    scan = np.repeat(patches.reshape(-1, PHASES, CHANNELS), STEPS_PER_PHASE, axis=1)
    chance[:, : PHASES * STEPS_PER_PHASE] = scan
    return (rng.random(chance.shape) < chance).astype(np.uint8)


def load() -> Digits:
    """Encode the data set and split it; fixed seeds make every caller see the same spikes."""
    images, labels = load_digits(return_X_y=True)
    kept = labels < CLASSES
    x = encode(images[kept], np.random.default_rng(SPIKE_SEED))
    y = labels[kept].astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=TEST_SHARE, stratify=y, random_state=SEED
    )
    return Digits(x_train, y_train, x_test, y_test)


def save_test(folder: Path = GRAPHS) -> Path:
    """Write the test inputs that go with all graphs: ``x`` uint8 (N, T, 16), ``y`` int64 (N,)."""
    data = load()
    path = folder / INPUT_FILE
    np.savez_compressed(path, x=data.x_test, y=data.y_test)
    return path


if __name__ == "__main__":
    written = save_test()
    print(f"{written.name}: {written.stat().st_size} bytes")
