"""Folders that appear whole or not at all, and the steps that make them so.

A folder is filled under a hidden name beside its place, forced to the disk and renamed. Who fills one holds
a lock on it, which the system drops when the process dies: so what a crash left is known from what is still
being filled.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = ".tmp-"
_TRIES = 100  # each lost one means that another process did something at that very moment


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Make a folder in `parent` to be filled and renamed, and remove it at the end if it was not renamed."""
    folder, lock = _claimed(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(parent: Path) -> None:
    """Remove what is left in `parent` of scratch folders that nobody fills any more."""
    for folder in listed(parent, _PREFIX):
        try:
            lock = _locked(folder, wait=False)
        except OSError:  # being filled, or already gone
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def put(folder: Path, target: Path, aside: Path) -> None:
    """Rename a finished folder to `target`, for good when this returns.

    A former `target` is first renamed to `aside`, and removed when the new one stands; between the two
    `recover` brings it back.

    Raises:
        OSError: it could not be renamed; a former `target` is where it was.
    """
    for left in reversed(range(_TRIES)):
        make(target.parent)
        try:
            if target.exists():
                discard(aside, aside.parent)
                target.rename(aside)
            folder.rename(target)
            break
        except OSError:
            recover(target, aside)
            if not left or not folder.exists():
                raise
    sync(target.parent)
    discard(aside, aside.parent)


def recover(target: Path, aside: Path) -> None:
    """Bring back a `target` whose replacement was cut short. Does nothing where all is well."""
    if not target.exists() and aside.exists():
        with suppress(OSError):  # another process was faster
            make(target.parent)
            aside.rename(target)


def discard(folder: Path, parent: Path) -> None:
    """Remove a folder at once as others see it, by way of `parent`, which `sweep` clears. Missing is fine.

    Raises:
        OSError: it could not be renamed away.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(folder.rename(parent / _name()), ignore_errors=True)


def listed(folder: Path, prefix: str = "") -> list[Path]:
    """What is in a folder under names that start so; nothing where there is no folder."""
    try:
        return [entry for entry in folder.iterdir() if entry.name.startswith(prefix)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def make(folder: Path) -> None:
    """Make a folder and those above it, each for good."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    if sys.platform == "win32":  # does so by itself, and cannot be asked
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name() -> str:
    return f"{_PREFIX}{secrets.token_hex(8)}"


def _claimed(parent: Path) -> tuple[Path, int | None]:
    for _ in range(_TRIES):
        make(parent)
        folder = parent / _name()
        with suppress(FileNotFoundError):  # `sweep` may come before the lock
            folder.mkdir()
            lock = _locked(folder, wait=True)
            if folder.exists():
                return folder, lock
            if lock is not None:
                os.close(lock)
    raise FileNotFoundError(2, "The folder vanishes again and again", str(parent))


def _locked(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder until the returned handle is closed; None where folders cannot be locked."""
    if sys.platform == "win32":
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:
        if not wait:
            os.close(handle)
            raise
    return handle
