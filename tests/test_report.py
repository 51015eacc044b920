"""The report: its figures are those of the check, nothing on it is a stranger's markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Deployment, Refused, XyloConfig, convert, read
from nirbridge.diagnostics import RULES
from nirbridge.report.evidence import Sample, Spikes, Trace
from nirbridge.report.figures import spikes
from nirbridge.report.page import html
from nirbridge.report.story import RANDOM, gather
from tests.conftest import EXAMPLES, GRAPHS
from tests.deployments import coarse, task
from tests.test_cli import Command, left

HOSTILE = "<script>alert(1) $x^$ & \"'"
RASTER = GRAPHS / "refused" / "good.npy"


class Page(HTMLParser):
    """The elements of a page, what they refer to, and its text, outside of drawings and in them."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href", "data", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def nirbridge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest, digits: tuple[Any, Any]) -> Any:
    """A deployment of an example, its story on some of the digits, and the page."""
    x, y = digits
    deployment = convert(read(GRAPHS / f"{request.param}.nir"), method="channel")
    story = gather(deployment, x[:20], y[:20], title=request.param, source="digits.npz")
    return deployment, story, html(story)


def test_figures_are_those_of_the_check(example: Any, digits: tuple[Any, Any]) -> None:
    deployment, story, text = example
    x, y = digits
    drift = deployment.check(x[:20], y[:20], ideal=1)
    page = Page(text).text
    for rung in drift.rungs:
        assert rung.adds in page
        assert f"{100 * rung.accuracy:.1f} %" in page
        assert f"{rung.spikes:,}" in page
    for population in drift.rungs[-1].populations:
        assert f"{population.rate_cosine:.4f}" in page
    for finding in drift.findings:
        assert finding.what in page
    for note in deployment.journal:
        assert " ".join(note.what.split()) in page
    facts = story.to_dict()
    assert facts["drift"] == drift.to_dict()
    right = np.array([c["table"] for c in facts["confusions"]])
    assert right.shape == (2, 8, 8)
    assert right.sum(axis=(1, 2)).tolist() == [20, 20]
    assert np.trace(right[1]) == round(20 * (drift.accuracy or 0))
    energy = deployment.energy(x[:20])
    assert facts["energy"] == energy.to_dict()
    assert f"{energy.activity.mean.total:,.0f}" in page


def test_a_page_needs_nothing_else(example: Any) -> None:
    _, _, text = example
    page = Page(text)
    assert len(text) < 1_000_000
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.tags.count("th") > 10  # tables say what their columns are
    assert text.count('role="img" aria-label="') == text.count("<svg")


def test_the_same_again() -> None:
    x, y = task(10)
    first, second = (html(gather(coarse(), x, y)) for _ in range(2))
    assert first == second


def test_json_is_the_page_s_own(nirbridge: Command, tmp_path: Path) -> None:
    place = tmp_path / "out"
    convert(read(GRAPHS / "refused" / "good.nir")).save(place)
    page = tmp_path / "r.html"
    words = ["report", place, "--input", RASTER, "-o", page]
    done = nirbridge(*words, "--force", "--json")
    assert done.code == 0, done.err
    assert done.json["page"] == str(page)
    assert left(tmp_path) == ["out", "r.html", "r.json"]
    facts = json.loads((tmp_path / "r.json").read_text())
    assert facts["verdict"]["sentence"] == done.json["sentence"]
    assert sha256((tmp_path / "r.json").read_bytes()).hexdigest() in page.read_text()
    files = {f["name"]: f["sha256"] for f in facts["provenance"]["files"]}
    assert files["good.npy"] == sha256(RASTER.read_bytes()).hexdigest()
    assert set(files) > {"config.json", "source.nir", "deployed.nir"}
    assert facts["provenance"]["command"].startswith("nirbridge report ")
    before = page.read_bytes()
    assert nirbridge(*words).codes == ["NB805"]
    assert nirbridge(*words, "--force", "--json").code == 0
    assert page.read_bytes() == before


def test_without_input(nirbridge: Command, tmp_path: Path) -> None:
    place = tmp_path / "out"
    convert(read(GRAPHS / "refused" / "good.nir")).save(place)
    assert nirbridge("report", place, "-o", tmp_path / "r.html").code == 0
    facts = json.loads((tmp_path / "r.json").read_text())
    assert facts["input"]["source"] == RANDOM
    assert facts["verdict"]["state"] == "open"
    assert facts["energy"] is None
    assert facts["drift"]["accuracy"] is None
    page = Page((tmp_path / "r.html").read_text())
    assert "No input was given" in page.text
    assert "energy" not in page.ids
    assert "answers" not in page.ids


