"""What SQLite itself takes for the two transactions of a trial: a bare loop over our tables, indices and rows."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import nullcontext
from pathlib import Path

from contenders import NAMES

from tuneful.history import Row, State
from tuneful.space import Config
from tuneful.stores import schema
from tuneful.stores.locks import locks_of
from tuneful.stores.rows import COLUMNS, to_columns

_PATIENCE = 60.0  # seconds that a process waits for the others
_NEXT = "UPDATE head SET next = next + 1, rev = rev + 1 WHERE study = 1 RETURNING rev, next"
_INSERT = (
    f"INSERT INTO trial ({COLUMNS}, id, study, worker, token) VALUES ({', '.join('?' * (COLUMNS.count(',') + 5))})"
)
_BUMP = "UPDATE head SET rev = rev + 1 WHERE study = 1 RETURNING rev"
_END = (
    "UPDATE trial SET state = 3, rev = ?, ended = ?, metrics = ?, error = NULL, curve = NULL, step = 0, cost = ?, "
    "finished = ?, settings = NULL, space = 0, worker = NULL, token = NULL, told_by = ? "
    "WHERE id = ? AND token = ? AND state = 1"
)


class Bare:
    """One process, the sqlite3 module, values made beforehand.

    Args:
        path: The file; made if it is not there.
        gated: Whether to let one process in at a time by the lock that our store uses; SQLite's own lets some starve.
    """

    def __init__(self, path: Path, *, gated: bool = False) -> None:
        new = not path.exists()
        self._quick, self._durable = _opened(path, "NORMAL"), _opened(path, "FULL")
        if new:
            schema.migrate(self._quick, 0)
            self._quick.execute("INSERT INTO study (id, name, form, created) VALUES (1, 'study', '{}', 0)")
            self._quick.execute("INSERT INTO head (study, next, rev) VALUES (1, 0, 0)")
        self._facts = facts()
        self._worker = os.urandom(16).hex()
        self._gate = locks_of(path).gate if gated else nullcontext

    def __call__(self) -> None:
        token, db = os.urandom(16).hex(), self._quick
        with self._gate():
            db.execute("BEGIN IMMEDIATE")
            rev, number = db.execute(_NEXT).fetchone()
            key = (1 << 40) + number
            db.execute(_INSERT, (number - 1, rev, *self._facts, key, 1, self._worker, token))
            db.execute("COMMIT")

        db = self._durable
        with self._gate():
            db.execute("BEGIN IMMEDIATE")
            (rev,) = db.execute(_BUMP).fetchone()
            db.execute(_END, (rev, rev, '{"value":5.4321}', 0.1, time.time(), token, key, token))
            db.execute("COMMIT")


def facts() -> list[object]:
    """The columns of a running trial, after its number and revision."""
    config: Config = {name: 0.12345678901 * (1 + i) for i, name in enumerate(NAMES)}
    row = Row(0, config, state=State.RUNNING, attempt=1, why={"searcher": "random"}, started=time.time())
    return list(to_columns(row)[2:])


def _opened(path: Path, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA foreign_keys = ON")
    return db
