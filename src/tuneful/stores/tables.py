"""The tables of a study, as stores hand them over to each other.

A dump holds plain SQL values (str, int, float, None), and JSON as the text that was written. It holds no keys of a
database, so reports and attempts name the number of their trial; and nothing of workers: who runs a trial and under
which token stays behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from tuneful.errors import StoreError
from tuneful.stores.rows import COLUMNS

PAGE = 1_000  # rows of one table that are handed over at a time
Page = tuple[str, list[tuple[Any, ...]]]

# In this order, each by its first columns: numbers, versions, steps. The study comes first, a trial before what
# hangs on it. A table without rows has no page.
TABLES: dict[str, tuple[str, ...]] = {
    "study": ("form", "created"),
    "head": ("next", "rev", "wish"),
    "space": ("version", "rev", "body"),
    "trial": (*COLUMNS.split(", "), "told_by"),
    "report": ("number", "step", "rev", "attempt", "metrics"),
    "attempt": ("number", "attempt", "why", "ended", "metrics", "error"),
}


# Behind these columns, what a database adds to find its rows.
KEYS = {"head": ("study",), "space": ("study",), "trial": ("study", "id")}
KEYS |= {"report": ("study", "trial"), "attempt": ("trial",)}


def paged(table: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[Page]:
    """The pages of one table."""
    left = iter(rows)
    while page := list(islice(left, PAGE)):
        yield table, page


def checked(pages: Iterable[Page]) -> Iterator[Page]:
    """`pages`, while they are those of a dump.

    Raises:
        StoreError: they are not: something is missing, strange or misplaced.
    """
    seen: list[str] = []
    for table, rows in pages:
        if (table == "study") != (not seen) or table not in TABLES:
            raise StoreError(f"A dump of a study has no {table!r} after {seen[-1:]}. Dump the study again.")
        width, named = len(TABLES[table]), TABLES[table][0] == "number"
        for row in rows:
            if len(row) != width or (named and type(row[0]) is not int):
                raise StoreError(f"A dump of a study has no such row of {table!r}: {row!r:.80}. Dump the study again.")
        seen.append(table)
        yield table, rows
    if not {"study", "head", "space"} <= {*seen}:
        raise StoreError(f"The dump of a study ends after {seen[-1:]}. Dump the study again.")


def key_of(study: int, number: int) -> int:
    """The key of a trial in the whole file: its study above, its number below."""
    return (study << 40) + number


def columns_of(table: str) -> list[tuple[str, bool]]:
    """What is handed over of a table: (name, whether it is the number of the trial that a row hangs on)."""
    return [(name, name == "number" and table != "trial") for name in TABLES[table]]


def keyed(table: str, study: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A handed over row with the keys that it has in a database, those of `KEYS` last."""
    if table == "trial":
        return (*row, study, key_of(study, row[0]))
    if table == "report":
        return (*row[1:], study, key_of(study, row[0]))
    return (*row[1:], key_of(study, row[0])) if table == "attempt" else (*row, study)
