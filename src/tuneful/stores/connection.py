"""A SQLite file: opened safely, written by one at a time, its errors in our words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from tuneful.errors import StoreBusy, StoreError, StoreFull
from tuneful.stores import schema
from tuneful.stores.filesystem import refuse_network
from tuneful.stores.locks import FileLocks, locks_of

_BUSY = 30.0  # seconds that SQLite itself waits for a lock that is not ours
_WAL_BYTES = 64 * 2**20


class Connection:
    """One SQLite file, or a database in memory (`path` None), for one process and all its threads.

    Two connections lie behind it: one waits at each commit until the disk has it, the other does not. A commit of
    the first makes those of the second safe too.

    Raises:
        StoreError: the file cannot be a store: it is damaged, another program's, newer than this version,
            read-only, or on a network file system.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._pid = 0
        self._connect()

    @property
    def locks(self) -> FileLocks | None:
        """The locks between processes; None in memory."""
        return None if self.path is None else locks_of(Path(f"{self.path}-lock"))

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._lock, self._told():
            self._reconnect_after_fork()
            self._quick.execute("BEGIN")
            try:
                yield self._quick
            finally:
                if self._quick.in_transaction:
                    self._quick.execute("COMMIT")

    @contextlib.contextmanager
    def write(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """A transaction that happens fully or not at all; with `durable`, on the disk when it is over.

        Leave it by `raise Abandon` to undo it without an error.
        """
        locks = self.locks
        gate = contextlib.nullcontext() if locks is None else locks.gate()
        with self._lock, self._told(), gate:
            self._reconnect_after_fork()
            db = self._durable if durable else self._quick
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except Abandon:
                db.execute("ROLLBACK")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._pid == os.getpid():
                for db in {self._quick, self._durable}:
                    db.close()

    def _connect(self) -> None:
        if self.path is None:
            self._quick = self._durable = _opened(":memory:", "OFF")
            schema.migrate(self._quick, 0)
        else:
            with self._told():
                self._open_file(self.path)
        self._pid = os.getpid()

    def _open_file(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise StoreError(f"There is no folder {path.parent} to put {path.name} in. Create it first.")
        refuse_network(path.resolve())
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreError(f"{path} is read-only. Make it writable, or copy it elsewhere and open the copy.")
        locks = self.locks
        assert locks is not None
        with locks.gate():
            self._quick = _opened(str(path), "NORMAL")
            version = schema.version_of(self._quick)
            if version > schema.VERSION:
                raise StoreError(
                    f"{path} was written by a newer Tuneful (format {version}; this one reads up to "
                    f"{schema.VERSION}). Install a newer Tuneful."
                )
            self._quick.execute("PRAGMA journal_mode = WAL")
            self._quick.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            self._quick.execute("BEGIN IMMEDIATE")
            if version < schema.VERSION:
                schema.migrate(self._quick, version)
            self._quick.execute("COMMIT")
            self._durable = _opened(str(path), "FULL")

    def _reconnect_after_fork(self) -> None:
        if self._pid != os.getpid():  # a SQLite connection must not be carried over a fork
            self._lock = threading.RLock()
            self._connect()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error


class Abandon(Exception):  # noqa: N818 - it is no error
    """Undo the transaction, quietly."""


def _opened(path: str, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    return db


def _translated(error: sqlite3.Error, path: Path | None) -> StoreError:
    where = "The study in memory" if path is None else str(path)
    text = str(error)
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL") or "disk is full" in text:
        return StoreFull(
            f"The disk is full: {where} cannot grow. Free some space and go on; nothing acknowledged is lost."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(f"{where} has been locked by another program for {_BUSY:.0f} s. Close it and try again.")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StoreError(
            f"{where} is not a database, or is damaged ({text}). Restore a copy, or pass another file; "
            "Tuneful has not changed it."
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StoreError(f"{where} cannot be written ({text}). Check the rights of the file and its folder.")
    return StoreError(f"{where}: {text} ({name or type(error).__name__}).")
