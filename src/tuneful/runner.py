"""The loop that runs trials in this process until a study is done."""

from __future__ import annotations

import contextlib
import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneful.errors import CheckpointError, ObjectiveError, StoreError
from tuneful.history import History, State
from tuneful.objective import bind
from tuneful.outcome import ended
from tuneful.protocols import Scheduler
from tuneful.session import Session
from tuneful.trial import Trial
from tuneful.values import MissingMetric

if TYPE_CHECKING:
    from tuneful.display import Lines
    from tuneful.record import Record
    from tuneful.study import Study

Callback = Callable[["Study", "Record"], object]

_WAIT = 0.2  # seconds between looks at what other processes run
_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))


@dataclass(frozen=True)
class Rules:
    """When to stop; see `Study.run`."""

    timeout: float | None = None
    target: float | None = None
    patience: int | None = None
    max_failures: int = 3

    def verdict(self, history: History, seconds: float) -> str | None:
        """Why to start nothing more, if there is a reason."""
        if self.timeout is not None and seconds >= self.timeout:
            return "timeout"
        best = history.best
        if self.target is not None and best is not None:
            objective = history.objectives[0]
            if history.means[best, 0] <= objective.sign * self.target:
                return "target"
        if self.patience is not None and gainless(history) >= self.patience:
            return "converged"
        return None


class Runner:
    """Runs what a scheduler decides, one trial at a time.

    Args:
        study: Whose trials; given to callbacks.
        session: Its link to the store.
        scheduler: Decides what to run.
        objective: What to run.
        rules: When to stop.
        callbacks: Called after each trial.
        lines: Prints; None prints nothing.
        of: The value of a trial: `last` or `best`.
    """

    def __init__(
        self,
        study: Study,
        session: Session,
        scheduler: Scheduler,
        objective: Callable[..., Any],
        rules: Rules,
        callbacks: Sequence[Callback],
        lines: Lines | None,
        of: str,
    ) -> None:
        self._study, self._session, self._scheduler = study, session, scheduler
        self._call = bind(objective, session.history.space, session.settings)
        self._rules, self._callbacks, self._lines, self._of = rules, callbacks, lines, of
        self._signals = _Signals()

    def run(self) -> None:
        """Run until a limit is reached, nothing is left, or somebody interrupts."""
        if self._lines:
            self._lines.begin()
        began = time.monotonic()
        self._session.undisturbed = self._signals.kept_out
        try:
            with self._signals.held():
                status = self._loop(began)
        except KeyboardInterrupt:
            status = "interrupted"
        except _Terminated:
            self._end("terminated")
            raise SystemExit(128 + signal.SIGTERM) from None
        except BaseException:
            self._study.status = "error"
            raise
        self._end(status)

    def _end(self, status: str) -> None:
        self._study.status = status
        if self._lines:
            self._lines.end(status)

    def _loop(self, began: float) -> str:
        history = self._session.history
        while True:
            self._signals.check()
            if (verdict := self._rules.verdict(history, time.monotonic() - began)) is not None:
                return verdict
            trials = self._session.next(self._scheduler, 1)
            if trials:
                if self._run(trials[0]):
                    return "stopped"
            elif self._session.others_run():
                time.sleep(_WAIT)  # if their process dies, what it runs is ours
                self._session.sync()
            else:
                limits = history.limits
                full = limits.trials is not None and history.started >= limits.trials
                steps = limits.total_steps is not None and int(history.reached.sum()) >= limits.total_steps
                return "complete" if full or steps else "exhausted"

    def _run(self, trial: Trial) -> bool:
        """Run one trial and end it. Whether a callback wants the study to stop."""
        try:
            counts, problem = self._attempt(trial)
        except BaseException:  # Ctrl-C, SIGTERM, a full disk: the trial is not to blame, and goes on later
            self._give_back(trial)
            raise
        if not counts:
            return False
        record = self._study.trials[trial.number]
        if self._lines:
            self._lines.finished(record)
        if record.state == State.FAILED:
            self._check(record, problem)
        with self._signals.let_through():
            answers = [callback(self._study, record) for callback in self._callbacks]
        return True in answers

    def _attempt(self, trial: Trial) -> tuple[bool, BaseException | None]:
        """Run the objective and end the trial: whether that counts, and the error that it ended with."""
        value, problem = None, None
        try:
            with self._signals.let_through():
                value = self._call(trial)
        except (Exception, SystemExit) as error:
            if _machine_fault(error):
                raise
            problem = error
        if trial.spent and self._has_reported_all(trial) and isinstance(problem, UnboundLocalError | None):
            # Its last attempt was cut short behind the last step. A call that finds no step to train returns what
            # its variables were before the loop, or finds them unbound: what was reported counts.
            value = problem = None
        if problem is not None:
            return self._ended(trial, state="failed", error=problem), problem
        if trial.verdict == "void" and trial.warned:  # it ended early, so what it returned is no result
            return self._ended(trial, state="queued"), None
        if trial.verdict == "pruned":
            return self._ended(trial, state="pruned"), None
        try:
            return self._ended(trial, None if trial.verdict == "done" else value), None
        except ObjectiveError as error:
            return self._ended(trial, state="failed", error=error), error

    def _ended(self, trial: Trial, value: Any = None, **how: Any) -> bool:
        return ended(self._session, trial, value, self._of, **how)

    def _has_reported_all(self, trial: Trial) -> bool:
        return self._session.curve(trial).keys() >= {o.metric for o in self._session.history.objectives}

    def _give_back(self, trial: Trial) -> None:
        with contextlib.suppress(StoreError):  # then it is done before the next decision, or at the end
            if trial.told:
                self._session.settle()
            elif trial.number in self._session.live:
                self._ended(trial, state="queued")

    def _check(self, record: Record, problem: BaseException | None) -> None:
        """Give up if what is wrong with the objective will not go away.

        Raises:
            ObjectiveError: it never gives the studied metric, or has always failed.
        """
        history = self._session.history
        if np.any(history.state == State.DONE):
            return
        if isinstance(problem, MissingMetric):
            raise ObjectiveError(str(problem)) from None
        failed = int(np.count_nonzero(history.state == State.FAILED))
        if failed >= self._rules.max_failures:
            error = record.error or {}
            raise ObjectiveError(
                f"{failed} trials have failed and none has succeeded, so the study stops. The last one: "
                f"{error.get('type')}: {error.get('message')}"
            ) from problem


