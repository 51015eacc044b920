"""The Xylo chips. Each limit with its value, unit, source and standing."""

from __future__ import annotations

from nirbridge.diagnostics import refuse
from nirbridge.targets.spec import ChipSpec, Limit

_PAPER = "the Rockpool-to-Xylo pipeline paper, table 1"
_OVERVIEW = "Rockpool's documentation, devices/xylo-overview"

XYLO_AUDIO_2 = ChipSpec(
    name="xylo-audio-2",
    title="Xylo Audio 2",
    inputs=Limit(16, "input channels", _PAPER),
    hidden=Limit(1000, "hidden neurons", _PAPER),
    outputs=Limit(8, "output neurons", _PAPER),
    synapses=Limit(2, "synapses per hidden neuron", _PAPER),
    fan_out=Limit(64, "hidden targets per hidden neuron", _OVERVIEW),
    entries=Limit(
        32_000, "recurrent entries in all", "size of the recurrent weight memory", "inferred"
    ),
    bias_bits=Limit(8, "bits per bias", "width of the bias memory dump", "inferred"),
    aliases=Limit(1, "alias target per hidden neuron", _PAPER),
)

TARGETS: dict[str, ChipSpec] = {chip.name: chip for chip in (XYLO_AUDIO_2,)}


def target(name: str | ChipSpec) -> ChipSpec:
    """The chip of that name; a :class:`ChipSpec` passes through.

    Raises
    ------
    Refused
        NB806 if there is no chip of that name.

    """
    if isinstance(name, ChipSpec):
        return name
    if name not in TARGETS:
        raise refuse("NB806", node="target", limit=", ".join(TARGETS), found=repr(name))
    return TARGETS[name]
