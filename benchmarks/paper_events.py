"""Digits as an event camera sees them: a simple model of the recording of N-MNIST.

N-MNIST was recorded by a camera that moved in front of a screen: three saccades of 100 ms each,
along the sides of an isosceles triangle (Orchard et al. 2015, doi:10.3389/fnins.2015.00437). Here
the image moves by the same way over 34x34 ideal pixels. A pixel holds the logarithm of the
intensity at its last event and sends ON or OFF each time that the present one is a threshold
above or below it. There is no noise, no refractory time and no difference between pixels, and
the images are scikit-learn's 8x8 digits, enlarged and sharpened, not MNIST: the network has never
seen their like.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 34  # pixels of the camera's window
DIGIT = 20  # pixels of the digit's height, as in MNIST
CORNERS = np.array([(-3.5, -3.5), (0.0, 3.5), (3.5, -3.5), (-3.5, -3.5)])  # pixels, (x, y)
SACCADE = 100  # ms
THRESHOLD = 0.4  # of ln(intensity)
DARK = 0.1  # intensity of the black screen; white is 1 + DARK
BRIGHTEST = 16.0
FINER = 4  # by which an image is enlarged before its edges are sharpened
STEEP = 20.0  # slope of the edges, chosen on other digits than are drawn with SEED
SEED = 0


def load(samples: int, steps: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Events of some digits, drawn with a fixed seed: counts (N, T, 2·34·34) and labels (N,).

    The first half of the channels are OFF events, the second ON, as in N-MNIST; 300 ms are
    shared out evenly among the steps.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(SEED).permutation(len(images))[:samples]
    raster = np.stack([events(image.reshape(8, 8), steps) for image in images[chosen]])
    return raster, labels[chosen].astype(np.int64)


def events(image: NDArray[np.float64], steps: int) -> NDArray[np.uint8]:
    """Counts (T, 2·34·34) of one image (8, 8) with values up to 16."""
    log = np.log(_moving(_sharp(image / BRIGHTEST)) + DARK)
    level = log[0].copy()
    counts = np.zeros((steps, 2, SIDE, SIDE), np.uint8)
    for ms, now in enumerate(log):
        change = np.trunc((now - level) / THRESHOLD)
        level += change * THRESHOLD
        step = ms * steps // len(log)
        counts[step, 0] += np.maximum(-change, 0).astype(np.uint8)
        counts[step, 1] += np.maximum(change, 0).astype(np.uint8)
    return counts.reshape(steps, -1)


def _sharp(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Enlarged to (32, 32), with strokes as bright and as sharp as those of a digit on a screen."""
    from scipy.ndimage import zoom  # which comes with scikit-learn

    fine = zoom(image, FINER, order=3, mode="nearest", grid_mode=True)
    return np.asarray(1 / (1 + np.exp(-STEEP * (fine - 0.5))))


def _moving(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the pixels see in each millisecond, (300, 34, 34)."""
    from scipy.ndimage import map_coordinates

    way = np.concatenate(
        [np.linspace(a, b, SACCADE, endpoint=False) for a, b in pairwise(CORNERS)]
    )
    scale = len(image) / DIGIT
    middle = (SIDE - 1) / 2
    frames = []
    for x, y in way:
        rows = (np.arange(SIDE) - middle - y) * scale + (len(image) - 1) / 2
        columns = (np.arange(SIDE) - middle - x) * scale + (len(image) - 1) / 2
        grid = np.meshgrid(rows, columns, indexing="ij")
        frames.append(map_coordinates(image, grid, order=1, mode="constant"))
    return np.array(frames)


def frame(counts: NDArray[Any]) -> NDArray[np.float64]:
    """ON minus OFF events of the first saccade as an image (34, 34); over all they cancel."""
    off, on = counts[: len(counts) // 3].sum(axis=0, dtype=np.float64).reshape(2, SIDE, SIDE)
    return np.asarray(on - off)
