"""A study of a SQLite file as the rows of `tables`, and back: functions of a connection in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from tuneful.stores.tables import KEYS, TABLES, Page, checked, columns_of, key_of, keyed, paged

_WHICH = {
    "study": "WHERE id = :study",
    "head": "WHERE study = :study",
    "space": "WHERE study = :study ORDER BY version",
    "trial": "WHERE id >= :first AND id < :end ORDER BY id",
    "report": "WHERE trial >= :first AND trial < :end ORDER BY trial, step",
    "attempt": "WHERE trial >= :first AND trial < :end ORDER BY trial, attempt, why",
}
# The keys of this file, behind the values that are handed over.
_KEYS = KEYS | {"study": ("name",)}


def pages(db: sqlite3.Connection, study: int) -> Iterator[Page]:
    """All of a study, as the transaction sees it."""
    keys = {"study": study, "first": key_of(study, 0), "end": key_of(study + 1, 0)}
    for table in TABLES:
        columns = ", ".join("trial - :first" if hangs else name for name, hangs in columns_of(table))
        yield from paged(table, db.execute(f"SELECT {columns} FROM {table} {_WHICH[table]}", keys))  # noqa: S608 - our own


def take_in(db: sqlite3.Connection, name: str, pages: Iterable[Page]) -> None:
    """Write what was dumped as study `name`, which must be new.

    Raises:
        StoreError: it is no dump of a study.
    """
    study = 0
    for table, rows in checked(pages):
        columns = [name for name, hangs in columns_of(table) if not hangs]
        columns += _KEYS[table]
        marks = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own
        if table == "study":
            (study,) = db.execute(f"{insert} RETURNING id", (*rows[0], name)).fetchone()
        else:
            db.executemany(insert, (keyed(table, study, row) for row in rows))
