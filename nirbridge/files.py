"""Files and folders that appear whole or not at all, whenever a run is killed.

What is written grows in a folder of its own beside its place, and takes that place in one step of
the file system. Such a folder is locked while its run lives; the next run to the same place removes
those whose run was killed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from nirbridge.diagnostics import Refused, refuse

PREFIX, ASIDE = ".nirbridge-", "old-"
_AT_FDCWD, _SWAP = -100, 2  # of Linux's renameat2 and, the latter, of macOS' renamex_np
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)

T = TypeVar("T")


def check_new(path: Path, force: bool) -> None:
    """Whether a file may be written at ``path``; best asked before there is something to lose.

    Raises
    ------
    Refused
        NB805 if it exists and ``force`` is not set, NB807 if it is a directory, in none, or in one
        that cannot be written to.

    """
    if path.is_dir():
        raise refuse("NB807", node=path.name, limit="a file", found=f"{path} is a directory")
    if not path.parent.is_dir():
        found = f"no directory {path.parent}"
        raise refuse("NB807", node=path.name, limit="a place in a directory", found=found)
    if os.path.lexists(path) and not force:  # also a link to nothing
        raise _taken(path)
    check_writable(path)


def check_writable(path: Path) -> None:
    """Refuse (NB807) a place where nothing can be made; its parents may have to be made first."""
    parent = next((p for p in path.absolute().parents if p.exists()), path.parent)
    try:
        with workplace(parent):  # rights tell too little: root has all, even on what is read-only
            pass
    except OSError as error:
        found = f"{parent}: {error.strerror}"
        limit = "a directory that can be written to"
        raise refuse("NB807", node=path.name, limit=limit, found=found) from None


def check_readable(path: Path, limit: str) -> None:
    """Refuse (NB101) what is no file, or may not be read; ``limit``: what is wanted, in words."""
    try:
        if path.is_dir():
            raise refuse("NB101", node=path.name, limit=limit, found=f"{path} is a directory")
        if not path.is_file():
            raise refuse("NB101", node=path.name, limit=limit, found=f"no file {path}")
        with path.open("rb"):
            pass
    except OSError as error:
        found = f"{path}: {error.strerror}"
        raise refuse("NB101", node=path.name, limit="a readable file", found=found) from None


def check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse (NB806) a file whose suffix is none of ``suffixes``."""
    if path.suffix not in suffixes:
        raise refuse("NB806", node=path.name, limit=", ".join(suffixes), found=repr(path.suffix))


@contextmanager
def replacing(path: Path, force: bool = True) -> Iterator[Path]:
    """A path for a file that takes the place of ``path`` when the block ends without error.

    What is written must go through Python's own files: libraries that map or cache a file
    themselves (HDF5) end the process when the disk is full.

    Raises
    ------
    Refused
        NB805 if the place is taken by then, and ``force`` is not set.
    OSError
        If the place cannot be written to; it names ``path``.

    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(path.parent))
    with _told_of(path), workplace(path.parent) as folder:
        fresh = folder / path.name
        yield fresh
        _flush(fresh)
        if force:
            fresh.replace(path)
        else:
            _put(fresh, path)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Let errors name the user's path, not the hidden one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _put(fresh: Path, path: Path) -> None:
    """Bring a file to a place that must be free, in one step."""
    try:
        os.link(fresh, path)
        return
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # a file system without links
        pass
    try:
        path.open("xb").close()
    except FileExistsError:
        raise _taken(path) from None
    fresh.replace(path)


def _taken(path: Path) -> Refused:
    return refuse("NB805", node=path.name, limit="a new file", found=f"{path} exists")


@contextmanager
def replacing_folder(path: Path, force: bool = True) -> Iterator[Path]:
    """A new folder that takes the place of ``path`` when the block ends without error.

    An old folder at ``path`` is exchanged for it in one step where the system can do that (Linux,
    macOS). Elsewhere it is moved aside first; if a run is killed between the two steps, the next
    one that writes beside ``path`` puts it back.

    Raises
    ------
    Refused
        NB805 if the place is taken, and ``force`` is not set.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _told_of(path), workplace(path.parent) as folder:
        fresh = folder / "new"
        fresh.mkdir()
        yield fresh
        for each in fresh.rglob("*"):
            if each.is_file():
                _flush(each)
        while not _took_place(fresh, path, force):
            pass  # another run came or went in between


def steady(folder: Path, read: Callable[[], T]) -> T:
    """What ``read`` makes of a folder; again, if another took its place meanwhile."""
    while True:
        before = _identity(folder)
        try:
            found = read()
        except Exception:  # whatever a mixture of two folders leads to
            if before == _identity(folder):
                raise
        else:
            if before == _identity(folder):
                return found


def _identity(folder: Path) -> tuple[int, ...] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _took_place(fresh: Path, path: Path, force: bool) -> bool:
    """Whether ``fresh`` came to be at ``path``; False if what is there changed meanwhile."""
    try:
        if not (force and os.path.lexists(path)):
            fresh.rename(path)
        elif not _exchange(fresh, path):
            _move_aside(fresh, path)
    except OSError as error:
        if error.errno in _TAKEN and not force:
            limit, found = "a new directory", f"{path} exists"
            raise refuse("NB805", limit=limit, found=found) from None
        if error.errno in (*_TAKEN, errno.ENOENT) and fresh.exists():
            return False
        raise
    return True


def _move_aside(fresh: Path, path: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=fresh.parent)) / path.name
    path.rename(aside)
    try:
        fresh.rename(path)
    finally:
        if not path.exists():
            aside.rename(path)


def _exchange(a: Path, b: Path) -> bool:
    """Swap what is at two paths in one step; False where the system cannot."""
    if sys.platform not in ("linux", "darwin"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    source, target = os.fsencode(a), os.fsencode(b)
    try:
        if sys.platform == "linux":
            failed = library.renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _SWAP)
        else:
            failed = library.renamex_np(source, target, _SWAP)
    except AttributeError:  # a C library without it
        return False
    code = ctypes.get_errno()
    if failed and code not in _CANNOT:
        raise OSError(code, os.strerror(code), str(b))
    return not failed


@contextmanager
def workplace(parent: Path) -> Iterator[Path]:
    """A locked folder in ``parent`` that goes away at the end, or with the next run there."""
    _sweep(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = None
        with suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(folder)
            if folder.exists():
                break
        _unlock(lock)  # the sweep of another run was quicker
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def _sweep(parent: Path) -> None:
    """Remove the folders of runs that were killed: those that nobody has locked."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = _lock(folder)
            if lock is not None:
                for old in folder.glob(f"{ASIDE}*/*"):
                    if not (parent / old.name).exists():
                        old.rename(parent / old.name)
                shutil.rmtree(folder, ignore_errors=True)
                _unlock(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder until the process ends; None where folders cannot be locked.

    Raises
    ------
    BlockingIOError
        If another process has locked it.
    FileNotFoundError
        If it is gone.

    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _flush(path: Path) -> None:
    """Bring a file onto the disk, so that a power cut does not leave its name without content."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
