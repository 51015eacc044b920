"""Raster files: ``.npy``, ``.npz`` (``x``, optional ``y``) and event lists in ``.csv``.

Files are not trusted: nothing is unpickled, and no array is allocated before its claimed size is
known to be bounded and to match the bytes that are there.
"""

from __future__ import annotations

import csv
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Refused, refuse
from nirbridge.files import replacing
from nirbridge.rasters import check_raster
from nirbridge.simulate import Recording
from nirbridge.simulate.recording import RECORDED

MAX_BYTES = 2**31

# What NumPy's header parser, the zip reader and the CSV reader raise over damaged files.
DAMAGE = (
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    EOFError,
    OSError,
    RuntimeError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_raster(
    path: Path, n_in: int | None = None, dt: float | None = None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Counts (T, n_in) or (B, T, n_in) and, from an ``.npz`` that has them, labels ``y``.

    Parameters
    ----------
    path
        The file; its suffix tells the form. A ``.csv`` holds an event per line, time in seconds
        and channel, after an optional line of titles.
    n_in
        Channels; needed for events.
    dt
        Time step in seconds in which events are binned.

    Raises
    ------
    Refused
        NB101 (no such file), NB801, NB802 (not a raster of that network), NB803 (not a raster
        file).

    """
    if not path.is_file():
        raise refuse("NB101", node=path.name, limit="a raster file", found=str(path))
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                x, y = _read_array(file, path.stat().st_size, path.name), None
        elif path.suffix == ".npz":
            x, y = _read_npz(path)
        elif path.suffix == ".csv":
            x, y = _read_events(path, n_in, dt), None
        else:
            raise refuse("NB803", node=path.name, limit=".npy, .npz, .csv", found=path.suffix)
    except Refused:
        raise
    except DAMAGE as error:
        found = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise refuse("NB803", node=path.name, limit="an undamaged file", found=found) from None
    return check_raster(x, n_in), y


def _read_npz(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    with zipfile.ZipFile(path) as archive:
        sizes = {i.filename.removesuffix(".npy"): i.file_size for i in archive.infolist()}
        if "x" not in sizes:
            limit, found = "an array x, and optionally y", f"arrays {sorted(sizes)[:8]}"
            raise refuse("NB803", node=path.name, limit=limit, found=found)
        arrays = {}
        for name in ("x", "y"):
            if name in sizes:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = _read_array(file, sizes[name], f"{path.name}:{name}")
    return arrays["x"], arrays.get("y")


def _read_array(file: IO[bytes], size: int, name: str) -> NDArray[Any]:
    """An array in NumPy's format whose header agrees with the ``size`` of the file in bytes."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise refuse("NB803", node=name, limit="NumPy format 1.0 or 2.0", found=version)
    shape, column_major, dtype = read_header(file)
    if dtype.hasobject:
        raise refuse("NB803", node=name, limit="numbers", found="Python objects")
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if claimed > MAX_BYTES or claimed > size:
        found = f"{shape} of {dtype}: {claimed} bytes claimed, {size} there"
        raise refuse("NB803", node=name, limit=f"at most {MAX_BYTES} bytes", found=found)
    content = file.read(claimed)
    if len(content) != claimed:
        raise refuse("NB803", node=name, limit=f"{claimed} bytes", found=f"{len(content)} bytes")
    array = np.frombuffer(content, dtype)
    return array.reshape(shape, order="F" if column_major else "C")


def _read_events(path: Path, n_in: int | None, dt: float | None) -> NDArray[np.int64]:
    if n_in is None or dt is None:
        raise refuse("NB803", node=path.name, limit="a known time step", found="events")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    try:
        events = np.array([(float(a), float(b)) for a, b in rows]).reshape(-1, 2)
    except ValueError:
        line = next(row for row in rows if len(row) != 2 or not all(map(_is_number, row)))
        raise refuse(
            "NB803", node=path.name, limit="time,channel in each line", found=",".join(line)[:60]
        ) from None
    times, channels = events[:, 0], events[:, 1]
    bad = ~np.isfinite(events).all(axis=1) | (times < 0) | (channels != np.rint(channels))
    bad |= (channels < 0) | (channels >= n_in)
    if bad.any():
        found = f"time {times[bad][0]:g}, channel {channels[bad][0]:g}"
        limit = f"time >= 0 s, channel 0..{n_in - 1}"
        raise refuse("NB802", node=path.name, limit=limit, found=found)
    # a time on the border of two bins belongs to the later one, rounding of t/dt aside
    steps = np.floor(times / dt + 1e-6)
    length = int(steps.max(initial=-1)) + 1
    if length * n_in * 8 > MAX_BYTES:
        found = f"{length} steps of {dt:g} s"
        raise refuse("NB803", node=path.name, limit=f"{MAX_BYTES} bytes", found=found)
    raster = np.zeros((length, n_in), np.int64)
    np.add.at(raster, (steps.astype(int), channels.astype(int)), 1)
    return raster


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_recording(recording: Recording, path: Path, dt: float, force: bool = False) -> None:
    """Write output spikes: ``.npy`` counts, ``.npz`` with all that was recorded, ``.csv`` events.

    Raises
    ------
    Refused
        NB803 for another suffix, or for events of a batch; NB805 if the file exists.

    """
    if path.suffix not in (".npy", ".npz", ".csv"):
        raise refuse("NB803", node=path.name, limit=".npy, .npz, .csv", found=path.suffix)
    if path.suffix == ".csv" and recording.output.ndim != 2:
        limit = "one sample; a batch goes into .npy or .npz"
        raise refuse("NB803", node=path.name, limit=limit, found=recording.output.shape)
    if path.exists() and not force:
        raise refuse("NB805", node=path.name, limit="a new file", found=f"{path} exists")
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, recording.output)
        elif path.suffix == ".npz":
            names = [n for n in RECORDED if getattr(recording, n) is not None]
            arrays = {n: getattr(recording, n) for n in names}
            np.savez_compressed(file, output=recording.output, dt=np.float64(dt), **arrays)
        else:
            events = np.argwhere(recording.output)
            lines = [f"{t * dt:.9g},{channel}\n" for t, channel in events]
            file.write("".join(["time,channel\n", *lines]).encode())