def test_labels(nirbridge: Command, tmp_path: Path) -> None:
    place, out = tmp_path / "out", tmp_path / "r.html"
    convert(read(GRAPHS / "refused" / "good.nir")).save(place)
    raster = np.load(RASTER)
    batch = np.stack([raster] * 3) if raster.ndim == 2 else raster
    np.save(tmp_path / "x.npy", batch)
    np.save(tmp_path / "y.npy", np.zeros(len(batch), int))
    np.savez(tmp_path / "y.npz", y=np.zeros(len(batch), int))
    np.save(tmp_path / "few.npy", np.zeros(len(batch) + 1, int))
    for name in ("bad.npy", "bad.txt"):
        (tmp_path / name).write_bytes(b"nothing")
    words = ["report", place, "--input", tmp_path / "x.npy", "-o", out, "--force", "--labels"]
    for name in ("y.npy", "y.npz"):
        assert nirbridge(*words, tmp_path / name).code == 0
        assert json.loads(out.with_suffix(".json").read_text())["drift"]["accuracy"] is not None
    for name, code in (("few.npy", "NB804"), ("bad.npy", "NB803"), ("gone.npy", "NB101"),
                       ("x.csv", "NB101"), ("bad.txt", "NB803"), ("r.html", "NB805")):  # fmt: skip
        assert nirbridge(*words, tmp_path / name).codes == [code], name
    assert nirbridge("report", place, "-o", out, "--labels", tmp_path / "y.npy").code == 2


def test_places_that_are_refused(nirbridge: Command, tmp_path: Path) -> None:
    place = tmp_path / "out"
    convert(read(GRAPHS / "refused" / "good.nir")).save(place)
    record = (place / "deployment.json").read_bytes()
    for name, code in (
        ("r.pdf", "NB806"), ("none/r.html", "NB807"), ("out/deployment.html", "NB805"),
        ("out/config.html", "NB805"),
    ):  # fmt: skip
        for words in ([], ["--force"]):
            assert nirbridge("report", place, "-o", tmp_path / name, *words).codes == [code]
    assert (place / "deployment.json").read_bytes() == record
    assert left(tmp_path) == ["out"]


def test_reports_of_convert_and_check(nirbridge: Command, tmp_path: Path) -> None:
    good, place = GRAPHS / "refused" / "good.nir", tmp_path / "out"
    words = ["convert", good, "-o", place, "--report"]
    assert nirbridge(*words, place / "config.html").codes == ["NB805"]
    assert nirbridge(*words, tmp_path / "no" / "r.html").codes == ["NB807"]
    assert left(tmp_path) == []
    events = tmp_path / "events.csv"
    events.write_text("0.001,0\n0.002,1\n")
    done = nirbridge(*words, place / "r.html", "--calibration", events)
    assert done.code == 0, done.err
    facts = json.loads((place / "r.json").read_text())
    assert facts["input"]["source"] == "events.csv"
    assert {f["name"] for f in facts["provenance"]["files"]} > {"good.nir", "events.csv"}
    done = nirbridge("check", place, RASTER, "--report", tmp_path / "c.html", "--json")
    facts = json.loads((tmp_path / "c.json").read_text())
    assert facts["drift"]["agreement"] == done.json["agreement"]
    assert nirbridge("check", place, RASTER, "--report", tmp_path / "c.html").codes == ["NB805"]


def hostile() -> Deployment:
    """A network whose every name would like to be markup."""
    rng = np.random.default_rng(0)
    one = np.ones(6)
    lif = nir.CubaLIF(4e-3 * one, 8e-3 * one, 8 * one, 0 * one, one, 0 * one, 4 * one)
    out = nir.CubaLIF(*(np.full(3, v) for v in (4e-3, 8e-3, 8, 0, 1, 0, 4)))
    names = [HOSTILE + str(k) for k in range(6)]
    nodes = [
        nir.Input(np.array([2])), nir.Linear(rng.normal(0.3, 0.2, (6, 2))), lif,
        nir.Linear(rng.normal(0.2, 0.2, (3, 6))), out, nir.Output(np.array([3])),
    ]  # fmt: skip
    edges = list(pairwise(names))
    graph = nir.NIRGraph(dict(zip(names, nodes, strict=True)), edges, type_check=False)
    return convert(graph, dt=1e-3, reset="subtract", method="channel")


