"""What must be true of all that a store keeps; what is not, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tuneful.history import State
from tuneful.stores.codec import loads
from tuneful.stores.rows import COLUMNS, from_columns
from tuneful.stores.tables import Page

_MOST = 100  # sentences; whoever has so much to repair restores a copy
_AT = {name: place for place, name in enumerate(COLUMNS.split(", "))}
_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

# Who runs what is not dumped, so this is asked for in SQL, which is the same everywhere.
UNCLAIMED = (
    "SELECT s.name, t.number, t.state FROM trial t JOIN study s ON s.id = t.study "
    "WHERE (t.state = 1) <> (t.token IS NOT NULL) ORDER BY s.name, t.number"
)


def unclaimed(found: Iterable[tuple[str, int, int]]) -> Iterator[str]:
    """What is wrong with the rows of `UNCLAIMED`."""
    for name, number, state in found:
        if state == State.RUNNING:
            yield f"Study {name!r}: trial {number} runs, but nobody holds it."
        else:
            yield f"Study {name!r}: trial {number} is {_state(state)}, but somebody still holds it."


def at_most(found: Iterable[str]) -> list[str]:
    """The first sentences, and whether there are more."""
    left = iter(found)
    first = list(islice(left, _MOST))
    return [*first, "There is more."] if next(left, None) is not None else first


def faults(name: str, pages: Iterable[Page]) -> Iterator[str]:
    """What is wrong with a study, from its dump."""
    study = _Study()
    for table, rows in pages:
        try:
            found = list(getattr(study, table)(rows))
        except _BROKEN as error:
            found = [f"what it has in {table!r} is not what was written ({type(error).__name__}: {error})."]
        for sentence in found:
            yield f"Study {name!r}: {sentence}"
    for sentence in study.end():
        yield f"Study {name!r}: {sentence}"


@dataclass
class _Study:
    """What is known of a study so far; a method for each table."""

    next: int = 0
    rev: int = 0
    versions: int = 0
    numbers: int = 0
    revs: dict[int, int] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)

    def study(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        for form, _ in rows:
            yield from _unread("what is kept of the study itself", form)

    def head(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        [(self.next, self.rev, wish)] = rows
        if wish not in (None, "pause", "stop"):
            yield f"nobody can want {wish!r} of it."

    def space(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        for version, rev, body in rows:
            if version != self.versions:
                yield f"space {version} comes where {self.versions} should be."
            self.versions = version + 1
            yield from self._beyond(f"space {version}", rev)
            yield from _unread(f"space {version}", body)

    def trial(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        unread = _unreadable(rows)
        for row in rows:
            number, rev, state, ended = (row[_AT[name]] for name in ("number", "rev", "state", "ended"))
            if number != self.numbers:
                yield f"trial {number} comes where {self.numbers} should be."
            self.numbers, self.states[number] = number + 1, state
            yield from self._beyond(f"trial {number}", rev)
            if self.revs.setdefault(rev, number) != number:
                yield f"trials {self.revs[rev]} and {number} have one revision, {rev}."
            if (state >= State.DONE) != (0 < ended <= rev):
                yield f"trial {number} is {_state(state)}, and has ended at revision {ended} of {rev}."
            if row[_AT["wish"]] not in (None, "hold", "stop"):
                yield f"nobody can want {row[_AT['wish']]!r} of trial {number}."
            if number in unread:
                yield f"trial {number} cannot be read: {unread[number]}."

    def report(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        for number, step, rev, _, metrics in rows:
            state = self.states.get(number)
            if state is None or state >= State.DONE:
                yield f"there is a report of trial {number}, which is {_state(state)}."
            yield from self._beyond(f"the report of trial {number} at step {step}", rev)
            yield from _unread(f"the report of trial {number} at step {step}", metrics)

    def attempt(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        for number, attempt, _, _, metrics, error in rows:
            if number not in self.states:
                yield f"there is an attempt of trial {number}, which is {_state(None)}."
            for text in filter(None, (metrics, error)):
                yield from _unread(f"attempt {attempt} of trial {number}", text)

    def end(self) -> Iterator[str]:
        if self.numbers != self.next:
            yield f"the next trial is to be {self.next}, but there are {self.numbers}."
        if not self.versions:
            yield "it has no space."

    def _beyond(self, what: str, rev: int) -> Iterator[str]:
        if not 0 < rev <= self.rev:
            yield f"{what} has revision {rev}, but the study has had {self.rev}."


def _unreadable(rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
    """Why trials cannot be read, by number."""
    try:
        list(from_columns([row[:-1] for row in rows]))
    except _BROKEN as error:
        if len(rows) == 1:
            return {rows[0][0]: f"{type(error).__name__}: {error}"}
        return {number: why for row in rows for number, why in _unreadable([row]).items()}
    return {}


def _unread(what: str, text: str) -> Iterator[str]:
    try:
        loads(text)
    except _BROKEN as error:
        yield f"{what} cannot be read: {type(error).__name__}: {error}."


def _state(state: int | None) -> str:
    """A state by its name, if it has one."""
    known = {each.value: str(each) for each in State}
    return "not there" if state is None else known.get(state, f"in state {state!r}")
