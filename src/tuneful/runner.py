"""The loop that runs trials in this process until a study is done."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneful.errors import ObjectiveError, StudyError
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
        self._call = bind(objective, session.history.space)
        self._rules, self._callbacks, self._lines, self._of = rules, callbacks, lines, of

    def run(self) -> None:
        """Run until a limit is reached, nothing is left, or somebody interrupts."""
        if self._lines:
            self._lines.begin()
        began = time.monotonic()
        try:
            with _terminable():
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
            problem = self._attempt(trial)
        except BaseException:  # Ctrl-C, SIGTERM: the trial is not to blame, and goes on later
            if trial.number in self._session.live:
                ended(self._session, trial, None, self._of, state="queued")
            raise
        record = self._study.trials[trial.number]
        if self._lines:
            self._lines.finished(record)
        self._check(problem)
        return any([callback(self._study, record) is True for callback in self._callbacks])

    def _attempt(self, trial: Trial) -> BaseException | None:
        """Run the objective and end the trial; the error that it ended with, if it did."""
        try:
            value = self._call(trial)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises
            ended(self._session, trial, None, self._of, state="failed", error=error)
            return error
        if trial.verdict == "pruned":
            ended(self._session, trial, None, self._of, state="pruned")
            return None
        try:
            ended(self._session, trial, value, self._of)
        except ObjectiveError as error:
            ended(self._session, trial, None, self._of, state="failed", error=error)
            return error
        return None

    def _check(self, problem: BaseException | None) -> None:
        """Give up if what is wrong with the objective will not go away.

        Raises:
            ObjectiveError: it never gives the studied metric, or has always failed.
        """
        history = self._session.history
        if problem is None or np.any(history.state == State.DONE):
            return
        if isinstance(problem, MissingMetric):
            raise ObjectiveError(str(problem)) from None
        failed = int(np.count_nonzero(history.state == State.FAILED))
        if failed >= self._rules.max_failures:
            raise ObjectiveError(
                f"{failed} trials have failed and none has succeeded, so the study stops. The last one: "
                f"{type(problem).__name__}: {problem}"
            ) from problem


def gainless(history: History) -> int:
    """How many trials in a row, up to now, brought no gain."""
    front = history.front
    if not len(front):
        return 0
    return int(np.count_nonzero(history.ended > history.ended[front].max()))


def seconds_of(timeout: float | str | None) -> float | None:
    """Seconds of a number, or of a text like `90s`, `20m`, `2h`, `1d`.

    Raises:
        StudyError: it is neither, or not above 0.

    >>> seconds_of("1.5h")
    5400.0
    """
    if timeout is None:
        return None
    seconds = 0.0
    if isinstance(timeout, str):
        found = re.fullmatch(r"\s*([0-9.]+)\s*([smhd]?)\s*", timeout)
        with contextlib.suppress(ValueError):
            seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else 0.0
    elif isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        seconds = float(timeout)
    if not seconds > 0:
        raise StudyError(f"timeout={timeout!r}: pass seconds, or a text like '90s', '20m' or '2h'.")
    return seconds


class _Terminated(BaseException):
    """SIGTERM came."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, where nobody else has a use for it."""

    def terminate(signum: int, frame: FrameType | None) -> None:
        raise _Terminated

    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if mine:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
