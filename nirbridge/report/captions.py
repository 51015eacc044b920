"""What stands below the figures of a page, and what is said to those who cannot see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import TIME_CONSTANTS
from nirbridge.graph.topology import Topology
from nirbridge.mapping.place import chip_links
from nirbridge.quantize.methods import FITTED
from nirbridge.report.evidence import Sample, Trace
from nirbridge.report.figures import spikes
from nirbridge.report.rounding import Decay, WeightGroup
from nirbridge.report.story import Story
from nirbridge.report.units import counted, seconds, spread

TOLD = 12  # populations whose figures are told in words


def before_words(story: Story) -> str:
    """How to read the network as it was given."""
    d = story.deployment
    words = (
        "From top to bottom, with the shapes of the signals beside the arrows where there is room."
    )
    nodes = inline(d.source).nodes.values()
    if not any(hasattr(node, name) for node in nodes for name in TIME_CONSTANTS):
        return words
    step = seconds(d.dynamics.dt)
    words += f" Time constants as they act in steps of {step}: −dt/ln(factor per step)."
    if d.dynamics.scheme == "euler":
        words += " With Euler's factor, 1 − dt/τ, they act shorter than they stand in the file."
    return words


def after_words(story: Story) -> str:
    """How to read the network on the chip, with what is drawn of it."""
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


def raster_words(sample: Sample) -> str:
    """What marks of a raster are, and which are shown."""
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


def raster_gist(sample: Sample) -> str:
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


def trace_gist(trace: Trace) -> str:
    """How far the membrane goes, how far from the trained one, and the spikes."""
    chip, trained = trace.chip_membrane, trace.trained_membrane
    words = f"{trace.name}: membrane from {chip.min():.2f} to {chip.max():.2f} {trace.unit}"
    if trained is not None:
        apart = float(np.abs(chip - trained).mean())
        words += f", {apart:.2f} from the trained one on average"
    fired = [counted(int(np.sum(trace.chip_spikes)), "spike")]
    if trace.trained_spikes is not None:
        fired.append(f"{int(np.sum(trace.trained_spikes)):,} as trained")
    return f"{words}; {', '.join(fired)}."


def trace_words(trace: Trace) -> str:
    """Which neuron it is and why, in which units, and what cannot be compared."""
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


def listed(words: Sequence[str]) -> str:
    """The first of many, and how many more."""
    more = len(words) - TOLD
    return ", ".join(words[:TOLD]) + (f" and {more} more" if more > 0 else "")


def weights_gist(groups: Sequence[WeightGroup]) -> str:
    """How many weights, their range, and how far rounding moved them."""
    said = [
        f"{g.title}: {counted(len(g.before), 'weight')}, from {g.before.min():.3g} to "
        f"{g.before.max():.3g} {g.unit} per spike, moved by "
        f"{float(np.abs(g.after - g.before).mean()):.2g} on average"
        for g in groups
    ]
    return f"Weights before and after rounding. {'; '.join(said)}."


def decay_words(story: Story) -> str:
    """How to read the chart of time constants."""
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


def decay_gist(found: Sequence[Decay]) -> str:
    """The ranges of each state before and after."""
    said = [
        f"{each.population} {each.kind} {spread(each.before, seconds)} becomes "
        f"{spread(each.after, seconds)}"
        for each in found
    ]
    return f"Time constants as trained and on the chip: {listed(said)}."
