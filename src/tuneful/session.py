"""One process at work on a study: keeps its history in step with the store, decides, claims, reports, tells."""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any

from tuneful.checkpoints import Checkpoints
from tuneful.errors import CheckpointError, SpaceError, StoreError, StudyError
from tuneful.history import UNTOLD, History, Job, Report, Row, State
from tuneful.history.curves import metrics_of, revisions_of
from tuneful.protocols import Changes, Outcome, Pruner, Scheduler, Store, rng
from tuneful.pruners import AnyOf
from tuneful.space import Choice, Config, Domain, Space
from tuneful.trial import Trial

LEASE = 60.0  # seconds; a worker that has not been heard of for so long is given up (Temporal, Optuna: 60 too)
_BEATS = 6  # heartbeats in a lease
_STALE = 0.5  # seconds after which the store is read again before deciding
_REAP = 2.0  # seconds between looks for dead workers
_FLUSH = 1.0  # seconds for which reports may wait to be written together


class Session:
    """The link between a history and its store.

    Args:
        store: Where the study lives.
        name: The study.
        history: Filled from the store, and kept in step with it.
        checkpoints: Where states go.
        space: The space to search, if the study shall have it; else the stored one.
        settings: System settings to hand to trials and record.
        shared: Whether other processes may use the store.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        history: History,
        checkpoints: Checkpoints,
        *,
        spaces: dict[int, Space],
        settings: Mapping[str, Any],
        shared: bool,
    ) -> None:
        self.store, self.name, self.history, self.checkpoints = store, name, history, checkpoints
        self.settings = dict(settings)
        self.pruner: Pruner | None = None
        self.undisturbed: Callable[[], AbstractContextManager[object]] = nullcontext  # keeps signals out
        self.worker = uuid.uuid4().hex
        self.spaces = spaces
        self.live: dict[int, Trial] = {}
        self._shared = shared
        self._lock = threading.RLock()
        self._known = 0
        self._stale = True
        self._read_at = self._reaped_at = -1e9
        self._pending: dict[int, list[Report]] = {}
        self._flushed_at: dict[int, float] = {}
        self._reported: set[int] = set()
        self._judged: dict[int, int] = {}
        self._unsettled: dict[int, tuple[Trial, str | None]] = {}
        self._beating: threading.Event | None = None
        self._pid = os.getpid()

    # Reading

    def sync(self) -> None:
        """Take in what other processes have done."""
        with self.undisturbed(), self._lock:
            reports: list[tuple[int, Report]] = []
            while True:
                changes = self.store.sync(self.name, self._known)
                self._take_in(changes)
                reports += changes.reports
                self._known = self.history.rev = changes.rev
                if not changes.more:
                    break
            for rev, report in reports:  # last: the trial of one may be told of on a later page
                if report.number not in self.live:
                    self.history.report(report.number, report.step, report.metrics, rev)
            self._stale = False
            self._read_at = time.monotonic()

    def _take_in(self, changes: Changes) -> None:
        history = self.history
        for version, form in changes.spaces:
            self._take_space(version, form, changes.rev if version else 0)
        rows = [row for row in changes.rows if not self._is_mine(row)]
        for row in rows:
            if not row.state.final:
                history.take_back(row.number)
        history.apply_all(rows)
        for row in rows:
            if row.attempt > 1 and not row.state.final:
                history.restart(row.number, 0)

    def _is_mine(self, row: Row) -> bool:
        """Whether a trial runs here, so that more is known of it than the store knows."""
        mine = self.live.get(row.number)
        if mine is None:
            return False
        if row.state == State.RUNNING and row.attempt == mine.claim.attempt:
            return True
        self.live.pop(row.number).verdict = "void"  # another worker has it now
        return False

    def _take_space(self, version: int, form: Mapping[str, Any], rev: int) -> None:
        known = self.spaces.get(version)
        space = self.spaces[version] = Space.from_json(form) if known is None else known
        if known is None and self.history.space.open:
            self.history.move_to(space, version, rev)
        else:  # another process may search another space; this one keeps its own
            self.history.learn(space, version, rev)

    def change_space(self, change: Callable[[Space], Space]) -> None:
        """Search another space from now on, made from the current one."""
        with self._lock:
            while True:
                space = change(self.history.space)
                self.history.learn(space)  # refuses what does not fit before anything is written
                version = max(self.spaces) + 1
                rev = self.store.grow(self.name, version, space.to_json())
                if rev is not None:
                    break
                self.sync()
            self._advance(rev, 1)
            self.spaces[version] = space
            self.history.move_to(space, version, rev)

    # Deciding

    def refresh(self) -> None:
        """Read the store again if others may have written to it, and look for workers that died."""
        with self._lock:
            now = time.monotonic()
            if self._shared and now - self._reaped_at > _REAP:
                self._reaped_at = now
                self._stale |= self.store.reap() > 0
            if self._stale or (self._shared and now - self._read_at > _STALE):
                self.sync()

    def next(self, scheduler: Scheduler, n: int, lease: float | None = LEASE) -> list[Trial]:
        """Up to `n` trials to run now, decided by `scheduler` and claimed by this process."""
        with self._lock:
            self._after_fork()
            self.settle()
            for trial in [self.live[number] for number in self._pending if number in self.live]:
                self._flush(trial)  # what is decided from, all shall know
            while True:
                self.refresh()
                jobs = scheduler.plan(self.history, n)
                if not jobs:
                    return []
                worker = self._alive(lease)
                started = self._commit(jobs, worker)
                if started:
                    return started
                self._stale = True  # others were faster with every job: decide again

    def _commit(self, jobs: Sequence[Job], worker: str | None) -> list[Trial]:
        seen = self.history.rev
        started = [trial for job in jobs if job.trial is not None and (trial := self._resume(job, worker, seen))]
        new = [job for job in jobs if job.trial is None]
        if new:
            now, first, limits = time.time(), len(self.history), self.history.limits
            rows = [
                Row(
                    first + k,
                    job.config,
                    space=self.history.space_number,
                    state=State.RUNNING,
                    until=job.until,
                    attempt=1,
                    parent=job.source,
                    note=job.note,
                    why=job.why,
                    seen=seen,
                    settings=self.settings,
                    started=now,
                    limits=(limits.trials, limits.total_steps),
                )
                for k, job in enumerate(new)
            ]
            params = [self.params_of(row) for row in rows]
            created = self.store.create(self.name, rows, worker)
            if created is None:
                self._stale = True
            else:
                self._advance(created[0], len(rows))
                leased = worker is not None
                claimed = zip(rows, created[1], params, strict=True)
                started += [self._start(Trial(self, *each, leased=leased)) for each in claimed]
        return started

    def _resume(self, job: Job, worker: str | None, seen: int) -> Trial | None:
        assert job.trial is not None
        row = self.history.row(job.trial)
        stored, params = row.config, self.params_of(row)  # nothing is claimed that cannot be run
        claimed = self.store.claim(self.name, replace(row, until=job.until, seen=seen), worker)
        if claimed is None:
            self._stale = True
            return None
        rev, claim = claimed
        self._advance(rev, 1)
        row.turn(rev, State.RUNNING, until=job.until, attempt=claim.attempt, seen=seen)
        row.begun, row.started, row.settings = row.begun or rev, row.started or time.time(), self.settings
        trial = Trial(self, row, claim, params, leased=worker is not None)
        trial.stored = stored
        return self._start(trial)

    def _start(self, trial: Trial) -> Trial:
        self.history.apply(trial.row)
        self.live[trial.number] = trial
        self._flushed_at[trial.number] = time.monotonic()
        return trial

    def adopt(self, number: int) -> Trial:
        """A trial that runs under nobody's lease or another process's, to be told by number.

        Raises:
            StudyError: it does not run.
        """
        with self._lock:
            if number in self.live:
                return self.live[number]
            self.sync()
            if not 0 <= number < len(self.history):
                raise StudyError(f"There is no trial {number}; the study has {len(self.history)}, counted from 0.")
            claim = self.store.claim_of(self.name, number)
            if claim is None:
                state = State(int(self.history.state[number]))
                raise StudyError(f"Trial {number} is {state}, not running, so it cannot be told a result.")
            row = self.history.row(number)
            return Trial(self, row, claim, dict(row.config))

    def _advance(self, rev: int, by: int) -> None:
        """Note the revision of an own write; a gap means that others wrote in between."""
        if rev == self._known + by:
            self._known = self.history.rev = rev
        else:
            self._stale = True

    # What trials ask for

    def params_of(self, row: Row) -> dict[str, Any]:
        """The parameters of a trial, in the shape of its space.

        One that waited while the space changed is made to fit the new one, if its values lie in it.
        """
        space = self.history.space
        if space.open:
            return dict(row.config)
        if row.space != self.history.space_number:
            q = rng(self.history.seed, row.number, "fit").random(len(space))
            try:
                row.change(space.complete(row.config, q), self.history.space_number)
            except SpaceError:
                space = self.spaces[row.space]
        return space.nested(row.config)

    def begin(self, trial: Trial, step: int) -> None:
        """An attempt begins behind `step`: what earlier ones reported beyond it no longer counts."""
        with self.undisturbed(), self._lock:
            self.history.restart(trial.number, step)

    def report(self, trial: Trial, step: int, metrics: Mapping[str, float]) -> None:
        """Take in a report; it is written with others."""
        with self.undisturbed(), self._lock:
            self.history.report(trial.number, step, metrics, UNTOLD if self._shared else None)
            if self._shared:
                self._pending.setdefault(trial.number, []).append(Report(trial.number, step, metrics))
                if time.monotonic() - self._flushed_at.get(trial.number, -1e9) > _FLUSH:
                    with suppress(StoreError):  # the next one may get through; the end of the trial must
                        self._flush(trial)

    def keep_config(self, trial: Trial) -> None:
        """Write what a trial asked for so far, if a process that did not see it may tell its result."""
        if self._shared and not trial.leased:
            with self.undisturbed(), self._lock:
                trial.row.change(self._asked(trial), self.history.space_number)
                self._flush(trial)

    def _flush(self, trial: Trial) -> bool:
        reports = self._pending.get(trial.number, [])
        self._flushed_at[trial.number] = time.monotonic()
        changed = trial.row.config != trial.stored
        rev = self.store.report(self.name, trial.claim, trial.row, reports, config_changed=changed)
        self._pending.pop(trial.number, None)
        if rev is None:
            self._stale, trial.verdict = True, "void"
            return False
        trial.stored = trial.row.config
        self._advance(rev, 1)
        trial.row.rev = rev
        self.history.tell(trial.number, rev)
        self._reported.add(trial.number)
        return True

    def judged(self, trial: Trial) -> str | None:
        """How the pruner would end a trial at the step that it has reached, `pruned` or `done`; asked once a step."""
        with self.undisturbed(), self._lock:
            step = trial.row.step
            asked = self._judged.get(trial.number) == step
            if self.pruner is None or asked or trial.began is None or step == trial.began:
                return None
            self._judged[trial.number] = step
            if self._shared and time.monotonic() - self._read_at > _STALE:
                self.sync()
            members = self.pruner.pruners if isinstance(self.pruner, AnyOf) else (self.pruner,)
            for pruner in members:
                if pruner(self.history, trial.number):
                    return "done" if getattr(pruner, "finishes", False) else "pruned"
            return None

    def is_void(self, trial: Trial) -> bool:
        """Whether a running trial was given to another worker."""
        return trial.verdict == "void"

    def save(self, trial: Trial, step: int, state: object) -> None:
        """Keep a state, then what was reported up to it, then let go of the one before."""
        attempt = trial.row.attempt
        with self.undisturbed():
            self.checkpoints.save(trial.number, step, attempt, state)
            with self._lock:
                trial.row.saved = (step, attempt)
                mine = self._flush(trial)
                if mine:
                    self.history.apply(trial.row)  # others may go on from here
            if mine:  # else those of the worker that has it now are in the same place
                self.checkpoints.drop(trial.number, keep={(step, attempt)})

    def load(self, trial: Trial) -> tuple[int, Any] | None:
        """The (step, state) to go on from, if any."""
        row = trial.row
        if row.saved is not None:
            return row.saved[0], self.checkpoints.load(trial.number, *row.saved)
        if row.parent is None:
            return None
        saved = self.history.text("saved", row.parent.trial)
        if saved is None or saved[0] != row.parent.step:
            raise CheckpointError(f"Trial {row.parent.trial} has no checkpoint at step {row.parent.step} any more.")
        return row.parent.step, self.checkpoints.load(row.parent.trial, *saved)

    def learn(self, name: str, domain: Domain) -> None:
        """Make sure that the space has `name`, at least as wide as `domain`.

        Raises:
            SpaceError: it has it as another kind.
        """
        with self.undisturbed(), self._lock:
            if not _covers(self.history.space, name, domain):
                self.sync()  # another process may have added it
            if not _covers(self.history.space, name, domain):
                self.change_space(lambda space: space.grown(name, domain))

    # Ending

    def finish(self, trial: Trial, why: str | None = None) -> bool:
        """End an attempt as the trial's row says. False: another worker has it now, and the result was set aside."""
        row = trial.row
        with self._lock:
            again, trial.told = trial.told, True
            self._unsettled[trial.number] = (trial, why)
            if row.state.final:
                if trial.asked or (self.history.space.open and trial.number in self.live):
                    row.change(self._asked(trial), self.history.space_number)
                row.curve = metrics_of(self.history.curves, trial.number)
                row.revs = revisions_of(self.history.curves, trial.number)
            elif self._pending.get(trial.number):
                self._flush(trial)
            outcome = Outcome(row, why, row.config != trial.stored, self._has_reports(trial))
            before, self._stale = self._stale, True  # until the history has it
            rev = self.store.finish(self.name, trial.claim, outcome)
            self._forget(trial)
            if rev is None:
                return False
            if again:  # the first word counts, if it got through: read which it was
                self.sync()
            else:
                self._advance(rev, 1)
                self._ended(trial, rev)
                self._stale = before or self._known != rev
        if row.state.final and row.saved is not None:
            self.checkpoints.drop(trial.number, keep={row.saved})
        return True

    def _ended(self, trial: Trial, rev: int) -> None:
        row = trial.row
        if row.state.final:
            row.rev = row.ended = rev
            row.curve, row.revs = None, ()  # the history has it
            self.history.tell(trial.number, rev)
        else:
            row.ended = 0
            row.turn(rev, row.state, until=row.until, attempt=row.attempt, seen=row.seen)
        self.history.apply(row)

    def settle(self) -> None:
        """Write the ends of trials that the store could not take when they came."""
        for trial, why in list(self._unsettled.values()):
            if self.live.get(trial.number) is trial:
                self.finish(trial, why)
            else:
                del self._unsettled[trial.number]

    def _has_reports(self, trial: Trial) -> bool:
        """Whether reports of a trial may be in the store: its own, of earlier attempts, of other processes."""
        return trial.number in self._reported or trial.claim.attempt > 1 or trial.number not in self.live

    def _asked(self, trial: Trial) -> Config:
        """The config as it turned out: what the objective asked for, and what the space declares."""
        declared = {} if self.history.space.open else trial.row.config
        return {**declared, **trial.asked}

    def curve(self, trial: Trial) -> dict[str, tuple[list[int], list[float]]]:
        """Every metric that a trial reported: (steps, values)."""
        with self._lock:
            return metrics_of(self.history.curves, trial.number)

    def _forget(self, trial: Trial) -> None:
        for kept in (self.live, self._pending, self._flushed_at, self._judged, self._unsettled):
            kept.pop(trial.number, None)
        self._reported.discard(trial.number)

    def add(self, make: Callable[[History], Row | None]) -> int | None:
        """Record a trial that is not run now, made from what is known, if it still is to be; its number."""
        with self.undisturbed(), self._lock:
            while True:
                self.refresh()
                history, made = self.history, make(self.history)
                if made is None:
                    return None
                row = replace(made, number=len(history), space=history.space_number, seen=history.rev)
                created = self.store.create(self.name, [row], None)
                if created is not None:
                    self._advance(created[0], 1)
                    self.history.apply(row)
                    return row.number
                self._stale = True

    def others_run(self) -> bool:
        """Whether other processes run trials of this study."""
        return self._shared and self.store.runs_elsewhere(self.name, self.worker)

    # Being alive

    def _alive(self, lease: float | None) -> str | None:
        """The worker to claim for, which says that it lives as long as this process does; None without a lease."""
        if lease is None:
            return None
        if isinstance(lease, bool) or not isinstance(lease, (int, float)) or not lease > 0:
            raise StudyError(f"ask(lease={lease!r}): pass seconds above 0, or None for a trial that never expires.")
        if self._shared and self._beating is None:
            self.store.beat(self.worker, lease)
            self._beating = threading.Event()
            beat = threading.Thread(target=_beat, args=(weakref.ref(self), self._beating, lease), daemon=True)
            beat.start()
        return self.worker

    def beat(self, lease: float) -> None:
        """Say once that this process lives; if it had been given up, its trials are no longer its own."""
        if not self.store.beat(self.worker, lease):
            with self._lock:
                self._stale = True
                for trial in self.live.values():
                    trial.verdict = "void" if trial.leased else trial.verdict

    def _after_fork(self) -> None:
        """A child of `fork` is a worker of its own; what its parent runs is not its own."""
        if self._pid != os.getpid():
            self._pid, self.worker, self._beating = os.getpid(), uuid.uuid4().hex, None
            for kept in (self.live, self._pending, self._unsettled):
                kept.clear()

    def close(self) -> None:
        """Give back what still runs, and close the store."""
        if self._beating is not None:
            self._beating.set()
        self.store.close(self.worker if self._beating is not None else None)


def _beat(session: weakref.ref[Session], stop: threading.Event, lease: float) -> None:
    pid = os.getpid()
    while not stop.wait(lease / _BEATS):
        alive = session()
        if alive is None or os.getpid() != pid:
            return
        with suppress(Exception):  # the store is away; the next beat may reach it
            alive.beat(lease)
        del alive


def _covers(space: Space, name: str, domain: Domain) -> bool:
    if name not in space:
        return False
    known = space[name]
    if isinstance(known, Choice):
        return isinstance(domain, Choice) and set(domain.keys) <= set(known.keys)
    if type(known) is not type(domain) or isinstance(domain, Choice):
        return False
    return known.low <= domain.low and domain.high <= known.high
