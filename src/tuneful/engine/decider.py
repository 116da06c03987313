"""Decisions: what a scheduler plans becomes trials that run here, or that any worker may run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace

from tuneful.engine.pulse import LEASE
from tuneful.engine.session import Session
from tuneful.errors import StoreError
from tuneful.history import Job, Row, State
from tuneful.protocols import Claim, Scheduler
from tuneful.trial import Trial

_CROWDED = 1.0  # seconds for which a process that saw others write takes them to be at work
_AHEAD = 0.2  # seconds of work that is planned ahead where nothing is learned from results
_MOST_AHEAD = 256
_HOLD = 0.05  # seconds of work that a worker claims at once
_MOST_HELD = 16
_CROWD = 2  # processes at least, where others are at work
_WINDOW = 0.5  # seconds over which the pace of a study is measured


class Decider:
    """Decides for one session, alone or beside other processes.

    Alone, each trial is decided when it is asked for, from all results. Beside others, what has been made ready by
    any of them is taken first; who finds nothing decides, for itself and some trials ahead where trials are short.
    Where a leader alone decides, the others only take what is ready.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._planned = 0, 0  # the number of the last trial that was made ready here, and of how many
        self._pace = time.monotonic(), session.history.started, 0.0  # when were how many begun, and how many a second
        self._took = 0.0  # seconds that a trial of the last decision took to decide
        self._claimed = -1e9, 1  # when trials were last claimed, and how many

    def next(self, scheduler: Scheduler, n: int, lease: float | None = LEASE) -> list[Trial]:
        """Up to `n` trials to run now, claimed by this process; none: wait for what runs elsewhere, or done."""
        session = self._session
        with session.lock:
            session.prepare()
            if (crowded := self._crowded()) and (taken := self.take(lease)):
                if self._running_out(taken):
                    # It is only for later; but who finds nothing meanwhile waits for it.
                    with suppress(StoreError), session.store.deciding(session.name):
                        self.provide(scheduler, 0, _CROWD)
                return [taken]
            while True:
                # Where others decide as well, one at a time, so that each knows what the others decided.
                with session.store.deciding(session.name) if crowded else nullcontext():
                    if crowded and (taken := self.take(lease)):  # made ready while this process waited for its turn
                        return [taken]
                    decided = self._decide(scheduler, n, lease)
                if decided is not None:
                    return decided
                session.outdated()  # others were faster with every job: decide again

    def _decide(self, scheduler: Scheduler, n: int, lease: float | None) -> list[Trial] | None:
        """As `next`, from all that is known; None if others were faster."""
        session = self._session
        session.refresh()
        if session.wish is not None:
            return []
        crowded = self._crowded()
        if crowded and (taken := self.take(lease)):
            return [taken]
        if session.leader not in (None, session.worker):
            session.want(1)  # who leads makes something ready
            return []
        ahead = self._ahead(scheduler, _CROWD) if crowded else 0
        jobs = [job for job in scheduler.plan(session.history, n + ahead) if job.trial not in session.live]
        return (self._commit(jobs, n, session.alive(lease)) or None) if jobs else []

    def take(self, lease: float | None = LEASE) -> Trial | None:
        """Run the first trial that is ready, whoever decided it; None if there is none."""
        session = self._session
        with session.lock:
            worker = session.alive(lease)
            session.settle_claims()
            if (held := session.next_held()) is None:
                with session.claiming():
                    claimed = session.store.claim_ready(session.name, worker, self._at_once(worker))
                if not claimed:
                    return None
                self._claimed = time.monotonic(), len(claimed)
                session.outrun()
                session.want(0)
                held = session.hold(claimed)
            claim, row = held
            if row.attempt > 1 or row.space not in session.spaces:  # what it reported before, what its values mean
                with session.claiming():
                    session.sync()
            row.started = row.started or time.time()
            trial = Trial(session, row, claim, session.params_of(row), leased=worker is not None)
            return session.start(trial, untold=True)

    def _at_once(self, worker: str | None) -> int:
        """How many trials to claim: what is done in a moment, where one short trial is run after the other."""
        then, before = self._claimed
        took = (time.monotonic() - then) / before
        if worker is None or self._session.live or took > _HOLD:
            return 1
        return min(int(_HOLD / (took + 1e-9)), 2 * before, _MOST_HELD)

    def provide(self, scheduler: Scheduler, idle: int, workers: int) -> bool:
        """Make trials ready for the `idle` of so many workers, and some ahead where trials are short.

        Returns:
            Whether there is anything left to do: False if nothing is ready, planned or running.
        """
        session, began = self._session, time.monotonic()
        with session.lock:
            while True:
                session.bury()
                session.sync()
                if session.wish is not None:
                    return True
                history, ready = session.history, session.history.ready
                wanted = idle + self._ahead(scheduler, workers) - len(ready)
                if wanted <= 0:
                    return True
                jobs = scheduler.plan(history, wanted + len(ready))
                jobs = [job for job in jobs if job.trial not in ready]
                if not jobs:
                    return bool(ready) or bool(history.of_state(State.RUNNING))
                if self._offered(jobs):
                    self._took = (time.monotonic() - began) / len(jobs)
                    return True

    def _crowded(self) -> bool:
        session = self._session
        lately = time.monotonic() - session.others_at < _CROWDED
        return session.shared and (lately or session.leader not in (None, session.worker))

    def _running_out(self, taken: Trial) -> bool:
        """Whether of what this process made ready half is taken."""
        last, n = self._planned
        return n > 0 and last - n // 2 <= taken.number <= last

    def _ahead(self, scheduler: Scheduler, workers: int) -> int:
        """How many trials to plan for those of so many workers that will ask while the next decision is made."""
        history, now = self._session.history, time.monotonic()
        then, before, rate = self._pace
        if now - then > _WINDOW:
            rate = (history.started - before) / (now - then)
            self._pace = now, history.started, rate
        # What is proposed for an open space depends on what trials have asked for, and a limit of steps on their steps.
        if history.space.open or history.limits.total_steps is not None:
            return 0
        if workers == 1 and getattr(scheduler, "learns", True):  # one worker waits for what its last result teaches
            return 0
        seconds = 2 * self._took if getattr(scheduler, "learns", True) else max(_AHEAD, 2 * self._took)
        return min(round(rate * seconds), _MOST_AHEAD)

    def _commit(self, jobs: Sequence[Job], n: int, worker: str | None) -> list[Trial]:
        """Start the first `n` jobs here, make the others ready; what others were faster with is left out."""
        began = time.monotonic()
        old, new = [job for job in jobs if job.trial is not None], [job for job in jobs if job.trial is None]
        seen = self._session.history.rev
        started = [trial for job in old[:n] if (trial := self._resume(job, worker, seen))]
        started += self._create(new, n - len(old[:n]), worker, seen)
        self._took = (time.monotonic() - began) / len(jobs)
        return started

    def _offered(self, jobs: Sequence[Job]) -> bool:
        """Make all jobs ready; whether any of them is."""
        session, seen = self._session, self._session.history.rev
        new, made = [job for job in jobs if job.trial is None], 0
        for job in jobs:
            if job.trial is not None:
                row = replace(session.history.row(job.trial), until=job.until, seen=seen)
                rev = session.store.offer(session.name, row)
                made += rev is not None
        before = len(session.history)
        self._create(new, 0, None, seen)
        session.outdated()
        return made + len(session.history) - before > 0

    def _create(self, jobs: Sequence[Job], n: int, worker: str | None, seen: int) -> list[Trial]:
        """Record new trials: the first `n` run here, the others are ready."""
        session = self._session
        if not jobs:
            return []
        rows = [self._row(k, job, seen, here=k < n) for k, job in enumerate(jobs)]
        params = [session.params_of(row) for row in rows[:n]]
        with session.claiming():
            created = session.store.create(session.name, rows, worker)
        if created is None:
            session.outdated()
            return []
        rev, claims = created
        session.advance(rev, len(rows))
        if len(rows) > n:
            session.history.apply_all(rows[n:])
            self._planned = rows[-1].number, len(rows) - n
        leased = worker is not None
        claimed = zip(rows, claims, params, strict=False)
        return [session.start(Trial(session, *each, leased=leased)) for each in claimed]

    def _row(self, k: int, job: Job, seen: int, *, here: bool) -> Row:
        history, limits = self._session.history, self._session.history.limits
        return Row(
            len(history) + k,
            job.config,
            space=history.space_number,
            state=State.RUNNING if here else State.QUEUED,
            begun=1,
            until=job.until,
            attempt=1 if here else 0,
            parent=job.source,
            note=job.note,
            why=job.why,
            seen=seen,
            settings=self._session.settings,
            started=time.time() if here else None,
            limits=(limits.trials, limits.total_steps),
        )

    def _resume(self, job: Job, worker: str | None, seen: int) -> Trial | None:
        assert job.trial is not None
        session = self._session
        row = session.history.row(job.trial)
        stored, params = row.config, session.params_of(row)  # nothing is claimed that cannot be run
        with session.claiming():
            claimed = session.store.claim(session.name, replace(row, until=job.until, seen=seen), worker)
        if claimed is None:
            session.outdated()
            return None
        rev, claim = claimed
        session.advance(rev, 1)
        _turn(row, rev, claim, job, seen)
        row.settings = session.settings
        trial = Trial(session, row, claim, params, leased=worker is not None)
        trial.stored = stored
        return session.start(trial)


def _turn(row: Row, rev: int, claim: Claim, job: Job, seen: int) -> None:
    """Have a row run, as the store has it."""
    row.turn(rev, State.RUNNING, until=job.until, attempt=claim.attempt, seen=seen)
    row.begun, row.started = row.begun or rev, row.started or time.time()