def test_names_are_no_markup() -> None:
    deployment, raster = hostile(), np.ones((2, 30, 2), np.uint8)
    title = f"{HOSTILE}\u202e\x00"
    text = html(gather(deployment, raster, title=title, source="<img src=x onerror=y>"))
    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert(1) $x^$ & \"'" in page.text
    assert "<img src=x onerror=y>" in page.text
    assert "\u202e" not in text
    assert "\x00" not in text
    for shown in (deployment, deployment.check(raster), deployment.simulate(raster, record=True)):
        piece = shown._repr_html_()
        assert "<script" not in piece
        assert len(piece) < 30_000


def test_broken_rules_are_told() -> None:
    x, y = task(4)
    deployment = coarse()
    fields = {**deployment.config.to_dict(), "dash_syn": [0] * deployment.config.n_hidden}
    story = gather(replace(deployment, config=XyloConfig.from_dict(fields)), x, y)
    assert story.state == "bad"
    page = Page(html(story)).text
    assert "Does not fit" in page
    assert "NB607" in page
    assert RULES["NB607"].remedy in page


def test_a_network_beyond_the_tolerance() -> None:
    x, y = task(40)
    story = gather(coarse(), x, y, tolerance=0.0)
    assert story.drift.agreement < 1
    assert story.state == "bad"
    assert story.drift.differing[0] in {sample.number for sample in story.samples}
    assert story.samples[0].number == 0


def test_next_to_no_input() -> None:
    page = Page(html(gather(coarse(), np.zeros((1, 1, 4), int)))).text
    assert "1 sample of 1 step." in page
    for shape in ((0, 12, 4), (2, 0, 4), (0, 4)):
        with pytest.raises(Refused, match="NB801"):
            gather(coarse(), np.zeros(shape, int))


def test_outputs_read_by_their_membranes() -> None:
    x, y = task(20)
    deployment = coarse(readout=True)
    story = gather(deployment, x, y)
    assert {s.role for s in story.samples[0].spikes} == {"input", "hidden"}
    trace = story.samples[0].traces[-1]
    assert trace.unit == "volts"
    assert trace.trained_membrane is not None
    page = Page(html(story)).text
    assert "read by their membranes" in page
    assert "Read by its membrane, in volts" in page


def test_traces_are_states_of_chip_and_network() -> None:
    x, _ = task(4)
    deployment = coarse()
    story = gather(deployment, x)
    recording = deployment.simulate(np.pad(x, ((0, 0), (0, 3), (0, 0))), record=True)
    assert recording.v_mem is not None
    assert recording.v_mem_out is not None
    for trace in story.samples[0].traces:
        name, _, index = trace.name.partition("[")
        i = int(index.rstrip("]"))
        states, unit = (
            (recording.v_mem, deployment.config.threshold)
            if name == "hidden"
            else (recording.v_mem_out, deployment.config.threshold_out)
        )
        found = states[0, trace.latency : trace.latency + x.shape[1], i] / unit[i]
        np.testing.assert_array_equal(trace.chip_membrane, found)
        assert trace.trained_membrane is not None  # of a network that is nearly the same
        assert np.abs(trace.trained_membrane - trace.chip_membrane).mean() < 0.5
        assert trace.trained_current is not None
        assert np.corrcoef(trace.trained_current, trace.chip_current)[0, 1] > 0.8


