"""Imports point one way, and optional packages stay out until they are asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nirbridge

PACKAGE = Path(nirbridge.__file__).parent

# A folder may import from those before it, and from the small modules that all share.
ORDER = (
    "graph", "passes", "targets", "mapping", "quantize", "simulate", "energy", "check",
    "calibrate", "bench", "deploy", "report",
)  # fmt: skip
OPTIONAL = (
    "torch", "snntorch", "norse", "rockpool", "sinabs", "spyx", "nengo", "jax", "dask",
    "distributed", "samna",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports at its top level."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_imports_point_one_way() -> None:
    wrong = []
    for folder in ORDER:
        later = ORDER[ORDER.index(folder) + 1 :]
        for path in (PACKAGE / folder).rglob("*.py"):
            for module in imports(path):
                parts = module.split(".")
                if parts[0] == "nirbridge" and len(parts) > 1 and parts[1] in later:
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert wrong == []


def test_frameworks_are_imported_in_functions_only() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in PACKAGE.rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in OPTIONAL
        and (path.parent != PACKAGE / "torch" or module.split(".")[0] != "torch")
    ]
    assert wrong == []


def test_import_pulls_in_no_framework_and_no_compiler() -> None:
    code = (
        "import sys, nirbridge\n"
        f"print(sorted(set(sys.modules) & set({(*OPTIONAL, 'numba', 'matplotlib', 'jinja2')!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
