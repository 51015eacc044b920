"""Charts: what stands on them can be read, and is that of the network."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import convert, read
from nirbridge.mapping.place import Placement, Population
from nirbridge.report import pictures
from nirbridge.report.figures import budget, chip
from nirbridge.report.figures.style import HUES, over
from nirbridge.report.page import html
from nirbridge.report.rounding import decays, weight_groups
from nirbridge.report.story import Story, gather
from tests.conftest import GRAPHS
from tests.deployments import coarse, task


def luminance(colour: str) -> float:
    """Relative luminance, by the definition of WCAG 2.2."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("hue", [*HUES, "#000000", "#ffffff", "#757575", "#767676"])
def test_numbers_on_hues_have_contrast(hue: str) -> None:
    light, dark = sorted([luminance(hue), luminance(over(hue))], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.fixture(scope="module", params=["digits_cuba", "digits_conv"])
def story(request: pytest.FixtureRequest, digits: tuple[Any, Any]) -> Story:
    x, y = digits
    deployment = convert(read(GRAPHS / f"{request.param}.nir"))
    return gather(deployment, x[:3], y[:3], title=request.param)


def test_both_drawings_show_time_constants_as_they_act(story: Story) -> None:
    """In steps of 100 µs: 400 µs keep 3/4 per step, as shift 2 does; 500 µs keep 4/5."""
    before, after = (str(pictures.drawing(story, k).svg) for k in (False, True))
    kept = {"digits_cuba": ("τ syn 348 µs", 0.75), "digits_conv": ("τ mem 448 µs", 0.8)}
    words, factor = kept[story.title]
    assert f">{words}<" in before
    (tau,) = re.findall(r"(\d+) µs", words)
    assert abs(np.exp(-100 / float(tau)) - factor) < 1e-3
    assert story.title != "digits_cuba" or f">{words}<" in after  # the chip has just that one


def test_only_what_was_trained_has_a_time_constant_before(story: Story) -> None:
    kinds = {(d.population, d.kind) for d in decays(story.deployment)}
    layers = ("lif1", "lif2", "lif3")
    trained = ("membrane", "synapse") if story.title == "digits_cuba" else ("membrane",)
    assert kinds == {(layer, kind) for layer in layers for kind in trained}
    for decay in decays(story.deployment):
        np.testing.assert_allclose(np.exp(-1e-4 / decay.before), _kept(story, decay.kind))


def _kept(story: Story, kind: str) -> float:
    """What a step leaves of a state of the trained network: Euler's 1 − dt/τ."""
    node = story.deployment.source.nodes["lif1"]
    tau = node.tau_syn if kind == "synapse" else getattr(node, "tau_mem", None)
    tau = node.tau if tau is None else tau
    return float(1 - 1e-4 / np.ravel(tau)[0])


def test_captions_say_what_is_drawn(story: Story) -> None:
    note = pictures.drawing(story, after=True).note
    assert "weak connection of each neuron onto itself" in note
    assert ("relay" in note) == (story.title == "digits_conv")
    exact = convert(read(GRAPHS / "digits_cuba.nir"), method="channel")
    plain = pictures.drawing(replace(story, deployment=exact), after=True)
    assert "loop" not in plain.note
    assert "nirb-back" not in str(plain.svg)


def test_charts_tell_their_figures(story: Story) -> None:
    page = html(story)
    said = re.findall(r'aria-label="([^"]*)"', page)
    assert len(said) > 10
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert not set(said) & set(captions)
    told = " ".join(said)
    for rung in story.drift.rungs[1:]:
        assert rung.adds.replace("'", "&#39;") in told or rung.adds in told
    hidden = next(s for s in story.samples[0].spikes if s.role == "hidden")
    assert f"{hidden.name}: {int((np.asarray(hidden.chip) > 0).sum()):,} marks on the chip" in told
    config = story.deployment.config
    assert f"{np.count_nonzero(config.weights_rec):,} of {config.weights_rec.size:,}" in told


@pytest.mark.parametrize("losses", [[-1.0], [1.0], [-1.0, 1.0], [0.0], [-0.004, 0.0]])
def test_numbers_of_the_budget_stand_beside_its_names(losses: list[float]) -> None:
    x, y = task(4)
    drift = coarse().check(x, y)
    first, *rest = drift.rungs
    rungs = [replace(r, loss=loss) for r, loss in zip(rest, losses, strict=False)]
    figure = budget.budget(replace(drift, rungs=(first, *rungs)))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    room = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert room.x0 <= box.x0
        assert box.x1 <= room.x1


def populations(*sizes: int) -> Placement:
    firsts = np.cumsum([0, *sizes])
    hidden = [Population(f"n{k}", int(firsts[k]), size) for k, size in enumerate(sizes)]
    return Placement(tuple(hidden), ())


def test_every_population_has_its_number_on_the_map() -> None:
    """Twelve, more than there are hues, one of them too small for two digits."""
    placement = populations(100, *[8] * 9, 2, 1)
    figure = chip.neuron_map(placement, 1000)
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    assert [t.get_text() for t in texts] == [str(k) for k in range(1, 12)]
    boxes = [t.get_window_extent() for t in texts]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])
    for text, p in zip(texts, placement.hidden, strict=False):
        x, y = text.get_position()
        assert p.first <= int(y) * chip.map_columns(1000) + int(x) < p.first + p.size


