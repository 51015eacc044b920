"""The Xylo chips. Each limit with its value, unit, source and standing.

Nothing here was measured on silicon. Where sources contradict each other, the limit's note says
so. Where they say nothing, the value is the most cautious one, and ``assumed``.
"""

from __future__ import annotations

from nirbridge.diagnostics import refuse
from nirbridge.intformat import DASH, HIDDEN_SPIKES, INPUT_SPIKES, INT8, INT16, OUTPUT_SPIKES, SHIFT
from nirbridge.targets.spec import ChipSpec, Limit

_PAPER = "the Rockpool-to-Xylo pipeline paper, table 1"
_OVERVIEW = "Rockpool's documentation, devices/xylo-overview"
_QUICK = "Rockpool's documentation, devices/quick-xylo/deploy_to_xylo"
_IMU = "Rockpool's documentation, devices/xylo-imu/xylo-imu-intro"
_FIRST = "Rockpool's simulator class of SYNS61300"

_LIKE_AUDIO_2 = "that of Xylo Audio 2; no source names it"

_INPUT_NOTE = "Rockpool's mapper only warns above it"
_NO_ALIAS_CHECK = "Rockpool keeps the first alias of several and drops the others"

# What all chips share: the formats of XyloConfig's integers.
FORMATS: dict[str, Limit] = {
    "input_spikes": Limit(INPUT_SPIKES, "spikes per channel and step", _OVERVIEW),
    "hidden_spikes": Limit(HIDDEN_SPIKES, "spikes per hidden neuron and step", _OVERVIEW),
    "output_spikes": Limit(OUTPUT_SPIKES, "spike per output neuron and step", _OVERVIEW),
    "weight_bits": Limit(INT8.bits, "bits per weight, signed", _QUICK),
    "state_bits": Limit(INT16.bits, "bits per current and membrane, signed", _QUICK),
    "threshold_bits": Limit(INT16.bits, "bits per threshold, signed", _QUICK),
    "dash_bits": Limit(DASH.bits, "bits per decay shift", _QUICK),
    "shift_bits": Limit(
        SHIFT.bits,
        "bits per weight shift",
        "width of the register fields of Xylo Audio 2",
        "inferred",
        "of the other chips no source says it; Rockpool writes 8 bits and checks none",
    ),
    "output_synapses": Limit(1, "synapse per output neuron", _QUICK),
}

XYLO_AUDIO_2 = ChipSpec(
    name="xylo-audio-2",
    title="Xylo Audio 2",
    part="SYNS61201",
    inputs=Limit(16, "input channels", _PAPER, note=_INPUT_NOTE),
    hidden=Limit(1000, "hidden neurons", _PAPER),
    outputs=Limit(8, "output neurons", _PAPER),
    synapses=Limit(2, "synapses per hidden neuron", _PAPER),
    fan_out=Limit(
        64,
        "hidden targets per hidden neuron",
        _OVERVIEW,
        note="an older page (open-neuromorphic.org) has a fan-in of 63 instead, which no other "
        "source mentions; Rockpool checks neither",
    ),
    entries=Limit(
        32_000,
        "recurrent entries in all",
        "size of the recurrent weight memory",
        "inferred",
        "the overview has a mean fan-out of 32, which is the same; the older page has 64 000 "
        "weights, which are those of both synapses",
    ),
    bias_bits=Limit(
        8,
        "bits per bias",
        "width of the bias memory dump",
        "inferred",
        "the vendor's simulator takes 16 bits",
    ),
    aliases=Limit(1, "alias target per hidden neuron", _PAPER, note=_NO_ALIAS_CHECK),
    input_neurons=Limit(
        1000, "hidden neurons that can take input", "size of the input weight memory", "inferred"
    ),
    output_neurons=Limit(
        1000,
        "hidden neurons that can drive outputs",
        "size of the output memory",
        "inferred",
        "the vendor's configuration has a row for every hidden neuron, its simulator takes fewer",
    ),
)

XYLO_IMU = ChipSpec(
    name="xylo-imu",
    title="Xylo IMU",
    part="SYNS63300",
    inputs=Limit(
        16,
        "input channels",
        _OVERVIEW,
        note=f"{_INPUT_NOTE}; the chip's own motion interface drives 15 of them",
    ),
    hidden=Limit(496, "hidden neurons", _OVERVIEW),
    outputs=Limit(16, "output neurons", _OVERVIEW),
    synapses=Limit(1, "synapse per hidden neuron", _OVERVIEW),
    fan_out=Limit(512, "hidden targets per hidden neuron", _OVERVIEW, note="more than it has"),
    entries=Limit(
        31_744,
        "recurrent entries in all",
        _IMU,
        note="the overview has a mean fan-out of 64, which is the same",
    ),
    bias_bits=Limit(8, "bits per bias", _LIKE_AUDIO_2, "assumed"),
    aliases=Limit(1, "alias target per hidden neuron", _OVERVIEW, note=_NO_ALIAS_CHECK),
    input_neurons=Limit(
        128,
        "hidden neurons that can take input, the first ones",
        _IMU,
        note="Rockpool cuts off the weights of all others, with a warning",
    ),
    output_neurons=Limit(
        128,
        "hidden neurons that can drive outputs, the last ones",
        _IMU,
        note="Rockpool cuts off the weights of all others, with a warning",
    ),
)

