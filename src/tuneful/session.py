"""One process at work on a study: keeps its history in step with the store, decides, claims, reports, tells."""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneful.checkpoints import Checkpoints
from tuneful.errors import CheckpointError, SpaceError, StudyError
from tuneful.history import History, Job, Report, Row, State
from tuneful.protocols import Changes, Claim, Outcome, Pruner, Scheduler, Store
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
        self._beating: threading.Event | None = None

    # Reading

    def sync(self) -> None:
        """Take in what other processes have done."""
        with self._lock:
            while True:
                changes = self.store.sync(self.name, self._known)
                self._take_in(changes)
                self._known = self.history.rev = changes.rev
                if not changes.more:
                    break
            self._stale = False
            self._read_at = time.monotonic()

    def _take_in(self, changes: Changes) -> None:
        history = self.history
        for version, form in changes.spaces:
            self._take_space(version, form)
        for row in changes.rows:
            if row.number in self.live and row.state == State.RUNNING and row.attempt == self.live[row.number].row.attempt:
                continue
            history.apply(row)
            if row.attempt > 1 and not row.state.final:
                history.restart(row.number, 0)
        for rev, report in changes.reports:
            if report.number not in self.live:
                history.report(report.number, report.step, report.metrics, rev)

    def _take_space(self, version: int, form: Mapping[str, Any]) -> None:
        if version in self.spaces:
            return
        space = Space.from_json(form)
        self.spaces[version] = space
        if self.history.space.open:
            self.history.move_to(space, version)
        else:  # another process searches another space; this one keeps its own
            self.history.learn(space)

    def change_space(self, change: Callable[[Space], Space]) -> None:
        """Search another space from now on, made from the current one."""
        with self._lock:
            while True:
                space = change(self.history.space)
                version = max(self.spaces) + 1
                rev = self.store.grow(self.name, version, space.to_json())
                if rev is not None:
                    break
                self.sync()
            self._advance(rev, 1)
            self.spaces[version] = space
            self.history.move_to(space, version)

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
        started = [trial for job in jobs if job.trial is not None and (trial := self._resume(job, worker))]
        new = [job for job in jobs if job.trial is None]
        if new:
            now, seen, first = time.time(), self.history.rev, len(self.history)
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
                )
                for k, job in enumerate(new)
            ]
            created = self.store.create(self.name, rows, worker)
            if created is None:
                self._stale = True
            else:
                self._advance(created[0], len(rows))
                started += [self._start(row, claim) for row, claim in zip(rows, created[1], strict=True)]
        return started

    def _resume(self, job: Job, worker: str | None) -> Trial | None:
        assert job.trial is not None
        row = replace(self.history.row(job.trial), until=job.until, seen=self.history.rev)
        claimed = self.store.claim(self.name, row, worker)
        if claimed is None:
            self._stale = True
            return None
        rev, claim = claimed
        self._advance(rev, 1)
        row = replace(
            row,
            rev=rev,
            state=State.RUNNING,
            attempt=claim.attempt,
            begun=row.begun or rev,
            started=row.started or time.time(),
            settings=self.settings,
        )
        return self._start(row, claim)

    def _start(self, row: Row, claim: Claim) -> Trial:
        self.history.apply(row)
        trial = Trial(self, row, claim)
        self.live[row.number] = trial
        self._flushed_at[row.number] = time.monotonic()
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
            return Trial(self, self.history.row(number), claim)

    def _advance(self, rev: int, by: int) -> None:
        """Note the revision of an own write; a gap means that others wrote in between."""
        if rev == self._known + by:
            self._known = self.history.rev = rev
        else:
            self._stale = True

    # What trials ask for

    def params_of(self, row: Row) -> dict[str, Any]:
        """The parameters of a trial, in the shape of its space."""
        if self.history.space.open:
            return dict(row.config)
        try:
            return self.history.space.nested(row.config)
        except KeyError as error:
            raise SpaceError(f"Trial {row.number} was made for a space that has no {error} any more.") from None

    def begin(self, trial: Trial, step: int) -> None:
        """An attempt begins behind `step`: what earlier ones reported beyond it no longer counts."""
        with self._lock:
            self.history.restart(trial.number, step)

    def report(self, trial: Trial, step: int, metrics: Mapping[str, float]) -> None:
        """Take in a report; it is written with others."""
        with self._lock:
            self.history.report(trial.number, step, metrics)
            if self._shared:
                self._pending.setdefault(trial.number, []).append(Report(trial.number, step, metrics))
                if time.monotonic() - self._flushed_at.get(trial.number, -1e9) > _FLUSH:
                    self._flush(trial)

    def _flush(self, trial: Trial) -> bool:
        reports = self._pending.pop(trial.number, [])
        self._flushed_at[trial.number] = time.monotonic()
        rev = self.store.report(self.name, trial.claim, trial.row, reports)
        if rev is None:
            self._stale, trial.verdict = True, "void"
            return False
        self._advance(rev, 1)
        trial.row.rev = rev
        self._reported.add(trial.number)
        return True

    def prunes(self, trial: Trial) -> bool:
        """Whether the pruner would end a trial at the step that it has reached; asked once a step."""
        with self._lock:
            step = trial.row.step
            if self.pruner is None or self._judged.get(trial.number) == step or trial.began is None or step == trial.began:
                return False
            self._judged[trial.number] = step
            if self._shared and time.monotonic() - self._read_at > _STALE:
                self.sync()
            return self.pruner(self.history, trial.number)

    def is_void(self, trial: Trial) -> bool:
        """Whether a running trial was given to another worker."""
        return trial.verdict == "void"

    def save(self, trial: Trial, step: int, state: object) -> None:
        """Keep a state, then what was reported up to it, then let go of the one before."""
        attempt = trial.row.attempt
        self.checkpoints.save(trial.number, step, attempt, state)
        with self._lock:
            trial.row = replace(trial.row, saved=(step, attempt))
            self._flush(trial)
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
        with self._lock:
            if not _covers(self.history.space, name, domain):
                self.sync()  # another process may have added it
            if not _covers(self.history.space, name, domain):
                self.change_space(lambda space: space.grown(name, domain))

    # Ending

    def finish(self, trial: Trial, row: Row, why: str | None = None) -> bool:
        """End an attempt as `row` says. False: it had been given to another worker, and the result was set aside."""
        with self._lock:
            config = self._asked(trial, row) if row.state.final else row.config
            row = replace(
                row,
                config=config,
                space=self.history.space_number,
                curve=self._curve(trial) if row.state.final else None,
            )
            if not row.state.final and (self._pending.get(trial.number) or trial.row.rev == 0):
                self._flush(trial)
            outcome = Outcome(row, why, config != trial.row.config, trial.number in self._reported)
            rev = self.store.finish(self.name, trial.claim, outcome)
            self._forget(trial)
            if rev is None:
                self._stale = True
                return False
            self._advance(rev, 1)
            row.rev = rev
            row.ended = rev if row.state.final else 0
            row.curve = None  # the history has it
            self.history.apply(row)
        if row.state.final:
            self.checkpoints.drop(trial.number, keep={row.saved} if row.saved else ())
        return True

    def _asked(self, trial: Trial, row: Row) -> Config:
        """The config as it turned out: what the objective asked for, and what the space declares."""
        declared = {} if self.history.space.open else row.config
        return {**declared, **trial.asked}

    def _curve(self, trial: Trial) -> dict[str, tuple[list[int], list[float]]]:
        found = {}
        for name, curve in self.history.curves.items():
            steps, values = curve.of(trial.number)
            if len(steps):
                found[name] = (steps.tolist(), values.tolist())
        return found

    def curve(self, trial: Trial) -> dict[str, tuple[list[int], list[float]]]:
        """Every metric that a trial reported: (steps, values)."""
        with self._lock:
            return self._curve(trial)

    def _forget(self, trial: Trial) -> None:
        for kept in (self.live, self._pending, self._flushed_at, self._judged):
            kept.pop(trial.number, None)
        self._reported.discard(trial.number)

    def add(self, row: Row) -> int:
        """Record a trial that is not run now; its number."""
        with self._lock:
            while True:
                self.refresh()
                row = replace(row, number=len(self.history), space=self.history.space_number, seen=self.history.rev)
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
                    trial.verdict = "void"

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
        try:
            alive.beat(lease)
        except Exception:  # noqa: BLE001, S112 - the store is away; the next beat may reach it
            continue
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
