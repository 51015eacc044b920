"""Every optional library is installed by a line that the project itself uses."""

from __future__ import annotations

import re

import pytest

from nirbridge import adapters, optional
from tests.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("library", optional.LIBRARIES.values(), ids=lambda library: library.name)
def test_the_line_of_a_missing_library_is_the_tested_one(library: optional.Library) -> None:
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if not library.line:
        packages = ", ".join(f'"{package}"' for package in library.packages)
        assert f"\n{library.name} = [{packages}]\n" in extras
        assert re.search(rf'\$\(TESTED\) (-e "\.\[.*)?\b{library.name}\b', MAKEFILE)
        return
    page = "vendor-tools.md" if library.name == "samna" else "frameworks.md"
    assert library.line in (ROOT / "docs" / page).read_text(encoding="utf-8")
    if library.name == "samna":  # the vendor's, under its own licence: tested with a stand-in
        return
    assert library.line.replace("pip install", "$(TESTED)") in MAKEFILE


def test_all_frameworks_are_optional_libraries() -> None:
    assert {*adapters.IMPORTERS, *adapters.CONTINUOUS} <= set(optional.LIBRARIES)


def test_versions_that_are_tested_together_are_pinned() -> None:
    pins = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    for name in (*adapters.IMPORTERS, *adapters.CONTINUOUS, "torch", "nir", "nirtorch"):
        assert re.search(rf"(?m)^{name}==", pins), name
