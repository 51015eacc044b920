"""Where a deployment came from: the commands and files behind it, and the input that tuned it."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class File:
    """A file that was read: its name, its bytes, their SHA-256."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        """The record of a file on the disk."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
        return cls(path.name, path.stat().st_size, digest.hexdigest())


@dataclass(frozen=True)
class Origin:
    """How a deployment was made.

    ``commands``: in their order, as they can be typed; none for what was done in Python.
    ``files``: those that they read. ``tuned``: :func:`fingerprint` of each raster on which integers
    were chosen (a calibration, a fine-tuning), and which therefore tests nothing.
    """

    commands: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    tuned: tuple[str, ...] = ()

    def then(self, command: str, files: Iterable[Path] = ()) -> Origin:
        """The same after one more command that read these files."""
        read = (*self.files, *(File.of(path) for path in files))
        return replace(self, commands=(*self.commands, command), files=tuple(dict.fromkeys(read)))

    def tuned_on(self, raster: NDArray[Any]) -> Origin:
        """The same after integers were chosen on a raster of counts."""
        return replace(self, tuned=tuple(dict.fromkeys((*self.tuned, fingerprint(raster)))))

    def knows(self, raster: NDArray[Any]) -> bool:
        """Whether integers were chosen on this very raster."""
        return bool(self.tuned) and fingerprint(raster) in self.tuned

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return asdict(self)


UNKNOWN = Origin()


def fingerprint(raster: NDArray[Any]) -> str:
    """SHA-256 of counts (T, n) or (B, T, n), the same for every type of integer."""
    batch = raster if raster.ndim == 3 else raster[None]
    digest = hashlib.sha256(str(batch.shape).encode())
    for sample in batch:
        digest.update(np.ascontiguousarray(sample, "<i8").tobytes())
    return digest.hexdigest()


def command_line() -> str:
    """The command that is running, as it can be typed."""
    return shlex.join(["nirbridge", *sys.argv[1:]])
