"""The wheel holds all that the package needs, and what it holds runs without the repository."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from nirbridge.optional import LIBRARIES
from tests.conftest import ROOT

if int(version("setuptools").split(".")[0]) < 77:
    pytest.skip("setuptools is older than 77, which builds the wheel", allow_module_level=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy of what it is made of."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "nirbridge_command.py"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "nirbridge", source / "nirbridge", ignore=shutil.ignore_patterns("__pycache__")
    )
    out = source / "wheels"
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", *words, str(source)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return made


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    package = (path for path in (ROOT / "nirbridge").rglob("*") if path.is_file())
    wanted = {
        path.relative_to(ROOT).as_posix() for path in package if "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "nirbridge/py.typed" in held
    assert held == wanted | {"nirbridge_command.py"}


def test_what_it_imports_is_declared(wheel: Path) -> None:
    """A fresh environment has what the wheel asks for, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    asked = {w.lower() for w in re.findall(r"(?m)^Requires-Dist: ([\w-]+)[^;\n]*$", text)}
    asked |= {module.split(".")[0] for x in LIBRARIES.values() for module in x.modules}
    found = set()
    for path in (ROOT / "nirbridge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    own = {"nirbridge", "llvmlite", "markupsafe"}  # Numba and Jinja2 bring theirs
    assert found - asked - sys.stdlib_module_names <= own


def test_what_it_holds_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    package = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    shutil.copytree(ROOT / "graphs", tmp_path / "graphs", ignore=lambda *_: ["make"])
    environment = {**os.environ, "PYTHONPATH": str(package)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = run("-c", "import nirbridge; print(nirbridge.__file__)")
    assert Path(place.strip()).is_relative_to(package)
    run("-m", "nirbridge", "convert", "graphs/digits_cuba.nir", "--output", "out")
    run("-m", "nirbridge", "simulate", "out", "graphs/digits.npz", "--output", "out.npz")
    assert "within the tolerance" in run("-m", "nirbridge", "check", "out", "graphs/digits.npz")
