"""The configuration of the vendor's library ``samna``, field by field, and as its JSON.

The fields are those that Rockpool's public sources fill; the form of the JSON is that of one file
which an older release of the library wrote for Xylo Audio 2. The library itself could not be run,
so none of this is verified by it; :func:`notes` says what is known of which chip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse, refuse_all
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.export_rockpool import input_neurons, output_neurons
from nirbridge.targets import ChipSpec, target

ROOT = "value0"  # what the library's serialiser calls an object without a name


@dataclass(frozen=True)
class SamnaChip:
    """How ``samna`` names the parts of one chip.

    ``module`` holds its classes, ``hidden`` is the section of the hidden neurons and ``neuron``
    their class. ``board`` is the type of the development kit, ``model`` the method that gives its
    chip, ``switches`` what the board has to be told before it takes spikes: a path of methods and
    the last one's argument. ``time`` is the field of an event that counts steps. ``running``:
    fields beside the network that accelerated time needs. ``clocks``: fields of the debug section
    that switch parts of the chip on, which newer releases do without. ``monitors``: how neurons
    are named whose states are to be read, as a ``range`` or a ``list``; empty where that is not
    supported here. ``evidence``: what the JSON is based on.
    """

    module: str
    hidden: str
    neuron: str
    board: str
    model: str
    switches: tuple[tuple[str, bool], ...]
    time: str
    running: dict[str, Any]
    clocks: tuple[str, ...]
    monitors: str
    evidence: str

    @property
    def filter(self) -> str:
        """Name of the library's filter of this chip's events."""
        return f"{self.module[0].upper()}{self.module[1:]}OutputEventTypeFilter"


_CLOCKS = (
    "isyn_clock_enable",
    "ra_clock_enable",
    "bias_clock_enable",
    "hm_clock_enable",
    "ram_power_enable",
)
_INFERRED = (
    "No file of this chip was at hand: sections and fields are those that Rockpool 3.1.0 fills, "
    "their spelling in JSON is inferred from a file of Xylo Audio 2, and fields that the library "
    "may expect beside them are missing. Prefer nirbridge.deploy.samna_config, which fills the "
    "library's own objects."
)

SAMNA: dict[str, SamnaChip] = {
    "xylo-audio-2": SamnaChip(
        module="xyloCore2",
        hidden="reservoir",
        neuron="ReservoirNeuron",
        board="XyloA2TestBoard",
        model="get_xylo_model",
        switches=(("get_afe_model.set_saer_interface_enable", False),),
        time="timestamp",
        running={},
        clocks=(*_CLOCKS, "isyn2_clock_enable"),
        monitors="",
        evidence="Sections, fields and matrices have the form of one file that an older release "
        "wrote; fields outside the network keep the values of that file. How it writes an alias "
        "target that is set is inferred from its serialiser (cereal).",
    ),
    "xylo-imu": SamnaChip(
        module="xyloImu",
        hidden="hidden",
        neuron="HiddenNeuron",
        board="XyloImuTestBoard",
        model="get_model",
        switches=(("enable_manual_input_acceleration", True),),
        time="timestep",
        running={"imu_if_input_enable": False},
        clocks=(*_CLOCKS, "always_update_omp_stat"),
        monitors="range",
        evidence=_INFERRED,
    ),
    "xylo-audio-3": SamnaChip(
        module="xyloAudio3",
        hidden="hidden",
        neuron="HiddenNeuron",
        board="XyloAudio3TestBoard",
        model="get_model",
        switches=(),
        time="timestep",
        running={"input_source": "SpikeEvents"},
        clocks=(),
        monitors="list",
        evidence=_INFERRED,
    ),
}

# What the file of Xylo Audio 2 holds beside the network.
_RUN_TIME = {
    "directFetchStateRam": False,
    "enableHibernationMode": False,
    "clearNetworkState": False,
    "timeResolutionWrap": 0,
    "hibernationModeTimeResolutionWrap": 0,
}
_DEBUG = {
    "keepInterrupt": False,
    "alwaysUpdateOmpStat": False,
    "enableRstPadPull": True,
    "rstPadPullSelect": False,
    "ramWakeUpSettleTime": 0,
    "ramPowerEnable": True,
    "monitors": {f"value{i}": 0 for i in range(4)},
    "isynClockEnable": True,
    "isyn2ClockEnable": True,
    "raClockEnable": True,
    "biasClockEnable": True,
    "hmClockEnable": True,
    "inputWriteSelect": 0,
    "inputReadSelect": 0,
    "inputSelectEnable": False,
    "ramManualSleepControl": 0,
    "ramAutoSleepControl": 0,
    "ramLightSleep": False,
    "ramDeepSleep": False,
    "debugStatusUpdateEnable": False,
    "monitorDebugEnable": False,
    "peInternalSelect": 3,
    "peFsmSelect": 7,
    "peEngineSelect": 7,
    "peAccessRamFsmSelect": 31,
    "memShellRamArbiterSelect": 31,
    "readTimingSelect": 1,
    "writeTimingSelect": 1,
    **{f"monitorNeuron{part}": {"nullopt": True} for part in ("VMem", "ISyn", "ISyn2", "Spike")},
}


def samna_chip(name: str) -> SamnaChip:
    """What the library calls a chip.

    Raises
    ------
    Refused
        NB806 for an unknown name, NB706 if the library has no class for the chip that is known.

    """
    title = target(name).title
    if name not in SAMNA:
        found = f"{title}, of which no class is known"
        remedy = "choose the format json or rockpool"
        raise refuse("NB706", node="samna", limit=", ".join(SAMNA), found=found, remedy=remedy)
    return SAMNA[name]


def network(config: XyloConfig) -> dict[str, Any]:
    """The fields of the library's configuration that decide what the chip computes.

    Sections are nested dictionaries, neurons lists of them, matrices int8 (source, target), all
    else bool, int or None, by the names of the library's Python objects.

    Raises
    ------
    Refused
        NB6xx for what the chip cannot hold, NB706 if it has no class that is known.

    """
    refuse_all(config.violations())
    part, chip = samna_chip(config.target), target(config.target)
    w_in, w_rec = config.weights_in[:, input_neurons(config, chip)], config.weights_rec
    two = chip.synapses.value > 1
    used = {"synapse2_enable": config.uses_second} if two else {}

    def layer(shift: int, weights: NDArray[np.int8]) -> dict[str, Any]:
        second = {"syn2_weights": weights[:, :, 1]} if two else {}
        return {"weight_bit_shift": shift, "weights": weights[:, :, 0], **second}

    return {
        **used,
        "bias_enable": bool(config.bias.any() or config.bias_out.any()),
        "input": layer(config.weight_shift_in, w_in),
        part.hidden: {
            **layer(config.weight_shift_rec, w_rec),
            "neurons": _hidden(config, chip),
            "aliasing": bool((config.aliases >= 0).any()),
        },
        "readout": {
            "weight_bit_shift": config.weight_shift_out,
            "weights": config.weights_out[output_neurons(config, chip)],
            "neurons": _readout(config),
        },
    }


def _hidden(config: XyloConfig, chip: ChipSpec) -> list[dict[str, Any]]:
    columns = {
        "threshold": config.threshold,
        "v_mem_decay": config.dash_mem,
        "i_syn_decay": config.dash_syn,
        "v_mem_bias": config.bias,
    }
    if chip.synapses.value > 1:
        columns["i_syn2_decay"] = config.dash_syn_2
    rows = _rows(columns)
    for row, alias in zip(rows, config.aliases.tolist(), strict=True):
        row["alias_target"] = alias if alias >= 0 else None
    return rows


def _readout(config: XyloConfig) -> list[dict[str, Any]]:
    return _rows(
        {
            "threshold": config.threshold_out,
            "v_mem_decay": config.dash_mem_out,
            "i_syn_decay": config.dash_syn_out,
            "v_mem_bias": config.bias_out,
        }
    )


def _rows(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    lists = (column.tolist() for column in columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def to_samna(config: XyloConfig) -> dict[str, Any]:
    """The library's configuration as plain values, for JSON; unverified, see :func:`notes`.

    Raises
    ------
    Refused
        As :func:`network`.

    """
    found = {"operationMode": 0, **_encoded(network(config))}
    if samna_chip(config.target).hidden == "reservoir":  # of which a whole file is known
        switches = {name: value for name, value in found.items() if not isinstance(value, dict)}
        debug = {
            **_DEBUG,
            "isyn2ClockEnable": found["synapse2Enable"],
            "biasClockEnable": found["biasEnable"],
        }
        found = {**switches, **_RUN_TIME, **found, "debug": debug}  # in the order of that file
    return {ROOT: found}


def _encoded(value: Any, section: str = "") -> Any:
    """A value as the library's serialiser writes it."""
    if isinstance(value, dict):
        return {_key(name, section): _field(name, x) for name, x in value.items()}
    return value