def gainless(history: History) -> int:
    """How many trials in a row, up to now, brought no gain."""
    front = history.front
    if not len(front):
        return 0
    return int(np.count_nonzero(history.ended > history.ended[front].max()))


def _machine_fault(error: BaseException) -> bool:
    """Whether an objective failed because its results or states could not be written."""
    cause = error.__cause__ if isinstance(error, CheckpointError) else None
    return isinstance(error, StoreError) or (isinstance(cause, OSError) and cause.errno in _DISK)


class _Terminated(BaseException):
    """SIGTERM came."""


class _Signals:
    """Ctrl-C and SIGTERM as exceptions, let through only while the user's code runs.

    What the engine does in between is done whole; a second signal breaks into that too. Handlers of others stay.
    """

    def __init__(self) -> None:
        self._came: type[BaseException] | None = None
        self._open = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the signals that nobody else has a use for."""
        main = threading.current_thread() is threading.main_thread()
        free = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        ours = {kind: before for kind, before in free.items() if main and signal.getsignal(kind) is before}
        try:
            for kind in ours:
                signal.signal(kind, self._take)
            yield
        finally:
            for kind, before in ours.items():
                signal.signal(kind, before)
            self.check()

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Run user code."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False

    @contextlib.contextmanager
    def kept_out(self) -> Iterator[None]:
        """Run what user code asks of the engine."""
        if threading.current_thread() is not threading.main_thread():  # which gets no signals
            yield
            return
        before, self._open = self._open, False
        try:
            yield
        finally:
            self._open = before
            if before:
                self.check()

    def check(self) -> None:
        """Raise what came."""
        if self._came is not None:
            came, self._came, self._open = self._came, None, False
            raise came

    def _take(self, signum: int, frame: FrameType | None) -> None:
        again = self._came is not None
        self._came = KeyboardInterrupt if signum == signal.SIGINT else _Terminated
        if self._open or again:
            self.check()
