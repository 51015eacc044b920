"""The wheel holds all that the package needs, and what it holds runs without the repository."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def lend_requirements(site: Path) -> None:
    """Link what the wheel asks for, and what that asks for, from the environment of the tests.

    As an installation from a package index would have it, without one, and nothing else.
    """
    (wheel,) = distributions(path=[str(site)])
    asked, seen = [(line, "") for line in wheel.requires or []], set()
    while asked:
        line, extra = asked.pop()
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = distribution(wanted.name)
        if found.name in seen:
            continue
        seen.add(found.name)
        asked += [(more, e) for more in found.requires or [] for e in ("", *wanted.extras)]
        for top in {path.parts[0] for path in found.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(str(found.locate_file(top)))


def test_installed_alone_it_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which sees only what nirbridge needs, by its own command."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python, command = venv / "bin" / "python", venv / "bin" / "nirbridge"
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    lend_requirements(next(venv.glob("lib/python*/site-packages")))
    work = tmp_path / "work"
    shutil.copytree(ROOT / "graphs", work / "graphs", ignore=lambda *_: ["make"])
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*words: object) -> str:
        done = subprocess.run(
            [*map(str, words)], cwd=work, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = run(python, "-c", "import nirbridge; print(nirbridge.__file__)")
    assert Path(place.strip()).is_relative_to(venv)
    look = "from importlib.util import find_spec; print(find_spec('pytest'))"
    assert run(python, "-c", look) == "None\n", "it sees the environment of the tests"
    assert run(command, "--version").split()[1] == version("nirbridge")
    run(command, "inspect", "graphs/digits_cuba.nir", "--draw", "graph.svg")
    run(command, "convert", "graphs/digits_cuba.nir", "--output", "out")
    run(command, "simulate", "out", "graphs/digits.npz", "--output", "out.npz")
    assert "within the tolerance" in run(command, "check", "out", "graphs/digits.npz")
    run(command, "report", "out", "--input", "graphs/digits.npz", "-o", "report.html")
    made = {path.name for path in work.iterdir()}
    assert made == {"graphs", "graph.svg", "out", "out.npz", "report.html", "report.json"}
