"""Drawings: everything is said, nothing lies on anything else, large graphs are folded."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import convert, read
from nirbridge.graph.inline import inline
from nirbridge.graph.shapes import infer
from nirbridge.report.drawing import draw
from nirbridge.report.drawing.boxes import Box, View, Wire, view
from nirbridge.report.drawing.fold import LIMIT, folded
from nirbridge.report.drawing.layout import Layout, place, ranks
from tests.conftest import EXAMPLES, GRAPHS
from tests.test_cli import Command, left

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def nirbridge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def texts(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [(t.text or "") + "".join(child.tail or "" for child in t) for t in found]


def apart(layout: Layout) -> None:
    """No two boxes overlap; all lie within the drawing, and wires end at boxes."""
    for a, b in combinations(layout.boxes, 2):
        assert (
            a.x + a.width <= b.x + 1e-6
            or b.x + b.width <= a.x + 1e-6
            or a.y + a.height <= b.y + 1e-6
            or b.y + b.height <= a.y + 1e-6
        ), (a.box.name, b.box.name)
    for box in layout.boxes:
        assert box.x >= 0
        assert box.x + box.width <= layout.width
        assert box.y >= 0
        assert box.y + box.height <= layout.height
        if box.inner:
            assert box.inner.width <= box.width
            assert box.inner.height <= box.height
            apart(box.inner)
    edges = {y for box in layout.boxes for y in (box.y, box.y + box.height)}
    for route in layout.routes:
        assert {route.points[0][1], route.points[-1][1]} <= edges


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    graph = read(GRAPHS / f"{name}.nir")
    said = texts(draw(graph))
    for node in graph.nodes:
        assert node in said
    assert "Input 16" in said or "Input 1×4×4" in said
    assert any("τ mem" in line for line in said)
    apart(place(view(graph, infer(inline(graph))[0])))


def test_shapes_stand_beside_the_arrows() -> None:
    said = texts(draw(read(GRAPHS / "digits_conv.nir")))
    assert {"1×4×4", "8×4×4", "16×2×2", "64", "8"} <= set(said)


def test_the_chip_s_form_in_populations() -> None:
    graph = convert(read(GRAPHS / "digits_cuba.nir")).deployed
    whole = draw(graph)
    shown = draw(graph, populations=True)
    assert whole.count("nirb-box") > shown.count("nirb-box")
    assert "LIF, 60, 2 synapses" in texts(shown)
    assert "and fc1.2" in texts(shown)
    assert f"{len(graph.nodes)} nodes in" in shown


def test_loops_are_drawn_back() -> None:
    assert 'class="nirb-head nirb-back"' in draw(read(GRAPHS / "digits_recurrent.nir"))
    assert 'class="nirb-head nirb-back"' not in draw(read(GRAPHS / "digits_cuba.nir"))


def test_a_neuron_that_feeds_itself() -> None:
    one = np.ones(2)
    nodes = {"in": nir.Input(np.array([2])), "n": nir.LIF(one, one, 0 * one, one),
             "out": nir.Output(np.array([2]))}  # fmt: skip
    svg = draw(nir.NIRGraph(nodes, [("in", "n"), ("n", "n"), ("n", "out")]))
    assert 'class="nirb-edge nirb-back"' in svg
    assert "closes a loop: one step later" in texts(svg)


def nested(depth: int) -> nir.NIRGraph:
    one = np.ones(3)
    inner: nir.NIRNode = nir.LIF(one, one, 0 * one, one)
    for _ in range(depth):
        nodes = {"in": nir.Input(np.array([3])), "x": inner, "out": nir.Output(np.array([3]))}
        inner = nir.NIRGraph(nodes, [("in", "x"), ("x", "out")])
    return inner


def test_nested_graphs_are_boxes_in_boxes() -> None:
    svg = draw(nested(4))
    assert texts(svg).count("x") == 4
    assert svg.count("nirb-box nirb-group") == 3 + 1  # boxes, and the key
    apart(place(view(nested(4), infer(inline(nested(4)))[0])))


def chain(n: int, prefix: str = "layer") -> nir.NIRGraph:
    """``n`` populations one after the other, 2n + 2 nodes."""
    one = np.ones(4)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([4]))}
    for k in range(n):
        nodes[f"{prefix}{k}.w"] = nir.Linear(np.ones((4, 4)))
        nodes[f"{prefix}{k}.lif"] = nir.LIF(one, one, 0 * one, one)
    nodes["output"] = nir.Output(np.array([4]))
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


@pytest.mark.parametrize("n", [10, 30, 60, 300])
def test_large_graphs_are_folded(n: int) -> None:
    graph = chain(n)
    svg = draw(graph)
    boxes = len(re.findall(r'class="nirb-box', svg))
    assert boxes <= LIMIT + 4  # and the keys
    assert (f"{len(graph.nodes)} nodes in" in svg) == (len(graph.nodes) > LIMIT)
    whole = view(graph, infer(inline(graph))[0])
    small = folded(whole)
    assert small.nodes == whole.nodes  # all are accounted for
    assert sum(b.neurons for b in small.boxes.values()) == 4 * n


def test_a_wide_graph_is_folded_by_layer() -> None:
    one = np.ones(2)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([2]))}
    edges = []
    for k in range(60):
        nodes[f"w{k}"], nodes[f"n{k}"] = nir.Linear(np.eye(2)), nir.LIF(one, one, 0 * one, one)
        edges += [("input", f"w{k}"), (f"w{k}", f"n{k}"), (f"n{k}", "output")]
    nodes["output"] = nir.Output(np.array([2]))
    said = texts(draw(nir.NIRGraph(nodes, edges)))
    assert any("60 nodes, 120 neurons" in s or "120 nodes, 120 neurons" in s for s in said)


def test_names_are_cut_in_the_middle_and_told_whole() -> None:
    name = "a_name_that_" + "goes_on_and_on_" * 6 + "to_its_end"
    nodes = {"input": nir.Input(np.array([2])), name: nir.Output(np.array([2]))}
    svg = draw(nir.NIRGraph(nodes, [("input", name)]))
    assert name not in texts(svg)
    assert any(t.startswith("a_name") and "…" in t and t.endswith("its_end") for t in texts(svg))
    assert f"<title>{name}" in svg


@st.composite
def views(draw_: st.DrawFn) -> View:
    """Any boxes and wires, loops and names of all kinds included."""
    n = draw_(st.integers(1, 14))
    name = st.text(st.characters(codec="utf-8"), max_size=30)
    boxes = {
        f"{k}": Box(
            draw_(name),
            draw_(st.sampled_from(["end", "neuron", "filter", "map", "group"])),
            lines=tuple(draw_(st.lists(st.just("τ mem 1 ms to 2 ms"), max_size=3))),
            loops=draw_(st.integers(0, 1)),
        )
        for k in range(n)
    }
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    pairs = draw_(st.lists(ends, max_size=30, unique=True))
    return View(boxes, tuple(Wire(str(a), str(b), "8×4") for a, b in pairs))


@settings(max_examples=60, deadline=None)
@given(views())
def test_any_view_has_a_layout(shown: View) -> None:
    layout = place(shown)
    apart(layout)
    assert len(layout.routes) == sum(w.source != w.target for w in shown.wires)
    depth = ranks(shown)
    for route in layout.routes:
        down = depth[route.wire.target] > depth[route.wire.source]
        assert down != route.back
    limited = folded(shown, 5)
    assert limited.count <= 5
    assert limited.nodes == shown.nodes


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_any_name_gives_xml(name: str) -> None:
    nodes = {"input": nir.Input(np.array([2])), name + "x": nir.Output(np.array([2]))}
    graph = nir.NIRGraph(nodes, [("input", name + "x")], type_check=False)
    assert len(texts(draw(graph))) >= 4


def test_the_command(nirbridge: Command, tmp_path: Path) -> None:
    graph, place_ = GRAPHS / "digits_recurrent.nir", tmp_path / "g.svg"
    done = nirbridge("inspect", graph, "--draw", place_)
    assert done.code == 0
    assert "lif1.w_rec" in done.out
    assert "lif1.w_rec" in texts(place_.read_text(encoding="utf-8"))
    assert nirbridge("inspect", graph, "--draw", place_).codes == ["NB805"]
    assert nirbridge("inspect", graph, "--draw", place_, "--force").code == 0
    for name, code in (("g.png", "NB806"), ("none/g.svg", "NB807")):
        assert nirbridge("inspect", graph, "--draw", tmp_path / name).codes == [code]
    bad = GRAPHS / "refused" / "NB202_tau_zero.nir"
    assert nirbridge("inspect", bad, "--draw", tmp_path / "b.svg").codes == ["NB202"]
    assert left(tmp_path) == ["g.svg"]


def test_the_paper_s_graphs(reference: Path) -> None:
    for path in sorted(reference.rglob("*.nir")):
        graph = read(path)
        ElementTree.fromstring(draw(graph))
        apart(place(view(graph, infer(inline(graph))[0])))
