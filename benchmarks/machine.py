"""Results with the machine and the versions that they were measured on."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("nirbridge", "nir", "numpy", "numba", "scipy"),
    *("xylosim", "rockpool", "torch", "snntorch", "norse"),
)


def describe() -> dict[str, Any]:
    """Processor, cores, Python and package versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def write_json(path: str, rows: Any) -> None:
    """Write rows beside the description of the machine."""
    content = {"machine": describe(), "rows": rows}
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
