"""Studies in memory."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from tuneful.errors import StoreError, StudyNotFound
from tuneful.history import Report, Row, State
from tuneful.protocols import Changes, Claim, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores.codec import dumps, loads

_PAGE = 5_000  # rows handed out at a time
_SCALARS = (str, int, float, type(None))
_facts = attrgetter(*(fact.name for fact in fields(Row)))


@dataclass(slots=True)
class _Trial:
    """A trial, and who runs it."""

    row: Row
    worker: str | None = None
    token: str | None = None
    told_by: str | None = None
    reports: dict[int, tuple[int, int, Mapping[str, float]]] = field(default_factory=dict)  # rev, attempt, metrics


@dataclass(slots=True)
class _Study:
    """A study with all that happened to it; `spaces` by version, with their revisions."""

    form: str
    spaces: list[tuple[int, str]]
    trials: list[_Trial] = field(default_factory=list)
    rev: int = 1

    def bump(self) -> int:
        self.rev += 1
        return self.rev


class MemoryStore:
    """Studies in the memory of one process, and gone with it: the laws of a file at a tenth of its cost."""

    def __init__(self) -> None:
        self._studies: dict[str, _Study] = {}
        self._workers: set[str] = set()
        self._lock = threading.RLock()
        self._closed = False
        _stores.add(self)

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        with self._lock:
            if name in self._all():
                return False
            self._studies[name] = _Study(dumps(form), [(1, dumps(space))])
            if first is not None:
                self.create(name, [Row(0, first, why={"searcher": "default"})], None)
            return True

    def study(self, name: str) -> StudyRow | None:
        with self._lock:
            return StudyRow(name, loads(self._studies[name].form)) if name in self._all() else None

    def studies(self) -> list[str]:
        with self._lock:
            return list(self._all())

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        with self._lock:
            study = self._one(name)
            return [(version, loads(space)) for version, (_, space) in enumerate(study.spaces)]

    def sync(self, name: str, rev: int) -> Changes:
        with self._lock:
            study = self._one(name)
            if rev == study.rev:
                return Changes(rev)
            changed = sorted((trial.row for trial in study.trials if trial.row.rev > rev), key=lambda row: row.rev)
            upto = changed[_PAGE - 1].rev if len(changed) >= _PAGE else study.rev
            # A new space ends a page: so its revision is told.
            upto = min([upto, *(at for version, (at, _) in enumerate(study.spaces) if version and at > rev)])
            return Changes(
                upto,
                [(version, loads(space)) for version, (at, space) in enumerate(study.spaces) if rev < at <= upto],
                [_copied(row) for row in changed[:_PAGE] if row.rev <= upto],
                [report for trial in study.trials if trial.reports for report in _news(trial, rev, upto)],
                upto < study.rev,
            )

    def grow(self, name: str, version: int, space: Mapping[str, Any]) -> int | None:
        with self._lock:
            study = self._one(name)
            if version != len(study.spaces):
                return None
            study.spaces.append((study.bump(), dumps(space)))
            return study.rev

    def create(self, name: str, rows: Sequence[Row], worker: str | None) -> tuple[int, list[Claim]] | None:
        with self._lock:
            study = self._one(name)
            if rows[0].number != len(study.trials):
                return None
            for value in (value for row in rows for value in row.config.values()):
                if not isinstance(value, _SCALARS):
                    raise TypeError(f"{value!r:.80} is no value of a config.")
            claims = []
            for row in rows:
                running = row.state == State.RUNNING
                row.rev = row.born = at = study.bump()
                row.begun = at if row.begun or running else 0
                row.ended = at if row.state.final else 0
                trial = _Trial(_copied(row))
                study.trials.append(trial)
                if running:
                    claims.append(_claimed(trial, worker))
            return study.rev, claims

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        with self._lock:
            study = self._one(name)
            trial = _at(study, row.number)
            if trial is None or trial.row.rev != row.rev or trial.row.state not in (State.QUEUED, State.PAUSED):
                return None
            kept = trial.row
            rev = study.bump()
            kept.turn(rev, State.RUNNING, until=row.until, attempt=kept.attempt + 1, seen=row.seen)
            kept.begun, kept.started = kept.begun or rev, kept.started or time.time()
            return rev, _claimed(trial, worker)

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        with self._lock:
            study = self._one(name)
            trial = _at(study, claim.number)
            if trial is None or trial.token != claim.token:
                return None
            kept, rev = trial.row, study.bump()
            kept.rev, kept.step, kept.began, kept.cost, kept.saved = rev, row.step, row.began, row.cost, row.saved
            kept.change(row.config if config_changed else kept.config, row.space)
            for step, (_, attempt, _) in list(trial.reports.items()):
                if attempt < claim.attempt and step > row.began:
                    del trial.reports[step]
            trial.reports |= {r.step: (rev, claim.attempt, dict(r.metrics)) for r in reports}
            return rev

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        with self._lock:
            study = self._one(name)
            trial, row = _at(study, claim.number), outcome.row
            if trial is None:
                return None
            kept = trial.row
            if trial.token != claim.token:
                told = claim.token, row.state, row.finished
                if told == (trial.told_by, kept.state, kept.finished):  # twice: the first answer was lost
                    return kept.rev
                given_back = kept.state == State.QUEUED and kept.attempt == claim.attempt
                if not (given_back and row.state.final):  # else nobody has begun again, and the work counts
                    return None
            final, rev = row.state.final, study.bump()
            kept.values, kept.error, kept.settings = row.values, row.error, row.settings
            kept.curve, kept.revs = ((row.curve or {}), row.revs) if final else (None, ())
            kept.step, kept.cost, kept.finished = row.step, row.cost, row.finished
            kept.change(row.config if outcome.config_changed else kept.config, row.space)
            if final:
                kept.state, kept.rev, kept.ended = row.state, rev, rev
                trial.reports.clear()
            else:
                kept.turn(rev, row.state, until=kept.until, attempt=kept.attempt, seen=kept.seen)
            trial.worker, trial.token, trial.told_by = None, None, claim.token
            return rev

    def claim_of(self, name: str, number: int) -> Claim | None:
        with self._lock:
            study = self._one(name)
            trial = _at(study, number)
            return None if trial is None or trial.token is None else Claim(number, trial.row.attempt, trial.token)

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        with self._lock:
            study = self._one(name)
            return any(trial.worker not in (None, worker) for trial in study.trials)

    def beat(self, worker: str, seconds: float) -> bool:
        self._workers.add(worker)
        return True

    def reap(self) -> int:
        return 0

    def delete(self, name: str) -> None:
        with self._lock:
            self._one(name)
            del self._studies[name]

    def close(self, worker: str | None = None) -> None:
        with self._lock:
            for study in self._studies.values() if worker in self._workers else ():
                for trial in study.trials:
                    if trial.worker == worker:
                        row = trial.row
                        row.turn(study.bump(), State.QUEUED, until=row.until, attempt=row.attempt, seen=row.seen)
                        trial.worker = trial.token = None
            self._closed = True

    def _all(self) -> dict[str, _Study]:
        if self._closed:
            raise StoreError("The study in memory was closed. Open the study again.")
        return self._studies

    def _one(self, name: str) -> _Study:
        study = self._all().get(name)
        if study is None:
            raise StudyNotFound(f"There is no study {name!r} in memory: it was deleted, or never made.")
        return study


def _at(study: _Study, number: int) -> _Trial | None:
    return study.trials[number] if 0 <= number < len(study.trials) else None


def _claimed(trial: _Trial, worker: str | None) -> Claim:
    trial.worker, trial.token = worker, os.urandom(16).hex()
    return Claim(trial.row.number, trial.row.attempt, trial.token)


def _news(trial: _Trial, rev: int, upto: int) -> Iterator[tuple[int, Report]]:
    """What a trial reported after `rev`; everything, if it was started again after that."""
    again = trial.row.attempt > 1 and rev < trial.row.rev <= upto
    for step, (at, _, metrics) in sorted(trial.reports.items()):
        if again or rev < at <= upto:
            yield at, Report(trial.row.number, step, metrics)


def _copied(row: Row) -> Row:
    return Row(*_facts(row))


# A child begins with free locks, whatever the other threads of its parent were doing.
_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _unlock() -> None:
    for store in _stores:
        store._lock = threading.RLock()  # noqa: SLF001 - our own class


os.register_at_fork(after_in_child=_unlock)
