"""A study run by workers: this process decides, and they run what is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from tuneful import errors
from tuneful.engine.decider import Decider
from tuneful.engine.guard import TimedOut
from tuneful.engine.outcome import ended
from tuneful.engine.patience import patiently
from tuneful.engine.pulse import BEATS, LEASE
from tuneful.engine.runner import Runner
from tuneful.engine.session import Session
from tuneful.errors import ObjectiveError, StoreError, StudyError, TunefulError
from tuneful.history import State
from tuneful.protocols import Said, Scheduler, Team

_TURN = 0.2  # seconds between looks at what was done elsewhere
_MEMBERS = 1.0  # seconds between looks for workers elsewhere that wait
_LOST = 5.0  # seconds between looks for workers that were given up
_SLACK = 10.0  # seconds after which a worker is killed that does not end its trial in time


class Crew:
    """The loop of a process whose workers run the trials.

    It keeps as many trials ready as workers wait for, here and elsewhere. Where another process decides already, it
    only looks after its workers, and takes over when that one ends.

    Args:
        scheduler: Decides what to run; None leaves that to others.
        decider: Makes ready what it decides.
        start: Starts the workers.
        trial_timeout: Seconds that a trial may take.
        lease: Seconds after which this process is given up if it is not heard of.
        patience: Where others decide: seconds without anybody who does, or anything to do, after which it ends.
    """

    def __init__(
        self,
        scheduler: Scheduler | None,
        decider: Decider,
        start: Callable[[], Team],
        *,
        trial_timeout: float | None = None,
        lease: float = LEASE,
        patience: float = np.inf,
    ) -> None:
        self._scheduler, self._decider, self._start = scheduler, decider, start
        self._timeout, self._lease, self._patience = trial_timeout, lease, patience
        self._busy: dict[str, tuple[int, float]] = {}
        self._mine: set[str] = set()
        self._elsewhere, self._looked_at, self._vouched_at = 0, -1e9, time.monotonic()
        self._told = 0
        self._active_at = time.monotonic()

    def __call__(self, runner: Runner) -> str:
        """Run until a limit is reached or nothing is left; why it ended."""
        session, signals = runner.session, runner.signals
        session.alive(self._lease)
        self._told = int(session.history.ended.max(initial=0))
        team = self._start()
        try:
            status = self._led(runner, team)
            self._end(runner, team)
            patiently(session.sync, signals)
            self._tell(runner)
        except BaseException:
            with signals.let_through():
                team.end(now=True)
            raise
        finally:
            team.kill()
            with suppress(StoreError):
                session.store.resign(session.name, session.worker)
                session.store.reap()
                session.sync()
        return status

    def _led(self, runner: Runner, team: Team) -> str:
        session, signals = runner.session, runner.signals
        while True:
            self._hear(runner, team)
            left = patiently(lambda: self._provided(session, team), signals)
            stop = self._tell(runner)
            if stop or session.wish == "stop":
                return "stopped"
            if (verdict := runner.verdict()) is not None:
                return verdict
            if session.history.ready:
                team.wake()
            elif not left and team.idle == team.living:
                return runner.completed() if self._scheduler is not None else "idle"

    def _hear(self, runner: Runner, team: Team) -> None:
        """Wait for what workers say."""
        with runner.signals.let_through():
            heard = team.wait(_TURN)
        for said in heard:
            self._note(said)
        if any(said.what == "gone" for said in heard):
            patiently(runner.session.store.reap, runner.signals)  # what they ran is queued again at once
        self._vouch(runner, team)
        for worker, (number, since) in list(self._busy.items()):
            seconds = time.monotonic() - since
            if self._timeout is not None and seconds > self._timeout + _SLACK:
                self._give_up(runner.session, number, seconds)
                team.kill(worker)
                del self._busy[worker]

    def _vouch(self, runner: Runner, team: Team) -> None:
        """Keep the trials of workers that live but cannot say so, in a call that lets no other thread run."""
        if time.monotonic() - self._vouched_at > self._lease / BEATS:
            self._vouched_at = time.monotonic()
            with suppress(StoreError):
                for worker in set(team.sound) & self._busy.keys():
                    runner.session.store.vouch(worker, self._lease)

    def _give_up(self, session: Session, number: int, seconds: float) -> None:
        """Fail a trial that has taken too long, in a call that its worker cannot break into."""
        error = TimedOut(f"It ran for {seconds:.1f} s, and a trial may take {self._timeout:g} s.")
        with suppress(StudyError, StoreError):  # it has just ended
            ended(session, session.adopt(number), None, "last", state="failed", error=error)

    def _end(self, runner: Runner, team: Team) -> None:
        """Let workers end when their trials are over; those whose trials were given to others are killed."""
        team.end(now=False)
        looked_at = time.monotonic()
        while team.living:
            self._hear(runner, team)
            if time.monotonic() - looked_at > _LOST:
                looked_at = time.monotonic()
                members = patiently(runner.session.store.members, runner.signals)
                known = {member.worker for member in members}
                for worker in self._mine - known - {""}:
                    team.kill(worker)

    def _note(self, said: Said) -> None:
        if said.what == "refused":
            kind, text = said.about
            known = getattr(errors, kind, ObjectiveError)
            raise (known if issubclass(known, TunefulError) else ObjectiveError)(text)
        self._mine.add(said.worker)
        if said.what == "busy":
            self._busy[said.worker] = said.about, time.monotonic()
        elif said.what in ("ended", "gone", "idle"):
            self._busy.pop(said.worker, None)

    def _provided(self, session: Session, team: Team) -> bool:
        """Make trials ready if this process decides; whether anything is left to do."""
        if self._scheduler is not None and self._leads(session):
            session.want(0)
            elsewhere = self._waiting_elsewhere(session)
            return self._decider.provide(self._scheduler, team.idle + elsewhere, team.living + elsewhere)
        session.bury()
        session.sync()
        session.want(team.idle)
        history = session.history
        now, led = time.monotonic(), session.leader is not None
        if led or history.ready or history.of_state(State.RUNNING):
            self._active_at = now
        return led or now - self._active_at < self._patience

    def _leads(self, session: Session) -> bool:
        """Whether this process decides, as of what was last read; if nobody does, it does from now on."""
        return session.leader == session.worker or session.store.lead(session.name, session.worker)

    def _waiting_elsewhere(self, session: Session) -> int:
        """How many workers of others wait for work, as of a moment ago."""
        now = time.monotonic()
        if now - self._looked_at > _MEMBERS:
            self._looked_at = now
            others = (m.waiting for m in session.store.members() if m.worker != session.worker)
            self._elsewhere = sum(waiting[1] for waiting in others if waiting and waiting[0] == session.name)
        return self._elsewhere

    def _tell(self, runner: Runner) -> bool:
        """Tell of the trials that ended, in their order; whether a callback wants the study to stop."""
        ended = runner.session.history.ended
        new = np.flatnonzero(ended > self._told)
        stop = False
        for trial in new[np.argsort(ended[new])].tolist():
            self._told = int(runner.session.history.ended[trial])
            stop |= runner.over(trial, State(int(runner.session.history.state[trial])))
        return stop