def _field(name: str, value: Any) -> Any:
    if name == "alias_target":
        return {"nullopt": True} if value is None else {"nullopt": False, "data": value}
    if isinstance(value, np.ndarray):
        rows, columns = value.shape
        return {
            "dimensions": {"value0": rows, "value1": columns},
            "offsets": {"value0": columns, "value1": 1},
            "values": value.ravel().tolist(),
        }
    if isinstance(value, list):
        return [_encoded(x) for x in value]
    return _encoded(value, name)


def _key(name: str, section: str) -> str:
    """snake_case → camelCase, with the one exception that the known file shows."""
    if (section, name) == ("input", "syn2_weights"):
        return name
    first, *others = name.split("_")
    return first + "".join(word[0].upper() + word[1:] for word in others)


def notes(config: XyloConfig, name: str) -> str:
    """What of the exported JSON ``name`` is known, and what is not: a text to lie beside it."""
    part, chip = samna_chip(config.target), target(config.target)
    return f"""{name}: samna.{part.module}.configuration.XyloConfiguration
for {chip.title} ({chip.part}), dt = {config.dt:g} s, which the file itself has no field for.

UNVERIFIED. The vendor's library could not be run: no release of it has read this file, its
validator has not seen it, and no chip has been configured with it.

{part.evidence}

operationMode 0 is the value of that file; set the mode that you want before you apply it.
Weights, decays, thresholds, biases, aliases and weight shifts are those of the deployment's
config.json, which is what was simulated.
"""
