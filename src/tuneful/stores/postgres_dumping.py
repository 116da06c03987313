"""A study of a database as the rows of `tables`, and back: functions of a link, in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tuneful.stores import postgres_statements as statements
from tuneful.stores.postgres_link import Link
from tuneful.stores.statements import key_of
from tuneful.stores.tables import TABLES, Page, checked, paged

_WHICH = {
    "study": "WHERE id = %(study)s",
    "head": "WHERE study = %(study)s",
    "space": "WHERE study = %(study)s ORDER BY version",
    "trial": "WHERE id >= %(first)s AND id < %(end)s ORDER BY id",
    "report": "WHERE trial >= %(first)s AND trial < %(end)s ORDER BY trial, step",
    "attempt": 'WHERE trial >= %(first)s AND trial < %(end)s ORDER BY trial, attempt, why COLLATE "C"',
}
_KEYS = {"head": ("study",), "space": ("study",), "trial": ("study", "id")}
_KEYS |= {"report": ("study", "trial"), "attempt": ("trial",)}
# Who takes a dump may take his time.
_UNHURRIED = (
    "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
)


def pages(link: Link, study: int) -> Iterator[Page]:
    """All of a study, as it is at one moment."""
    keys = {"study": study, "first": key_of(study, 0), "end": key_of(study + 1, 0)}
    with link.transaction(statements.ONE_MOMENT):
        link.ask(_UNHURRIED)
        for table in TABLES:
            columns = ", ".join("trial - %(first)s" if hangs else name for name, hangs in _columns(table))
            asked = f"SELECT {columns} FROM tuneful.{table} {_WHICH[table]}"  # noqa: S608 - our own
            yield from paged(table, link.stream(asked, keys))


def take_in(link: Link, study: int, name: str, pages: Iterable[Page]) -> bool:
    """Write what was dumped as study `name`, under a key that is free; False if there is one of that name.

    Raises:
        StoreError: it is no dump of a study.
    """
    with link.transaction():
        link.ask(_UNHURRIED)
        for table, rows in checked(pages):
            if table == "study":
                values = {"study": study, "name": name, "form": rows[0][0], "created": rows[0][1]}
                if not link.ask(_STUDY, values):
                    return False
                continue
            columns = ", ".join([name for name, hangs in _columns(table) if not hangs] + list(_KEYS[table]))
            link.copy(f"COPY tuneful.{table} ({columns}) FROM STDIN", (_keyed(table, study, row) for row in rows))
    return True


_STUDY = (
    "INSERT INTO tuneful.study (id, name, form, created) VALUES (%(study)s, %(name)s, %(form)s, %(created)s) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)


def _columns(table: str) -> list[tuple[str, bool]]:
    """What is handed over of a table: (name, whether it is the number of the trial that a row hangs on)."""
    return [(name, name == "number" and table != "trial") for name in TABLES[table]]


def _keyed(table: str, study: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    if table == "trial":
        return (*row, study, key_of(study, row[0]))
    if table == "report":
        return (*row[1:], study, key_of(study, row[0]))
    return (*row[1:], key_of(study, row[0])) if table == "attempt" else (*row, study)
