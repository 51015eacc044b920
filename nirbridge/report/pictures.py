"""The figures of a page, each with what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nirbridge.graph.inline import inline
from nirbridge.graph.topology import Topology
from nirbridge.mapping.lift import chip_dynamics
from nirbridge.mapping.place import chip_links
from nirbridge.quantize.methods import FITTED
from nirbridge.report.drawing import draw
from nirbridge.report.evidence import Sample, Trace
from nirbridge.report.figures import budget, chip, rounding, spikes
from nirbridge.report.figures.style import to_svg
from nirbridge.report.rounding import Decay, WeightGroup, decays, weight_groups
from nirbridge.report.story import Story
from nirbridge.report.templates import trusted
from nirbridge.report.units import counted, percent, points, seconds, spread, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 24  # boxes of a drawing on the page
TOLD = 12  # populations whose figures are told in words


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
    return Picture(trusted(svg), title, _after_words(story) if after else _before_words(story))


def _before_words(story: Story) -> str:
    how = story.deployment.dynamics
    words = (
        "From top to bottom, with the shapes of the signals beside the arrows where there is room. "
        f"Time constants as they act in steps of {seconds(how.dt)}: −dt/ln(factor per step)."
    )
    if how.scheme == "euler":
        words += " With Euler's factor, 1 − dt/τ, they act shorter than they stand in the file."
    return words


def _after_words(story: Story) -> str:
    words = [
        "Synapses are drawn in the box of their neurons, and matrices between the same two "
        "populations in one box. Time constants are those that the bit shifts make."
    ]
    relays, others = _new_loops(story)
    if others:
        words.append("A dashed loop is a weak connection of each neuron onto itself.")
    if relays:
        words.append(
            "That of a relay takes back what is left of the current, so that it sends each spike "
            "once."
        )
    return " ".join(words)


def _new_loops(story: Story) -> tuple[bool, bool]:
    """Whether the rewrite gave neurons connections onto themselves: relays, and others."""
    d = story.deployment
    given = inline(d.source).nodes
    links = chip_links(d.deployed, Topology(d.deployed))
    looped = {
        link.source
        for link in links
        if link.source == link.target
        and link.name not in given
        and np.any(d.deployed.nodes[link.name].weight)
    }
    relays = {p.name for p in d.placement.hidden if p.relay}
    return bool(looped & relays), bool(looped - relays)


def sample_pictures(sample: Sample) -> Iterator[Picture]:
    """The raster of a sample, then the traces of its chosen neurons."""
    key = f"s{sample.number}"
    raster, words = spikes.raster(sample), _raster_words(sample)
    yield _picture(f"{key}-raster", raster, words, _raster_gist(sample))
    for k, trace in enumerate(sample.traces):
        drawn, words = spikes.trace(trace, sample.dt), _trace_words(trace)
        yield _picture(f"{key}-t{k}", drawn, words, _trace_gist(trace))


def _raster_words(sample: Sample) -> str:
    words = [
        "Steps with at least one spike; one row per neuron. The chip's answer is moved back by its "
        "latency. Relays, which only repeat others, are left out."
    ]
    hidden = sum(s.role == "hidden" for s in sample.spikes)
    if hidden > spikes.GROUPS:
        words.append(f"The {hidden} hidden populations stand together, in the order of the chip.")
    if any(s.chip.shape[1] > spikes.ROWS for s in sample.spikes):
        words.append(f"Of larger populations {spikes.ROWS} neurons are shown, evenly spread.")
    if sample.of_steps > spikes.COLUMNS:
        words.append(f"Shown are the first {spikes.COLUMNS:,} of {sample.of_steps:,} steps.")
    if not any(s.role == "output" for s in sample.spikes):
        words.append("The outputs are read by their membranes, and send no spikes.")
    return " ".join(words)


def _raster_gist(sample: Sample) -> str:
    """Spikes of each population on the chip, as trained, and in both."""
    said = []
    for s in sample.spikes:
        chip = np.asarray(s.chip) > 0
        words = f"{s.name}: {counted(int(chip.sum()), 'mark')}"
        if s.role != "input" and s.trained is not None:
            trained = np.asarray(s.trained) > 0
            both = int((chip & trained).sum())
            words += f" on the chip, {int(trained.sum()):,} as trained, {both:,} in both"
        said.append(words)
    return f"Raster of {counted(sample.steps, 'step')}. {'; '.join(said)}."


def _trace_gist(trace: Trace) -> str:
    chip, trained = trace.chip_membrane, trace.trained_membrane
    words = f"{trace.name}: membrane from {chip.min():.2f} to {chip.max():.2f} {trace.unit}"
    if trained is not None:
        apart = float(np.abs(chip - trained).mean())
        words += f", {apart:.2f} from the trained one on average"
    fired = [counted(int(np.sum(trace.chip_spikes)), "spike")]
    if trace.trained_spikes is not None:
        fired.append(f"{int(np.sum(trace.trained_spikes)):,} as trained")
    return f"{words}; {', '.join(fired)}."


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
    gist = f"Hidden neurons {listed(ids)}; {limit - place.n_hidden:,} of {limit:,} are free."
    return _picture("map", chip.neuron_map(place, limit, takes, drives), caption, gist)


def listed(words: Sequence[str]) -> str:
    """The first of many, and how many more."""
    more = len(words) - TOLD
    return ", ".join(words[:TOLD]) + (f" and {more} more" if more > 0 else "")


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
        yield _picture("weights", rounding.weights(groups), caption, _weights_gist(groups))
    found = decays(d)
    if found:
        picture = rounding.decays(found, d.config.dt)
        yield _picture("decays", picture, _decay_words(story), _decay_gist(found))


def _weights_gist(groups: Sequence[WeightGroup]) -> str:
    said = [
        f"{g.title}: {counted(len(g.before), 'weight')}, from {g.before.min():.3g} to "
        f"{g.before.max():.3g} {g.unit} per spike, moved by "
        f"{float(np.abs(g.after - g.before).mean()):.2g} on average"
        for g in groups
    ]
    return f"Weights before and after rounding. {'; '.join(said)}."


def _decay_words(story: Story) -> str:
    d = story.deployment
    words = (
        "Time constants as they act, −dt/ln(factor per step), one mark per value, its area "
        "growing with the number of neurons. Grey lines: those that bit shifts can make. "
        "Dashed: unchanged. What the rewrite made, and nobody trained, is left out."
    )
    if d.method in FITTED:
        words += (
            " Membrane and synapses of a neuron are fitted together, so that its answer to a "
            "spike is near the trained one; single time constants may lie far apart."
        )
    return words


def _decay_gist(found: Sequence[Decay]) -> str:
    said = [
        f"{each.population} {each.kind} {spread(each.before, seconds)} becomes "
        f"{spread(each.after, seconds)}"
        for each in found
    ]
    return f"Time constants as trained and on the chip: {listed(said)}."
