"""What is needed to make a report again: command, versions, hashes of what was read."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nirbridge.origin import File
from nirbridge.places import CONFIG, GRAPHS, RECORD

PACKAGES = ("nirbridge", "nir", "numpy", "h5py", "numba", "matplotlib", "jinja2")


@dataclass(frozen=True)
class Provenance:
    """How a report came about. ``command`` is empty if it was made from Python."""

    command: str
    versions: dict[str, str]
    platform: str
    files: tuple[File, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return asdict(self)


def provenance(files: Iterable[Path] = (), command: str = "") -> Provenance:
    """The record for files that were read; a deployment's folder stands for its own files."""
    known = [f for path in files for f in (_deployment(path) if path.is_dir() else [path])]
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from its sources
            versions[package] = "not installed"
    return Provenance(
        command,
        versions,
        f"{platform.system()} {platform.machine()}",
        tuple(File.of(f) for f in known if f.is_file()),
    )


def _deployment(folder: Path) -> list[Path]:
    return [*(folder / name for name in (CONFIG, RECORD)), *(folder / f"{g}.nir" for g in GRAPHS)]
