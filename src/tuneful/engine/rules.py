"""When to stop a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuneful.errors import ObjectiveError
from tuneful.history import History, State
from tuneful.values import MissingMetric


@dataclass(frozen=True)
class Rules:
    """When to stop; see `Study.run`."""

    timeout: float | None = None
    target: float | None = None
    patience: int | None = None
    max_failures: int = 3

    @property
    def look(self) -> bool:
        """Whether they look at results."""
        return self.target is not None or self.patience is not None

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


def gainless(history: History) -> int:
    """How many trials in a row, up to now, brought no gain."""
    front = history.front
    if not len(front):
        return 0
    return int(np.count_nonzero(history.ended > history.ended[front].max()))


def check_failures(
    history: History, error: Mapping[str, str] | None, most: int, problem: BaseException | None = None
) -> None:
    """Give up if what is wrong with the objective will not go away.

    Args:
        history: After a trial that failed.
        error: Why it did.
        most: How many may fail before one has succeeded.
        problem: The error itself, if it was raised in this process.

    Raises:
        ObjectiveError: it never gives the studied metric, or has always failed.
    """
    if np.any(history.state == State.DONE):
        return
    told = error or {}
    if told.get("type") == MissingMetric.__name__:
        raise ObjectiveError(told.get("message", "")) from None
    failed = int(np.count_nonzero(history.state == State.FAILED))
    if failed >= most:
        raise ObjectiveError(
            f"{failed} trials have failed and none has succeeded, so the study stops. The last one: "
            f"{told.get('type')}: {told.get('message')}"
        ) from problem


def completed(history: History) -> str:
    """Why nothing is left to do: `complete` if a limit is reached, else `exhausted`."""
    limits = history.limits
    full = limits.trials is not None and history.started >= limits.trials
    steps = limits.total_steps is not None and int(history.reached.sum()) >= limits.total_steps
    return "complete" if full or steps else "exhausted"
