"""What went wrong at a PostgreSQL server: whether to try again, and in our words."""

from __future__ import annotations

from enum import Enum, auto

from tuneful.errors import StoreAway, StoreBusy, StoreError, StoreFull


class Fault(Enum):
    """What an error of a statement means for the call."""

    AWAY = auto()  # there is no connection, and nothing was done
    LOST = auto()  # the connection is gone, and nobody knows whether the call was done
    UNDONE = auto()  # the server undid it, and it may be done again
    UNPREPARED = auto()  # a pooler stands in between: nothing was done, and nothing may be prepared
    FINAL = auto()


# SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html). 25006: the server became a standby; 25P03: this process
# slept in a transaction; 57P0x: the server shuts down, crashed, starts, or ended the session.
_LOST = frozenset(["25006", "25P03", "57P01", "57P02", "57P03", "57P05", "53300"])
_UNDONE = frozenset(["40001", "40P01"])
_UNPREPARED = frozenset(["26000", "42P05"])
# A server says why it refuses a connection in words only. These pass.
_FATAL = ("FATAL", "no password supplied")
_PASSING = ("starting up", "shutting down", "recovery", "too many", "connection slots")


def fault_of(state: str | None, *, broken: bool) -> Fault:
    """What the error with SQLSTATE `state` means, if the connection is `broken` or still holds."""
    if broken or (state is not None and (state in _LOST or state.startswith("08"))):
        return Fault.LOST
    if state in _UNDONE:
        return Fault.UNDONE
    return Fault.UNPREPARED if state in _UNPREPARED else Fault.FINAL


def refused(text: str, shown: str) -> StoreError:
    """Why there is no connection; `StoreAway`, if there may be one later."""
    why = _first_line(text)
    if not any(word in text for word in _FATAL) or any(word in text for word in _PASSING):
        return StoreAway(
            f"{shown} cannot be reached: {why}. Is the server up, and its address right? What was acknowledged is kept."
        )
    return StoreError(
        f"{shown} cannot be opened: {why}. Check the name of the database, the user and the password, which may "
        "be in PGPASSWORD or ~/.pgpass."
    )


def is_passing(error: StoreError) -> bool:
    """Whether a server that refused a connection is likely to take one in a moment."""
    return isinstance(error, StoreAway) and any(word in str(error) for word in _PASSING)


def lost(text: str, shown: str) -> StoreAway:
    """The connection is gone."""
    return StoreAway(f"{shown} is away: {_first_line(text)}. What was acknowledged is kept; it may come back.")


def failed(state: str | None, text: str, shown: str) -> StoreError:
    """Why a statement failed for good."""
    why = _first_line(text)
    if state == "53100":
        return StoreFull(
            f"The disk of {shown} is full: {why}. Free some space and go on; nothing acknowledged is lost."
        )
    if state in ("55P03", "57014") or state in _UNDONE:
        return StoreBusy(
            f"Another program has held what is needed in {shown} for too long: {why}. End it, and try again."
        )
    if state == "42501":
        return StoreError(f"The user of {shown} may not do this: {why}. Let the owner of the database grant it.")
    if state in ("3F000", "42P01", "42703"):
        return StoreError(f"{shown} no longer holds the tables of a store: {why}. Restore them, or open it anew.")
    if state in ("22P05", "22021"):
        return StoreError(f"{shown} cannot keep every character: {why}. Use a database with the encoding UTF8.")
    return StoreError(f"{shown}: {why} ({state or 'no code'}).")


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].removeprefix("connection failed: ").rstrip(".") if lines else "no reason given"
