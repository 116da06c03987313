"""What happened to a study of a database: functions of a link."""

from __future__ import annotations

from tuneful.history import Report, State
from tuneful.protocols import Changes
from tuneful.stores.codec import loads
from tuneful.stores.postgres import statements
from tuneful.stores.postgres.link import Link
from tuneful.stores.rows import from_columns

_PAGE = 2_000  # rows read at a time


def changes(link: Link, study: int, rev: int) -> Changes | None:
    """What happened after `rev`, or the first part of it; None if the study is gone."""
    values = {"study": study, "rev": rev, "page": _PAGE}
    if rev:  # else there is a space to read
        found = link.ask(statements.NEWS, values)
        if not found:
            return None
        (now, wish, leader, more, first, *_) = found[0]
        if now == rev:
            return Changes(rev, leader=leader, wish=wish)
        rows = [] if first is None else sorted(from_columns([row[4:] for row in found]), key=lambda row: row.rev)
        # Of a trial that was started again, all reports are told.
        if not more and not any(row.attempt > 1 and row.state < State.DONE for row in rows):
            upto = rows[-1].rev if len(rows) == _PAGE else now
            return Changes(upto, (), rows, (), upto < now, leader, wish)
    with link.transaction(statements.ONE_MOMENT):
        asked = (statements.HEAD, statements.SPACES, statements.CHANGED)
        heads, spaces, found = link.ask_all(*((statement, values) for statement in asked))
        if not heads:
            return None
        now, wish, leader, _ = heads[0]
        # A new space ends a page: so its revision is told.
        end = next((since for version, since, _ in spaces if version), now)
        rows = list(from_columns(found))
        upto = rows[-1].rev if len(rows) == _PAGE else end
        reports = link.ask(statements.REPORTS, values | {"upto": upto})
    return Changes(
        upto,
        [(version, loads(body)) for version, since, body in spaces if since <= upto],
        rows,
        [(at, Report(number, step, loads(metrics))) for at, number, step, metrics in reports],
        upto < now,
        leader,
        wish,
    )
