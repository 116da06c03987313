"""New trials on their way into a database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tuneful.history import Row, State
from tuneful.protocols import Claim
from tuneful.stores.postgres import statements
from tuneful.stores.postgres.link import Link
from tuneful.stores.rows import to_columns
from tuneful.stores.tables import key_of


class Made:
    """Trials that one call records, as often as it takes until it is known that they are there.

    Args:
        rows: The trials.
        worker: Who runs those that run.

    Attributes:
        claims: Those of the running ones.
    """

    def __init__(self, rows: Sequence[Row], worker: str | None) -> None:
        self._rows, self._by = rows, os.urandom(16).hex()
        self.claims = [Claim(r.number, r.attempt, os.urandom(16).hex()) for r in rows if r.state == State.RUNNING]
        tokens = {claim.number: claim.token for claim in self.claims}
        self._columns = [dict(zip(statements.NAMES, to_columns(row), strict=True)) for row in rows]
        for row, values in zip(rows, self._columns, strict=True):
            token = tokens.get(row.number)
            values["begun"], values["ended"] = bool(row.begun or token), row.state.final
            values |= {"worker": worker if token else None, "token": token, "made_by": self._by}

    def recorded(self, link: Link, study: int) -> int | None:
        """The revision of the last trial, if they are there."""
        found = link.ask(statements.CREATED, {"id": key_of(study, self._rows[-1].number), "made_by": self._by})
        return int(found[0][0]) if found else None

    def record(self, link: Link, study: int) -> tuple[int | None, int | None]:
        """Record them if theirs are the next numbers; what nobody runs yet, on the disk.

        Returns:
            The revision of the last one, None if others were faster; and the next number, None without a study.
        """
        first = {"study": study, "number": self._rows[0].number, "by": len(self._rows)}
        if len(self._rows) == 1:
            values = self._columns[0] | first | {"id": key_of(study, first["number"])}
            found = (link.ask if self.claims else link.ask_durably)(statements.CREATE, values)
            return found[0][:2] if found else (None, None)
        with link.transaction():
            found = link.ask(statements.NEXT, first)
            if found:
                link.copy(statements.COPY, [self._written(k, study, found[0][0]) for k in range(len(self._rows))])
        if not found:
            heads = link.ask(statements.HEAD, first)
            return None, heads[0][3] if heads else None
        if not self.claims:
            link.flush()
        return found[0][0], first["number"]

    def _written(self, k: int, study: int, rev: int) -> tuple[Any, ...]:
        values, at = self._columns[k], rev - len(self._rows) + 1 + k
        revs = {"rev": at, "born": at, "begun": at * values["begun"], "ended": at * values["ended"]}
        known = {"id": key_of(study, values["number"]), "study": study}
        hanging = {name: values[name] for name in ("worker", "token", "made_by")}
        return tuple(({name: values[name] for name in statements.NAMES} | revs | known | hanging).values())

    def number(self, rev: int) -> None:
        """Tell the rows their revisions, by that of the last one."""
        for at, (row, values) in enumerate(zip(self._rows, self._columns, strict=True), rev - len(self._rows) + 1):
            row.rev = row.born = at
            row.begun, row.ended = at * values["begun"], at * values["ended"]

    def again(self, link: Link, study: int) -> bool:
        """Record them once more if the server has forgotten them. False: it has forgotten others before them too."""
        _, there = self.record(link, study)
        return there is None or there >= self._rows[0].number