def large() -> nir.NIRGraph:
    """1000 hidden neurons with 30 recurrent connections each, all time constants different."""
    rng = np.random.default_rng(0)
    n = 1000
    loop = np.zeros((n, n))
    for i in range(n):
        loop[rng.choice(n, 30, replace=False), i] = rng.normal(0, 0.08, 30)
    tau, one = rng.uniform(3e-3, 3e-2, (2, n)), np.ones(n)
    hidden = nir.CubaLIF(*tau, 8 * one, 0 * one, one, 0 * one, 4 * one)
    few = np.ones(8)
    out = nir.CubaLIF(4e-3 * few, 8e-3 * few, 8 * few, 0 * few, few, 0 * few, 4 * few)
    nodes = {
        "input": nir.Input(np.array([16])), "w1": nir.Linear(rng.normal(0.05, 0.15, (n, 16))),
        "hidden": hidden, "loop": nir.Linear(loop),
        "w2": nir.Linear(rng.normal(0, 0.05, (8, n))), "out": out,
        "output": nir.Output(np.array([8])),
    }  # fmt: skip
    edges = [
        ("input", "w1"), ("w1", "hidden"), ("hidden", "loop"), ("loop", "hidden"),
        ("hidden", "w2"), ("w2", "out"), ("out", "output"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges)


def test_a_large_network_and_a_long_raster() -> None:
    deployment = convert(large(), dt=1e-3, method="channel", reset="subtract")
    raster = (np.random.default_rng(1).random((1, 1200, 16)) < 0.1).astype(np.uint8)
    text = html(gather(deployment, raster))
    assert len(text.encode()) < 3_000_000
    page = Page(text).text
    assert "Shown are the first 400 of 1,200 steps" in page
    assert "Of larger populations 160 neurons are shown, evenly spread" in page
    assert "160 of 1,000" in page
    assert "One dot is the strongest of 3 × 3 weights" in page


def test_marks_of_the_raster_are_spikes_not_pools_of_them() -> None:
    """Shares of the three colours are those of the spikes, however many neurons there are."""
    rng = np.random.default_rng(0)
    chip, trained = (rng.random((2, 2000, 1000)) < 0.3).astype(np.uint8)
    parts = (Spikes("hidden", "hidden", 0, chip, trained),)
    (band,) = spikes.bands(Sample(0, 2000, 2000, 1e-3, parts, ()))
    shown = [float(layer.marks.sum()) for layer in band.layers]
    exact = [np.sum(chip & trained), np.sum(trained > chip), np.sum(chip > trained)]
    for some, all_ in zip(shown, exact, strict=True):
        assert abs(some / sum(shown) - all_ / sum(exact)) < 0.02


def test_populations_that_are_drawn_together_have_a_name() -> None:
    one = np.ones((5, 4), np.uint8)
    parts = tuple(Spikes(f"n{k}", "hidden", 0, one, one) for k in range(12))
    found = spikes.raster(Sample(0, 5, 5, 1e-3, parts, ()))
    assert [text.get_text() for text in found.axes[0].texts] == ["hidden\n48"]


def test_a_trace_of_one_step_is_seen() -> None:
    one, none = np.ones(1), np.zeros(1, int)
    states = Trace("n[0]", "why", "thresholds", 0, one, one, one, one, none, none)
    found = spikes.trace(states, 1e-4)
    lines = found.axes[0].get_lines()
    assert all(line.get_marker() == "o" for line in lines[:2])
    assert found.axes[0].get_xlim()[0] == 0


def test_plots(tmp_path: Path) -> None:
    x, y = task(8)
    deployment = coarse()
    drift = deployment.check(x, y)
    recording = deployment.simulate(x, record=True)
    plots: list[Callable[[], Any]] = [
        deployment.plot, drift.plot, recording.plot, deployment.simulate(x[0]).plot,
    ]  # fmt: skip
    for plot in plots:
        figure = plot()
        picture, how = figure._repr_png_()  # what a notebook asks for: pyplot is not imported
        assert picture.startswith(b"\x89PNG")
        sides = np.frombuffer(picture[16:24], ">u4").astype(int)  # of a PNG: width and height
        assert np.abs(sides - 2 * np.array([how["width"], how["height"]])).max() <= 1
        figure.savefig(tmp_path / "f.svg")
        assert figure.axes
    assert [len(plot().axes) for plot in plots[2:]] == [2, 1]  # hidden and output; output only


def test_notebook_pieces() -> None:
    x, y = task(8)
    deployment = coarse()
    drift = deployment.check(x, y)
    assert "12 hidden" in deployment._repr_html_()
    assert f"{100 * drift.agreement:.1f} %" in drift._repr_html_()
    recording = deployment.simulate(x)
    assert f"{int(recording.output.sum()):,} of" in recording._repr_html_()


def test_deployment_report(tmp_path: Path) -> None:
    x, y = task(8)
    deployment = coarse()
    deployment.report(tmp_path / "r.html", x, y, title="coarse")
    with pytest.raises(Refused, match="NB805"):
        deployment.report(tmp_path / "r.html", x, y)
    assert "Made from Python" in Page((tmp_path / "r.html").read_text()).text
    assert left(tmp_path) == ["r.html", "r.json"]


def test_a_failure_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = task(4)
    deployment = coarse()
    deployment.report(tmp_path / "r.html", x, y)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fails(*_: Any) -> str:
        raise MemoryError

    monkeypatch.setattr("nirbridge.report.page.html", fails)
    with pytest.raises(MemoryError):
        deployment.report(tmp_path / "r.html", x, y, force=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
