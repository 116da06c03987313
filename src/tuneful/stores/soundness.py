"""Whether a SQLite file is whole and says what is true: functions of a connection in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from tuneful.stores import checking, dumping


def check(db: sqlite3.Connection) -> list[str]:
    """What is wrong with a file, in sentences; the first of them."""
    return checking.at_most(_found(db))


def _found(db: sqlite3.Connection) -> Iterator[str]:
    try:
        for (text,) in db.execute("PRAGMA integrity_check"):
            if text != "ok":
                yield f"The file is damaged: {text}."
        for table, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
            yield f"A row of {table!r} belongs to nothing in {parent!r}."
        yield from checking.unclaimed(db.execute(checking.UNCLAIMED))
        for study, name in db.execute("SELECT id, name FROM study ORDER BY created, id").fetchall():
            yield from checking.faults(name, dumping.pages(db, study))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield f"The file is damaged, and cannot be read further ({error})."
