"""Rockpool's specification of a Xylo: the dictionary between its mapper and its simulators.

Its fields are those of ``XyloSim.from_specification`` and ``config_from_specification``, which
disagree about one name: the simulators take the hidden biases as ``bias``, the configurations as
``bias_hidden``, and lose them silently under the other name. So both are written where a bias is
not 0. The simulator of Xylo Audio 2 takes no field that it does not know: leave ``bias_hidden``
out for it (:func:`for_simulator`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import diagnose, refuse, refuse_all
from nirbridge.intformat import DASH, INT8, INT16, THRESHOLD, IntFormat
from nirbridge.mapping.config import MOST_WEIGHTS, XyloConfig, as_array, shown
from nirbridge.targets import ChipSpec, target

ALIASES = "aliases"
BIASES = ("bias", "bias_hidden")

VECTORS = (
    "dash_mem", "dash_mem_out", "dash_syn", "dash_syn_2", "dash_syn_out",
    "threshold", "threshold_out", "bias_out",
)  # fmt: skip
SHIFTS = ("weight_shift_in", "weight_shift_rec", "weight_shift_out")
MATRICES = ("weights_in", "weights_rec", "weights_out")
FIELDS = frozenset((*MATRICES, *VECTORS, *SHIFTS, *BIASES, ALIASES, "dt", "mapped_graph"))

_FORMATS = {"weight": INT8, "dash": DASH, "thres": THRESHOLD, "bias": INT16}


def to_rockpool(config: XyloConfig) -> dict[str, Any]:
    """The specification of a configuration that its chip can hold.

    Returns
    -------
    dict
        ``weights_in`` int8 (n_in, n_ien, n_syn) for the ``n_ien`` first hidden neurons that the
        chip gives input; ``weights_rec`` int8 (n_hidden, n_hidden, n_syn); ``weights_out`` int8
        (n_oen, n_out) for the last ``n_oen``; n_syn is 2 if a weight needs the second synapse.
        Vectors as in :class:`XyloConfig`; ``aliases``, a list of targets for each neuron, only
        if there is one; ``dt`` in seconds.

    Raises
    ------
    Refused
        NB6xx for what the chip cannot hold.

    """
    refuse_all(config.violations())
    chip = target(config.target)
    synapses = 1 + config.uses_second
    found: dict[str, Any] = {
        "weights_in": config.weights_in[:, input_neurons(config, chip), :synapses].copy(),
        "weights_rec": config.weights_rec[:, :, :synapses].copy(),
        "weights_out": config.weights_out[output_neurons(config, chip)].copy(),
    }
    found |= {name: getattr(config, name).copy() for name in VECTORS}
    found["bias"] = config.bias.copy()
    if config.bias.any():
        found["bias_hidden"] = config.bias.copy()
    found |= {name: getattr(config, name) for name in SHIFTS}
    if (config.aliases >= 0).any():
        found[ALIASES] = [[a] if a >= 0 else [] for a in config.aliases.tolist()]
    return {**found, "dt": config.dt}


def for_simulator(specification: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the field that the simulator of Xylo Audio 2 refuses."""
    return {name: value for name, value in specification.items() if name != "bias_hidden"}


def input_neurons(config: XyloConfig, chip: ChipSpec) -> slice:
    """The hidden neurons that have weights from the inputs in the vendor's formats."""
    return slice(0, min(config.n_hidden, chip.input_neurons.value))


def output_neurons(config: XyloConfig, chip: ChipSpec) -> slice:
    """The hidden neurons that have weights to the outputs in the vendor's formats."""
    return slice(max(0, config.n_hidden - chip.output_neurons.value), config.n_hidden)


