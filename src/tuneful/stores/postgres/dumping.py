"""A study of a database as the rows of `tables`, and back: functions of a link, in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tuneful.stores.postgres import statements
from tuneful.stores.postgres.link import Link
from tuneful.stores.tables import KEYS, TABLES, Page, checked, columns_of, key_of, keyed, paged

_WHICH = {
    "study": "WHERE id = %(study)s",
    "head": "WHERE study = %(study)s",
    "space": "WHERE study = %(study)s ORDER BY version",
    "trial": "WHERE id >= %(first)s AND id < %(end)s ORDER BY id",
    "report": "WHERE trial >= %(first)s AND trial < %(end)s ORDER BY trial, step",
    "attempt": 'WHERE trial >= %(first)s AND trial < %(end)s ORDER BY trial, attempt, why COLLATE "C"',
}
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
            columns = ", ".join("trial - %(first)s" if hangs else name for name, hangs in columns_of(table))
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
            columns = ", ".join([name for name, hangs in columns_of(table) if not hangs] + list(KEYS[table]))
            link.copy(f"COPY tuneful.{table} ({columns}) FROM STDIN", (keyed(table, study, row) for row in rows))
    return True


_STUDY = (
    "INSERT INTO tuneful.study (id, name, form, created) VALUES (%(study)s, %(name)s, %(form)s, %(created)s) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)
