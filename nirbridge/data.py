"""Recordings and inputs as NIR's own data types, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse
from nirbridge.mapping.place import Placement, Population
from nirbridge.rasters import binned
from nirbridge.simulate import Recording
from nirbridge.simulate.continuous import ContinuousRecording, SpikeTimes
from nirbridge.simulate.stepped import FloatRecording

SAME_DT = 1e-6  # relative; dt in single precision differs by up to 6e-8
AnyRecording = Recording | FloatRecording | ContinuousRecording


def to_nir(
    recording: AnyRecording, dt: float, placement: Placement | None = None
) -> nir.NIRGraphData:
    """A recording by nodes and observables.

    Parameters
    ----------
    recording
        Of the chip, of :func:`nirbridge.simulate_stepped` or of
        :func:`nirbridge.simulate_continuous`.
    dt
        Seconds per step.
    placement
        For a recording of the chip: which node's neurons sit where (``deployment.placement``).
        Without it, all hidden neurons are one node ``hidden``, all outputs ``output``.

    Returns
    -------
    nir.NIRGraphData
        One sample, or one per sample of a batch. Of the chip, by the nodes of
        ``deployment.deployed``: ``spikes`` (outputs bool, hidden counts uint8), and if they were
        recorded ``i_syn``, ``i_syn_2`` and ``v_mem``, int16 in the chip's units. Of the
        floating-point models: ``spikes`` of each population (counts on a grid, or events in
        seconds), ``i_syn`` and ``v_mem``, and ``signal``, what arrives at an Output.

    """
    found: dict[str, dict[str, Any]] = {}
    if isinstance(recording, Recording):
        rows = _of_chip(recording, placement)
    elif isinstance(recording, FloatRecording):
        rows = _of_parts(recording, recording.spikes)
    else:
        rows = _of_parts(recording, {})
        for name, spikes in recording.spikes.items():
            events = _event_data(spikes, recording.batch or 1, recording.duration)
            found.setdefault(name, {})["spikes"] = events
    for name, observable, values in rows:
        grid = values if values.ndim == 3 else values[None]
        found.setdefault(name, {})[observable] = nir.TimeGriddedData(grid, dt)
    return nir.NIRGraphData({name: nir.NIRNodeData(x) for name, x in found.items()})


def _of_chip(
    recording: Recording, placement: Placement | None
) -> Iterator[tuple[str, str, NDArray[Any]]]:
    if placement is None:
        hidden = 0 if recording.spikes is None else recording.spikes.shape[-1]
        outputs = recording.output.shape[-1]
        whole = (Population("hidden", 0, hidden),), (Population("output", 0, outputs),)
        placement = Placement(*whole)
    for p in placement.outputs:
        yield p.name, "spikes", recording.output[..., p.ids].astype(bool)
        for name in ("i_syn", "v_mem"):
            values = getattr(recording, f"{name}_out")
            if values is not None:
                yield p.name, name, values[..., p.ids]
    for p in placement.hidden:
        for name in ("spikes", "i_syn", "i_syn_2", "v_mem"):
            values = getattr(recording, name)
            if values is not None:
                yield p.name, name, values[..., p.ids]


def _of_parts(
    recording: FloatRecording | ContinuousRecording, spikes: Any
) -> Iterator[tuple[str, str, NDArray[Any]]]:
    parts = {"signal": recording.outputs, "spikes": spikes, "i_syn": recording.i}
    for observable, part in (parts | {"v_mem": recording.v}).items():
        for name, values in part.items():
            yield name, observable, values


def _event_data(spikes: SpikeTimes, batch: int, duration: float) -> nir.EventData:
    """Events (B, E), E those of the busiest sample; the rest is idx -1, time inf."""
    each = np.bincount(spikes.samples, minlength=batch)
    place = np.arange(len(spikes.samples)) - np.repeat(np.cumsum(each) - each, each)
    idx = np.full((batch, each.max(initial=0)), -1, np.int64)
    time = np.full(idx.shape, np.inf)
    idx[spikes.samples, place] = spikes.ids
    time[spikes.samples, place] = spikes.times
    return nir.EventData(idx, time, spikes.n, duration)


def to_raster(
    data: nir.NIRGraphData,
    n_in: int | None = None,
    dt: float | None = None,
    node: str | None = None,
    *,
    name: str = "data",
) -> NDArray[Any]:
    """One observable as a raster of counts: (T, n) of a single sample, else (B, T, n).

    Parameters
    ----------
    data
        Of one graph, nested graphs included; their nodes are named ``outer.inner``.
    n_in
        Channels that the network has; by default any number.
    dt
        Its time step in seconds. Events are binned in it; data on a time grid must have it.
    node
        ``node`` or ``node/observable``. By default ``spikes``, or the only observable, of the
        node ``input`` or of the only one.
    name
        Of the data in refusals.

    Raises
    ------
    Refused
        NB801 (not whole counts), NB802 (other channels), NB803 (events that contradict
        themselves, or no dt), NB808 (another time step), NB809 (which of several).

    """
    where, values = chosen(data, node, name)
    if n_in is not None and values.n_neurons != n_in:
        found = f"{values.n_neurons} channels"
        raise refuse("NB802", node=where, limit=f"{n_in} channels", found=found)
    if isinstance(values, nir.EventData):
        raster = _binned_events(values, dt, where)
    else:
        if dt is not None and not abs(values.dt - dt) <= SAME_DT * dt:
            found = f"{values.dt:.9g} s in the data"
            raise refuse("NB808", node=where, limit=f"{dt:.9g} s, the network's", found=found)
        raster = _counts(values.data, where)
    return raster[0] if len(raster) == 1 else raster


def chosen(data: nir.NIRGraphData, node: str | None, name: str) -> tuple[str, Any]:
    """The observable that is meant, and what to call it."""
    nodes = dict(_flat(data, ""))
    listed = [f"{n}/{o}" for n, x in nodes.items() for o in x.observables]
    wanted, _, observable = (node or "").partition("/")
    if not wanted:
        wanted = "input" if "input" in nodes else next(iter(nodes)) if len(nodes) == 1 else ""
    inner = nodes[wanted].observables if wanted in nodes else {}
    if not observable:
        observable = next(iter(inner)) if len(inner) == 1 else "spikes"
    if observable not in inner:
        limit = f"an observable {node}" if node else "one node, or one named 'input'"
        found = ", ".join(listed[:12]) + (" ..." if len(listed) > 12 else "") or "none"
        raise refuse("NB809", node=name, limit=limit, found=found)
    return f"{wanted}/{observable}", inner[observable]


def _flat(data: nir.NIRGraphData, path: str) -> Iterator[tuple[str, nir.NIRNodeData]]:
    for name, node in data.nodes.items():
        if isinstance(node, nir.NIRGraphData):
            yield from _flat(node, f"{path}{name}.")
        else:
            yield path + name, node


def _counts(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Whole numbers >= 0 as integers: other tools store spikes as booleans or as 0.0 and 1.0."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise refuse("NB801", node=where, limit="whole numbers >= 0", found=f"{values.dtype}")
    bad = ~((values >= 0) & (values < 2**31) & (values == np.rint(values)))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        limit = "whole numbers >= 0"
        raise refuse("NB801", node=where, limit=limit, found=f"{values[at]:g} at {at}")
    return values if values.dtype.kind in "iu" else values.astype(np.int32)


def _binned_events(events: nir.EventData, dt: float | None, where: str) -> NDArray[Any]:
    if dt is None:
        raise refuse("NB803", node=where, limit="a known time step", found="events")
    if events.idx.ndim != 2 or events.idx.dtype.kind not in "iu" or not 0 <= events.t_max < np.inf:
        found = f"idx {events.idx.shape} of {events.idx.dtype}, t_max {events.t_max:g} s"
        raise refuse("NB803", node=where, limit="integers (B, E), t_max >= 0 s", found=found)
    samples, places = np.nonzero(events.idx != -1)  # -1 stands for no event
    ids, times = events.idx[samples, places], events.time[samples, places].astype(np.float64)
    counts = None
    outside = ~((times >= 0) & (times <= events.t_max * (1 + SAME_DT)))
    for code, bad, limit in (
        ("NB803", outside, f"a time from 0 to t_max = {events.t_max:g} s"),
        ("NB802", (ids < 0) | (ids >= events.n_neurons), f"idx 0..{events.n_neurons - 1}, or -1"),
    ):
        if bad.any():
            found = f"time {times[bad][0]:g}, idx {ids[bad][0]}"
            raise refuse(code, node=where, limit=limit, found=found)
    if isinstance(events, nir.ValuedEventData):
        counts = _counts(events.value[samples, places], where).astype(np.float64)
    with np.errstate(over="ignore"):  # what becomes infinite is too late as well
        steps = times / np.float64(dt)
        length = np.ceil(np.float64(events.t_max) / dt - 1e-6)
    return binned(
        where, steps, ids.astype(np.int64), events.n_neurons,
        length=length, samples=samples, batch=len(events.idx), counts=counts,
    )  # fmt: skip
