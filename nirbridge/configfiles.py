"""Files of configurations: ours, Rockpool's specification, the vendor's JSON; written and read.

Files are not trusted: nothing is unpickled or executed, and sizes are bounded before they are
believed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nirbridge.diagnostics import Refused, refuse
from nirbridge.files import check_new, check_readable, replacing
from nirbridge.mapping.config import SCHEMA, XyloConfig, as_array, parse_json
from nirbridge.mapping.export_rockpool import (
    ALIASES,
    FIELDS,
    for_simulator,
    from_rockpool,
    to_rockpool,
)
from nirbridge.mapping.export_samna import notes, samna_chip, to_samna
from nirbridge.mapping.import_samna import from_samna, is_samna
from nirbridge.rasterfiles import DAMAGE, opened_npz, read_array
from nirbridge.targets import TARGETS

MAX_BYTES = 2**27  # of a file, and of all arrays in one: the largest chip needs a third of it
UNREAD = "mapped_graph"  # Rockpool's own object, which says nothing of the integers

Writer = Callable[[XyloConfig, Path, bool], None]  # the last: whether to replace


def _write_text(text: str, path: Path, force: bool) -> None:
    with replacing(path, force) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _write_json(config: XyloConfig, path: Path, force: bool) -> None:
    _write_text(config.to_json(), path, force)


def _write_rockpool(config: XyloConfig, path: Path, force: bool) -> None:
    content = to_rockpool(config)
    if path.suffix == ".npz":
        if ALIASES in content:  # lists of different lengths would need a pickle
            content[ALIASES] = config.aliases
        with replacing(path, force) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **content)
    else:
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in content.items()}
        _write_text(json.dumps(plain), path, force)


def _write_samna(config: XyloConfig, path: Path, force: bool) -> None:
    _write_text(json.dumps(to_samna(config), indent=1), path, force)


def _write_notes(config: XyloConfig, path: Path, force: bool) -> None:
    _write_text(notes(config, path.name.removesuffix(".txt")), path, force)


# The forms of each format by suffix, and what lies beside it.
FORMATS: dict[str, dict[str, Writer]] = {
    "json": {".json": _write_json},
    "rockpool": {".npz": _write_rockpool, ".json": _write_rockpool},
    "samna": {".json": _write_samna},
}
BESIDE: dict[str, dict[str, Writer]] = {"samna": {".json.txt": _write_notes}}


def names_beside() -> set[str]:
    """Names of the files that formats have beside ``config.json``."""
    others = (name for name in FORMATS if name != "json")
    return {f"{n}{suffix}" for n in others for suffix in {**FORMATS[n], **BESIDE.get(n, {})}}


def check_formats(formats: Iterable[str], target: str) -> tuple[str, ...]:
    """The formats without repetition, ``json`` first, which is always written.

    Raises
    ------
    Refused
        NB806 for one that is not known, NB706 if it has no room for the chip ``target``.

    """
    found = tuple(dict.fromkeys(("json", *formats)))
    for name in found:
        if name not in FORMATS:
            raise refuse("NB806", node="--format", limit=", ".join(FORMATS), found=repr(name)[:60])
    if "samna" in found:
        samna_chip(target)
    return found


def write_beside(config: XyloConfig, folder: Path, formats: Iterable[str]) -> None:
    """Write the formats but for ``json`` into a folder, each by its own name.

    Raises
    ------
    Refused
        NB806 for an unknown format, NB706 for a chip that it has no room for.

    """
    for name in check_formats(formats, config.target)[1:]:
        for suffix, write in {**FORMATS[name], **BESIDE.get(name, {})}.items():
            write(config, folder / f"{name}{suffix}", False)


def write_config(config: XyloConfig, path: Path, name: str, force: bool = False) -> list[Path]:
    """Write one configuration into a file of a format; the vendor's JSON with its notes beside.

    Parameters
    ----------
    config
        Of any chip that the format has room for.
    path
        The file; of Rockpool's two forms, ``.npz`` and ``.json``, its suffix chooses one.
    name
        A key of ``FORMATS``.
    force
        Whether existing files are replaced.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    Refused
        NB806 for an unknown format or suffix, NB706 for a chip that it has no room for, NB805 and
        NB807 for the place.

    """
    check_formats([name], config.target)
    forms = FORMATS[name]
    if path.suffix not in forms:
        found = repr(path.suffix) if path.suffix else "no suffix"
        raise refuse("NB806", node=path.name, limit=" or ".join(forms), found=found)
    chosen = {path: forms[path.suffix]}
    chosen |= {path.with_suffix(suffix): w for suffix, w in BESIDE.get(name, {}).items()}
    for place in chosen:
        check_new(place, force)
    written: list[Path] = []
    try:
        for place, write in chosen.items():
            fresh = not place.exists()
            write(config, place, force)
            written += [place] * fresh
    except BaseException:  # all of them or none
        for place in written:
            place.unlink(missing_ok=True)
        raise
    return list(chosen)


def read_config(
    path: str | os.PathLike[str], target: str | None = None, dt: float | None = None
) -> XyloConfig:
    """Read a configuration: nirbridge's own, a Rockpool specification, the vendor's JSON.

    Parameters
    ----------
    path
        ``.npz`` (Rockpool) or ``.json`` (any; its content tells which).
    target
        Name of the chip. A Rockpool specification does not say it; the vendor's JSON shows it.
    dt
        Time step in seconds. The vendor's JSON does not say it; elsewhere it replaces the file's.

    Raises
    ------
    Refused
        NB101 (no such file), NB705 (not such a file, or fields that are missing, unknown or
        contradict each other), NB701 to NB704 (shapes, types, ranges, our own record), NB301
        (no time step), NB806 (no chip).

    """
    return read_with_losses(path, target, dt)[0]


def read_with_losses(
    path: str | os.PathLike[str], target: str | None = None, dt: float | None = None
) -> tuple[XyloConfig, tuple[str, ...]]:
    """As :func:`read_config`, with what was in the file and is not in the configuration."""
    place = Path(path)
    content = read_specification(place) if place.suffix == ".npz" else _read_json(place)
    if is_samna(content):
        return from_samna(content, dt, target)
    return _from_plain(content, target, dt), ()


def _from_plain(content: Any, target: str | None, dt: float | None) -> XyloConfig:
    if isinstance(content, dict) and content.get("schema") == SCHEMA:
        config = XyloConfig.from_dict(content)
        changed: dict[str, Any] = {"dt": dt, "target": target}
        return replace(config, **{k: v for k, v in changed.items() if v is not None})
    if not isinstance(content, dict) or not FIELDS & set(content):
        limit = "config.json, a Rockpool specification or the vendor's JSON"
        found = repr(content.get("schema") or list(content)[:8]) if isinstance(content, dict) else (
            type(content).__name__
        )
        raise refuse("NB705", limit=limit, found=found[:80])
    if target is None:
        limit = f"one of {', '.join(TARGETS)}: a Rockpool specification does not name its chip"
        raise refuse("NB806", node="target", limit=limit, found="none")
    return from_rockpool(_specification(content), target, dt)


def read_specification(
    path: str | os.PathLike[str], *, simulator: bool = False
) -> dict[str, Any]:
    """A Rockpool specification as Rockpool takes it: arrays, numbers, aliases as lists.

    Parameters
    ----------
    path
        ``.npz`` or ``.json``.
    simulator
        For ``XyloSim.from_specification``, which refuses the field ``bias_hidden`` on Xylo Audio 2;
        else for ``config_from_specification``, which needs it.

    Raises
    ------
    Refused
        NB101 (no such file), NB705 (not such a file).

    """
    found = _specification(_read_arrays(Path(path)))
    return for_simulator(found) if simulator else found


def _read_arrays(place: Path) -> Any:
    if place.suffix != ".npz":
        return _read_json(place)
    _check_file(place)
    try:
        return _read_npz(place)
    except Refused:
        raise
    except DAMAGE as error:
        text = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise refuse("NB705", node=place.name, limit="an undamaged file", found=text) from None


def _read_npz(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    left = MAX_BYTES
    with opened_npz(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == UNREAD:
                continue
            if name not in FIELDS or name in found:
                limit = f"the fields {', '.join(sorted(FIELDS))}, each once"
                raise refuse("NB705", node=path.name, limit=limit, found=repr(name)[:60])
            with archive.open(member) as file:
                where = f"{path.name}:{name}"
                found[name] = read_array(file, member.file_size, where, "NB705", left)
            left -= found[name].nbytes
    return found


def _specification(content: Any) -> dict[str, Any]:
    """Numbers as Python's own, lists as arrays, an alias vector as lists of targets."""
    if not isinstance(content, dict):
        raise refuse("NB705", limit="an object", found=type(content).__name__)
    found = dict(content)
    for name, value in content.items():
        if name == ALIASES:
            if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu":
                found[name] = [[a] if a >= 0 else [] for a in value.tolist()]
        elif isinstance(value, list):
            found[name] = as_array(value)
        elif isinstance(value, np.ndarray) and value.ndim == 0:
            found[name] = value.item()
    return found


def _check_file(path: Path) -> None:
    check_readable(path, "a configuration file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        limit = f"at most {MAX_BYTES} bytes"
        raise refuse("NB705", node=path.name, limit=limit, found=f"{size} bytes")


def _read_json(path: Path) -> Any:
    _check_file(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refuse("NB705", node=path.name, limit="UTF-8 text", found=str(error)[:80]) from None
    return parse_json(text, "NB705")
