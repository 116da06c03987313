"""Locks between the processes of one host, on bytes of a file. The kernel lets go of them when a process dies.

POSIX record locks: a forked child does not inherit them, so a data loader that outlives its parent keeps nothing
alive. They vanish when the process closes the file anywhere, so it is opened once in each process.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneful.errors import StoreBusy

_PATIENCE = 60.0  # seconds; a transaction takes milliseconds
_FIRST, _LATER = 0.002, 0.0003  # seconds between looks at the gate (`benchmarks/throughput.py`: fair at 8 processes)
_TURN = 2.0  # seconds; a decision takes milliseconds, and whoever is late only decides once more
_GATE = 0
_DECIDING = 2**40  # beyond all slots
_FLOCK = struct.Struct("@qqihh" if sys.platform == "darwin" else "@hhqqi")


class FileLocks:
    """One gate that lets one writer in at a time, and one slot for each worker to show that it lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._thread = threading.RLock()  # again and again for a thread whose last turn a Ctrl-C broke off
        self._held: set[int] = set()

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Be the only writer, of all threads and processes.

        Raises:
            StoreBusy: another process has been in for a minute.
        """
        with self._thread:
            if not self._try(_GATE):
                self._wait()
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _GATE)

    @contextmanager
    def deciding(self, study: int) -> Iterator[None]:
        """Be the only one who decides for a study, of all processes; who has waited for long goes ahead unasked."""
        byte, deadline = _DECIDING + study, time.monotonic() + _TURN
        while not (mine := self._try(byte)) and time.monotonic() < deadline:
            time.sleep(0.001)
        try:
            yield
        finally:
            if mine:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)

    def _wait(self) -> None:
        """Wait for the gate.

        The first pause is the longest: so who has waited looks more often than who comes, and nobody starves. A wait in
        the kernel would be fairer still, but has no end behind a process that is stopped.
        """
        deadline, pause = time.monotonic() + _PATIENCE, _FIRST
        while not self._try(_GATE):
            if time.monotonic() > deadline:
                raise StoreBusy(
                    f"Process {self._holder()} has been writing to {self._path} for {_PATIENCE:.0f} s. "
                    "If it is stopped, let it go on or end it; nothing is lost."
                )
            time.sleep(pause)
            pause = _LATER

    def hold(self, slot: int) -> None:
        """Show that the worker of `slot` lives, as long as this process does."""
        self._try(1 + slot)
        self._held.add(slot)

    def drop(self, slot: int) -> None:
        """No longer hold `slot`."""
        self._held.discard(slot)
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1 + slot)

    def is_free(self, slot: int) -> bool:
        """Whether no living process holds `slot`."""
        if slot in self._held or not self._try(1 + slot):
            return False
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1 + slot)
        return True

    def _try(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def stands(self) -> bool:
        """Whether its file is still there; a study may have been deleted and begun anew."""
        try:
            there, mine = self._path.stat(), os.fstat(self._file)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _holder(self) -> int:
        start, length = _GATE, 1
        asked = (
            _FLOCK.pack(start, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
            if sys.platform == "darwin"
            else _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        )
        answer = _FLOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))
        return int(answer[2 if sys.platform == "darwin" else 4])


_open: dict[Path, FileLocks] = {}
_opening = threading.Lock()


def locks_of(database: Path) -> FileLocks:
    """The locks of a database, in the file beside it; one object for all of the process."""
    path = Path(f"{database.resolve()}-lock")
    with _opening:
        if path not in _open or not _open[path].stands():
            _open[path] = FileLocks(path)
        return _open[path]


# A child has the open file but none of the locks; it must open its own.
os.register_at_fork(after_in_child=_open.clear)
