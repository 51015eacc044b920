"""Where results go: nobody's files are lost, and no work is in vain.

A folder for a deployment is written over only if all that is in it was written by nirbridge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nirbridge import deployment_record
from nirbridge.configfiles import names_beside
from nirbridge.diagnostics import Refused, refuse
from nirbridge.files import PREFIX, check_new, check_writable

SCHEMA = "nirbridge/deployment"
CONFIG, RECORD = "config.json", deployment_record.NAME
GRAPHS = ("source", "lowered", "shifted", "deployed")
OWN = (RECORD, CONFIG, *(f"{name}.nir" for name in GRAPHS))
SHOWN = 8  # names in a refusal


def check_places(
    inputs: Iterable[Path],
    *,
    folder: Path | None = None,
    files: Sequence[Path] = (),
    updated: Sequence[Path] = (),
    force: bool = False,
    formats: bool = False,
) -> None:
    """Whether all that a command writes has a place of its own; to be asked before any work.

    Parameters
    ----------
    inputs
        Files and folders that it reads.
    folder
        For a deployment, which it makes.
    files
        New files; they may lie in ``folder``.
    updated
        Files that may be there already.
    force
        Whether a deployment and new files may replace old ones; never what is read.
    formats
        Whether files may have the names that formats have beside a deployment.

    Raises
    ------
    Refused
        NB805 for a place that is taken, by one of the others too; NB807 for one that cannot be
        written to.

    """
    outputs = [*([] if folder is None else [folder]), *files, *updated]
    for k, path in enumerate(outputs):
        for other in outputs[:k]:
            if _same(path, other):
                raise _clash(path, "one output in each place", f"two at {path}")
        for read in inputs:
            if _same(path, read) or (path is folder and _within(read, path)):
                raise _clash(path, "another place than what is read", f"{read} is read")
    for path in (*files, *updated):
        check_own(path, folder, formats)
    if folder is not None:
        check_place(folder, force)
    for path in (*files, *updated):
        if folder is None or not _same(path.parent, folder):
            check_new(path, force or path in updated)


def check_place(place: Path, force: bool) -> None:
    """Whether a deployment may be written to a folder.

    Raises
    ------
    Refused
        NB805 if it is taken, even with ``force`` by anything that is not a deployment; NB807 if it
        cannot be written to.

    """
    if os.path.lexists(place):
        foreign = _foreign(place)
        if foreign:
            limit = "a new directory, or one that holds a deployment and nothing else"
            remedy = "choose another place, or move that away: nothing else is ever written over"
            found = f"{place}: {foreign}"
            raise refuse("NB805", node=place.name, limit=limit, found=found, remedy=remedy)
        if not force:
            raise refuse("NB805", limit="a new directory", found=f"{place} exists")
    check_writable(place)


def _foreign(place: Path) -> str:
    """What there is that no deployment holds; an empty text for a deployment or nothing at all."""
    if place.is_symlink() or not place.is_dir():
        return "a link" if place.is_symlink() else "no directory"
    known = {*OWN, *names_beside()}
    entries = [e for e in sorted(place.iterdir()) if not e.name.startswith(PREFIX)]
    foreign = [e.name for e in entries if e.name not in known or e.is_symlink() or e.is_dir()]
    if foreign:
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        return ", ".join(foreign[:SHOWN]) + more
    return "" if not entries or _recorded(place) else f"no {RECORD} of a deployment"


def _recorded(place: Path) -> bool:
    try:
        content = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def check_own(file: Path, made: Path | None = None, formats: bool = False) -> None:
    """Refuse (NB805) a file that would take the place of one that a deployment consists of.

    ``made``: a folder that will hold a deployment. ``formats``: let the names of formats pass.
    """
    own = OWN if formats else (*OWN, *names_beside())
    inside = (made is not None and _same(file.parent, made)) or (file.parent / RECORD).is_file()
    if inside and file.name in own:
        raise _clash(file, f"none of {', '.join(own)} in a deployment", str(file))


def _clash(path: Path, limit: str, found: str) -> Refused:
    return refuse(
        "NB805", node=path.name, limit=limit, found=found, remedy="choose another name"
    )


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # one of them does not exist yet
        return os.path.realpath(a) == os.path.realpath(b)


def _within(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents
