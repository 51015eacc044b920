"""What a verdict may say, and what it must not keep to itself."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirbridge
from nirbridge import Deployment, Refused, convert, imported, read
from nirbridge.check import ideal
from nirbridge.check.advice import advice
from nirbridge.check.drift import Drift
from nirbridge.check.ladder import Rung, turning
from nirbridge.check.metrics import UNDECIDED, answers, decisions
from nirbridge.origin import Origin, fingerprint
from nirbridge.report import tables, verdict
from nirbridge.report.page import html
from nirbridge.report.story import Story, gather
from tests.conftest import GRAPHS
from tests.deployments import DT, coarse, task
from tests.test_cli import Command
from tests.test_report import Page

GOOD, RASTER = GRAPHS / "refused" / "good.nir", GRAPHS / "refused" / "good.npy"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_a_decision_is_followed_to_where_it_turned_for_good() -> None:
    """The first sample is lost on rung 1, won back on 2 and lost again on 3; the last is mended."""
    choices = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 2, 1], [1, 0, 1, 0]])
    assert turning(choices) == [0, 0, 1, 1]
    assert turning(choices[:, :0]) == [0, 0, 0, 0]


def test_turned_adds_up_to_what_differs(digits: tuple[Any, Any]) -> None:
    x, y = digits
    drift = convert(read(GRAPHS / "digits_recurrent.nir"), method="global").check(x[:80], y[:80])
    assert len(drift.differing) > 5
    assert sum(rung.turned for rung in drift.rungs) == len(drift.differing)
    assert drift.largest is max(drift.rungs, key=lambda rung: rung.turned)
    table = tables.rungs(drift)
    at = table.columns.index("turned")
    assert [row[at] for row in table.rows[1:]] == [str(r.turned) for r in drift.rungs[1:]]


def turned(*counts: int) -> Drift:
    """A check in which so many samples turned on each rung after the first."""
    x, _ = task(3)
    found = coarse().check(x)
    n = sum(counts)
    choices = [(0,) * n for _ in range(len(found.rungs) - 1)] + [(1,) * n]
    rungs: list[Rung] = [
        replace(rung, turned=k, choices=said)
        for rung, k, said in zip(found.rungs, (0, *counts), choices, strict=True)
    ]
    return replace(found, rungs=tuple(rungs), samples=2 * n)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 0, 0, 0), ""),
        ((0, 1, 0, 0, 0), "; the one that differs turned with “reset"),
        ((0, 0, 0, 2, 0), "; the 2 that differ turned for good with “rounded"),
        ((0, 2, 2, 7, 0), "; most (7) of the 11 that differ turned for good with “rounded"),
        ((0, 5, 0, 5, 0), "; of the 10 that differ, 5 turned for good with “reset"),
        ((1, 4, 0, 5, 0), "; of the 10 that differ, 5 turned for good with “rounded"),
    ],
)
def test_most_is_said_above_half_only(counts: tuple[int, ...], said: str) -> None:
    found = verdict.causes(turned(*counts))
    assert found.startswith(said)
    assert ("most" in found) == ("most" in said)


def test_silence_decides_nothing() -> None:
    counts = np.zeros((4, 3, 3))
    counts[1, 0, 0] = counts[2, 0, 1] = 1
    counts[3] = 2  # all alike
    assert answers(counts).tolist() == [UNDECIDED, 0, 1, UNDECIDED]
    assert decisions(counts).tolist() == [0, 0, 1, 0]
    assert answers(counts[:, :, :1]).tolist() == [UNDECIDED, 0, UNDECIDED, 0]
    assert answers(counts[:0]).tolist() == []


def silenced() -> Deployment:
    """A network of which every weight inhibits."""
    graph = coarse().source
    for name in ("w1", "w2"):
        graph.nodes[name] = nir.Linear(-np.abs(np.asarray(graph.nodes[name].weight)))
    return convert(graph, method="channel")


def test_a_silent_network_is_not_judged(command: Command, tmp_path: Path) -> None:
    x, y = task(6)
    deployment = silenced()
    story = gather(deployment, x, y)
    assert story.drift.agreement == 1
    assert story.drift.accuracy == 0  # no answer is not a right one
    assert (story.state, story.badge) == ("open", "Not judged")
    assert "On 6 of 6 samples neither" in story.verdict
    assert "Never fires on the chip: hidden, readout." in story.verdict
    assert story.confusions[1].names[-1] == "none"
    assert sum(row[-1] for row in story.confusions[1].table) == 6
    page = Page(html(story)).text
    assert "neurons never fire on the chip" in page
    deployment.save(tmp_path / "out")
    np.save(tmp_path / "x.npy", x)
    done = command("check", tmp_path / "out", tmp_path / "x.npy")
    assert done.code == 0
    assert "which says nothing, as most samples are undecided" in " ".join(done.out.split())
    assert "never fires on the chip: hidden, readout" in done.out
    done = command("check", tmp_path / "out", tmp_path / "x.npy", "--json")
    assert (done.json["state"], done.json["undecided"]) == ("open", 6)
    assert done.json["silent"] == ["hidden", "readout"]


def test_a_chip_that_fell_silent_differs() -> None:
    x, _ = task(30)
    start = coarse()
    high = np.full_like(start.config.threshold_out, 32767)
    config = replace(start.config, threshold_out=high)
    drift = replace(start, config=config).check(x[::3])  # all of class 0, the first of the outputs
    assert drift.rungs[-1].undecided == 10
    assert drift.agreement < 0.5
    assert drift.state() == "bad"


def test_what_the_integers_were_chosen_on_is_no_test(command: Command, tmp_path: Path) -> None:
    x, y = task(12)
    graph, typical = tmp_path / "g.nir", tmp_path / "typical.npz"
    nirbridge.write(coarse().source, graph)
    np.savez(typical, x=x, y=y)
    place, page = tmp_path / "out", tmp_path / "r.html"
    words = ["convert", graph, "-o", place, "--calibration", typical, "--report", page, "--force"]
    assert command(*words, "--method", "calibrate").code == 0
    facts = json.loads(page.with_suffix(".json").read_text())
    assert facts["drift"]["tuned"]
    assert facts["drift"]["accuracy"] is not None  # the labels of the file were read
    assert facts["verdict"]["state"] == "open"
    assert "chosen on this very input" in " ".join(facts["verdict"]["caveats"])
    done = command("check", place, typical, "--tolerance", "1")
    assert "which tests nothing" in " ".join(done.out.split())
    np.save(tmp_path / "other.npy", x[:6])
    assert not command("check", place, tmp_path / "other.npy", "--tolerance", "1", "--json").json[
        "tuned"
    ]
    assert command(*words, "--method", "fit").code == 0  # a calibration that only looks
    assert not json.loads(page.with_suffix(".json").read_text())["drift"]["tuned"]
    np.savez(typical, x=x, y=y[:3])
    before = (place / "deployment.json").read_bytes()
    assert command(*words).codes == ["NB804"]
    assert (place / "deployment.json").read_bytes() == before


def test_hints_are_options_that_there_are() -> None:
    x, _ = task(4)
    assert "nirbridge report DIR --input FILE --labels FILE" in Page(html(gather(coarse(), x))).text
    assert "nirbridge report DIR --input FILE" in Page(html(gather(coarse()))).text


def test_the_ideal_is_given_up_within_its_bound(
    monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    x, _ = task(4)
    deployment = coarse()
    assert deployment.check(x, ideal=1).no_ideal == ""
    monkeypatch.setattr(ideal, "EVENTS", 5)
    drift = deployment.check(x, ideal=1)
    assert drift.ideal is None
    assert "at most 5 events" in drift.no_ideal
    assert drift.rungs == deployment.check(x).rungs
    assert f"Not compared with continuous time: {drift.no_ideal}" in Page(
        html(gather(deployment, x))
    ).text
    deployment.save(tmp_path / "out")
    np.save(tmp_path / "x.npy", x)
    words = ["report", tmp_path / "out", "--input", tmp_path / "x.npy", "-o", tmp_path / "r.html"]
    assert command(*words, "--ideal", "0").code == 0
    assert "not asked for" in (tmp_path / "r.html").read_text()


def test_advice_is_not_what_was_done() -> None:
    start = coarse()  # channel, reset by subtraction, one spike per step
    assert "subtraction" not in advice("reset", start)
    assert "any number of spikes" in advice("reset", start)
    many = replace(start, dynamics=replace(start.dynamics, spikes_per_step=None))
    assert advice("reset", many) == ""
    resets = replace(start.dynamics, reset="value", spikes_per_step=1)
    assert "reset by subtraction" in advice("reset", replace(start, dynamics=resets))
    for method, model, word in (
        ("fit", "decays", "method fit"), ("fit", "rounded", "method fit"),
        ("calibrate", "rounded", "calibrate"), ("calibrate", "chip", "calibrate"),
        ("fit+finetune", "rounded", "fine-tuning"),
    ):  # fmt: skip
        assert word not in advice(model, replace(start, method=method))
        assert word in advice(model, replace(start, method="global"))
    for model in ("reset", "chip"):
        assert advice(model, replace(start, method="imported")) == ""


def test_the_tolerance_is_said() -> None:
    x, y = task(40)
    strict, lax = (gather(coarse(), x, y, tolerance=t) for t in (0.0, 0.5))
    assert [strict.badge, lax.badge] == ["Differs", "Agrees"]
    assert "Tolerated: 0.0 % of the decisions" in Page(html(strict)).text
    assert "Tolerated: 50.0 % of the decisions" in Page(html(lax)).text
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(Refused, match="NB806"):
            gather(coarse(), x, y, tolerance=wrong)


def test_deployment_report_takes_a_tolerance(tmp_path: Path) -> None:
    x, y = task(40)
    for tolerance, state in ((0.0, "bad"), (0.5, "good")):
        coarse().report(tmp_path / "r.html", x, y, tolerance=tolerance, ideal=0, force=True)
        found = json.loads((tmp_path / "r.json").read_text())["verdict"]
        assert (found["state"], found["tolerance"]) == (state, tolerance)


def test_one_sample_is_called_one() -> None:
    x, _ = task(40)
    both = gather(coarse(), x)
    odd = both.drift.differing[0]
    even = next(k for k in range(40) if k not in both.drift.differing)
    for k, badge, word in ((odd, "Differs", "otherwise than"), (even, "Agrees", "as")):
        story = gather(coarse(), x[k])
        assert story.badge == f"{badge}, one sample"
        said = f"On the only sample given the chip decides {word} the trained network"
        assert story.verdict.startswith(said)


def test_a_clock_that_the_chip_does_not_have() -> None:
    x, _ = task(4)
    slow = gather(replace(coarse(), config=replace(coarse().config, dt=DT)), x)
    assert slow.slowness < 1
    assert "real time" not in slow.verdict
    assert slow.energy is not None
    hurried = replace(slow.energy, default_clock=int(slow.energy.clock / 4))
    story = replace(slow, energy=hurried)
    assert "Not in real time" in story.verdict
    assert "4 times too slow" in story.verdict
    tile = next(t for t in tables.tiles(story) if t.name == "clock needed")
    assert tile.value.endswith("Hz")


def test_cut_input_is_told() -> None:
    x, _ = task(4)
    x[:, :, 0] = 20
    story = gather(coarse(), x)
    share = 5 * 12 * 4 / x.sum()
    assert f"{100 * share:.1f} % of the input spikes were cut" in story.verdict


def test_imported_integers_claim_no_training() -> None:
    x, _ = task(6)
    story = gather(imported(coarse().config), x)
    assert "no trained network is known" in story.verdict
    page = Page(html(story)).text
    assert "decides as the trained network" not in page
    assert "without limits" in page


def two_heads() -> Deployment:
    """One hidden population, two outputs of 2 and 3 neurons; the second name comes first."""
    rng = np.random.default_rng(3)

    def lif(n: int) -> nir.CubaLIF:
        return nir.CubaLIF(*(np.full(n, v) for v in (4e-3, 8e-3, 8, 0, 1, 0, 4)))

    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([4])), "w": nir.Linear(rng.normal(0.2, 0.2, (8, 4))),
        "hidden": lif(8),
    }  # fmt: skip
    edges = [("input", "w"), ("w", "hidden")]
    for end, n in (("where", 2), ("what", 3)):
        chain = (f"w_{end}", f"lif_{end}", end)
        made = (nir.Linear(rng.normal(0.2, 0.2, (n, 8))), lif(n), nir.Output(np.array([n])))
        nodes.update(zip(chain, made, strict=True))
        edges += pairwise(("hidden", *chain))
    return convert(nir.NIRGraph(nodes, edges), dt=DT, reset="subtract", method="channel")


def test_several_outputs_are_named() -> None:
    x, _ = task(8)
    story = gather(two_heads(), x)
    names = ("what[0]", "what[1]", "what[2]", "where[0]", "where[1]")
    assert story.answers == (*names, "none")
    assert story.confusions[0].names[:5] == names
    assert "The outputs what, where are judged as one answer" in story.verdict
    assert any(name in tables.heading(story, story.samples[0]) for name in story.answers)
    sums = two_heads().simulate(np.pad(x, ((0, 0), (0, 2), (0, 0)))).output.sum(axis=(0, 1))
    assert sums.shape == (5,)


def test_a_deployment_remembers_how_it_was_made(command: Command, tmp_path: Path) -> None:
    place, page = tmp_path / "out", tmp_path / "r.html"
    assert command("convert", GOOD, "-o", place, "--calibration", RASTER).code == 0
    origin = nirbridge.load(place).origin
    assert [file.name for file in origin.files] == ["good.nir", "good.npy"]
    assert command("report", place, "--input", RASTER, "-o", page).code == 0
    text, facts = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    made = facts["origin"]["commands"][0]
    assert made.startswith(f"nirbridge convert {GOOD}")
    shown = Page(text).text
    assert f"{made} {facts['provenance']['command']}" in shown
    assert origin.files[0].sha256 in shown
    assert "euler steps" in shown or "exponential steps" in shown


def test_deployments_of_earlier_releases_load(tmp_path: Path) -> None:
    coarse().save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "deployment.json").read_text())
    del record["origin"]
    (tmp_path / "out" / "deployment.json").write_text(json.dumps(record))
    deployment = nirbridge.load(tmp_path / "out")
    assert deployment.origin == Origin()
    x, _ = task(4)
    assert "is not recorded" in Page(html(gather(deployment, x))).text


def test_a_raster_is_the_same_in_every_type() -> None:
    x, _ = task(3)
    assert fingerprint(x) == fingerprint(x.astype(np.uint8)[:, ::1])
    assert fingerprint(x[:1]) == fingerprint(x[0])
    assert len({fingerprint(y) for y in (x, x[:2], x[:, :-1], x + 1, x.transpose(0, 2, 1))}) == 5


def test_what_was_not_approximated_has_no_size() -> None:
    x, _ = task(3)
    story: Story = gather(coarse(), x)
    sizes = [row[3] for row in tables.journal(story).rows]
    assert any(sizes)
    assert not any(size.startswith("0 ") for size in sizes)
