"""One process at work on a study: keeps its history in step with the store, starts, reports and ends trials."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

from tuneful.checkpoints import Checkpoints, kept
from tuneful.engine.pulse import Pulse
from tuneful.errors import CheckpointError, SpaceError, StoreAway, StoreError, StudyError
from tuneful.history import UNTOLD, History, Report, Row, State
from tuneful.history.curves import metrics_of, revisions_of
from tuneful.protocols import Changes, Claim, Orders, Outcome, Pruner, Store, rng
from tuneful.pruners import AnyOf
from tuneful.space import Choice, Config, Domain, Space
from tuneful.trial import Trial

_STALE = 0.5  # seconds after which the store is read again before deciding
_REAP = 0.5  # seconds between looks for dead workers
_HELD = 1.0  # seconds after which trials that were claimed and have not started are others' again
_FLUSH = 1.0  # seconds for which reports may wait to be written together


class Session:
    """The link between a history and its store.

    Args:
        store: Where the study lives.
        name: The study.
        history: Filled from the store, and kept in step with it.
        checkpoints: Where states go; None if nothing was said of it.
        spaces: Those that the study has had, by version.
        settings: System settings to hand to trials and record.
        shared: Whether other processes may use the store.

    Attributes:
        lock: Held by whoever reads or writes the history.
        live: The trials that run here, by number.
        leader: The worker that alone decides, if one does.
        wish: What somebody wants of the study: None, `pause` or `stop`.
        others_at: When others were last seen to write, by the monotonic clock.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        history: History,
        checkpoints: Checkpoints | None,
        *,
        spaces: dict[int, Space],
        settings: Mapping[str, Any],
        shared: bool,
    ) -> None:
        self.store, self.name, self.history, self._checkpoints = store, name, history, checkpoints
        self.settings = dict(settings)
        self.pruner: Pruner | None = None
        self.undisturbed: Callable[[], AbstractContextManager[object]] = nullcontext  # keeps signals out
        self.worker = uuid.uuid4().hex
        self.spaces = spaces
        self.live: dict[int, Trial] = {}
        self.lock = threading.RLock()
        self.shared = shared
        self.leader: str | None = None
        self.wish: str | None = None
        self.others_at = -1e9
        self.watch: Callable[[], None] | None = None  # called by the pulse
        self._known = 0
        self._stale = True
        self._behind = False  # trials ended here of which the history was not told
        self._read_at = self._reaped_at = -1e9
        self._pending: dict[int, list[Report]] = {}
        self._flushed_at: dict[int, float] = {}
        self._reported: set[int] = set()
        self._judged: dict[int, tuple[int, int]] = {}
        self._unsettled: dict[int, tuple[Trial, str | None]] = {}
        self._pulse: Pulse | None = None
        self._beaten_at = -1e9
        self._held: dict[int, tuple[Claim, Row]] = {}  # claimed, and not started
        self._held_at = -1e9
        self._wanted = 0  # trials that whoever leads has been told of
        self._unsure = False  # whether trials may be claimed of which this process has not heard
        self._pid = os.getpid()

    @property
    def checkpoints(self) -> Checkpoints:
        """Where states go.

        Raises:
            CheckpointError: nothing says where.
        """
        if self._checkpoints is None:
            raise CheckpointError(
                "Nothing says where to keep states, and a database keeps none. Pass the same folder to all processes "
                "of the study, as in checkpoints='/shared/checkpoints'."
            )
        return self._checkpoints

    @property
    def root(self) -> str | None:
        """The folder of the states, if there is one."""
        return None if self._checkpoints is None else str(self._checkpoints.root)

    # Reading

    def sync(self) -> None:
        """Take in what other processes have done."""
        with self.undisturbed(), self.lock:
            reports: list[tuple[int, Report]] = []
            before = self._known
            while True:
                changes = self.store.sync(self.name, self._known)
                self._take_in(changes)
                reports += changes.reports
                self._known = self.history.rev = changes.rev
                self.leader, self.wish = changes.leader, changes.wish
                if not changes.more:
                    break
            for rev, report in reports:  # last: the trial of one may be told of on a later page
                if report.number not in self.live:
                    self.history.report(report.number, report.step, report.metrics, rev)
            self._stale = self._behind = False
            self._read_at = time.monotonic()
            if 0 < before < self._known:  # own writes are known without being read
                self.others_at = self._read_at

    def _take_in(self, changes: Changes) -> None:
        history = self.history
        for version, form in changes.spaces:
            self._take_space(version, form, changes.rev if version else 0)
        rows = [row for row in changes.rows if not self._is_mine(row)]
        for mine in [self.live[row.number] for row in changes.rows if row.number in self.live]:
            self._tell_of(mine)
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
            mine.row.wish = row.wish
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

    def move_to(self, store: Store) -> None:
        """Go on with the study in another store, which other processes may share.

        Raises:
            StudyError: trials of it run in this process.
        """
        with self.lock:
            if self.live:
                asked = ", ".join(map(str, sorted(self.live)))
                raise StudyError(
                    f"Workers cannot join while trials are asked for in this process: {asked}. Tell them first, or "
                    "keep the study in a file, as in study='runs.db'."
                )
            store.load(self.name, self.store.dump(self.name))
            self.store.close()
            self.store, self.shared = store, True

    def change_space(self, change: Callable[[Space], Space]) -> None:
        """Search another space from now on, made from the current one."""
        with self.lock:
            while True:
                space = change(self.history.space)
                self.history.learn(space)  # refuses what does not fit before anything is written
                version = max(self.spaces) + 1
                rev = self.store.grow(self.name, version, space.to_json())
                if rev is not None:
                    break
                self.sync()
            self.advance(rev, 1)
            self.spaces[version] = space
            self.history.move_to(space, version, rev)

    def refresh(self) -> None:
        """Read the store again if others may have written to it, and look for workers that died."""
        with self.lock:
            self.bury()
            if self._stale or (self.shared and time.monotonic() - self._read_at > _STALE):
                self.sync()

    def bury(self) -> None:
        """Queue again what dead workers ran, unless that was looked at just now."""
        now = time.monotonic()
        if self.shared and now - self._reaped_at > _REAP:
            self._reaped_at = now
            self._stale |= self.store.reap() > 0

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Claim trials; where no answer comes, they may be claimed all the same."""
        try:
            yield
        except StoreError:
            self._unsure = True
            raise

    def settle_claims(self) -> None:
        """Queue again what was claimed for this process while the answer was lost."""
        if self._unsure and self.shared:
            with self.lock:
                self._give_back_unknown()
                self._unsure = False

    def hold(self, claimed: Sequence[tuple[Claim, Row]]) -> tuple[Claim, Row]:
        """Take in what was claimed at once: the first, to be started; the others are for later."""
        first, *others = claimed
        self._held = {claim.number: (claim, row) for claim, row in others}
        self._held_at = time.monotonic()
        return first

    def next_held(self) -> tuple[Claim, Row] | None:
        """The next trial to start of those that are claimed; None if there is none, or none shall start."""
        if self._held and self.wish is not None:
            self._release()
        return self._held.pop(next(iter(self._held))) if self._held else None

    def _release(self) -> None:
        """Let others run what was claimed and has not started."""
        self.store.release(self.name, [claim for claim, _ in self._held.values()])
        self._held.clear()
        self._stale = True

    def prepare(self) -> None:
        """Bring all that this process knows to the store, so that what is decided from, all shall know."""
        self._after_fork()
        self.settle_claims()
        for trial, _ in list(self._unsettled.values()):
            self.settle(trial)
        for trial in [self.live[number] for number in self._pending if number in self.live]:
            self._flush(trial)

    def start(self, trial: Trial, *, untold: bool = False) -> Trial:
        """Have a trial run here that was claimed.

        One that others had decided may be left untold to the history: that reads of it with the next sync, and sooner
        only if it reports.
        """
        trial.untold = True
        if not untold:
            self._tell_of(trial)
        self.live[trial.number] = trial
        self._flushed_at[trial.number] = time.monotonic()
        return trial

    def _tell_of(self, trial: Trial) -> None:
        """Tell the history of a trial that runs here, if it does not know of it."""
        if trial.untold:
            trial.untold = False
            self.history.apply(trial.row)

    def adopt(self, number: int) -> Trial:
        """A trial that runs under nobody's lease or another process's, to be told by number.

        Raises:
            StudyError: it does not run.
        """
        with self.lock:
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

    def advance(self, rev: int, by: int) -> None:
        """Note the revision of an own write; a gap means that others wrote in between."""
        if rev == self._known + by:
            self._known = self.history.rev = rev
        else:
            self._stale = True
            if self._known:
                self.others_at = time.monotonic()

    def outrun(self) -> None:
        """Note that others are at work, and that this process does not follow all that is done."""
        self._stale, self.others_at = True, time.monotonic()

    def catch_up(self) -> History:
        """The history with all that was done here."""
        if self._behind:
            self.sync()
        return self.history

    def outdated(self) -> None:
        """Read the store again before the next decision: somebody else was faster."""
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
        with self.undisturbed(), self.lock:
            self._tell_of(trial)
            self.history.restart(trial.number, step)

    def lasts(self, trial: Trial, steps: int) -> None:
        """A trial says how many steps it will have if nobody ends it before."""
        with self.undisturbed(), self.lock:
            self._tell_of(trial)
            trial.row.length = steps
            self.history.lasts(trial.number, steps)

    def report(self, trial: Trial, step: int, metrics: Mapping[str, float]) -> None:
        """Take in a report; it is written with others."""
        with self.undisturbed(), self.lock:
            self.history.report(trial.number, step, metrics, UNTOLD if self.shared else None)
            if self.shared:
                self._pending.setdefault(trial.number, []).append(Report(trial.number, step, metrics))
                if time.monotonic() - self._flushed_at.get(trial.number, -1e9) > _FLUSH:
                    with suppress(StoreError):  # the next one may get through; the end of the trial must
                        self._flush(trial)

    def keep_config(self, trial: Trial) -> None:
        """Write what a trial asked for so far, if a process that did not see it may tell its result."""
        if self.shared and not trial.leased:
            with self.undisturbed(), self.lock:
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
        trial.stored, trial.kept = trial.row.config, trial.row.saved
        self.advance(rev, 1)
        trial.row.rev = rev
        self.history.tell(trial.number, rev)
        self._reported.add(trial.number)
        return True

    def judged(self, trial: Trial) -> str | None:
        """How the pruner would end a trial where it is, `pruned` or `done`; asked once a report, not at the last."""
        with self.undisturbed(), self.lock:
            step, said = trial.row.step, trial.said
            asked = self._judged.get(trial.number) == said
            over = trial.row.length is not None and step >= trial.row.length
            if self.pruner is None or asked or over or trial.began is None or step == trial.began:
                return None
            self._judged[trial.number] = said
            if self.shared and not getattr(self.pruner, "alone", False) and time.monotonic() - self._read_at > _STALE:
                with suppress(StoreAway):  # then it decides from what it knows
                    self.sync()
            members = self.pruner.pruners if isinstance(self.pruner, AnyOf) else (self.pruner,)
            for pruner in members:
                if pruner(self.history, trial.number):
                    return "done" if getattr(pruner, "finishes", False) else "pruned"
            return None

    def save(self, trial: Trial, step: int, state: object) -> None:
        """Keep a state, then what was reported up to it, then let go of the one before."""
        attempt = trial.row.attempt
        with self.undisturbed():
            self.checkpoints.save(trial.number, step, attempt, state)
            with self.lock:
                trial.row.saved = (step, attempt)
                try:
                    mine = self._flush(trial)
                except StoreAway:  # the next one may get through; until then the state before is kept as well
                    return
                if mine:
                    self.history.apply(trial.row)  # others may go on from here
            if mine:  # else those of the worker that has it now are in the same place
                self._let_go(trial)

    def _let_go(self, trial: Trial) -> None:
        """Let go of checkpoints of a trial, and of the one it was forked from, that nothing goes on from any more."""
        try:
            if self.shared and time.monotonic() - self._read_at > _STALE:
                self.sync()  # a fork pins its donor's
        except StoreAway:  # another time
            return

        def keep(number: int) -> Callable[[list[tuple[int, int]]], set[tuple[int, int]]]:
            def chosen(there: list[tuple[int, int]]) -> set[tuple[int, int]]:
                with self.lock:
                    return kept(self.history, number, there)

            return chosen

        parent = trial.row.parent
        for number in (trial.number,) if parent is None else (trial.number, parent.trial):
            self.checkpoints.prune(number, keep(number))

    def load(self, trial: Trial) -> tuple[int, Any] | None:
        """The (step, state) to go on from, if any."""
        row = trial.row
        if row.saved is not None:
            return row.saved[0], self.checkpoints.load(trial.number, *row.saved)
        if row.parent is None:
            return None
        return row.parent.step, self.checkpoints.load(row.parent.trial, row.parent.step)

    def learn(self, name: str, domain: Domain) -> None:
        """Make sure that the space has `name`, at least as wide as `domain`.

        Raises:
            SpaceError: it has it as another kind.
        """
        with self.undisturbed(), self.lock:
            if not _covers(self.history.space, name, domain):
                self.sync()  # another process may have added it
            if not _covers(self.history.space, name, domain):
                self.change_space(lambda space: space.grown(name, domain))

    # Ending

    def finish(self, trial: Trial, why: str | None = None) -> bool:
        """End an attempt as the trial's row says. False: another worker has it now, and the result was set aside."""
        row = trial.row
        with self.lock:
            again, trial.told = trial.told, True
            self._unsettled[trial.number] = (trial, why)
            if row.state.final:
                if trial.asked or (self.history.space.open and trial.number in self.live):
                    row.change(self._asked(trial), self.history.space_number)
                row.curve = metrics_of(self.history.curves, trial.number)
                row.revs = revisions_of(self.history.curves, trial.number)
            if not (row.state.final or self.shared):
                self._tell_all(trial)  # so that it can end without running again
            elif row.saved != trial.kept or (not row.state.final and self._pending.get(trial.number)):
                self._flush(trial)  # the end of a trial says neither
            outcome = Outcome(row, why, row.config != trial.stored, self._has_reports(trial))
            before, self._stale = self._stale, True  # until the history has it
            rev = self.store.finish(self.name, trial.claim, outcome)
            self._forget(trial)
            if rev is None:
                return False
            if trial.untold:
                self._behind = True
            elif again:  # the first word counts, if it got through: read which it was
                self.sync()
            else:
                self.advance(rev, 1)
                self._ended(trial, rev)
                self._stale = before or self._known != rev
        if row.state.final and (row.saved is not None or row.parent is not None):
            self._let_go(trial)
        return True

    def _ended(self, trial: Trial, rev: int) -> None:
        row = trial.row
        if row.state.final:
            row.rev = row.ended = rev
            row.curve, row.revs, row.wish = None, (), None  # the history has it
            self.history.tell(trial.number, rev)
        else:
            row.ended = 0
            row.turn(rev, row.state, until=row.until, attempt=row.attempt, seen=row.seen)
        self.history.apply(row)

    def settle(self, trial: Trial) -> bool:
        """Write the end of a trial that the store could not take when it came; whether it counts."""
        with self.lock:
            _, why = self._unsettled.get(trial.number, (trial, None))
            if self.live.get(trial.number) is trial:
                return self.finish(trial, why)
            self._unsettled.pop(trial.number, None)
            return False

    def _has_reports(self, trial: Trial) -> bool:
        """Whether reports of a trial may be in the store: its own, of earlier attempts, of other processes."""
        return trial.number in self._reported or trial.claim.attempt > 1 or trial.number not in self.live

    def _asked(self, trial: Trial) -> Config:
        """The config as it turned out: what the objective asked for, and what the space declares."""
        declared = {} if self.history.space.open else trial.row.config
        return {**declared, **trial.asked}

    def curve(self, trial: Trial) -> dict[str, tuple[list[int], list[float]]]:
        """Every metric that a trial reported: (steps, values)."""
        with self.lock:
            return metrics_of(self.history.curves, trial.number)

    def _forget(self, trial: Trial) -> None:
        for known in (self.live, self._pending, self._flushed_at, self._judged, self._unsettled):
            known.pop(trial.number, None)
        self._reported.discard(trial.number)

    def add(self, make: Callable[[History], Row | None]) -> int | None:
        """Record a trial that is not run now, made from what is known, if it still is to be; its number."""
        with self.undisturbed(), self.lock:
            while True:
                self.refresh()
                history, made = self.history, make(self.history)
                if made is None:
                    return None
                row = replace(made, number=len(history), space=history.space_number, seen=history.rev)
                created = self.store.create(self.name, [row], None)
                if created is not None:
                    self.advance(created[0], 1)
                    self.history.apply(row)
                    return row.number
                self._stale = True

    def prune_paused(self) -> int:
        """End what is paused, with what it has reported; how many trials."""
        with self.lock:
            pruned = self.store.prune_paused(self.name) if self.history.of_state(State.PAUSED) else 0
            self.sync()
            return pruned

    def cancel(self, number: int | None) -> int:
        """Cancel a trial, or all; how many. What those that run here have reported is kept."""
        with self.lock:
            for trial in list(self.live.values()) if number is None else filter(None, [self.live.get(number)]):
                self._tell_all(trial)
            cancelled = self.store.cancel(self.name, number)
            self.sync()
            return cancelled

    def _tell_all(self, trial: Trial) -> None:
        """Bring all reports of a running trial to the store; those of a study in memory are in its history alone."""
        if not self.shared:
            reports: dict[int, dict[str, float]] = {}
            for metric, (steps, values) in metrics_of(self.history.curves, trial.number).items():
                for step, value in zip(steps, values, strict=True):
                    reports.setdefault(int(step), {})[metric] = float(value)
            self._pending[trial.number] = [Report(trial.number, step, reports[step]) for step in sorted(reports)]
        self._flush(trial)

    def runs(self, number: int) -> bool:
        """Whether a trial runs now, here or elsewhere."""
        self.sync()
        return 0 <= number < len(self.history) and bool(self.history.state[number] == State.RUNNING)

    def want(self, n: int) -> None:
        """Tell who leads for how many trials this process and its workers wait, unless it knows."""
        if n != self._wanted:
            self.store.want(self.name, self.worker, n)
            self._wanted = n

    def others_run(self) -> bool:
        """Whether other processes run trials of this study, or decide what to run."""
        led = self.leader not in (None, self.worker)
        return self.shared and (led or self.store.runs_elsewhere(self.name, self.worker))

    # Being alive

    def alive(self, lease: float | None) -> str | None:
        """The worker to claim for, which says that it lives as long as this process does; None without a lease."""
        if lease is None:
            return None
        if isinstance(lease, bool) or not isinstance(lease, (int, float)) or not lease > 0:
            raise StudyError(f"ask(lease={lease!r}): pass seconds above 0, or None for a trial that never expires.")
        if self.shared and self._pulse is None:
            self.beat(lease)
            self._pulse = Pulse(self, lease, self.watch)
        elif self.shared and time.monotonic() - self._beaten_at > lease:
            self.beat(lease)  # it was stopped, and may have been given up: it claims nothing under a name that is gone
        return self.worker

    def beat(self, lease: float) -> None:
        """Say once that this process lives; if it had been given up, hear which trials are still its own."""
        known = self.store.beat(self.worker, lease)
        self._beaten_at = time.monotonic()
        if not known:
            self._stale, self._wanted = True, 0
            self._held.clear()
            self.listen()

    def listen(self) -> None:
        """Hear once what is wanted of the study, and of the trials that run here."""
        with self.lock:
            before = [(trial, trial.claim) for trial in self.live.values() if trial.leased and not trial.told]
        orders = self.store.orders(self.name, self.worker)
        with self.lock:
            if orders.trials.keys() - self.live.keys() - self._held.keys():
                self._give_back_unknown()
            self.wish, self.leader = orders.wish, orders.leader
            if self._held and time.monotonic() - self._held_at > _HELD:
                self._release()
            for trial, claim in before:  # one that went on in place meanwhile is another attempt
                same = self.live.get(trial.number) is trial and trial.claim == claim
                if same and trial.verdict is None and not trial.told:
                    trial.verdict = _verdict(trial, orders)

    def _give_back_unknown(self) -> None:
        """Queue what runs under the name of this process although it does not know: the answer to a claim was lost."""
        for number in self.store.orders(self.name, self.worker).trials.keys() - self.live.keys() - self._held.keys():
            claim = self.store.claim_of(self.name, number)
            if claim is not None:
                self.sync()
                row = replace(self.history.row(number), state=State.QUEUED)
                self.store.finish(self.name, claim, Outcome(row, "interrupted"))
                self._stale = True

    def _after_fork(self) -> None:
        """A child of `fork` is a worker of its own; what its parent runs is not its own."""
        if self._pid != os.getpid():
            self._pid, self.worker, self._pulse, self._wanted = os.getpid(), uuid.uuid4().hex, None, 0
            for known in (self.live, self._pending, self._unsettled, self._held):
                known.clear()

    def close(self) -> None:
        """Give back what still runs, and close the store."""
        if self._pulse is not None:
            self._pulse.end()
        self.store.close(self.worker if self._pulse is not None else None)


def _verdict(trial: Trial, orders: Orders) -> str | None:
    """How a running trial is to end by what is wanted; one that cannot go on later runs to its end instead."""
    if trial.number not in orders.trials:
        return "void"
    wish = orders.trials[trial.number]
    if wish == "stop":
        return "stopped"
    return "held" if (wish == "hold" or orders.wish) and trial.row.saved is not None else None


def _covers(space: Space, name: str, domain: Domain) -> bool:
    if name not in space:
        return False
    known = space[name]
    if isinstance(known, Choice):
        return isinstance(domain, Choice) and set(domain.keys) <= set(known.keys)
    if type(known) is not type(domain) or isinstance(domain, Choice):
        return False
    return known.low <= domain.low and domain.high <= known.high