def from_rockpool(
    specification: Mapping[str, Any], chip: str | ChipSpec, dt: float | None = None
) -> XyloConfig:
    """The configuration that a specification describes, for a chip.

    What Rockpool fills in alike everywhere may be missing: weight shifts and biases (0), aliases
    (none). Decays and thresholds may not, because its simulators and configurations fill in
    different ones. Matrices with two axes are those of the first synapse. Floats are taken where
    they are whole numbers.

    Parameters
    ----------
    specification
        Arrays or nested lists by the names that :func:`to_rockpool` gives.
    chip
        Name or record of the chip, which a specification does not name.
    dt
        Time step in seconds; by default the specification's own.

    Raises
    ------
    Refused
        NB705 for unknown or missing fields and for what has no form here, NB701 to NB703 for
        shapes, types and ranges, NB301 without a time step.

    """
    spec = {name: value for name, value in specification.items() if value is not None}
    _check_names(spec)
    found: dict[str, Any] = {}
    w_in, w_rec, w_out = _matrices(spec)
    n_hidden, n_out = len(w_rec), w_out.shape[1]
    found["weights_in"], found["weights_rec"], found["weights_out"] = w_in, w_rec, w_out
    for name in VECTORS:
        if name in spec:
            found[name] = _whole(name, spec[name])
    if "dash_syn_2" not in found and not (w_in[:, :, 1].any() or w_rec[:, :, 1].any()):
        found["dash_syn_2"] = np.ones(n_hidden, np.int64)
    found["bias"] = _bias(spec, n_hidden)
    found.setdefault("bias_out", np.zeros(n_out, np.int64))
    missing = [name for name in VECTORS if name not in found]
    refuse_all(
        diagnose(
            "NB705",
            node=name,
            limit="a value: Rockpool's simulators and configurations fill in different ones",
            found="none",
        )
        for name in missing
    )
    for name in SHIFTS:
        found[name] = _whole(name, spec.get(name, 0))
    for name in ("threshold", "threshold_out"):
        found[name] = _fitting(name, found[name])
    found[ALIASES] = _aliases(spec.get(ALIASES), n_hidden)
    found["dt"] = _step(spec.get("dt"), dt)
    return XyloConfig(**found, target=target(chip).name)


def _check_names(spec: Mapping[str, Any]) -> None:
    unknown = sorted(set(spec) - FIELDS, key=str)
    if unknown:
        limit = f"the fields {', '.join(sorted(FIELDS))}"
        raise refuse("NB705", limit=limit, found=shown(unknown))
    for name in ("weights_in", "weights_out"):
        if name not in spec:
            raise refuse("NB705", node=name, limit="a matrix", found="none")


def _matrices(spec: Mapping[str, Any]) -> tuple[NDArray[np.int8], ...]:
    """``weights_in``, ``weights_rec`` and ``weights_out`` of all hidden neurons."""
    w_in, w_out = _synapses("weights_in", spec["weights_in"]), _matrix("weights_out", spec)
    if w_out.ndim != 2:
        raise refuse("NB701", node="weights_out", limit="2 axes", found=f"shape {w_out.shape}")
    if "weights_rec" in spec:
        w_rec = _synapses("weights_rec", spec["weights_rec"])
    elif w_in.shape[1] == len(w_out):
        _check_size(len(w_out), len(w_in), w_out.shape[1])
        w_rec = np.zeros((len(w_out), len(w_out), 2), np.int8)
    else:
        limit = "a matrix, where not all hidden neurons have input and output weights"
        raise refuse("NB705", node="weights_rec", limit=limit, found="none")
    n = len(w_rec)
    for name, array, axis in (
        ("weights_rec", w_rec, 1),
        ("weights_in", w_in, 1),
        ("weights_out", w_out, 0),
    ):
        if array.shape[axis] > n or (array is w_rec and w_rec.shape[1] < n):
            limit = f"{n} hidden neurons, those of weights_rec"
            raise refuse("NB701", node=name, limit=limit, found=f"shape {array.shape}")
    _check_size(n, len(w_in), w_out.shape[1])
    w_in = np.pad(w_in, ((0, 0), (0, n - w_in.shape[1]), (0, 0)))
    return w_in, w_rec, np.pad(w_out, ((n - len(w_out), 0), (0, 0)))


