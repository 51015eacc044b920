"""NIR's own data files: ``nir.NIRGraphData`` in HDF5, written whole, read without trust.

The layout is that of ``nir.write_data``: groups ``nodes/NAME`` with either ``nodes`` again (a
nested graph) or ``observables/NAME``, which holds ``data`` (on a time grid) or ``idx``, ``time``
and possibly ``value`` (events), with ``dt`` or ``n_neurons`` and ``t_max`` as attributes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from nirbridge.diagnostics import Diagnostic, Refused, refuse
from nirbridge.files import check_new, replacing
from nirbridge.graph.safe_hdf5 import MAX_DEPTH, load
from nirbridge.rasters import MAX_BYTES

SUFFIXES = (".nir", ".h5", ".hdf5")
NUMBERS = ("dt", "n_neurons", "t_max")
MOST_PACKED = 1100  # gzip makes nothing smaller than by a factor of 1032
SMALL = 2**20  # bytes that any file may claim
LEVELS = (MAX_DEPTH - 3) // 2  # nested graphs within the depth that is read again
REMEDY = "write it again with nir.write_data; a partial download must be repeated"


def read_data(path: str | os.PathLike[str]) -> nir.NIRGraphData:
    """Read what ``nir.write_data`` or :func:`write_data` wrote.

    Unlike ``nir.read_data``, nothing outside the file is opened, and no array is allocated that
    is larger than the file can hold. The attribute ``__type__`` is not needed and not read: what
    a group holds tells its type.

    Returns
    -------
    nir.NIRGraphData
        ``TimeGriddedData`` with numbers or booleans (B, T, n) and dt > 0; ``EventData`` and
        ``ValuedEventData`` with idx, time and value (B, E).

    Raises
    ------
    Refused
        NB101 (no such file), NB803 (damaged, hostile, or something else).

    """
    file = Path(path)
    size = 0
    with suppress(OSError):  # which load() explains
        size = file.stat().st_size
    try:
        content = load(file, min(MAX_BYTES, SMALL + MOST_PACKED * size), NUMBERS)
    except Refused as refusal:
        raise Refused(_as_data(refusal.diagnostics, file.name)) from None
    if "node" in content and "nodes" not in content:
        found = "a NIR graph: networks are read by nirbridge.read"
        raise refuse("NB803", node=file.name, limit="nir.NIRGraphData", found=found)
    return _graph(content, file.name)


def _as_data(found: Iterable[Diagnostic], name: str) -> list[Diagnostic]:
    """The reader's diagnostics, which speak of graphs, for data."""
    return [
        d if d.code == "NB101"
        else Diagnostic("NB803", f"{name}{d.node.removeprefix(name)}", d.limit, d.found, REMEDY)
        for d in found
    ]  # fmt: skip


def _graph(content: dict[str, Any], path: str) -> nir.NIRGraphData:
    nodes = {}
    for name, inner in _group(content, "nodes", path).items():
        full = f"{path}/{name}"
        if not isinstance(inner, dict):
            raise _not(full, "a group 'nodes' or 'observables'", inner)
        nodes[name] = _graph(inner, full) if "nodes" in inner else _node(inner, full)
    return nir.NIRGraphData(nodes)


def _node(content: dict[str, Any], path: str) -> nir.NIRNodeData:
    observables = {}
    for name, inner in _group(content, "observables", path).items():
        full = f"{path}/{name}"
        limit = "'data' with a dt, or 'idx' and 'time' with n_neurons and t_max"
        if not isinstance(inner, dict):
            raise _not(full, limit, inner)
        if "data" in inner:
            observables[name] = _gridded(inner, full)
        elif "idx" in inner and "time" in inner:
            observables[name] = _events(inner, full)
        else:
            raise _not(full, limit, sorted(inner)[:8])
    return nir.NIRNodeData(observables)


