"""What a trial costs a database, counted from what SQLite itself says that it executes."""

from __future__ import annotations

import os
import sqlite3
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from tuneful.stores import connection

_TRIALS = 25
_NO_DATA = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "SAVEPOINT", "RELEASE")
_FULL = 2  # the level of PRAGMA synchronous from which a commit waits for the disk


class Traffic(NamedTuple):
    """The statements of one trial that touch data, its commits, and those of them that wait for the disk."""

    statements: float
    commits: float
    synced: float


class Trace:
    """All that is executed by the connections opened in `tracing`, whichever library opens them."""

    def __init__(self) -> None:
        self._connect = sqlite3.connect
        self._said: list[tuple[sqlite3.Connection, list[str]]] = []
        self.flushed = 0  # times that a program waited for the disk by itself

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = self._connect(*args, **options)
        said: list[str] = []
        db.set_trace_callback(said.append)
        self._said.append((db, said))
        return db

    def traffic(self, trial: Callable[[], object]) -> Traffic:
        """The medians over several trials."""
        each = [self._one(trial) for _ in range(_TRIALS)]
        return Traffic(*(statistics.median(counts) for counts in zip(*each, strict=True)))

    def _one(self, trial: Callable[[], object]) -> Traffic:
        for _, said in self._said:
            said.clear()
        self.flushed = 0
        trial()
        statements, commits, synced = 0, 0, self.flushed
        for db, said in self._said:
            words = [text.split(None, 1)[0].upper() for text in said if not text.startswith("--")]
            (level,) = db.execute("PRAGMA synchronous").fetchone()
            commits += words.count("COMMIT")
            synced += words.count("COMMIT") if level >= _FULL else 0
            statements += sum(word not in _NO_DATA for word in words)
        return Traffic(statements, commits, synced)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Trace the connections that are opened meanwhile."""
    trace = Trace()

    def flush(file: int) -> None:
        trace.flushed += 1
        os.fsync(file)

    with (
        mock.patch("sqlite3.connect", trace.connect),
        mock.patch("sqlite3.dbapi2.connect", trace.connect),
        mock.patch.object(connection, "flush", flush),
    ):
        yield trace
