"""A SQLite file: opened safely, written by one at a time, its errors in our words."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from tuneful.errors import StoreBusy, StoreError, StoreFull
from tuneful.stores import schema
from tuneful.stores.backup import copy_whole
from tuneful.stores.filesystem import refuse_network
from tuneful.stores.forking import halts_at_forks
from tuneful.stores.locks import FileLocks, locks_of

flush = getattr(os, "fdatasync", os.fsync)  # of an open file

_BUSY = 30.0  # seconds that SQLite itself waits for a lock that is not ours
_WAL_BYTES = 64 * 2**20


class Connection:
    """One SQLite file, for one process and all its threads.

    What must be on the disk when a write is over is flushed there behind the gate, while others write already: one
    flush of SQLite's journal keeps all that was committed before it. A checkpoint flushes it too before it takes
    anything out of it (sqlite.org/wal.html, "Performance Considerations").

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
        self._db: sqlite3.Connection | None = None
        self._log = Path(f"{self._file.resolve()}-wal")  # SQLite's journal; beside the file itself, not a link to it
        self._journal: int | None = None  # the same, as an open file
        self._closed = False
        self._turn = 0  # counts the writes
        self._ready()
        halts_at_forks(self)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._lock:
            db = self._ready()
            try:
                _begin(db, "BEGIN")
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
            db, written = self._ready(), False
            with self.locks.gate():
                try:
                    _begin(db, "BEGIN IMMEDIATE")
                    self._turn = turn = self._turn + 1
                    try:
                        yield db
                        if written := db.in_transaction:
                            db.execute("COMMIT")
                    except BaseException:
                        if db.in_transaction and turn == self._turn:  # not that of a later one
                            db.execute("ROLLBACK")
                        raise
                except sqlite3.Error as error:
                    raise translated(error, self.path) from error
            if durable and written:
                self._flush()

    def _flush(self) -> None:
        """Have the disk keep all that was committed.

        Raises:
            StoreError: it does not.
        """
        try:
            flush(self._journal_file())
        except FileNotFoundError:
            raise StoreError(
                f"{self.path} was removed or replaced while it was in use; what is told to it is lost. Open it again."
            ) from None
        except OSError as error:
            kind = StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
            raise kind(f"{self.path}: the disk does not keep what is written to it ({error}).") from error

    def _journal_file(self) -> int:
        if self._journal is None:
            self._journal = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        there, mine = self._log.stat(), os.fstat(self._journal)
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):  # SQLite keeps it as long as the file is open
            raise FileNotFoundError
        return self._journal

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
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def _ready(self) -> sqlite3.Connection:
        """The connection; opened again after a fork."""
        if self._db is None:
            if self._closed:
                raise StoreError(f"{self.path} was closed. Open the study again.")
            try:
                self._db = self._opened_file(self._file)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a message on damaged names
                raise translated(error, self.path) from error
        return self._db

    def _opened_file(self, path: Path) -> sqlite3.Connection:
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
            db = _opened(str(path))
            undo.callback(db.close)
            version = schema.version_of(db)
            if version is None:
                raise StoreError(f"{path} is a database of another program. Pass another file; it was not changed.")
            if version > schema.VERSION:
                raise StoreError(
                    f"{path} was written by a newer Tuneful (format {version}; this one reads up to "
                    f"{schema.VERSION}). Install a newer Tuneful."
                )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            if 0 < version < schema.VERSION:
                _keep(db, path, version)
            db.execute("BEGIN IMMEDIATE")
            if version < schema.VERSION:
                schema.migrate(db, version)
            db.execute("COMMIT")
            undo.pop_all()
            return db

    def halt(self) -> None:
        """Let a fork pass: in no transaction, and with the file closed until it is used again.

        SQLite remembers for the whole process which locks it holds. A child would believe that it holds those of
        its parent, and lose what it writes (sqlite.org/howtocorrupt.html, 2.6).
        """
        self._lock.acquire()
        self._let_go()

    def go_on(self) -> None:
        """After a fork, in the parent."""
        self._lock.release()

    def leave(self) -> None:
        """After a fork, in the child."""
        self._lock = threading.RLock()


def _begin(db: sqlite3.Connection, how: str) -> None:
    if db.in_transaction:  # a Ctrl-C broke into this thread's last one
        db.execute("ROLLBACK")
    db.execute(how)


def _opened(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA synchronous = NORMAL")
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
