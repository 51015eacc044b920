"""The figures of a page, each with what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nirbridge.report.drawing import draw
from nirbridge.report.evidence import Sample, Trace
from nirbridge.report.figures import budget, chip, rounding, spikes
from nirbridge.report.figures.style import to_svg
from nirbridge.report.rounding import decays, weight_groups
from nirbridge.report.story import Story
from nirbridge.report.templates import trusted
from nirbridge.report.units import counted, percent, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 24  # boxes of a drawing on the page


@dataclass(frozen=True)
class Picture:
    """SVG for the page, and its caption."""

    svg: Any
    caption: str


def _picture(key: str, figure: Figure, caption: str) -> Picture:
    caption = visible(caption)
    return Picture(trusted(to_svg(figure, key, caption)), caption)


def budget_picture(story: Story) -> Picture:
    """The error budget."""
    total = percent(1 - story.drift.agreement)
    caption = (
        f"What each change on the way to the chip costs: decisions as by {story.reference} that "
        f"are lost with it, less those that it wins back. All together: {total}."
    )
    return _picture("budget", budget.budget(story.drift), caption)


def drawing(story: Story, after: bool) -> Picture:
    """The network as given, or as the chip has it."""
    d = story.deployment
    graph = d.deployed if after else d.source
    title = "The network on the chip" if after else "The network as it was given"
    svg = draw(
        graph,
        marks=story.marks if after else None,
        dt=d.config.dt,
        limit=DRAWN,
        populations=after,
        title=title,
        standalone=False,
    )
    return Picture(trusted(svg), title)


def sample_pictures(sample: Sample) -> Iterator[Picture]:
    """The raster of a sample, then the traces of its chosen neurons."""
    key = f"s{sample.number}"
    yield _picture(f"{key}-raster", spikes.raster(sample), _raster_words(sample))
    for k, trace in enumerate(sample.traces):
        yield _picture(f"{key}-t{k}", spikes.trace(trace, sample.dt), _trace_words(trace))


def _raster_words(sample: Sample) -> str:
    words = [
        "Steps with at least one spike; one row per neuron. The chip's answer is moved back by its "
        "latency. Relays, which only repeat others, are left out."
    ]
    many = spikes.sharing(sample)
    if many:
        words.append(f"One mark stands for {many}, and is set if any of them spikes.")
    if sample.steps < sample.of_steps:
        words.append(f"Shown are the first {sample.steps:,} of {sample.of_steps:,} steps.")
    if not any(s.role == "output" for s in sample.spikes):
        words.append("The outputs are read by their membranes, and send no spikes.")
    return " ".join(words)


def _trace_words(trace: Trace) -> str:
    after = ["States after the reset, in thresholds", "dashed: the threshold", "ticks: its spikes"]
    if trace.unit != "thresholds":
        after = [f"Read by its membrane, in {trace.unit}"]
    if trace.latency:
        after.append(f"moved back by {counted(trace.latency, 'step')}")
    words = [f"{trace.name}, {trace.why}.", "; ".join(after) + "."]
    if trace.trained_membrane is None:
        words.append("The trained network has no such state.")
    elif trace.trained_current is None:
        words.append("The trained neuron has no synapse, hence no current to compare.")
    return " ".join(words)


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
        f"top to bottom; {place.n_hidden:,} are in use. Numbers are those of the table."
    )
    if takes:
        caption += f" In the solid frame: the first {takes}, which alone can take input."
    if drives:
        caption += (
            f" In the dashed frame: the last {drives} of those in use, which alone can drive "
            "outputs."
        )
    return _picture("map", chip.neuron_map(place, limit, takes, drives), caption)


def matrix_picture(story: Story) -> Picture:
    """The matrix of all weights."""
    config, place = story.deployment.config, story.deployment.placement
    side = chip.block_size((config.n_in + config.n_hidden, config.n_hidden + config.n_out))
    shared = f" One dot is the strongest of {side} × {side} weights." if side > 1 else ""
    caption = (
        "All weights on the chip: rows send, columns receive; orange excites, blue inhibits, the "
        "fuller the stronger. Of the two synapses of a neuron the stronger one is shown. Top: from "
        f"the inputs; right: to the outputs; between: recurrent.{shared}"
    )
    return _picture("matrix", chip.matrix(config, place), caption)


def rounding_pictures(story: Story) -> Iterator[Picture]:
    """Weights and time constants before and after."""
    d = story.deployment
    groups = weight_groups(d)
    if groups:
        caption = (
            "Weights with the chip's decays, before they were rounded to 8 bits and after. The "
            "vertical axis is logarithmic. Weights that are 0 before and after are left out."
        )
        yield _picture("weights", rounding.weights(groups), caption)
    found = decays(d)
    if found:
        caption = (
            "Time constants as they act, −dt/ln(factor per step), one mark per value, its area "
            "growing with the number of neurons. Grey lines: those that bit shifts can make. "
            "Dashed: unchanged."
        )
        if any(each.kind == "second synapse" for each in found):
            caption += (
                " Membrane and both synapses of a neuron were fitted together, so that its answer "
                "to a spike is near the trained one; single time constants may lie far apart."
            )
        yield _picture("decays", rounding.decays(found, d.config.dt), caption)