def _group(content: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    inner = content.get(key)
    if not isinstance(inner, dict):
        raise _not(path, f"a group {key!r}", sorted(content)[:8])
    numbers = {f"@{name}" for name in NUMBERS}
    return {name: item for name, item in inner.items() if name not in numbers}


def _gridded(content: dict[str, Any], path: str) -> nir.TimeGriddedData:
    dt = content.get("@dt", 0.0)
    if not 0 < dt < np.inf:
        raise _not(path, "a time step dt > 0 s", f"{dt:g}")
    return nir.TimeGriddedData(_array(content, "data", path, "biuf", 3), dt)


def _events(content: dict[str, Any], path: str) -> nir.EventData:
    idx = _array(content, "idx", path, "iu", 2)
    fields = {"idx": idx, "time": _array(content, "time", path, "iuf", 2)}
    if "value" in content:
        fields["value"] = _array(content, "value", path, "biuf", 2)
    shapes = {name: x.shape for name, x in fields.items()}
    if len(set(shapes.values())) > 1:
        raise _not(path, "idx, time and value of one shape", shapes)
    n, end = content.get("@n_neurons", -1.0), content.get("@t_max", -1.0)
    if not (0 <= n < MAX_BYTES and n == int(n)):
        raise _not(path, "n_neurons, a whole number >= 0", f"{n:g}")
    if not 0 <= end < np.inf:
        raise _not(path, "t_max >= 0 s", f"{end:g}")
    kind = nir.ValuedEventData if "value" in fields else nir.EventData
    return kind(**fields, n_neurons=int(n), t_max=end)


def _array(content: dict[str, Any], key: str, path: str, kinds: str, axes: int) -> Any:
    value = content[key]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds or value.ndim != axes:
        what = f"{getattr(value, 'dtype', type(value).__name__)} {np.shape(value)}"
        raise _not(f"{path}/{key}", f"numbers with {axes} axes", what)
    return value


def _not(path: str, limit: str, found: object) -> Refused:
    shown = found if isinstance(found, str) else repr(found)
    return refuse("NB803", node=path, limit=limit, found=shown[:80], remedy=REMEDY)


def write_data(
    data: nir.NIRGraphData, path: str | os.PathLike[str], *, force: bool = False
) -> None:
    """Write data that plain ``nir.read_data`` reads; the file appears whole or not at all.

    ``nir.write_data`` writes the outermost nodes into every nested graph, without end.

    Raises
    ------
    Refused
        NB803 for names that HDF5 does not take, other types, and graphs nested too deeply; NB805
        if the file exists and ``force`` is not set, NB807 if there cannot be one.
    OSError
        If the disk is full.

    """
    place = Path(path)
    check_new(place, force)
    content = BytesIO()
    with h5py.File(content, "w") as file:
        _write_graph(file, data, 0)
    with replacing(place, force) as temporary:
        temporary.write_bytes(content.getbuffer())


def _write_graph(group: h5py.Group, data: nir.NIRGraphData, level: int) -> None:
    if level > LEVELS:
        limit = f"{LEVELS} levels of nested graphs"
        remedy = "store the data of a flat graph; a graph's data cannot hold itself"
        raise refuse("NB803", node=group.name[:80], limit=limit, found="more", remedy=remedy)
    group.attrs["__type__"] = "NIRGraphData"
    nodes = group.create_group("nodes")
    for name, inner in data.nodes.items():
        if isinstance(inner, nir.NIRGraphData):
            _write_graph(_new(nodes, name), inner, level + 1)
        elif isinstance(inner, nir.NIRNodeData):
            _write_node(_new(nodes, name), inner)
        else:
            raise _unknown(f"{nodes.name}/{name}", "NIRNodeData, NIRGraphData", inner)


def _write_node(group: h5py.Group, data: nir.NIRNodeData) -> None:
    group.attrs["__type__"] = "NIRNodeData"
    observables = group.create_group("observables")
    for name, values in data.observables.items():
        inner = _new(observables, name)
        if isinstance(values, nir.TimeGriddedData):
            arrays, numbers = ["data"], {"dt": values.dt}
        elif isinstance(values, nir.EventData):
            valued = isinstance(values, nir.ValuedEventData)
            arrays = ["idx", "time", "value"] if valued else ["idx", "time"]
            numbers = {"n_neurons": values.n_neurons, "t_max": values.t_max}
        else:
            raise _unknown(inner.name, "TimeGriddedData, EventData, ValuedEventData", values)
        inner.attrs["__type__"] = type(values).__name__
        for key in arrays:
            inner.create_dataset(key, data=getattr(values, key), compression="gzip")
        inner.attrs.update(numbers)


def _new(group: h5py.Group, name: Any) -> h5py.Group:
    usable = isinstance(name, str) and name.isprintable() and "/" not in name
    if not usable or not name.strip("."):
        limit = "printable names without '/', and not of dots alone"
        remedy = "name the node or the observable otherwise"
        raise refuse("NB803", node=group.name, limit=limit, found=repr(name)[:80], remedy=remedy)
    return group.create_group(name)


def _unknown(path: str, limit: str, found: object) -> Refused:
    remedy = "store one of these types"
    found = type(found).__name__
    return refuse("NB803", node=path, limit=limit, found=found, remedy=remedy)
