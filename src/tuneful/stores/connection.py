"""A SQLite file: opened safely, written by one at a time, its errors in our words."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from tuneful.errors import StoreBusy, StoreError, StoreFull
from tuneful.stores import schema
from tuneful.stores.backup import copy_whole
from tuneful.stores.filesystem import refuse_network
from tuneful.stores.locks import FileLocks, locks_of

_BUSY = 30.0  # seconds that SQLite itself waits for a lock that is not ours
_WAL_BYTES = 64 * 2**20


class Connection:
    """One SQLite file, for one process and all its threads.

    Two connections lie behind it: one waits at each commit until the disk has it, the other does not. A commit of
    the first makes those of the second safe too.

    Attributes:
        locks: The locks between processes.

    Raises:
        StoreError: the file cannot be a store: it is damaged, another program's, newer than this version,
            read-only, or on a network file system.
    """

    locks: FileLocks

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.absolute()
        self._lock = threading.RLock()
        self._pair: tuple[sqlite3.Connection, sqlite3.Connection] | None = None
        self._closed = False
        self._turn = 0  # counts the writes
        self._ready()
        _connections.add(self)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._lock:
            db, other = self._ready()
            try:
                _begin(db, other, "BEGIN")
                try:
                    yield db
                finally:
                    if db.in_transaction:
                        db.execute("COMMIT")
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    @contextlib.contextmanager
    def write(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """A transaction that happens fully or not at all; with `durable`, on the disk when it is over.

        A `ROLLBACK` in it undoes it without an error.
        """
        with self._lock:
            other, db = self._ready() if durable else reversed(self._ready())
            with self.locks.gate():
                try:
                    _begin(db, other, "BEGIN IMMEDIATE")
                    self._turn = turn = self._turn + 1
                    try:
                        yield db
                        if db.in_transaction:
                            db.execute("COMMIT")
                    except BaseException:
                        if db.in_transaction and turn == self._turn:  # not that of a later one
                            db.execute("ROLLBACK")
                        raise
                except sqlite3.Error as error:
                    raise translated(error, self.path) from error

    def again(self) -> Connection:
        """Another one to the same file, for a long look at one moment of it while this one goes on."""
        with self._lock:
            self._ready()
        other = Connection(self._file)
        other.path = self.path
        return other

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        for db in self._pair or ():
            db.close()
        self._pair = None

    def _ready(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """The connections that do not wait for the disk and that do; opened again after a fork."""
        if self._pair is None:
            if self._closed:
                raise StoreError(f"{self.path} was closed. Open the study again.")
            try:
                self._pair = self._opened_file(self._file)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a message on damaged names
                raise translated(error, self.path) from error
        return self._pair

    def _opened_file(self, path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        if not path.parent.is_dir():
            raise StoreError(f"There is no folder {path.parent} to put {path.name} in. Create it first.")
        refuse_network(path.resolve())
        try:
            if path.exists() and not os.access(path, os.W_OK):
                raise StoreError(f"{path} is read-only. Make it writable, or copy it elsewhere and open the copy.")
            self.locks = locks_of(path)
        except OSError as error:
            kind = StoreFull if error.errno == errno.ENOSPC else StoreError
            raise kind(f"{path} cannot be written: {error}. Check the rights and the space of its folder.") from error
        with self.locks.gate(), contextlib.ExitStack() as undo:
            quick = _opened(str(path), "NORMAL")
            undo.callback(quick.close)
            version = schema.version_of(quick)
            if version is None:
                raise StoreError(f"{path} is a database of another program. Pass another file; it was not changed.")
            if version > schema.VERSION:
                raise StoreError(
                    f"{path} was written by a newer Tuneful (format {version}; this one reads up to "
                    f"{schema.VERSION}). Install a newer Tuneful."
                )
            quick.execute("PRAGMA journal_mode = WAL")
            quick.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            if 0 < version < schema.VERSION:
                _keep(quick, path, version)
            quick.execute("BEGIN IMMEDIATE")
            if version < schema.VERSION:
                schema.migrate(quick, version)
            quick.execute("COMMIT")
            durable = _opened(str(path), "FULL")
            undo.pop_all()
            return quick, durable

    def _halt(self) -> None:
        """Let a fork pass: in no transaction, and with the file closed until it is used again.

        SQLite remembers for the whole process which locks it holds. A child would believe that it holds those of
        its parent, and lose what it writes (sqlite.org/howtocorrupt.html, 2.6).
        """
        self._lock.acquire()
        self._let_go()


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()
_halted: list[Connection] = []


def _before_fork() -> None:
    for connection in list(_connections):
        connection._halt()  # noqa: SLF001 - our own class
        _halted.append(connection)


def _after_fork_in_parent() -> None:
    while _halted:
        _halted.pop()._lock.release()  # noqa: SLF001 - our own class


def _after_fork_in_child() -> None:
    while _halted:
        _halted.pop()._lock = threading.RLock()  # noqa: SLF001 - our own class


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _begin(db: sqlite3.Connection, other: sqlite3.Connection, how: str) -> None:
    for each in (db, other):
        if each.in_transaction:  # a Ctrl-C broke into this thread's last one
            each.execute("ROLLBACK")
    db.execute(how)


def _opened(path: str, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    return db


def kept_as(path: Path, version: int) -> Path:
    """Where a file of `version` is kept as it was when it is upgraded."""
    return path.with_name(f"{path.name}.v{version}.bak")


def _keep(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Keep a copy of a file as it is before it is upgraded."""
    copy = kept_as(path, version)
    try:
        copy_whole(db, copy)
    except OSError as error:
        raise StoreError(f"{path} was not upgraded: no copy could be kept as {copy.name} ({error}).") from error


def translated(error: Exception, where: Path) -> StoreError:
    """An error of SQLite in our words."""
    text = str(error)
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL") or "disk is full" in text:
        return StoreFull(
            f"The disk is full: {where} cannot grow. Free some space and go on; nothing acknowledged is lost."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(f"{where} has been locked by another program for {_BUSY:.0f} s. Close it and try again.")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or "decode" in text:
        return StoreError(
            f"{where} is not a database, or is damaged ({text}). Restore a copy, or pass another file; "
            "Tuneful has not changed it."
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StoreError(f"{where} cannot be written ({text}). Check the rights of the file and its folder.")
    return StoreError(f"{where}: {text} ({name or type(error).__name__}).")