XYLO_AUDIO_3 = ChipSpec(
    name="xylo-audio-3",
    title="Xylo Audio 3",
    part="SYNS65302",
    inputs=Limit(16, "input channels", _OVERVIEW, note=_INPUT_NOTE),
    hidden=Limit(992, "hidden neurons", _OVERVIEW),
    outputs=Limit(
        32,
        "output neurons",
        _OVERVIEW,
        note="Rockpool's mapper warns already above 16; the output memory holds 128 x 32 weights",
    ),
    synapses=Limit(
        2,
        "synapses per hidden neuron",
        _OVERVIEW,
        note="Rockpool before 3.1.0 does not write the second one, and its simulator of a "
        "configuration still leaves it out",
    ),
    fan_out=Limit(1024, "hidden targets per hidden neuron", _OVERVIEW, note="more than it has"),
    entries=Limit(
        31_744,
        "recurrent entries in all",
        "size of the recurrent weight memory",
        "inferred",
        "the overview has a mean fan-out of 32, which is the same",
    ),
    bias_bits=Limit(8, "bits per bias", _LIKE_AUDIO_2, "assumed"),
    aliases=Limit(1, "alias target per hidden neuron", _OVERVIEW, note=_NO_ALIAS_CHECK),
    input_neurons=Limit(
        128,
        "hidden neurons that can take input, the first ones",
        _OVERVIEW,
        note="Rockpool cuts off the weights of all others, with a warning",
    ),
    output_neurons=Limit(
        128,
        "hidden neurons that can drive outputs, the last ones",
        "size of the output weight memory",
        "inferred",
        "Rockpool cuts off the weights of all others, with a warning",
    ),
)

XYLO_1 = ChipSpec(
    name="xylo-1",
    title="the first Xylo",
    part="SYNS61300",
    arithmetic="v1",
    inputs=Limit(16, "input channels", _FIRST),
    hidden=Limit(
        1000,
        "hidden neurons",
        _LIKE_AUDIO_2,
        "assumed",
        "Rockpool's tools name one or two buffer neurons of this chip, and do not use them",
    ),
    outputs=Limit(8, "output neurons", _LIKE_AUDIO_2, "assumed"),
    synapses=Limit(2, "synapses per hidden neuron", _LIKE_AUDIO_2, "assumed"),
    fan_out=Limit(
        64, "hidden targets per hidden neuron", "the least of the later chips", "assumed"
    ),
    entries=Limit(31_744, "recurrent entries in all", "the least of the later chips", "assumed"),
    bias_bits=Limit(0, "bits per bias", "the vendor's simulator xylosim.v1, which takes none"),
    aliases=Limit(
        1, "alias target per hidden neuron", _QUICK, note="its simulator takes any number"
    ),
    input_neurons=Limit(1000, "hidden neurons that can take input", _LIKE_AUDIO_2, "assumed"),
    output_neurons=Limit(1000, "hidden neurons that can drive outputs", _LIKE_AUDIO_2, "assumed"),
)

TARGETS: dict[str, ChipSpec] = {
    chip.name: chip for chip in (XYLO_AUDIO_2, XYLO_IMU, XYLO_AUDIO_3, XYLO_1)
}


def target(name: str | ChipSpec) -> ChipSpec:
    """The chip of that name; a :class:`ChipSpec` passes through.

    Raises
    ------
    Refused
        NB806 if there is no chip of that name, or if a record has another arithmetic than
        configurations with its name are run by.

    """
    if isinstance(name, ChipSpec):
        known = arithmetic(name.name)
        if name.arithmetic != known:
            limit = f"arithmetic {known} for the name {name.name!r}"
            raise refuse("NB806", node="target", limit=limit, found=name.arithmetic)
        return name
    if name not in TARGETS:
        raise refuse("NB806", node="target", limit=", ".join(TARGETS), found=repr(name))
    return TARGETS[name]


def arithmetic(name: str) -> str:
    """Version of the time step that a configuration for that chip is run by.

    ``v2`` for chips that are not listed here.
    """
    return TARGETS[name].arithmetic if name in TARGETS else "v2"
