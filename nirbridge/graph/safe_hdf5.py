"""HDF5 → nested dict, without trusting the file.

``h5py`` follows external links, allocates what an array claims, and recurses as deep as groups
link to each other. Here every object is looked at before it is read: only hard links, plain
numbers and strings, a bounded total size, a bounded number of objects and a bounded depth.
"""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nirbridge.diagnostics import Refused, refuse
from nirbridge.files import check_readable
from nirbridge.graph.hdf5_strings import ELEMENT, Strings

MAX_DEPTH = 32
MAX_OBJECTS = 100_000
SMALL_CHUNK = 2**16  # bytes; unpacked at most a thousand times as many

# What is raised over damaged files; RecursionError is a RuntimeError, DamagedError a ValueError.
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, zlib.error)

_COMPRESSION = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF}
_HARMLESS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


def load(path: Path, max_bytes: int, attributes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Everything in an HDF5 file as nested dicts of str, bytes, numbers and arrays.

    The ``attributes`` are numbers that groups may carry, and stand beside their content, after an
    ``@``. No other attribute is read: texts among them lie in heaps that only the library finds.

    Raises
    ------
    Refused
        NB101 (no such file), NB102 (not HDF5, or damaged), NB105 (too large), NB106 (links),
        NB108 (not numbers or strings), NB109 (too deep, or too much).

    """
    check_readable(path, "an HDF5 file")
    try:
        with (
            path.open("rb") as raw,
            mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            strings = Strings(content)
            with h5py.File(path, "r") as file:
                return _Reader(strings, max_bytes, attributes).group(file, "", 0)
    except Refused:
        raise
    except DAMAGE as error:
        found = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise refuse(
            "NB102", node=path.name, limit="an undamaged HDF5 file", found=found
        ) from None


class _Reader:
    """Reads groups and datasets while bytes and objects are left to spend."""

    def __init__(self, strings: Strings, max_bytes: int, attributes: tuple[str, ...] = ()):
        self.strings = strings
        self.attributes = attributes
        self.content = strings.content
        self.max_bytes = max_bytes
        self.bytes = max_bytes
        self.objects = MAX_OBJECTS

    def _spend_objects(self, name: str, depth: int, count: int = 1) -> None:
        self.objects -= count
        if self.objects < 0 or depth > MAX_DEPTH:
            raise refuse(
                "NB109",
                node=name,
                limit=f"{MAX_DEPTH} levels, {MAX_OBJECTS} objects, chunks and strings",
                found=f"more than that at level {depth}",
            )

    def _spend_bytes(self, name: str, count: int, what: object) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise refuse(
                "NB105",
                node=name,
                limit=f"{self.max_bytes} bytes in all",
                found=f"{what}: {count} bytes",
            )

    def group(self, group: h5py.Group, name: str, depth: int) -> dict[str, Any]:
        """Everything in a group."""
        self._spend_objects(name, depth)
        result: dict[str, Any] = {}
        for key in group:
            path = f"{name}/{key}"
            if not isinstance(key, str) or not key.isprintable():  # bytes if it is not UTF-8
                raise refuse("NB108", node=name, limit="readable names", found=repr(key)[:80])
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise refuse("NB106", node=path, limit="hard links", found=type(link).__name__)
            item = group[key]
            if isinstance(item, h5py.Group):
                result[key] = self.group(item, path, depth + 1)
            elif isinstance(item, h5py.Dataset):
                result[key] = self._dataset(item, path, depth)
            else:
                raise refuse(
                    "NB108", node=path, limit="groups and datasets", found=type(item).__name__
                )
        return result | self._numbers(group, name)

    def _numbers(self, group: h5py.Group, name: str) -> dict[str, float]:
        """The attributes that were asked for; their type is looked at before their value."""
        found = {}
        for key in self.attributes:
            if h5py.h5a.exists(group.id, key.encode()):
                attribute = h5py.h5a.open(group.id, key.encode())
                if attribute.shape != () or attribute.dtype.kind not in "fiu":
                    what = f"shape {attribute.shape} of {attribute.dtype}"
                    raise refuse("NB108", node=name, limit=f"a number {key!r}", found=what)
                value = np.zeros((), attribute.dtype)
                attribute.read(value)
                found[f"@{key}"] = float(value)
        return found

    def _dataset(self, dataset: h5py.Dataset, name: str, depth: int) -> Any:
        self._spend_objects(name, depth)
        if dataset.external or dataset.is_virtual:
            raise refuse("NB106", node=name, limit="data in this file", found="external storage")
        string = h5py.check_string_dtype(dataset.dtype)
        if string is None and dataset.dtype.kind not in "fiub":
            raise refuse("NB108", node=name, limit="numbers or strings", found=str(dataset.dtype))
        if dataset.shape is None:
            raise refuse("NB108", node=name, limit="a value", found="an empty dataset")
        size = _product(dataset.shape)
        if dataset.chunks:
            pieces = zip(dataset.shape, dataset.chunks, strict=True)
            self._spend_objects(name, depth, _product(tuple(-(-n // c) for n, c in pieces)))
            # a chunk is unpacked whole, even where the array is smaller
            size = max(size, _product(dataset.chunks))
        what = f"shape {dataset.shape} of {dataset.dtype}"
        self._spend_bytes(name, size * dataset.dtype.itemsize, what)
        if _check_filters(dataset, name):
            self._check_chunks(dataset, name)
        if string is None:
            value = dataset[()]
            # an enumeration is its numbers; its names, which may be damaged, go no further
            return value.view(np.dtype(value.dtype.str)) if value.dtype.metadata else value
        self._spend_objects(name, depth, size)
        value = dataset[()] if string.length is not None else self._strings(dataset, name)
        return value.decode("utf-8") if isinstance(value, bytes) else value

    def _check_chunks(self, dataset: h5py.Dataset, name: str) -> None:
        """Refuse chunks that unpack to more than they claim; the library believes the stream."""
        size = _product(dataset.chunks) * dataset.dtype.itemsize

        def check(chunk: Any) -> None:
            if chunk.size > SMALL_CHUNK:
                packed = self.content[chunk.byte_offset : chunk.byte_offset + chunk.size]
                if len(zlib.decompressobj().decompress(packed, size + 1)) > size:
                    limit = f"{size} bytes in a chunk, as it claims"
                    raise refuse("NB105", node=name, limit=limit, found="more when unpacked")

        dataset.id.chunk_iter(check)

    def _strings(self, dataset: h5py.Dataset, name: str) -> Any:
        """Strings of variable length; the same long one may stand many times."""
        values = np.full(dataset.shape, b"", object)
        offset = dataset.id.get_offset()
        if offset is None:
            if dataset.id.get_storage_size():
                limit = "strings that are stored in one piece, as nir.write does it"
                raise refuse("NB108", node=name, limit=limit, found="chunked strings")
            return values[()]
        for i in range(values.size):
            values.flat[i] = text = self.strings.at(offset + i * ELEMENT)
            self._spend_bytes(name, len(text), "strings")
        return values[()]


def _check_filters(dataset: h5py.Dataset, name: str) -> bool:
    """Refuse filters of unknown effect and compression within compression; True for gzip."""
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    packed = [code for code in codes if code not in _HARMLESS]
    if len(packed) > 1 or not _COMPRESSION.issuperset(packed):
        raise refuse(
            "NB105", node=name, limit="gzip or lzf compression, once", found=f"filters {codes}"
        )
    return h5py.h5z.FILTER_DEFLATE in packed


def _product(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=object))
