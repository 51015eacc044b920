"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nirbridge.diagnostics import refuse


def check_new(path: Path, force: bool) -> None:
    """Whether a file may be written at ``path``; best asked before there is something to lose.

    Raises
    ------
    Refused
        NB805 if it exists and ``force`` is not set, NB807 if it is a directory or in none.

    """
    if path.is_dir():
        raise refuse("NB807", node=path.name, limit="a file", found=f"{path} is a directory")
    if not path.parent.is_dir():
        found = f"no directory {path.parent}"
        raise refuse("NB807", node=path.name, limit="a place in a directory", found=found)
    if path.exists() and not force:
        raise refuse("NB805", node=path.name, limit="a new file", found=f"{path} exists")


def check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse (NB806) a file whose suffix is none of ``suffixes``."""
    if path.suffix not in suffixes:
        raise refuse("NB806", node=path.name, limit=", ".join(suffixes), found=repr(path.suffix))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without error."""
    if not path.parent.is_dir():  # else the error would name the temporary file
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(path.parent))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends without error.

    An old folder at ``path`` is moved aside first and deleted last, so that at every moment one
    of the two is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    aside = temporary / "old"
    fresh = temporary / "new"
    try:
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(aside)
        fresh.rename(path)
    finally:
        if aside.exists() and not path.exists():  # interrupted between the two
            aside.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
