"""Spoken words from espeak-ng, called through its C interface.

``pip install --no-deps espeakng-loader`` brings the library and its voices (GPL-3; needed for this
benchmark alone, and only where its data are not in the cache yet). It speaks without a network.
A word said twice differs a little, as the library's noise goes on; a new process repeats it all.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Constants of espeak-ng's speak_lib.h
RETRIEVAL, SYNCHRONOUS = 1, 0
RATE, PITCH, PITCH_RANGE = 1, 3, 4
CHARACTER, UTF8 = 1, 1

_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True)
class Speaker:
    """``voice``: language and variant, as in ``en-us+f3``; ``rate`` in words per minute."""

    voice: str
    rate: int
    pitch: int
    pitch_range: int


class Synthesiser:
    """espeak-ng, of which a process has only one."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._pieces: list[NDArray[np.int16]] = []
        self._callback = _CALLBACK(self._collect)  # kept: the library holds only its address
        path = espeakng_loader.get_data_path().encode()
        self.frequency = int(self._library.espeak_Initialize(RETRIEVAL, 0, path, 0))
        if self.frequency <= 0:
            raise RuntimeError("espeak-ng does not find its voices")
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, word: str, speaker: Speaker) -> NDArray[np.float64]:
        """One word as a signal in −1..1 at :attr:`frequency`."""
        if self._library.espeak_SetVoiceByName(speaker.voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {speaker.voice}")
        for parameter, value in (
            (RATE, speaker.rate),
            (PITCH, speaker.pitch),
            (PITCH_RANGE, speaker.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        text = word.encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, CHARACTER, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._pieces).astype(np.float64) / 2**15

    def _collect(self, samples: Any, number: int, _events: Any) -> int:
        """Called by the library with one piece of sound after the other; 0 means: go on."""
        if samples and number > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (number,)).copy())
        return 0
