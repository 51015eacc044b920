"""A spoken keyword among other words, said by synthetic speakers that training never heard.

96 speakers: a language (so an accent), a variant of its voice, a rate, a pitch. Each says the
keyword five times and five of the other words, in a clip of 1.5 s, with noise 20 dB below. Of the
twelve speakers of each language nine are trained with, three are left for the test.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tasks import Data, Task, Trained

KEYWORD = "aloha"
OTHERS = """
    hello banana computer window garden melody water orange yellow seven zero marvin sheila happy
    robot music lantern coffee paper river mountain forward backward follow holiday allow alone
    aroma corona gondola opera polar solar motor photo radio studio potato tomato volcano america
    aloe halo arrow below pillow hollow umbrella koala
"""
LANGUAGES = ("en-us", "en-gb-scotland", "de", "fr", "es", "it", "nl", "pt")
VARIANTS = (*(f"m{k}" for k in range(1, 9)), *(f"f{k}" for k in range(1, 6)), "klatt", "klatt2")
SPEAKERS, TEST_SPEAKERS = 12, 3  # of each language, the latter among the former
EACH = 5  # clips of the keyword, and of others, per speaker
SECONDS = 1.5
NOISE = 0.1  # of the clip's standard deviation: 20 dB
SEED = 40
EPOCHS = 60
RATE = 3e-3

Clips = NDArray[np.float64]


def load() -> Data:
    """Synthesise all clips and turn them into spikes; takes some ten seconds."""
    from benchmarks.accuracy.tasks import filterbank  # needs SciPy

    clips, y, frequency = _clips(np.random.default_rng(SEED))
    levels = filterbank.envelopes(clips, frequency)
    heard = np.arange(len(y)) // (2 * EACH) % SPEAKERS >= TEST_SPEAKERS
    x = filterbank.spikes(levels, filterbank.gains(levels[heard]))
    return Data(x[heard], y[heard], x[~heard], y[~heard])


def _clips(rng: np.random.Generator) -> tuple[Clips, NDArray[np.int64], int]:
    """Sounds (N, samples), speaker by speaker, with labels and their sampling frequency."""
    from benchmarks.accuracy.tasks.speech import Speaker, Synthesiser

    voices = [
        f"{language}+{variant}"
        for language in LANGUAGES
        for variant in rng.choice(VARIANTS, SPEAKERS, replace=False)
    ]
    synthesiser = Synthesiser()
    clips, labels = [], []
    for voice in voices:
        rate, pitch, pitch_range = rng.integers((130, 20, 30), (220, 80, 70)).tolist()
        speaker = Speaker(voice, rate, pitch, pitch_range)
        words = [KEYWORD] * EACH + [str(w) for w in rng.choice(OTHERS.split(), EACH, replace=False)]
        for word in words:
            clips.append(_placed(synthesiser.say(word, speaker), synthesiser.frequency, rng))
            labels.append(int(word == KEYWORD))
    return np.stack(clips), np.array(labels, np.int64), synthesiser.frequency


def _placed(word: Clips, frequency: int, rng: np.random.Generator) -> Clips:
    """The word at a random place of a clip, at a random loudness, with noise."""
    length = round(SECONDS * frequency)
    word = word[:length] / np.abs(word).max() * rng.uniform(0.5, 1.0)
    clip = np.zeros(length)
    start = int(rng.integers(0, length - len(word), endpoint=True))
    clip[start : start + len(word)] = word
    return np.asarray(clip + rng.normal(0, NOISE * clip.std(), length), np.float64)


def train(seed: int, data: Data) -> Trained:
    """A SynNet with four, then six time constants: 20 to 160 ms, then 20 to 640 ms.

    Samples are moved by a channel at random, as other throats move the formants.
    """
    from benchmarks.accuracy import synnet  # needs PyTorch

    shape = synnet.Shape((16, 60, 60, 2), (4, 6, 1), dt=10e-3, gain=1.0)
    return synnet.train(shape, seed, data, epochs=EPOCHS, rate=RATE, move=1)


TASKS = (Task("keywords", "spoken keyword, SynNet 16-60-60-2 (PyTorch)", load, train),)
