"""What PostgreSQL itself takes for the two transactions of a trial: a bare loop over our tables, indices and rows."""

from __future__ import annotations

import os
import time

import psycopg
from bare import facts

from tuneful.stores.rows import COLUMNS

_VALUES = ", ".join(["%s"] * (COLUMNS.count(",") - 1))
_ASK = (
    "WITH h AS (UPDATE tuneful.head SET next = next + 1, rev = rev + 1 WHERE study = %s "
    "RETURNING rev, next, set_config('synchronous_commit', 'off', true)) "
    f"INSERT INTO tuneful.trial ({COLUMNS}, id, study, worker, token) "
    f"SELECT next - 1, rev, {_VALUES}, (%s::bigint << 40) + next - 1, %s, %s, %s FROM h RETURNING id"
)
_TELL = (
    "WITH h AS (UPDATE tuneful.head SET rev = rev + 1 WHERE study = %s RETURNING rev) "
    "UPDATE tuneful.trial SET state = 3, rev = h.rev, ended = h.rev, metrics = %s, error = NULL, curve = NULL, "
    "step = 0, cost = %s, finished = %s, settings = NULL, space = 0, worker = NULL, token = NULL, told_by = %s "
    "FROM h WHERE id = %s AND token = %s AND state = 1"
)


class BarePostgres:
    """One connection, a statement for each of the two, values made beforehand; the tables must be there.

    Args:
        uri: The database.
        name: The study, which is no other's.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._db = psycopg.connect(uri, autocommit=True)
        (self._study,) = self._db.execute("SELECT id FROM tuneful.study WHERE name = %s", (name,)).fetchone()
        self._facts, self._worker = facts(), os.urandom(16).hex()

    def __call__(self) -> None:
        token = os.urandom(16).hex()
        asked = (self._study, *self._facts, self._study, self._study, self._worker, token)
        (key,) = self._db.execute(_ASK, asked).fetchone()
        told = (self._study, '{"value":5.4321}', 0.1, time.time(), token, key, token)
        self._db.execute(_TELL, told)
