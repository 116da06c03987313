"""A study run in this process, one trial at a time."""

from __future__ import annotations

import time
from functools import partial

from tuneful.engine.attempt import Attempts
from tuneful.engine.decider import Decider
from tuneful.engine.patience import patiently
from tuneful.engine.runner import Runner
from tuneful.protocols import Scheduler
from tuneful.trial import Trial

_WAIT = 0.2  # seconds between looks at what other processes run


class Inline:
    """The loop that decides a trial, runs it, and decides the next.

    Args:
        scheduler: Decides what to run.
        decider: Makes trials of it.
        attempts: Runs them.
    """

    def __init__(self, scheduler: Scheduler, decider: Decider, attempts: Attempts) -> None:
        self._scheduler, self._decider, self._attempts = scheduler, decider, attempts

    def __call__(self, runner: Runner) -> str:
        """Run until a limit is reached or nothing is left; why it ended."""
        session, signals = runner.session, runner.signals
        while True:
            signals.check()
            if self._attempts.next is None and (verdict := runner.verdict()) is not None:
                return verdict
            trial = self._next(runner)
            if trial is not None:
                self._attempts.next = None
                counts, problem = self._attempts.run(trial, partial(self._next, runner))
                if counts and runner.over(trial.number, trial.row.state, problem):
                    return "stopped"
            elif session.wish == "stop":
                return "stopped"
            elif session.wish == "pause" or patiently(session.others_run, signals):
                time.sleep(_WAIT)  # if their process dies, what it runs is ours
                patiently(session.sync, signals)
            else:
                return runner.completed()

    def _next(self, runner: Runner) -> Trial | None:
        """What to run now; None if nothing is, or nothing more."""
        if self._attempts.next is not None:
            return self._attempts.next
        if runner.verdict() is not None:
            return None
        trials = patiently(lambda: self._decider.next(self._scheduler, 1), runner.signals)
        return trials[0] if trials else None