def test_names_at_the_matrix_do_not_touch() -> None:
    deployment = coarse()
    sizes = (1, 1, 1, 2, 3, 1, 1, 1, 1)
    figure = chip.matrix(deployment.config, populations(*sizes))
    figure.draw_without_rendering()
    axes, scale = figure.axes
    names = [label for label in axes.get_yticklabels() if label.get_text()]
    boxes = [name.get_window_extent() for name in names]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert scale.get_xlabel().startswith("weight")


def test_weights_have_the_unit_of_what_they_feed() -> None:
    groups = weight_groups(coarse(readout=True))
    assert [(g.title, g.unit) for g in groups] == [
        ("input to hidden", "thresholds"), ("hidden to hidden", "thresholds"),
        ("hidden to output", "volts"),
    ]  # fmt: skip
    units = {g.unit for g in weight_groups(coarse())}
    assert units == {"thresholds"}


def test_kept_neurons_have_their_own_time_constants() -> None:
    """Where neurons were removed, those that stay are compared with themselves."""
    one, tau = np.ones(5), np.array([4.0, 6.0, 9.0, 14.0, 20.0]) * 1e-3
    lif = nir.CubaLIF(tau / 2, tau, 8 * one, 0 * one, one, 0 * one, 4 * one)
    weights = np.ones((3, 5))
    weights[:, 1] = 0  # feeds nothing
    few = np.ones(3)
    out = nir.CubaLIF(4e-3 * few, 8e-3 * few, 8 * few, 0 * few, few, 0 * few, 4 * few)
    nodes = {
        "input": nir.Input(np.array([2])), "w1": nir.Linear(np.full((5, 2), 0.3)), "hidden": lif,
        "w2": nir.Linear(weights), "out": out, "output": nir.Output(np.array([3])),
    }  # fmt: skip
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)))
    deployment = convert(graph, dt=1e-3, method="channel", reset="subtract")
    assert deployment.placement.hidden[0].kept == (0, 2, 3, 4)
    membrane, synapse = (d for d in decays(deployment) if d.population == "hidden")
    for found, values in ((membrane, tau), (synapse, tau / 2)):
        np.testing.assert_allclose(np.exp(-1e-3 / found.before), (1 - 1e-3 / values)[[0, 2, 3, 4]])


def test_neurons_without_time_constants_have_none() -> None:
    """An IF integrates for ever: what the chip has instead was not trained."""
    one = np.ones(3)
    nodes = {
        "input": nir.Input(np.array([2])), "w": nir.Linear(np.full((3, 2), 0.3)),
        "n": nir.IF(one, one), "output": nir.Output(np.array([3])),
    }  # fmt: skip
    deployment = convert(nir.NIRGraph(nodes, list(pairwise(nodes))), dt=1e-3, reset="subtract")
    assert decays(deployment) == ()
    page = html(gather(deployment, np.ones((1, 9, 2), np.uint8)))
    assert "Time constants as they act" not in page
    assert "time constant as trained" not in page
