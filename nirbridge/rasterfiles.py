"""Raster files: ``.npy``, ``.npz`` (``x``, optional ``y``), ``.csv`` of events, NIR's own data.

Files are not trusted: nothing is unpickled, and no array is allocated before its claimed size is
known to be bounded and to match the bytes that are there.
"""

from __future__ import annotations

import csv
import lzma
import struct
import tokenize
import warnings
import zipfile
import zlib
from array import array
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.data import chosen, to_nir, to_raster
from nirbridge.datafiles import SUFFIXES, read_data, write_data
from nirbridge.diagnostics import Refused, refuse
from nirbridge.files import check_new, check_readable, check_suffix, replacing
from nirbridge.mapping.place import Placement
from nirbridge.rasters import MAX_BYTES, binned, check_raster
from nirbridge.simulate import Recording
from nirbridge.simulate.recording import RECORDED

KNOWN = (".npy", ".npz", ".csv", *SUFFIXES)

PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What is raised over damaged files; RuntimeError by zipfile for encrypted ones.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    csv.Error,
    struct.error,
    tokenize.TokenError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_raster(
    path: Path, n_in: int | None = None, dt: float | None = None, node: str | None = None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Counts (T, n_in) or (B, T, n_in) and, from an ``.npz`` that has them, labels ``y``.

    Parameters
    ----------
    path
        The file; its suffix tells the form. A ``.csv`` holds an event per line, time in seconds
        and channel, after an optional line of two titles without digits. A ``.nir``, ``.h5`` or
        ``.hdf5`` holds ``nir.NIRGraphData``; one sample gives (T, n_in).
    n_in
        Channels; needed for the events of a ``.csv``.
    dt
        Time step in seconds: events are binned in it, and NIR's data on a time grid must have it.
    node
        What to take from NIR's data, ``node`` or ``node/observable``; by default the spikes of
        the node ``input``, or of the only one.

    Raises
    ------
    Refused
        NB101 (no such file), NB801, NB802 (not a raster of that network), NB803 (not a raster
        file), NB808 (another time step), NB809 (which of several).

    """
    check_readable(path, "a raster file")
    if node is not None and path.suffix not in SUFFIXES:
        limit = f"{', '.join(SUFFIXES)}, which have nodes"
        remedy = "leave --node (node=...) out, or give NIR's data"
        raise refuse("NB809", node=path.name, limit=limit, found=path.suffix, remedy=remedy)
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                x, y = read_array(file, path.stat().st_size, path.name), None
        elif path.suffix == ".npz":
            arrays = _read_npz(path, "x")
            x, y = arrays["x"], arrays.get("y")
        elif path.suffix == ".csv":
            x, y = _read_events(path, n_in, dt), None
        elif path.suffix in SUFFIXES:
            x, y = to_raster(read_data(path), n_in, dt, node, name=path.name), None
        else:
            raise _no_suffix(path)
    except Refused:
        raise
    except DAMAGE as error:
        raise _damaged(path, error) from None
    return check_raster(x, n_in), y


def _damaged(path: Path, error: Exception) -> Refused:
    found = (str(error) or type(error).__name__).splitlines()[0][:120]
    return refuse("NB803", node=path.name, limit="an undamaged file", found=found)


def read_labels(path: Path) -> NDArray[Any]:
    """Labels from an ``.npy``, or from the array ``y`` of an ``.npz``.

    Raises
    ------
    Refused
        NB101 (no such file), NB803 (not a file of labels).

    """
    known = (".npy", ".npz")
    check_readable(path, "a file of labels")
    if path.suffix not in known:
        found = repr(path.suffix)
        raise refuse("NB803", node=path.name, limit=", ".join(known), found=found)
    try:
        if path.suffix == ".npz":
            return _read_npz(path, "y")["y"]
        with path.open("rb") as file:
            return read_array(file, path.stat().st_size, path.name)
    except Refused:
        raise
    except DAMAGE as error:
        raise _damaged(path, error) from None


def read_typical(
    path: Path, n_in: int, dt: float, node: str | None = None
) -> NDArray[Any] | nir.NIRGraphData:
    """Input to calibrate on: as :func:`read_raster`, but what has no step of its own stays events.

    Raises
    ------
    Refused
        As :func:`read_raster`.

    """
    counts, _ = read_raster(path, n_in, dt, node)
    if path.suffix in SUFFIXES:
        _, data = chosen(read_data(path), node, path.name)
        return _as_input(data)
    if path.suffix != ".csv":
        return counts
    events = _parse_events(path)
    times, channels = events[None, :, 0], events[None, :, 1].astype(np.int64)
    return _as_input(nir.EventData(channels, times, n_in, len(counts) * dt))


def _as_input(data: Any) -> nir.NIRGraphData:
    return nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": data})})


def _no_suffix(path: Path) -> Refused:
    found = repr(path.suffix) if path.suffix else "no suffix"
    return refuse("NB803", node=path.name, limit=", ".join(KNOWN), found=found)


def _read_npz(path: Path, wanted: str) -> dict[str, NDArray[Any]]:
    """The arrays ``x`` and ``y`` of a file, one of which must be there."""
    with opened_npz(path) as archive:
        sizes = {i.filename: i.file_size for i in archive.infolist()}
        if f"{wanted}.npy" not in sizes:
            names = sorted(name.removesuffix(".npy") for name in sizes)[:8]
            limit = "an array x, and optionally y" if wanted == "x" else "an array y"
            found = f"arrays {names}"
            raise refuse("NB803", node=path.name, limit=limit, found=found)
        arrays = {}
        for name in ("x", "y"):
            if f"{name}.npy" in sizes:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = read_array(file, sizes[f"{name}.npy"], f"{path.name}:{name}")
    return arrays


def opened_npz(path: Path) -> zipfile.ZipFile:
    """An archive whose members are stored or deflated, as NumPy writes them.

    Other ways of compression may claim gigabytes to begin with: ValueError.
    """
    archive = zipfile.ZipFile(path)
    if any(i.compress_type not in PLAIN for i in archive.infolist()):
        archive.close()
        raise ValueError("compressed as NumPy does not do it")
    return archive


def read_array(
    file: IO[bytes], size: int, name: str, code: str = "NB803", most: int = MAX_BYTES
) -> NDArray[Any]:
    """An array in NumPy's format whose header agrees with the ``size`` of the file in bytes.

    Format 1.0 is what NumPy writes for numbers; the others exist for long lists of fields, and
    their headers may claim gigabytes. Refused, with ``code``: other formats, Python objects, more
    than ``most`` bytes, and claims that the file does not hold.
    """
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise refuse(code, node=name, limit="NumPy format 1.0", found=version)
    shape, column_major, dtype = _header(file)
    if dtype.hasobject:
        raise refuse(code, node=name, limit="numbers", found="Python objects")
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > min(size, most):
        found = f"{shape} of {dtype}: {claimed} bytes claimed, {size} there"
        raise refuse(code, node=name, limit=f"at most {most} bytes", found=found)
    content = file.read(claimed)
    if len(content) != claimed:
        raise refuse(code, node=name, limit=f"{claimed} bytes", found=f"{len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if column_major else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether column-major, and type: what NumPy finds in the header of format 1.0."""
    with warnings.catch_warnings():
        # an old name of a type is no concern of whoever has the file
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return np.lib.format.read_array_header_1_0(file)
        except MemoryError:  # what Python's parser says of a thousand brackets
            raise ValueError("the header is no description of an array") from None


def _read_events(path: Path, n_in: int | None, dt: float | None) -> NDArray[Any]:
    if n_in is None or dt is None:
        raise refuse("NB803", node=path.name, limit="a known time step", found="events")
    events = _parse_events(path)
    times, channels = events[:, 0], events[:, 1]
    vague = ~np.isfinite(events).all(axis=1) | (times < 0) | (channels != np.rint(channels))
    for code, bad, limit in (
        ("NB803", vague, "time >= 0 s, a whole number as channel"),
        ("NB802", (channels < 0) | (channels >= n_in), f"channel 0..{n_in - 1}"),
    ):
        if bad.any():
            found = f"time {times[bad][0]:g}, channel {channels[bad][0]:g}"
            raise refuse(code, node=path.name, limit=limit, found=found)
    with np.errstate(over="ignore"):  # what becomes infinite is too late as well
        steps = times / np.float64(dt)
    raster: NDArray[Any] = binned(path.name, steps, channels.astype(np.int64), n_in)[0]
    return raster


def _parse_events(path: Path) -> NDArray[np.float64]:
    """Events (E, 2), time and channel; the first line may hold titles."""
    numbers = array("d")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows, first = csv.reader(file), True
        for row in rows:
            if not row:
                continue
            titles, first = first and _are_titles(row), False
            if titles:
                continue
            if len(row) != 2 or not all(map(_is_number, row)):
                limit = "time,channel in each line, after an optional line of two titles"
                found = f"line {rows.line_num}: {','.join(row)[:60]}"
                raise refuse("NB803", node=path.name, limit=limit, found=found)
            numbers.extend(map(float, row))
    if first:  # titles alone are a recording without events
        raise refuse("NB803", node=path.name, limit="titles or events", found="an empty file")
    return np.array(numbers, np.float64).reshape(-1, 2)


def _are_titles(row: list[str]) -> bool:
    """Two words; what has a digit is an event, if a misspelt one."""
    letters = [any(map(str.isalpha, cell)) and not any(map(str.isdigit, cell)) for cell in row]
    return letters == [True, True] and not all(map(_is_number, row))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_output(path: Path, force: bool, batched: bool = False, record: bool = False) -> None:
    """Whether :func:`write_recording` will be able to write there; best asked before simulating.

    Raises
    ------
    Refused
        NB806 for another suffix, for a batch in a ``.csv``, and for states in a ``.npy`` or
        ``.csv``; NB805 if the file exists, NB807 if it is a directory or there is none
        to hold it.

    """
    check_suffix(path, KNOWN)
    if record and path.suffix in (".npy", ".csv"):
        limit = f"states go into {', '.join(('.npz', *SUFFIXES))}, beside the spikes"
        raise refuse("NB806", node=path.name, limit=limit, found=path.suffix)
    if path.suffix == ".csv" and batched:
        limit = "one sample; a batch goes into the other forms"
        raise refuse("NB806", node=path.name, limit=limit, found="a batch")
    check_new(path, force)


def write_recording(
    recording: Recording,
    path: Path,
    dt: float,
    force: bool = False,
    placement: Placement | None = None,
) -> None:
    """Write output spikes, or all that was recorded, in the form that the suffix tells.

    ``.npy`` counts; ``.npz`` with all that was recorded; ``.csv`` events; ``.nir``, ``.h5`` or
    ``.hdf5`` NIR's data of :func:`nirbridge.data.to_nir`, by the nodes that ``placement`` names.

    Raises
    ------
    Refused
        As :func:`check_output`.

    """
    batched, recorded = recording.output.ndim != 2, recording.spikes is not None
    check_output(path, force, batched, recorded)
    if path.suffix in SUFFIXES:
        write_data(to_nir(recording, dt, placement), path, force=force)
        return
    with replacing(path, force) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npy":
            whole = BytesIO()  # NumPy's own writing gives no reason when the disk is full
            np.save(whole, recording.output)
            file.write(whole.getbuffer())
        elif path.suffix == ".npz":
            names = [n for n in RECORDED if getattr(recording, n) is not None]
            arrays = {n: getattr(recording, n) for n in names}
            np.savez_compressed(file, output=recording.output, dt=np.float64(dt), **arrays)
        else:
            events = np.argwhere(recording.output)
            lines = [f"{t * dt:.9g},{channel}\n" for t, channel in events]
            file.write("".join(["time,channel\n", *lines]).encode())
