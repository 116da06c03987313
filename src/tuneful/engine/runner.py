"""A run of a study: what is the same for trials in this process and for those of workers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tuneful.engine.patience import patiently
from tuneful.engine.rules import Rules, check_failures, completed
from tuneful.engine.session import Session
from tuneful.engine.signals import Signals, Terminated
from tuneful.history import State

if TYPE_CHECKING:
    from tuneful.display import Lines
    from tuneful.record import Record
    from tuneful.study import Study

Callback = Callable[["Study", "Record"], object]


class Runner:
    """The frame of a run: its limits, its signals, and those who hear of its trials.

    Args:
        study: Whose trials; given to callbacks.
        session: Its link to the store.
        rules: When to stop.
        callbacks: Called after each trial.
        lines: Prints; None prints nothing.
    """

    def __init__(
        self, study: Study, session: Session, rules: Rules, callbacks: Sequence[Callback], lines: Lines | None
    ) -> None:
        self.session = session
        self.signals = Signals()
        self._study, self._rules, self._callbacks, self._lines = study, rules, callbacks, lines
        self._began = time.monotonic()

    def run(self, loop: Callable[[Runner], str]) -> None:
        """Run until `loop` says why it ended, or somebody interrupts.

        Raises:
            SystemExit: SIGTERM came; what ran is queued again.
        """
        if self._lines:
            self._lines.begin()
        self.session.undisturbed = self.signals.kept_out
        try:
            with self.signals.held():
                status = loop(self)
        except KeyboardInterrupt:
            status = "interrupted"
        except Terminated:
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

    def verdict(self) -> str | None:
        """Why to start nothing more, if there is a reason."""
        if self._rules.look:
            patiently(self.session.refresh, self.signals)
        return self._rules.verdict(self.session.history, time.monotonic() - self._began)

    def completed(self) -> str:
        """End what is paused and will not go on, since nothing is left to do; why the run ends."""
        patiently(self.session.prune_paused, self.signals)
        return completed(self.session.history)

    def over(self, number: int, state: State, problem: BaseException | None = None) -> bool:
        """Tell of a trial that ended; whether a callback wants the study to stop.

        Raises:
            ObjectiveError: it failed, and going on makes no sense.
        """
        if not (self._lines or self._callbacks or state == State.FAILED):
            return False
        record = self._study.trials[number]
        if self._lines:
            self._lines.finished(record)
        if record.state == State.FAILED:
            check_failures(self.session.history, record.error, self._rules.max_failures, problem)
        with self.signals.let_through():
            answers = [callback(self._study, record) for callback in self._callbacks]
        return True in answers
