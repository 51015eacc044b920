"""The report in a browser: no complaint, no text on another, no page wider than a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge import convert, read
from nirbridge.report.page import write
from nirbridge.report.story import Story, gather
from tests.browser import measure, visit
from tests.conftest import GRAPHS
from tests.test_report import HOSTILE, Page, hostile


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, digits: tuple[Any, Any]) -> Any:
    """A page about the recurrent example, and its story."""
    x, y = digits
    deployment = convert(read(GRAPHS / "digits_recurrent.nir"))
    story = gather(deployment, x[:60], y[:60], title="digits", source="digits.npz")
    path = tmp_path_factory.mktemp("page") / "report.html"
    write(story, path)
    return path, story


def test_the_console_is_silent_and_figures_are_text(written: Any, tmp_path: Path) -> None:
    path, story = written
    dom, said = visit(path, tmp_path)
    assert said == []
    text = Page(dom).text
    assert isinstance(story, Story)
    assert story.verdict in text
    assert f"{100 * story.drift.agreement:.1f} %" in text
    assert "Energy" in text
    assert "lif1.w_rec" in text


def test_names_run_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    write(gather(hostile(), np.ones((2, 20, 2), np.uint8), title=HOSTILE), path)
    dom, said = visit(path, tmp_path / "profile")
    assert said == []
    assert "<script" not in dom


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_layout(written: Any, width: int, tmp_path: Path) -> None:
    found = measure(written[0], width, tmp_path)
    assert found["width"] == width
    assert found["scroll"] == width, "wider than the window"
    assert found["pairs"] == [], "texts that overlap"
    assert found["outside"] == [], "texts that are cut"
    assert found["small"] == [], "texts too small to read"


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """What the tests above look for is found where it is."""
    page = tmp_path / "bad.html"
    text = '<text x="5" y="20">one</text>'
    page.write_text(
        "<title>x</title><body><svg width='100' height='40'>"
        f"{text}{text}<text x='90' y='20'>far out</text>"
        "<text x='50' y='35' style='font-size: 4px'>tiny</text></svg>"
        "<p style='width: 2000px'>wide</p><script>console.error('oh')</script>"
    )
    _, said = visit(page, tmp_path / "profile")
    assert any("oh" in line for line in said)
    found = measure(page, 390, tmp_path)
    assert found["scroll"] > 1900
    assert found["pairs"] == [["one", "one"]]
    assert found["outside"] == ["far out"]
    assert found["small"] == ["tiny"]
