"""What a report says in a sentence, in a word and in a colour, and what to know beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nirbridge.check import Drift
from nirbridge.intformat import INPUT_SPIKES
from nirbridge.report.units import counted, listed, percent, quantity, seconds

if TYPE_CHECKING:
    from nirbridge.report.story import Story


def state(story: Story) -> str:
    """``good``, ``bad``, or ``open`` where the input is none to judge by, or decides nothing."""
    if story.violations:
        return "bad"
    return "open" if story.random else story.drift.state(story.tolerance)


def badge(story: Story) -> str:
    """The state in a word or two."""
    if story.violations:
        return "Does not fit"
    word = {"good": "Agrees", "bad": "Differs", "open": "Not judged"}[state(story)]
    return f"{word}, one sample" if story.drift.samples == 1 else word


def sentence(story: Story) -> str:
    """All in one sentence."""
    drift, chip = story.drift, story.chip_title
    if story.violations:
        broken = counted(len(story.violations), "broken rule")
        return f"The configuration does not fit {chip}: {broken}."
    if drift.undecided_mostly and state(story) == "open":
        share = f"{drift.undecided:,} of {counted(drift.samples, 'sample')}"
        return (
            f"On {share} neither the chip nor {story.reference} decides anything: all outputs say "
            "the same, so that nothing can be said of how well they agree."
        )
    same = agreement(story)
    if story.random:
        return (
            f"The network fits {chip}; {same}. How well it does its task takes typical input to "
            "say."
        )
    if drift.accuracy is not None and drift.samples == 1:
        same += f" and is {'right' if drift.accuracy else 'wrong'}"
    elif drift.accuracy is not None:
        was = f"{percent(drift.trained_accuracy)} {story.as_trained}"
        same += f" and is right on {percent(drift.accuracy)} ({was})"
    return f"{same}{causes(drift)}."


def agreement(story: Story) -> str:
    """On how many samples of which input the chip decides as it should."""
    drift = story.drift
    on = f"On {counted(drift.samples, 'sample')}"
    if story.random:
        on = f"on {counted(drift.samples, 'sample')} of random spikes"
    elif drift.samples == 1:
        how = "as" if drift.agreement == 1 else "otherwise than"
        return f"On the only sample given the chip decides {how} {story.reference}"
    return f"{on} the chip decides as {story.reference} on {percent(drift.agreement)}"


def causes(drift: Drift) -> str:
    """With which changes the decisions that differ turned for good; with most of them if one is."""
    differ = len(drift.differing)
    rungs = sorted(drift.rungs, key=lambda rung: -rung.turned)
    if not differ:
        return ""
    first, second = (f"“{rung.adds}”" for rung in rungs[:2])
    if differ == 1:
        return f"; the one that differs turned with {first}"
    if 2 * rungs[0].turned > differ:
        most = "" if rungs[0].turned == differ else f"most ({rungs[0].turned}) of "
        return f"; {most}the {differ} that differ turned for good with {first}"
    return (
        f"; of the {differ} that differ, {rungs[0].turned} turned for good with {first} and "
        f"{rungs[1].turned} with {second}"
    )


def caveats(story: Story) -> Iterator[str]:
    """What a reader of the verdict must know beside it."""
    drift, energy = story.drift, story.energy
    if story.imported:
        yield "The integers were imported: no trained network is known to compare them with."
    if drift.tuned:
        yield "The integers were chosen on this very input, which therefore tests nothing."
    if drift.silent and not story.random:
        yield f"Never fires on the chip: {listed(drift.silent)}."
    if drift.clipped_inputs:
        share = percent(drift.clipped_inputs / drift.input_spikes)
        yield f"{share} of the input spikes were cut, beyond {INPUT_SPIKES} per channel and step."
    if energy is not None and story.slowness > 1:
        own = quantity(energy.default_clock or 0.0, "Hz")
        yield (
            f"Not in real time: for steps of {seconds(energy.dt)} the clock of {own} is "
            f"{story.slowness:.3g} times too slow."
        )
    if len(story.heads) > 1:
        names = listed(story.heads)
        yield f"The outputs {names} are judged as one answer, the largest of all."
