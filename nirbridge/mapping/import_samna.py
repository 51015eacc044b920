"""JSON of the vendor's library ``samna`` → :class:`XyloConfig`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import diagnose, refuse, refuse_all
from nirbridge.intformat import DASH, INT8, INT16, THRESHOLD
from nirbridge.mapping.config import XyloConfig, integers, shown
from nirbridge.mapping.export_samna import ROOT, SAMNA
from nirbridge.targets import target

_OUTPUT = {"threshold", "vMemDecay", "iSynDecay", "vMemBias"}
_NEURON = {
    "threshold": THRESHOLD,
    "vMemDecay": DASH,
    "iSynDecay": DASH,
    "iSyn2Decay": DASH,
    "vMemBias": INT16,
}
_STATES = {"membranePotential", "spikeCount", "synapticCurrent", "synapticCurrent2"}
_SECOND = ("syn2_weights", "syn2Weights")  # one release spells the same field both ways


def is_samna(content: Any) -> bool:
    """Whether JSON has the outermost form of a configuration of the library."""
    return isinstance(content, dict) and set(content) == {ROOT}


def from_samna(
    content: Any, dt: float | None, chip: str | None = None
) -> tuple[XyloConfig, tuple[str, ...]]:
    """The configuration in the library's JSON, and what in it is lost.

    What the switches ``biasEnable`` and ``synapse2Enable`` turn off counts as 0, as the chip
    computes it. Fields outside the network (modes, clocks, monitors, front ends) are not read.

    Parameters
    ----------
    content
        Parsed JSON.
    dt
        Time step in seconds, which the library's file does not hold.
    chip
        Name of the chip; by default it is told from the sections.

    Raises
    ------
    Refused
        NB705 for fields that are missing, unknown or contradict each other, NB701 to NB703 for
        shapes, types and ranges, NB301 without a time step.

    """
    if not is_samna(content) or not isinstance(content[ROOT], dict):
        raise refuse("NB705", limit=f"an object {ROOT!r}", found=shown(content))
    root = content[ROOT]
    name = _chip(root, chip)
    spec, section = target(name), SAMNA[name].hidden
    if dt is None:
        raise refuse("NB301", node="dt", limit="seconds", found="none: the format has no field")
    second = {"iSyn2Decay"} if spec.synapses.value > 1 else set()
    parts = {part: _object(root, part) for part in ("input", section, "readout")}
    hidden = _neurons(parts[section], section, _OUTPUT | second | {"aliasTarget"})
    outputs = _neurons(parts["readout"], "readout", _OUTPUT)
    n, n_out = len(hidden["threshold"]), len(outputs["threshold"])
    both = bool(second) and _flag(root, "synapse2Enable")
    w_in, w_rec = (_matrices(parts[part], part, both) for part in ("input", section))
    lost = []
    if not both:
        count = sum(int(np.count_nonzero(w[:, :, 1])) for w in (w_in, w_rec))
        lost += _lost(count, "weights of the second synapse", "synapse2Enable")
        w_in[:, :, 1] = w_rec[:, :, 1] = 0
    w_out = _matrix(_need(parts["readout"], "weights", "readout"), "readout.weights")
    _known(parts["readout"], {"weights", "neurons", "weightBitShift"}, "readout")
    sizes = (("input.weights", w_in.shape[1]), ("readout.weights", len(w_out)))
    refuse_all(
        diagnose("NB701", node=place, limit=f"at most {n} hidden neurons", found=size)
        for place, size in sizes
        if size > n
    )
    none, none_out = np.zeros(n, np.int64), np.zeros(n_out, np.int64)
    used = _flag(root, "biasEnable")
    if not used:
        count = sum(int(np.count_nonzero(x["vMemBias"])) for x in (hidden, outputs))
        lost += _lost(count, "biases", "biasEnable")
    config = XyloConfig(
        weights_in=np.pad(w_in, ((0, 0), (0, n - w_in.shape[1]), (0, 0))),
        weights_rec=w_rec,
        weights_out=np.pad(w_out, ((n - len(w_out), 0), (0, 0))),
        dash_mem=hidden["vMemDecay"],
        dash_syn=hidden["iSynDecay"],
        dash_syn_2=hidden["iSyn2Decay"] if second else none + 1,
        dash_mem_out=outputs["vMemDecay"],
        dash_syn_out=outputs["iSynDecay"],
        threshold=hidden["threshold"],
        threshold_out=outputs["threshold"],
        bias=hidden["vMemBias"] if used else none,
        bias_out=outputs["vMemBias"] if used else none_out,
        aliases=np.array(_aliases(parts[section], hidden["aliasTarget"], section), np.int64),
        weight_shift_in=_integer(_need(parts["input"], "weightBitShift", "input"), "input"),
        weight_shift_rec=_integer(_need(parts[section], "weightBitShift", section), section),
        weight_shift_out=_integer(_need(parts["readout"], "weightBitShift", "readout"), "readout"),
        dt=dt,
        target=name,
    )
    return config, tuple(lost)


def _lost(count: int, what: str, switch: str) -> list[str]:
    return [f"{count} {what} dropped, which {switch} = false turns off"] if count else []


def _chip(root: dict[str, Any], given: str | None) -> str:
    """The chip whose sections these are: two of the family differ in the second synapse only."""
    if given is not None:
        target(given)
    sections = [part.hidden for part in SAMNA.values() if part.hidden in root]
    second = "synapse2Enable" in root
    fitting = [
        name
        for name, part in SAMNA.items()
        if part.hidden in sections and (target(name).synapses.value > 1) == second
    ]
    if len(fitting) != 1:
        limit = f"one of the sections {sorted({part.hidden for part in SAMNA.values()})}"
        raise refuse("NB705", limit=limit, found=shown(sorted(root, key=str)))
    if given is not None and given != fitting[0]:
        limit = f"{fitting[0]}, by its sections"
        raise refuse("NB705", node="target", limit=limit, found=given)
    return fitting[0]


def _need(content: dict[str, Any], name: str, place: str) -> Any:
    if name not in content:
        raise refuse("NB705", node=f"{place}.{name}".lstrip("."), limit="a field", found="none")
    return content[name]


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = _need(content, name, "")
    if not isinstance(found, dict):
        raise refuse("NB705", node=name, limit="an object", found=shown(found))
    return found


def _known(content: dict[str, Any], names: set[str], place: str) -> None:
    unknown = sorted(set(content) - names)
    if unknown:
        limit = f"the fields {', '.join(sorted(names))}"
        raise refuse("NB705", node=place, limit=limit, found=shown(unknown))


def _flag(content: dict[str, Any], name: str, place: str = "") -> bool:
    found = _need(content, name, place)
    if not isinstance(found, bool):
        raise refuse("NB702", node=name, limit="true or false", found=shown(found))
    return found


def _integer(value: Any, place: str) -> int:
    if type(value) is not int:
        raise refuse("NB702", node=place, limit="an integer", found=shown(value))
    return value


def _matrices(content: dict[str, Any], place: str, second: bool) -> NDArray[np.int8]:
    """Weights of both synapses, (source, target, 2); ``second``: whether there must be two."""
    names = {"weights", "weightBitShift", *_SECOND}
    _known(content, names | ({"neurons", "aliasing"} if place != "input" else set()), place)
    first = _matrix(_need(content, "weights", place), f"{place}.weights")
    other = np.zeros_like(first)
    present = [name for name in _SECOND if name in content]
    if second or present:
        if len(present) != 1:
            raise refuse("NB705", node=place, limit=f"one of {_SECOND}", found=str(present))
        other = _matrix(content[present[0]], f"{place}.{present[0]}")
    if other.shape != first.shape:
        limit = f"{first.shape}, as the first synapse"
        raise refuse("NB701", node=f"{place}.{_SECOND[1]}", limit=limit, found=str(other.shape))
    return np.stack([first, other], axis=2)


def _matrix(content: Any, place: str) -> NDArray[np.int8]:
    """Rows one after the other, with their number and length."""
    try:
        rows, columns = (content["dimensions"][f"value{i}"] for i in (0, 1))
        steps = [content["offsets"][f"value{i}"] for i in (0, 1)]
        values = content["values"]
    except (KeyError, TypeError):
        limit = "dimensions, offsets, values"
        raise refuse("NB705", node=place, limit=limit, found=shown(content)) from None
    array = integers(f"{place}.values", values, INT8, "NB702")
    whole = type(rows) is int and type(columns) is int and min(rows, columns) >= 0
    if not whole or rows * columns != len(array) or steps != [columns, 1]:
        limit = f"rows x columns = {len(array)} values, row by row"
        raise refuse("NB701", node=place, limit=limit, found=shown((rows, columns, steps)))
    return np.asarray(array, np.int8).reshape(rows, columns)


def _neurons(content: dict[str, Any], place: str, names: set[str]) -> dict[str, Any]:
    """The neurons' fields as columns."""
    neurons = _need(content, "neurons", place)
    if not isinstance(neurons, list):
        raise refuse("NB705", node=f"{place}.neurons", limit="a list", found=shown(neurons))
    for i, neuron in enumerate(neurons):
        where = f"{place}.neurons[{i}]"
        if not isinstance(neuron, dict):
            raise refuse("NB705", node=where, limit="an object", found=shown(neuron))
        _known(neuron, names | _STATES, where)
        for name in names:
            _need(neuron, name, where)
        for name in _STATES & set(neuron):
            if neuron[name] != 0:
                limit, found = "0 at the start, as all states here", shown(neuron[name])
                raise refuse("NB705", node=f"{where}.{name}", limit=limit, found=found)
    columns: dict[str, Any] = {name: [neuron[name] for neuron in neurons] for name in names}
    for name in names & set(_NEURON):
        columns[name] = integers(f"{place}.{name}", columns[name], _NEURON[name], "NB702")
    return columns


def _aliases(content: dict[str, Any], targets: list[Any], place: str) -> list[int]:
    found = [_alias(value, f"{place}.neurons[{i}].aliasTarget") for i, value in enumerate(targets)]
    if any(x >= 0 for x in found) and not _flag(content, "aliasing", place):
        limit = "true where neurons have alias targets"
        raise refuse("NB705", node=f"{place}.aliasing", limit=limit, found="false")
    return found


def _alias(value: Any, place: str) -> int:
    """The target in the serialiser's optional integer; −1 for none."""
    if value == {"nullopt": True}:
        return -1
    data = value.get("data") if isinstance(value, dict) else None
    if type(data) is not int or value != {"nullopt": False, "data": data} or data < 0:
        limit = '{"nullopt": true}, or false with "data", a neuron'
        raise refuse("NB705", node=place, limit=limit, found=shown(value))
    return data
