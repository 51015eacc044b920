"""Sound as spikes in 16 channels: a simple stand-in for the audio front end of the chip.

Band-pass filters, a rectifier, a leaky integrator and a neuron that fires whenever its charge is
full; spikes are counted in bins. Nothing here models the circuit: no mismatch, no amplifier, other
centre frequencies, as the sound ends at 11 kHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

Array = NDArray[np.float64]

CHANNELS = 16
LOWEST, HIGHEST = 100.0, 8000.0  # centre frequencies, Hz
QUALITY = 4.0
LEAK = 5e-3  # seconds
BIN = 10e-3  # seconds
MOST = 15  # spikes per bin that the chip's inputs take
MEAN = 2.0  # spikes per bin and channel over the data that set the gains


def envelopes(sound: Array, frequency: int) -> Array:
    """Mean of the leaky integrator in each bin, (N, T, 16), of sounds (N, samples)."""
    width = round(BIN * frequency)
    steps = sound.shape[1] // width
    decay = np.exp(-1 / (LEAK * frequency))
    found = np.empty((len(sound), steps, CHANNELS))
    for k, centre in enumerate(np.geomspace(LOWEST, HIGHEST, CHANNELS)):
        half = centre / (2 * QUALITY)
        sos = butter(1, (centre - half, centre + half), "bandpass", fs=frequency, output="sos")
        level = lfilter([1 - decay], [1, -decay], np.abs(sosfilt(sos, sound)))
        found[:, :, k] = level[:, : steps * width].reshape(len(sound), steps, width).mean(2)
    return found


def gains(levels: Array) -> Array:
    """Spikes per unit of level for each channel, so that typical data give ``MEAN`` spikes."""
    return np.asarray(MEAN / levels.mean(axis=(0, 1)), np.float64)


def spikes(levels: Array, gain: Array) -> NDArray[np.uint8]:
    """Counts (N, T, 16): whole charges as they fill up, what is left stays for the next bin."""
    charges = np.floor(np.cumsum(levels * gain, axis=1))
    counts = np.diff(charges, axis=1, prepend=0)
    return np.asarray(np.minimum(counts, MOST), np.uint8)
