"""The report in a browser: no complaint, no text on another, no page wider than a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import convert, read
from nirbridge.report.drawing import draw
from nirbridge.report.page import write
from nirbridge.report.story import Story, gather
from tests.browser import measure, printed, visit
from tests.conftest import GRAPHS
from tests.drawn import HARD
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
    assert found["wrapped"] == [], "key figures on two lines"
    assert "costs" not in [column for _, column in found["hidden"]]
    assert width < 768 or not found["hidden"], "columns out of sight"


def test_on_paper(written: Any, tmp_path: Path) -> None:
    """No page but the last is all but empty."""
    pages = printed(written[0], tmp_path)
    assert len(pages) > 4
    assert min(len(page.split()) for page in pages[:-1]) > 40


def test_long_names_leave_the_numbers_in_sight(tmp_path: Path) -> None:
    graph = read(GRAPHS / "digits_recurrent.nir")
    long = {name: f"{'a_module_of_many_words.' * 8}{name}" for name in ("lif2", "w_out")}
    long = {name: long.get(name, name) for name in graph.nodes}
    nodes = {long[name]: node for name, node in graph.nodes.items()}
    edges = [(long[a], long[b]) for a, b in graph.edges]
    graph = nir.NIRGraph(nodes, edges, metadata=graph.metadata)
    path = tmp_path / "long.html"
    write(gather(convert(graph, method="channel"), np.ones((2, 20, 16), np.uint8)), path)
    for width in (768, 1280):
        found = measure(path, width, tmp_path)
        assert found["scroll"] == width
        assert found["hidden"] == []
        assert found["pairs"] == []


def test_hard_graphs_in_the_browser_s_own_fonts(tmp_path: Path) -> None:
    path = tmp_path / "drawings.html"
    drawings = [draw(make()) for make in HARD.values()]
    path.write_text("<!DOCTYPE html><meta charset=utf-8>" + "".join(drawings), encoding="utf-8")
    found = measure(path, 1800, tmp_path)
    assert found["pairs"] == []
    assert found["outside"] == []


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """What the tests above look for is found where it is."""
    page = tmp_path / "bad.html"
    text = '<text x="5" y="20">one</text>'
    page.write_text(
        "<title>x</title><body><svg width='100' height='40'>"
        f"{text}{text}<text x='90' y='20'>far out</text>"
        "<text x='50' y='35' style='font-size: 4px'>tiny</text></svg>"
        "<div class='scroll' aria-label='t' style='width: 50px; overflow: auto'>"
        "<table><thead><tr><th style='min-width: 90px'>far</th></tr></thead></table></div>"
        "<dl class='tiles'><dd style='width: 9px; line-height: 10px'>1 2</dd></dl>"
        "<p style='width: 2000px'>wide</p><script>console.error('oh')</script>"
    )
    _, said = visit(page, tmp_path / "profile")
    assert any("oh" in line for line in said)
    found = measure(page, 390, tmp_path)
    assert found["scroll"] > 1900
    assert found["pairs"] == [["one", "one"]]
    assert found["outside"] == ["far out"]
    assert found["small"] == ["tiny"]
    assert found["hidden"] == [["t", "far"]]
    assert found["wrapped"] == ["1 2"]
