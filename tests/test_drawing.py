"""Drawings: everything is said, nothing lies on anything else, large graphs are folded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge import Dynamics, convert, read
from nirbridge.graph.inline import inline
from nirbridge.graph.shapes import infer
from nirbridge.report.acting import acting
from nirbridge.report.drawing import draw
from nirbridge.report.drawing.boxes import Box, Known, Tau, View, Wire, natural, view
from nirbridge.report.drawing.fold import ACROSS, LIMIT, closed, folded
from nirbridge.report.drawing.layout import BOLD, Layout, place, ranks, text_width
from tests.conftest import EXAMPLES, GRAPHS
from tests.drawn import HARD, chance, nested, parallel, recurrent, skips, stages
from tests.test_cli import Command, left

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def nirbridge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def texts(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [(t.text or "") + "".join(child.tail or "" for child in t) for t in found]


def written(svg: str) -> list[tuple[str, str, tuple[float, float, float, float]]]:
    """Each text, its class and where it lies: left, top, right, bottom, in the widest font."""
    found = []
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        words = (text.text or "") + "".join(child.tail or "" for child in text)
        style = text.get("class", "")
        points = {"nirb-name": BOLD, "nirb-line": 11, "nirb-mark": 10}.get(style, 10.5)
        long = text_width(words, points)
        starts = style in ("nirb-wire", "nirb-small")
        left = float(text.get("x", "")) - long * (0 if starts else 1 if "left" in style else 0.5)
        y = float(text.get("y", ""))
        found.append((words, style, (left, y - 0.75 * points, left + long, y + 0.2 * points)))
    return found


def overlapping(svg: str) -> list[tuple[str, str]]:
    """Texts that lie on each other."""
    return [
        (a, b)
        for (a, _, one), (b, _, other) in combinations(written(svg), 2)
        if min(one[2], other[2]) > max(one[0], other[0]) + 0.5
        and min(one[3], other[3]) > max(one[1], other[1]) + 0.5
    ]


def on_wires(svg: str) -> list[str]:
    """Labels of wires that any wire runs through."""
    points = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if "nirb-edge" in path.get("class", "") and "c" not in path.get("d", ""):
            points += list(along(path.get("d", "")))
    labels = [(words, r) for words, style, r in written(svg) if "nirb-wire" in style]
    return [
        words
        for words, (left, top, right, bottom) in labels
        if any(left < x < right and top < y < bottom for x, y in points)
    ]


def along(path: str) -> Iterator[tuple[float, float]]:
    """Points of a path of M, V, C and h, by the definition of Bézier curves."""
    at = np.zeros(2)
    for command, words in re.findall(r"([MVCh])([^MVCh]*)", path):
        numbers = np.array([float(w) for w in words.split()])
        if command == "V":
            ends = [np.array([at[0], numbers[0]])]
        elif command == "h":
            ends = [np.array([at[0] + numbers[0], at[1]])]
        else:
            ends = list(numbers.reshape(-1, 2))
        for t in np.linspace(0, 1, 60):
            curve = [at, *ends]
            while len(curve) > 1:
                curve = [(1 - t) * a + t * b for a, b in pairwise(curve)]
            if command != "M":
                yield float(curve[0][0]), float(curve[0][1])
        at = ends[-1]


def seen(graph: nir.NIRGraph) -> View:
    return view(graph, Known(infer(inline(graph))[0], {}))


def apart(layout: Layout) -> None:
    """No two boxes overlap; all lie within the drawing, and wires end at boxes."""
    for a, b in combinations(layout.boxes.values(), 2):
        assert (
            a.x + a.width <= b.x + 1e-6
            or b.x + b.width <= a.x + 1e-6
            or a.y + a.height <= b.y + 1e-6
            or b.y + b.height <= a.y + 1e-6
        ), (a.box.name, b.box.name)
    for box in layout.boxes.values():
        assert box.x >= 0
        assert box.x + box.width <= layout.width
        assert box.y >= 0
        assert box.y + box.height <= layout.height
        if box.inner:
            assert box.inner.width <= box.width
            assert box.inner.height <= box.height
            apart(box.inner)
    edges = {y for box in layout.boxes.values() for y in (box.y, box.y + box.height)}
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
    apart(place(seen(graph)))


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


def russian_dolls(depth: int) -> nir.NIRGraph:
    one = np.ones(3)
    inner: nir.NIRNode = nir.LIF(one, one, 0 * one, one)
    for _ in range(depth):
        nodes = {"in": nir.Input(np.array([3])), "x": inner, "out": nir.Output(np.array([3]))}
        inner = nir.NIRGraph(nodes, [("in", "x"), ("x", "out")])
    return inner


def test_nested_graphs_are_boxes_in_boxes() -> None:
    svg = draw(russian_dolls(4))
    assert texts(svg).count("x") == 4
    assert svg.count("nirb-box nirb-group") == 3 + 1  # boxes, and the key
    apart(place(seen(russian_dolls(4))))


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
    whole = seen(graph)
    small = folded(whole)
    assert small.nodes == whole.nodes  # all are accounted for
    assert sum(b.neurons for b in small.boxes.values()) == 4 * n


def test_equal_branches_are_folded_into_one() -> None:
    one = np.ones(2)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([2]))}
    edges = []
    for k in range(60):
        nodes[f"w{k}"], nodes[f"n{k}"] = nir.Linear(np.eye(2)), nir.LIF(one, one, 0 * one, one)
        edges += [("input", f"w{k}"), (f"w{k}", f"n{k}"), (f"n{k}", "output")]
    nodes["output"] = nir.Output(np.array([2]))
    said = texts(draw(nir.NIRGraph(nodes, edges)))
    assert {"60 × Linear 2 → 2", "60 × LIF, 2", "and n1 and 58 more"} <= set(said)


@pytest.mark.parametrize("name", HARD)
def test_hard_graphs(name: str) -> None:
    graph = HARD[name]()
    svg = draw(graph)
    assert overlapping(svg) == []
    assert on_wires(svg) == []
    width = float(ElementTree.fromstring(svg).get("width", ""))
    assert width < ACROSS * 180
    shown = folded(seen(graph))
    assert shown.nodes == len(inline(graph).nodes) or "nested" in name
    assert ends(shown) == 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_text_lies_on_another_or_on_a_wire(seed: int) -> None:
    svg = draw(chance(seed))
    assert overlapping(svg) == []
    assert on_wires(svg) == []


def test_what_lies_on_something_is_found() -> None:
    """The two tests above can fail."""
    start = '<svg xmlns="http://www.w3.org/2000/svg">'
    wire = '<path d="M20.0 10.0V60.0" class="nirb-edge"/>'
    label = '<text x="5" y="40" class="nirb-wire">12×12</text>'
    left = '<text x="60" y="40" class="nirb-wire nirb-left">12×12</text>'
    bent = '<path d="M0.0 0.0C0.0 40.0 40.0 40.0 40.0 80.0" class="nirb-edge"/>'
    assert len(overlapping(f"{start}{label}{left}</svg>")) == 1
    assert on_wires(f"{start}{wire}{label}</svg>") == ["12×12"]
    assert on_wires(f"{start}{bent}{label}</svg>") == ["12×12"]


def test_dense_graphs_keep_their_words_as_tooltips() -> None:
    svg = draw(stages(4, 3))
    tips = [t.text or "" for t in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert "s0n1 → s1n2: w10" in tips
    assert "w10" not in texts(svg)


def test_a_folded_box_says_what_is_in_it() -> None:
    said = texts(draw(parallel(30)))
    assert {"30 × CubaLIF, 24", "τ mem 10 ms to 39 ms", "τ syn 5 ms to 19.5 ms"} <= set(said)
    said = texts(draw(nested(7), limit=12))
    assert "7 nodes, 48 neurons" not in said  # 6 nodes each
    assert {"6 nodes, 48 neurons", "2 × CubaLIF, 24", "τ mem 10 ms"} <= set(said)
    said = texts(draw(parallel(30, 30)))
    assert {"60 nodes, 1,155 neurons", "CubaLIF, 24", "and 27 other types"} <= set(said)


def test_repeated_blocks_are_drawn_once() -> None:
    said = texts(draw(nested(7, skip=False)))
    assert {"block0 to block6", "7 × alike, in a row", "skip"} <= set(said)
    shown = folded(seen(chain(30)))
    assert [b.what for b in shown.boxes.values() if b.role == "group"] == ["30 × in a row"]
    shown = folded(seen(recurrent(25)), 24)
    (row,) = (b for b in shown.boxes.values() if b.role == "neuron")
    assert (row.name, row.what) == ("layer0 to layer24", "25 × CubaLIF, 24, in a row")
    assert (row.loops, row.neurons) == (25, 25 * 24)
    assert shown.nodes == seen(recurrent(25)).nodes


def test_groups_have_the_names_of_their_nodes() -> None:
    said = texts(draw(skips(12), limit=5))
    assert "layer0, layer1" in said
    assert not any("layers" in words for words in said)


def test_only_as_many_nested_graphs_are_closed_as_must_be() -> None:
    whole = seen(nested(7))
    assert sum(bool(box.inner) for box in whole.boxes.values()) == 7
    for limit, still_open in ((60, 7), (40, 5), (24, 2), (13, 1), (7, 0)):
        shown = closed(whole, limit)
        assert sum(bool(box.inner) for box in shown.boxes.values()) == still_open, limit
        assert shown.nodes == whole.nodes
    deep = closed(seen(nested(2, 3)), 20)
    assert all(box.inner for box in deep.boxes.values() if box.role == "group")  # inner ones first


def test_input_and_output_are_never_folded() -> None:
    for graph in (chain(300), parallel(30, 30), nested(7)):
        for limit in (1, 3, 10):
            shown = folded(seen(graph), limit)
            assert [b.kind for b in shown.boxes.values() if b.role == "end"] == ["Input", "Output"]
            assert shown.count - 2 <= max(limit, 1)


def test_names_are_in_the_order_of_people() -> None:
    assert list(seen(parallel(12)).boxes)[1:12:5] == ["n0", "n5", "n10"]
    assert sorted(["n10", "n2", "a", "n2.b1", "n02", "²", ""], key=natural) == [
        "", "a", "n02", "n2", "n2.b1", "n10", "²",
    ]  # fmt: skip


def test_wires_of_nested_graphs_carry_shapes() -> None:
    inner = seen(nested(2)).boxes["block0"].inner
    assert inner is not None
    assert {w.label for w in inner.wires} == {"24"}
    assert "Input 24" in inner.boxes["in"].text


def test_time_constants_as_they_act() -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    euler, exponential = (Dynamics(1e-4, scheme=s) for s in ("euler", "exponential"))
    assert "τ syn 400 µs" in texts(draw(graph))  # as in the file
    assert "τ syn 348 µs" in texts(draw(graph, how=euler))  # −dt/ln(1 − dt/τ)
    assert "τ syn 400 µs" in texts(draw(graph, how=exponential))
    short_, long_ = acting([1e-4, 4e-4], euler)
    assert short_ == 0  # nothing is left after a step
    np.testing.assert_allclose(np.exp(-1e-4 / long_), 1 - 1e-4 / 4e-4)


def test_names_are_cut_in_the_middle_and_told_whole() -> None:
    name = "a_name_that_" + "goes_on_and_on_" * 6 + "to_its_end"
    nodes = {"input": nir.Input(np.array([2])), name: nir.Output(np.array([2]))}
    svg = draw(nir.NIRGraph(nodes, [("input", name)]))
    assert name not in texts(svg)
    assert any(t.startswith("a_name") and "…" in t and t.endswith("its_end") for t in texts(svg))
    assert f"<title>{name}" in svg


def ends(shown: View) -> int:
    return sum(box.role == "end" for box in shown.boxes.values())


@st.composite
def views(draw_: st.DrawFn) -> View:
    """Any boxes and wires, loops and names of all kinds included."""
    n = draw_(st.integers(1, 14))
    name = st.text(st.characters(codec="utf-8"), max_size=30)
    boxes = {
        f"{k}": Box(
            draw_(name),
            draw_(st.sampled_from(["end", "neuron", "filter", "map", "group"])),
            taus=tuple(draw_(st.lists(st.just(Tau("τ mem", 1e-3, 2e-3)), max_size=3))),
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
    assert limited.count - ends(limited) <= 5
    assert ends(limited) == ends(shown)  # never folded
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
        apart(place(seen(graph)))
