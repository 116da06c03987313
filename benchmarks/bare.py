"""What SQLite itself takes for the two transactions of a trial: a bare loop over our tables, indices and rows."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from contenders import NAMES

from tuneful.history import Row, State
from tuneful.space import Config
from tuneful.stores import schema
from tuneful.stores.rows import COLUMNS, to_columns

_NEXT = "UPDATE head SET next = next + 1, rev = rev + 1 WHERE study = 1 AND next = ? RETURNING rev"
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
    """One process, the sqlite3 module, values made beforehand."""

    def __init__(self, path: Path) -> None:
        self._quick, self._durable = _opened(path, "NORMAL"), _opened(path, "FULL")
        schema.migrate(self._quick, 0)
        self._quick.execute("INSERT INTO study (id, name, form, created) VALUES (1, 'study', '{}', 0)")
        self._quick.execute("INSERT INTO head VALUES (1, 0, 0)")
        config: Config = {name: 0.12345678901 * (1 + i) for i, name in enumerate(NAMES)}
        row = Row(0, config, state=State.RUNNING, attempt=1, why={"searcher": "random"}, started=time.time())
        _, _, *self._facts = to_columns(row)
        self._worker = os.urandom(16).hex()
        self._number = 0

    def __call__(self) -> None:
        number, self._number = self._number, self._number + 1
        key, token = (1 << 40) + number, os.urandom(16).hex()

        db = self._quick
        db.execute("BEGIN IMMEDIATE")
        (rev,) = db.execute(_NEXT, (number,)).fetchone()
        db.execute(_INSERT, (number, rev, *self._facts, key, 1, self._worker, token))
        db.execute("COMMIT")

        db = self._durable
        db.execute("BEGIN IMMEDIATE")
        (rev,) = db.execute(_BUMP).fetchone()
        db.execute(_END, (rev, rev, '{"value":5.4321}', 0.1, time.time(), token, key, token))
        db.execute("COMMIT")


def _opened(path: Path, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA foreign_keys = ON")
    return db
