"""Studies in memory."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

from tuneful.errors import StoreError, StudyError, StudyNotFound
from tuneful.history import Report, Row, State
from tuneful.protocols import Changes, Claim, Member, Orders, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores.checking import at_most, faults, unclaimed
from tuneful.stores.codec import dumps, loads
from tuneful.stores.kept import Kept, KeptStudy, copied, taken
from tuneful.stores.tables import Page
from tuneful.stores.worker import host, version

_PAGE = 5_000  # rows handed out at a time
_SCALARS = (str, int, float, type(None))


class MemoryStore:
    """Studies in the memory of one process, and gone with it: the laws of a file at a tenth of its cost."""

    def __init__(self) -> None:
        self._studies: dict[str, KeptStudy] = {}
        self._workers: dict[str, float] = {}  # with the ends of their leases
        self._waiting: dict[str, tuple[str, int]] = {}  # what workers of a process wait for
        self._lock = threading.RLock()
        self._closed = False
        _stores.add(self)

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        with self._lock:
            if name in self._all():
                return False
            self._studies[name] = KeptStudy(dumps(form), [(1, dumps(space))], time.time())
            if first is not None:
                self.create(name, [Row(0, first, why={"searcher": "default"})], None)
            return True

    def study(self, name: str) -> StudyRow | None:
        with self._lock:
            return StudyRow(name, loads(self._studies[name].form)) if name in self._all() else None

    def studies(self) -> list[str]:
        with self._lock:
            return sorted(self._all(), key=lambda name: self._studies[name].created)

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        with self._lock:
            study = self._one(name)
            return [(version, loads(space)) for version, (_, space) in enumerate(study.spaces)]

    def sync(self, name: str, rev: int) -> Changes:
        with self._lock:
            study = self._one(name)
            if rev == study.rev:
                return Changes(rev, leader=self._leader(study), wish=study.wish)
            changed = sorted((trial.row for trial in study.trials if trial.row.rev > rev), key=lambda row: row.rev)
            upto = changed[_PAGE - 1].rev if len(changed) >= _PAGE else study.rev
            # A new space ends a page: so its revision is told.
            upto = min([upto, *(at for version, (at, _) in enumerate(study.spaces) if version and at > rev)])
            return Changes(
                upto,
                [(version, loads(space)) for version, (at, space) in enumerate(study.spaces) if rev < at <= upto],
                [copied(row) for row in changed[:_PAGE] if row.rev <= upto],
                [report for trial in study.trials if trial.reports for report in trial.news(rev, upto)],
                upto < study.rev,
                self._leader(study),
                study.wish,
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
                trial = Kept(copied(row))
                study.trials.append(trial)
                study.wait(trial)
                if running:
                    claims.append(_claimed(study, trial, worker))
            return study.rev, claims

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        with self._lock:
            study = self._one(name)
            trial = study.at(row.number)
            if trial is None or not _may_claim(trial.row, row.rev):
                return None
            kept = trial.row
            rev = study.bump()
            kept.turn(rev, State.RUNNING, until=row.until, attempt=kept.attempt + 1, seen=row.seen)
            kept.begun, kept.started = kept.begun or rev, kept.started or time.time()
            return rev, _claimed(study, trial, worker)

    def claim_ready(self, name: str, worker: str | None, n: int = 1) -> list[tuple[Claim, Row]]:
        with self._lock:
            study, claimed = self._one(name), list[tuple[Claim, Row]]()
            for trial in study.first_ready(n):
                row = trial.row
                fresh = not row.attempt and not row.past
                if claimed and not fresh:
                    study.wait(trial)
                    continue
                rev = study.bump()
                if fresh:  # it has waited for its first start since that was decided: `begun` says it
                    row.rev, row.state, row.attempt = rev, State.RUNNING, 1
                else:
                    row.turn(rev, State.RUNNING, until=row.until, attempt=row.attempt + 1, seen=row.seen)
                row.started = row.started or (None if claimed else time.time())
                claimed.append((_claimed(study, trial, worker), copied(row)))
            return claimed

    def release(self, name: str, claims: Sequence[Claim]) -> None:
        with self._lock:
            study = self._one(name)
            for claim in claims:
                trial = study.at(claim.number)
                if trial is not None and trial.token == claim.token and trial.row.started is None:
                    study.release(trial)

    def offer(self, name: str, row: Row) -> int | None:
        with self._lock:
            study = self._one(name)
            trial = study.at(row.number)
            if trial is None or not _may_claim(trial.row, row.rev):
                return None
            kept, rev = trial.row, study.bump()
            if kept.begun:
                kept.turn(rev, State.QUEUED, until=row.until, attempt=kept.attempt, seen=row.seen)
            else:
                kept.begun, kept.rev, kept.state, kept.until = rev, rev, State.QUEUED, row.until
            study.wait(trial)
            return rev

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        with self._lock:
            study = self._one(name)
            trial = study.at(claim.number)
            if trial is None or trial.token != claim.token:
                return None
            kept, rev = trial.row, study.bump()
            kept.rev, kept.step, kept.began, kept.cost, kept.saved = rev, row.step, row.began, row.cost, row.saved
            kept.started, kept.length = kept.started or row.started, row.length or kept.length
            kept.change(row.config if config_changed else kept.config, row.space)
            for step, (_, attempt, _) in list(trial.reports.items()):
                if attempt < claim.attempt and step > row.began:
                    del trial.reports[step]
            trial.reports |= {r.step: (rev, claim.attempt, dict(r.metrics)) for r in reports}
            return rev

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        with self._lock:
            study = self._one(name)
            trial, row = study.at(claim.number), outcome.row
            if trial is None:
                return None
            kept = trial.row
            if trial.token != claim.token:
                told = claim.token, row.state, row.finished
                if told == (trial.told_by, kept.state, kept.finished):  # twice: the first answer was lost
                    return kept.rev
                given_back = kept.state == State.QUEUED and kept.attempt == claim.attempt
                if not (given_back and row.state.final):  # else nobody has begun again, and the work counts
                    trial.set_aside(claim.attempt, "late", outcome)
                    return None
            if outcome.why is not None:
                trial.set_aside(claim.attempt, outcome.why, outcome)
            final, rev = row.state.final, study.bump()
            kept.values, kept.error, kept.settings = row.values, row.error, row.settings
            kept.curve, kept.revs = ((row.curve or {}), row.revs) if final else (None, ())
            kept.step, kept.cost, kept.finished = row.step, row.cost, row.finished
            kept.started, kept.length = kept.started or row.started, row.length or kept.length
            kept.change(row.config if outcome.config_changed else kept.config, row.space)
            if final:
                kept.state, kept.rev, kept.ended, kept.wish = row.state, rev, rev, None
                trial.reports.clear()
            else:
                kept.turn(rev, row.state, until=kept.until, attempt=kept.attempt, seen=kept.seen)
            trial.worker, trial.token, trial.told_by = None, None, claim.token
            study.running.pop(claim.number, None)
            study.wait(trial)
            return rev

    def claim_of(self, name: str, number: int) -> Claim | None:
        with self._lock:
            study = self._one(name)
            trial = study.at(number)
            return None if trial is None or trial.token is None else Claim(number, trial.row.attempt, trial.token)

    def wish(self, name: str, number: int | None, wish: str | None) -> bool:
        with self._lock:
            study = self._one(name)
            if number is None:
                study.wish = wish
                return True
            trial = study.at(number)
            if trial is None or trial.row.state.final:
                return False
            trial.row.wish, trial.row.rev = wish, study.bump()
            study.wait(trial)
            return True

    def cancel(self, name: str, number: int | None) -> int:
        with self._lock:
            study = self._one(name)
            trials = study.trials if number is None else [trial for trial in [study.at(number)] if trial is not None]
            going = [trial for trial in trials if not trial.row.state.final]
            for trial in going:
                trial.fold(study.bump(), State.CANCELLED)
                study.running.pop(trial.row.number, None)
            return len(going)

    def prune_paused(self, name: str) -> int:
        with self._lock:
            study = self._one(name)
            paused = [trial for trial in study.trials if trial.row.state == State.PAUSED]
            for trial in paused:
                trial.fold(study.bump(), State.PRUNED)
            return len(paused)

    def deciding(self, name: str) -> AbstractContextManager[object]:
        return nullcontext()  # all of its threads share one session, and its lock

    def lead(self, name: str, worker: str) -> bool:
        with self._lock:
            study = self._one(name)
            if self._leader(study) is None:
                study.leader = worker
            return study.leader == worker

    def resign(self, name: str, worker: str) -> None:
        with self._lock:
            study = self._one(name)
            study.leader = None if study.leader == worker else study.leader

    def orders(self, name: str, worker: str) -> Orders:
        with self._lock:
            study = self._one(name)
            running = sorted(study.running.items())
            mine = {number: trial.row.wish for number, trial in running if trial.worker == worker}
            return Orders(study.wish, mine, self._leader(study))

    def members(self) -> list[Member]:
        with self._lock:
            running: dict[str | None, list[tuple[str, int]]] = {}
            for name, study in self._all().items():
                for number, trial in sorted(study.running.items()):
                    running.setdefault(trial.worker, []).append((name, number))
            here, now = (host().split(" ")[0], os.getpid(), version()), time.monotonic()
            return [
                Member(worker, *here, until - now, running.get(worker, []), self._waiting.get(worker))
                for worker, until in self._workers.items()
            ]

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        with self._lock:
            study = self._one(name)
            return any(trial.worker not in (None, worker) for trial in study.running.values())

    def beat(self, worker: str, seconds: float) -> bool:
        self._workers[worker] = time.monotonic() + seconds
        return True

    def vouch(self, worker: str, seconds: float) -> None:
        if worker in self._workers:
            self.beat(worker, seconds)

    def want(self, name: str, worker: str, n: int) -> None:
        self._one(name)
        if worker in self._workers:
            self._waiting[worker] = name, n

    def reap(self) -> int:
        return 0

    def delete(self, name: str) -> None:
        with self._lock:
            self._one(name)
            del self._studies[name]

    def dump(self, name: str) -> Iterator[Page]:
        with self._lock:
            return iter(list(self._one(name).pages()))

    def load(self, name: str, pages: Iterable[Page]) -> None:
        try:
            study = taken(pages)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(f"This is no dump of a study ({type(error).__name__}: {error}). Dump it again.") from error
        with self._lock:
            if name in self._all():
                raise StudyError(f"There is a study {name!r} in memory already. Pass another name, or delete it.")
            self._studies[name] = study

    def check(self) -> list[str]:
        with self._lock:
            studies = sorted(self._all().items())
            held = [(name, *claim) for name, study in studies for claim in study.unclaimed()]
            return at_most(chain(unclaimed(held), *(faults(name, study.pages()) for name, study in studies)))

    def close(self, worker: str | None = None) -> None:
        with self._lock:
            for study in self._studies.values() if worker in self._workers else ():
                for trial in list(study.running.values()):
                    row = trial.row
                    if trial.worker == worker and row.started is None:
                        study.release(trial)
                    elif trial.worker == worker:
                        state = State.PAUSED if row.arrived else State.QUEUED
                        row.turn(study.bump(), state, until=row.until, attempt=row.attempt, seen=row.seen)
                        trial.worker = trial.token = None
            self._closed = True

    def _all(self) -> dict[str, KeptStudy]:
        if self._closed:
            raise StoreError("The study in memory was closed. Open the study again.")
        return self._studies

    def _leader(self, study: KeptStudy) -> str | None:
        return study.leader if study.leader in self._workers else None

    def _one(self, name: str) -> KeptStudy:
        study = self._all().get(name)
        if study is None:
            raise StudyNotFound(f"There is no study {name!r} in memory: it was deleted, or never made.")
        return study


def _may_claim(row: Row, rev: int) -> bool:
    """Whether a trial waits as it was known at `rev`, and nothing else is wanted of it."""
    return row.rev == rev and row.state in (State.QUEUED, State.PAUSED) and row.wish is None


def _claimed(study: KeptStudy, trial: Kept, worker: str | None) -> Claim:
    study.running[trial.row.number] = trial
    trial.worker, trial.token = worker, os.urandom(16).hex()
    return Claim(trial.row.number, trial.row.attempt, trial.token)


# A child begins with free locks, whatever the other threads of its parent were doing.
_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _unlock() -> None:
    for store in _stores:
        store._lock = threading.RLock()  # noqa: SLF001 - our own class


os.register_at_fork(after_in_child=_unlock)
