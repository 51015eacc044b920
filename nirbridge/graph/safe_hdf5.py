"""HDF5 → nested dict, without trusting the file.

``h5py`` follows external links, allocates what an array claims, and recurses as deep as groups
link to each other. Here every object is looked at before it is read: only hard links, plain
numbers and strings, a bounded total size, a bounded number of objects and a bounded depth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nirbridge.diagnostics import refuse

MAX_DEPTH = 32
MAX_OBJECTS = 100_000


class _Budget:
    """Bytes and objects that may still be read."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.bytes = max_bytes
        self.objects = MAX_OBJECTS

    def take_object(self, name: str, depth: int) -> None:
        self.objects -= 1
        if self.objects < 0 or depth > MAX_DEPTH:
            raise refuse(
                "NB109",
                node=name,
                limit=f"{MAX_DEPTH} levels, {MAX_OBJECTS} objects",
                found=f"more than that at level {depth}",
            )

    def take_bytes(self, name: str, dataset: h5py.Dataset) -> None:
        claimed = int(np.prod(dataset.shape or (1,), dtype=object)) * dataset.dtype.itemsize
        self.bytes -= claimed
        if self.bytes < 0:
            raise refuse(
                "NB105",
                node=name,
                limit=f"{self.max_bytes} bytes in all",
                found=f"shape {dataset.shape} of {dataset.dtype}: {claimed} bytes",
            )


def load(path: Path, max_bytes: int) -> dict[str, Any]:
    """Everything in an HDF5 file as nested dicts of str, bytes, numbers and arrays.

    Raises
    ------
    Refused
        NB101 (no such file), NB102 (not HDF5, or damaged), NB105 (too large), NB106 (links),
        NB108 (not numbers or strings), NB109 (too deep).

    """
    if not path.is_file():
        raise refuse("NB101", limit="a readable file", found=str(path))
    try:
        with h5py.File(path, "r") as file:
            return _load_group(file, "", _Budget(max_bytes), 0)
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise refuse(
            "NB102", node=path.name, limit="an undamaged HDF5 file", found=_first_line(error)
        ) from None


def _load_group(group: h5py.Group, name: str, budget: _Budget, depth: int) -> dict[str, Any]:
    budget.take_object(name, depth)
    result: dict[str, Any] = {}
    for key in group:
        path = f"{name}/{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise refuse("NB106", node=path, limit="hard links", found=type(link).__name__)
        item = group[key]
        if isinstance(item, h5py.Group):
            result[key] = _load_group(item, path, budget, depth + 1)
        elif isinstance(item, h5py.Dataset):
            budget.take_object(path, depth)
            result[key] = _load_dataset(item, path, budget)
        else:
            raise refuse(
                "NB108", node=path, limit="groups and datasets", found=type(item).__name__
            )
    return result


def _load_dataset(dataset: h5py.Dataset, name: str, budget: _Budget) -> Any:
    if dataset.external or dataset.is_virtual:
        raise refuse("NB106", node=name, limit="data in this file", found="external storage")
    string = h5py.check_string_dtype(dataset.dtype)
    if string is None and dataset.dtype.kind not in "fiub":
        raise refuse("NB108", node=name, limit="numbers or strings", found=str(dataset.dtype))
    if dataset.shape is None:
        raise refuse("NB108", node=name, limit="a value", found="an empty dataset")
    budget.take_bytes(name, dataset)
    value = dataset[()]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
