"""How an attempt of a trial of a database ends: functions of a link."""

from __future__ import annotations

from typing import Any

from tuneful.history import State
from tuneful.protocols import Claim, Outcome
from tuneful.stores.postgres import statements
from tuneful.stores.postgres.link import Link
from tuneful.stores.rows import end_values


def ending(claim: Claim, outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """The statement that ends an attempt under its claim, and its values but for the keys."""
    values = end_values(outcome, 0, claim)
    values["moment"] = None if values["moment"] is None else values["moment"].removeprefix("[0")
    values |= {"why": outcome.why, "worker": None}
    return statements.FINISH if outcome.why is None else statements.FINISH_ASIDE, values


def end_late(link: Link, values: dict[str, Any], claim: Claim, outcome: Outcome) -> int | None:
    """What becomes of a result under a claim that is not the trial's: its revision if it counts after all."""
    row = outcome.row
    with link.transaction():
        found = link.ask(statements.TOLD, values)
        if not found:
            return None
        known, *told, attempt = found[0]
        if tuple(told) == (claim.token, int(row.state), row.finished):  # the answer to the first was lost
            return int(known)
        rev = None
        # Given up, but if nobody has begun again, the work counts.
        if row.state.final and told[1] == State.QUEUED and attempt == claim.attempt:
            rev = int(link.ask(statements.END_LOCKED, values)[0][0])
            link.ask(statements.FORGET_REPORTS, {"ids": [values["id"]]})
        why = "late" if rev is None else outcome.why
        if why is not None:
            link.ask(statements.SET_ASIDE, values | {"why": why})
        return rev
