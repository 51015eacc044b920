"""The figures of a page, each with what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nirbridge.mapping.lift import chip_dynamics
from nirbridge.report import captions
from nirbridge.report.drawing import draw
from nirbridge.report.evidence import Sample
from nirbridge.report.figures import budget, chip, rounding, spikes
from nirbridge.report.figures.style import to_svg
from nirbridge.report.rounding import decays, weight_groups
from nirbridge.report.story import Story
from nirbridge.report.templates import trusted
from nirbridge.report.units import counted, percent, points, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 24  # boxes of a drawing on the page


@dataclass(frozen=True)
class Picture:
    """SVG for the page, and its caption; ``note``: what else there is to say."""

    svg: Any
    caption: str
    note: str = ""


def _picture(key: str, figure: Figure, caption: str, gist: str) -> Picture:
    """``gist``: what the figure shows, for those who cannot see it."""
    return Picture(trusted(to_svg(figure, key, visible(gist))), visible(caption))


def budget_picture(story: Story) -> Picture:
    """The error budget."""
    total = percent(1 - story.drift.agreement)
    caption = (
        "What each change on the way to the chip costs: samples that were still decided as by the "
        f"trained network before it, and no longer after it. All together: {total}."
    )
    costs = "; ".join(f"{rung.adds}: {points(rung.loss)}" for rung in story.drift.rungs[1:])
    gist = f"Percentage points of decisions that each change costs. {costs}. All together: {total}."
    return _picture("budget", budget.budget(story.drift), caption, gist)


def drawing(story: Story, after: bool) -> Picture:
    """The network as given, or as the chip has it."""
    d = story.deployment
    graph = d.deployed if after else d.source
    title = "The network on the chip" if after else "The network as it was given"
    svg = draw(
        graph,
        marks=story.marks if after else None,
        how=chip_dynamics(d.config.dt) if after else d.dynamics,
        limit=DRAWN,
        populations=after,
        title=title,
        standalone=False,
    )
    words = captions.after_words if after else captions.before_words
    return Picture(trusted(svg), title, words(story))


def sample_pictures(sample: Sample) -> Iterator[Picture]:
    """The raster of a sample, then the traces of its chosen neurons."""
    key = f"s{sample.number}"
    raster, words = spikes.raster(sample), captions.raster_words(sample)
    yield _picture(f"{key}-raster", raster, words, captions.raster_gist(sample))
    for k, trace in enumerate(sample.traces):
        drawn, words = spikes.trace(trace, sample.dt), captions.trace_words(trace)
        yield _picture(f"{key}-t{k}", drawn, words, captions.trace_gist(trace))


def map_picture(story: Story) -> Picture:
    """The map of hidden neurons."""
    place = story.deployment.placement
    limits = story.chip.limits() if story.chip else {}
    limit = limits["hidden"].value if limits else place.n_hidden
    takes, drives = (
        limits[name].value if name in limits and limits[name].value < limit else 0
        for name in ("input_neurons", "output_neurons")
    )
    caption = (
        f"The {limit:,} hidden neurons of {story.chip_title} by number, from left to right and "
        f"top to bottom; {place.n_hidden:,} are in use. Numbers are those of the table"
    )
    columns = chip.map_columns(max(limit, place.n_hidden, 1))
    spots = [chip.number_spot(p.first, p.size, columns, k) for k, p in enumerate(place.hidden, 1)]
    caption += "; too small for one are some." if None in spots else "."
    if takes:
        caption += f" In the solid frame: the first {takes}, which alone can take input."
    if drives:
        caption += (
            f" In the dashed frame: the last {drives} of those in use, which alone can drive "
            "outputs."
        )
    ids = [f"{p.name} {p.first} to {p.first + p.size - 1}" for p in place.hidden if p.size]
    told = captions.listed(ids)
    gist = f"Hidden neurons {told}; {limit - place.n_hidden:,} of {limit:,} are free."
    return _picture("map", chip.neuron_map(place, limit, takes, drives), caption, gist)


def matrix_picture(story: Story) -> Picture:
    """The matrix of all weights."""
    config, place = story.deployment.config, story.deployment.placement
    side = chip.block_size((config.n_in + config.n_hidden, config.n_hidden + config.n_out))
    caption = (
        "All weights on the chip: rows send, columns receive; orange excites, blue inhibits; the "
        "ink grows with the square root of the weight, so that small ones are seen. Top: from "
        "the inputs; right: to the outputs; between: recurrent."
    )
    two = chip.two_synapses(config)
    if two:
        caption += (
            f" {counted(two, 'connection')} have a weight on both synapses of a neuron: the "
            "stronger is shown."
        )
    if side > 1:
        caption += f" One dot is the strongest of {side} × {side} weights."
    blocks = (
        ("input to hidden", config.weights_in),
        ("hidden to hidden", config.weights_rec),
        ("hidden to output", config.weights_out),
    )
    said = [f"{name} {np.count_nonzero(w):,} of {w.size:,}" for name, w in blocks]
    gist = f"Weights other than 0: {'; '.join(said)}."
    return _picture("matrix", chip.matrix(config, place), caption, gist)


def rounding_pictures(story: Story) -> Iterator[Picture]:
    """Weights and time constants before and after."""
    d = story.deployment
    groups = weight_groups(d)
    if groups:
        caption = (
            "Weights with the chip's decays, before they were rounded to 8 bits and after. The "
            "vertical axis is logarithmic. Weights that are 0 before and after are left out."
        )
        yield _picture("weights", rounding.weights(groups), caption, captions.weights_gist(groups))
    found = decays(d)
    if found:
        picture = rounding.decays(found, d.config.dt)
        yield _picture("decays", picture, captions.decay_words(story), captions.decay_gist(found))
