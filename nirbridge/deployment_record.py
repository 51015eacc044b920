"""``deployment.json`` → typed values that agree with the configuration and the graphs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import Refused, refuse
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import SPIKING, is_neuron, kind, shape_of
from nirbridge.journal import Note
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.place import Placement, Population
from nirbridge.origin import UNKNOWN, File, Origin
from nirbridge.targets.fit import demand

NAME = "deployment.json"
MAX_LATENCY = 4096  # steps; each takes a relay or a layer, of which a chip has fewer


@dataclass(frozen=True)
class Record:
    """What a deployment knows beside its configuration and its graphs."""

    method: str
    dynamics: Dynamics
    placement: Placement
    units: dict[str, list[int]]
    constant: bool
    journal: tuple[Note, ...]
    origin: Origin = UNKNOWN  # earlier releases did not write one


def parse(content: Mapping[str, Any]) -> Record:
    """A record from what JSON holds.

    Raises
    ------
    Refused
        NB704 for a field that is missing or of another type, NB304 for the dynamics.

    """
    names = [f.name for f in fields(Record) if f.default is MISSING]
    for name in names:
        _need(name in content, name, "a field", "none")
    method, constant, journal = (content[k] for k in ("method", "constant", "journal"))
    _need(isinstance(method, str), "method", "a name", method)
    _need(isinstance(constant, bool), "constant", "true or false", constant)
    _need(isinstance(journal, list), "journal", "a list", journal)
    parts = _exactly(content["placement"], Placement, "placement")
    placement = Placement(**{part: _populations(parts[part], part) for part in parts})
    return Record(
        method=method,
        dynamics=_dynamics(content["dynamics"]),
        placement=placement,
        units=_units(content["units"], placement),
        constant=constant,
        journal=tuple(_note(note) for note in journal),
        origin=_origin(content["origin"]) if "origin" in content else UNKNOWN,
    )


def check(record: Record, config: XyloConfig, graphs: Mapping[str, nir.NIRGraph]) -> None:
    """Compare a record with the configuration and the graphs of its deployment.

    Raises
    ------
    Refused
        NB704 if they do not belong together.

    """
    sizes = (record.placement.n_hidden, record.placement.n_out)
    neurons = f"{config.n_hidden} hidden and {config.n_out} output neurons"
    _need(sizes == (config.n_hidden, config.n_out), "placement", neurons, sizes)
    _need(record.dynamics.dt == config.dt, "dt", f"{config.dt} s", record.dynamics.dt)
    channels = config.n_in - int(record.constant)
    for name, graph in graphs.items():
        found = sum(demand(graph).inputs.values())
        _need(found == channels, f"{name}.nir", f"{channels} input channels", found)
        _check_nodes(record.placement, name, inline(graph))
    _need(Dynamics.of(graphs["lowered"]) is not None, "lowered.nir", "a dynamics record", "none")
    forms = [_form(graphs[name]) for name in ("shifted", "deployed")]
    _need(forms[0] == forms[1], "deployed.nir", "the form of shifted.nir", "another")


def _check_nodes(placement: Placement, name: str, flat: nir.NIRGraph) -> None:
    """Each population is a node of its size; the source may lack it, or have more neurons."""
    nodes = flat.nodes
    for p in placement.outputs:
        end = kind(nodes.get(p.end))
        _need(end == "Output", f"{name}.nir", f"an Output {p.end!r}", end)
    for p in placement.populations:
        node = nodes.get(p.name)
        size = int(np.prod(shape_of(node))) if is_neuron(node) else None
        if name != "source":
            _need(size == p.size, f"{name}.nir", f"{p.size} neurons in {p.name!r}", size)
        elif kind(node) in SPIKING and p in placement.hidden:
            least = p.size if p.kept is None else max(p.kept) + 1
            fits = size == least if p.kept is None else (size or 0) >= least
            _need(fits, "source.nir", f"{least} neurons in {p.name!r}", size)


def _form(graph: nir.NIRGraph) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {n: (kind(x), np.shape(getattr(x, "weight", ()))) for n, x in graph.nodes.items()}


def _need(ok: bool, place: str, limit: str, found: object) -> None:
    if not ok:
        raise refuse("NB704", node=f"{NAME}: {place}", limit=limit, found=repr(found)[:80])


def _exactly(content: Any, form: type[Any], place: str) -> dict[str, Any]:
    """The fields of a dataclass, no more and no less."""
    names = {f.name for f in fields(form)}
    _need(isinstance(content, dict), place, f"the fields {sorted(names)}", content)
    _need(set(content) == names, place, f"the fields {sorted(names)}", sorted(content))
    return dict(content)


def _populations(content: Any, place: str) -> tuple[Population, ...]:
    _need(isinstance(content, list), place, "a list of populations", content)
    found: list[Population] = []
    first = 0
    for fields_of in content:
        found.append(_population(_exactly(fields_of, Population, place), first, place))
        first += found[-1].size
    names = [p.name for p in found]
    _need(len(set(names)) == len(names), place, "different names", names)
    return tuple(found)


def _population(values: dict[str, Any], first: int, place: str) -> Population:
    for name in ("name", "end"):
        _need(isinstance(values[name], str), place, f"a text as {name}", values[name])
    for name in ("readout", "relay"):
        _need(isinstance(values[name], bool), place, f"true or false as {name}", values[name])
    _need(_is_int(values["first"], first, first), place, f"first = {first}", values["first"])
    _need(_is_int(values["size"], 1, 2**20), place, "a size of at least 1", values["size"])
    latency = values["latency"]
    _need(_is_int(latency, 0, MAX_LATENCY), place, f"a latency of 0..{MAX_LATENCY}", latency)
    kept = values["kept"]
    if kept is not None:
        known = isinstance(kept, list) and all(_is_int(i, 0, 2**20) for i in kept)
        _need(known and len(set(kept)) == len(kept), place, "different neurons", kept)
        _need(len(kept) == values["size"], place, f"{values['size']} neurons kept", len(kept))
        values["kept"] = tuple(kept)
    return Population(**values)


def _units(content: Any, placement: Placement) -> dict[str, list[int]]:
    wanted = {p.name: p.size for p in placement.outputs if p.readout}
    _need(isinstance(content, dict), "units", "lists by name", content)
    _need(set(content) == set(wanted), "units", f"units of {sorted(wanted)}", sorted(content))
    for name, values in content.items():
        known = isinstance(values, list) and all(_is_int(n, 1, 2**31) for n in values)
        _need(known and len(values) == wanted[name], "units", f"{wanted[name]} numbers", values)
    return dict(content)


def _note(content: Any) -> Note:
    values = _exactly(content, Note, "journal")
    for name in ("stage", "node", "what", "unit"):
        _need(isinstance(values[name], str), "journal", f"a text as {name}", values[name])
    size = values["size"]
    number = isinstance(size, (int, float)) and not isinstance(size, bool)
    _need(size is None or number, "journal", "a number as size", size)
    return Note(**values)


def _origin(content: Any) -> Origin:
    values = _exactly(content, Origin, "origin")
    for name in ("commands", "tuned"):
        known = isinstance(values[name], list) and all(isinstance(x, str) for x in values[name])
        _need(known, "origin", f"texts as {name}", values[name])
    _need(isinstance(values["files"], list), "origin", "a list of files", values["files"])
    files = tuple(_file(each) for each in values["files"])
    return Origin(tuple(values["commands"]), files, tuple(values["tuned"]))


def _file(content: Any) -> File:
    values = _exactly(content, File, "origin")
    for name in ("name", "sha256"):
        _need(isinstance(values[name], str), "origin", f"a text as {name}", values[name])
    _need(_is_int(values["size"], 0, 2**63), "origin", "a size in bytes", values["size"])
    return File(**values)


def _dynamics(content: Any) -> Dynamics:
    values = _exactly(content, Dynamics, "dynamics")
    for name in ("recurrent_delay", "output_lag"):
        _need(_is_int(values[name], 0, MAX_LATENCY), name, f"0..{MAX_LATENCY}", values[name])
    n = values["spikes_per_step"]
    _need(n is None or _is_int(n, 1, 2**31), "spikes_per_step", "1 or more, or null", n)
    try:
        return Dynamics(**values)
    except Refused:
        raise
    except (TypeError, ValueError, OverflowError):
        limit = "a dynamics record"
        raise refuse("NB704", node=NAME, limit=limit, found=repr(content)[:80]) from None


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
