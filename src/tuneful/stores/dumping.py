"""A study of a SQLite file as the rows of `tables`, and back: functions of a connection in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from tuneful.stores.statements import key_of
from tuneful.stores.tables import TABLES, Page, checked, paged

_WHICH = {
    "study": "WHERE id = :study",
    "head": "WHERE study = :study",
    "space": "WHERE study = :study ORDER BY version",
    "trial": "WHERE id >= :first AND id < :end ORDER BY id",
    "report": "WHERE trial >= :first AND trial < :end ORDER BY trial, step",
    "attempt": "WHERE trial >= :first AND trial < :end ORDER BY trial, attempt, why",
}
# The keys of this file, behind the values that are handed over.
_KEYS = {"study": ("name",), "head": ("study",), "space": ("study",), "trial": ("study", "id")}
_KEYS |= {"report": ("study", "trial"), "attempt": ("trial",)}


def pages(db: sqlite3.Connection, study: int) -> Iterator[Page]:
    """All of a study, as the transaction sees it."""
    keys = {"study": study, "first": key_of(study, 0), "end": key_of(study + 1, 0)}
    for table in TABLES:
        columns = ", ".join("trial - :first" if hangs else name for name, hangs in _columns(table))
        yield from paged(table, db.execute(f"SELECT {columns} FROM {table} {_WHICH[table]}", keys))  # noqa: S608 - our own


def take_in(db: sqlite3.Connection, name: str, pages: Iterable[Page]) -> None:
    """Write what was dumped as study `name`, which must be new.

    Raises:
        StoreError: it is no dump of a study.
    """
    study = 0
    for table, rows in checked(pages):
        columns = [name for name, hangs in _columns(table) if not hangs]
        columns += _KEYS[table]
        marks = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own
        if table == "study":
            (study,) = db.execute(f"{insert} RETURNING id", (*rows[0], name)).fetchone()
        else:
            db.executemany(insert, (_keyed(table, study, row) for row in rows))


def _columns(table: str) -> list[tuple[str, bool]]:
    """What is handed over of a table: (name, whether it is the number of the trial that a row hangs on)."""
    return [(name, name == "number" and table != "trial") for name in TABLES[table]]


def _keyed(table: str, study: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    if table == "trial":
        return (*row, study, key_of(study, row[0]))
    if table == "report":
        return (*row[1:], study, key_of(study, row[0]))
    return (*row[1:], key_of(study, row[0])) if table == "attempt" else (*row, study)
