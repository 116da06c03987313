"""Running trials in this process: the objective is called, and what comes of it is told."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from functools import partial
from typing import Any

from tuneful.engine.outcome import ended
from tuneful.engine.patience import patiently
from tuneful.engine.session import Session
from tuneful.engine.signals import Signals
from tuneful.errors import CheckpointError, ObjectiveError, StoreAway, StoreError
from tuneful.trial import Trial

_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))


class Attempts:
    """Runs trials one after another.

    Args:
        session: Its link to the store.
        call: The objective, as a function of a trial.
        of: The value of a trial: `last` or `best`.
        signals: Let through while the objective runs.
        patient: The kinds of errors of a store after which a result waits until the store takes it.

    Attributes:
        next: What is to run next, if that was decided where the last trial was paused.
    """

    def __init__(
        self,
        session: Session,
        call: Callable[[Trial], Any],
        of: str,
        signals: Signals,
        patient: type[StoreError] = StoreAway,
    ) -> None:
        self._session, self._call, self._of, self._signals, self._patient = session, call, of, signals, patient
        self.next: Trial | None = None

    def run(self, trial: Trial, then: Callable[[], Trial | None]) -> tuple[bool, BaseException | None]:
        """Run one trial and end it: whether that counts, and the error that it ended with.

        Args:
            trial: The trial.
            then: Asked for the next trial where another decision is due. If it is the same, it goes on in place.
        """
        trial.onward = partial(self._goes_on, then)
        try:
            return self._attempt(trial)
        except BaseException:  # Ctrl-C, SIGTERM, a full disk: the trial is not to blame, and goes on later
            self._give_back(trial)
            raise

    def _attempt(self, trial: Trial) -> tuple[bool, BaseException | None]:
        value, problem = None, None
        try:
            with self._signals.let_through():
                value = self._call(trial)
        except (Exception, SystemExit) as error:
            if _machine_fault(error):
                raise
            problem = error
        if trial.verdict == "paused" and trial.told:  # what it still returned or raised is no result
            return False, None
        if trial.spent and self._has_reported_all(trial) and isinstance(problem, UnboundLocalError | None):
            # Its last attempt was cut short behind the last step. A call that finds no step to train returns what
            # its variables were before the loop, or finds them unbound: what was reported counts.
            value = problem = None
        if problem is not None:
            return self._ended(trial, state="failed", error=problem), problem
        if trial.warned and trial.verdict in (
            "void",
            "held",
            "paused",
        ):  # it ended early: what it returned is no result
            self._ended(trial, state="paused" if trial.verdict == "paused" else "queued")
            return False, None
        if trial.warned and trial.verdict in ("pruned", "stopped"):
            return self._ended(trial, state="pruned"), None
        try:
            return self._ended(trial, None if trial.verdict == "done" else value), None
        except ObjectiveError as error:
            return self._ended(trial, state="failed", error=error), error

    def _goes_on(self, then: Callable[[], Trial | None], trial: Trial) -> bool:
        with self._signals.kept_out():
            if not self._ended(trial, state="paused"):
                return False
            self.next = then()
            if self.next is None or self.next.number != trial.number:
                return False
            trial.go_on_as(self.next)
            self.next = None
            return True

    def _ended(self, trial: Trial, value: Any = None, **how: Any) -> bool:
        try:
            return ended(self._session, trial, value, self._of, **how)
        except self._patient:
            return patiently(lambda: self._session.settle(trial), self._signals, self._patient)

    def _has_reported_all(self, trial: Trial) -> bool:
        return self._session.curve(trial).keys() >= {o.metric for o in self._session.history.objectives}

    def _give_back(self, trial: Trial) -> None:
        with contextlib.suppress(StoreError):  # then it is done before the next decision, or at the end
            if trial.told:
                self._session.settle(trial)
            elif trial.number in self._session.live:
                ended(self._session, trial, None, self._of, state="queued")


def _machine_fault(error: BaseException) -> bool:
    """Whether an objective failed because its results or states could not be written."""
    cause = error.__cause__ if isinstance(error, CheckpointError) else None
    return isinstance(error, StoreError) or (isinstance(cause, OSError) and cause.errno in _DISK)