def _check_size(n_hidden: int, n_in: int, n_out: int) -> None:
    """Refuse sizes that a file may claim without holding a single weight."""
    if n_hidden * max(n_hidden, n_in, n_out) * 2 > MOST_WEIGHTS:
        found = f"{n_in} inputs, {n_hidden} hidden and {n_out} output neurons"
        raise refuse("NB705", limit=f"{MOST_WEIGHTS} weights", found=found)


def _synapses(name: str, value: Any) -> NDArray[np.int8]:
    """A matrix (a, b), (a, b, 1) or (a, b, 2) as (a, b, 2)."""
    array = _fitting(name, _whole(name, value))
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2):
        limit = "2 axes, or 3 of which the last has 1 or 2 synapses"
        raise refuse("NB701", node=name, limit=limit, found=f"shape {array.shape}")
    return np.pad(array, ((0, 0), (0, 0), (0, 2 - array.shape[2])))


def _matrix(name: str, spec: Mapping[str, Any]) -> NDArray[np.int8]:
    return _fitting(name, _whole(name, spec[name]))


def _whole(name: str, value: Any) -> NDArray[np.integer[Any]]:
    """A field as integers; floats only where nothing is rounded."""
    array = as_array(value)
    if array.dtype.kind == "f":
        beyond = ~np.isfinite(array) | (array != np.rint(array)) | (np.abs(array) > 2**31)
        if beyond.any():
            limit, found = "whole numbers", array[beyond].flat[0]
            remedy = "quantise the specification first (rockpool.transform.quantize_methods)"
            raise refuse("NB702", node=name, limit=limit, found=found, remedy=remedy)
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise refuse("NB702", node=name, limit="whole numbers", found=f"type {array.dtype}")
    return array


def _fitting(name: str, array: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """The same in the NumPy type that :class:`XyloConfig` asks for."""
    number: IntFormat = _FORMATS[next(k for k in _FORMATS if name.startswith(k))]
    refuse_all(number.problems(name, array))
    return array.astype(number.dtype)


def _bias(spec: Mapping[str, Any], n_hidden: int) -> NDArray[np.integer[Any]]:
    """The hidden biases, by either of their names."""
    given = [_whole(name, spec[name]) for name in BIASES if name in spec]
    if len(given) == 2 and not np.array_equal(given[0], given[1]):
        limit = "the same values by both names, bias and bias_hidden"
        raise refuse("NB705", node="bias", limit=limit, found="different ones")
    return given[0] if given else np.zeros(n_hidden, np.int64)


def _aliases(value: Any, n_hidden: int) -> NDArray[np.int64]:
    """One target per neuron or −1, from lists of at most one target, or from such a vector."""
    if value is None:
        return np.full(n_hidden, -1)
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and value.dtype.kind in "iu":
            return value.astype(np.int64)
        value = value.tolist()
    limit = f"{n_hidden} lists of at most one target"
    rows = value if isinstance(value, list) else [None]
    found = np.full(len(rows), -1)
    for i, row in enumerate(rows):
        entry = row.tolist() if isinstance(row, np.ndarray) else row
        if not isinstance(entry, list) or len(entry) > 1 or any(type(x) is not int for x in entry):
            raise refuse("NB705", node=ALIASES, limit=limit, found=f"entry {i}: {shown(entry)}")
        if entry and not 0 <= entry[0] < n_hidden:
            limit = f"targets 0..{n_hidden - 1}"
            raise refuse("NB703", node=ALIASES, limit=limit, found=f"entry {i}: {shown(entry)}")
        found[i] = entry[0] if entry else -1
    return found


def _step(own: Any, given: float | None) -> Any:
    """The time step: what the caller says, else what the specification says."""
    if given is not None:
        return given
    if own is None:
        raise refuse("NB301", node="dt", limit="seconds", found="none in the specification")
    return own.item() if isinstance(own, np.ndarray) and own.ndim == 0 else own
