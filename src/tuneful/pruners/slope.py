"""A straight line through the last steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.pruners.rivals import bars, horizon

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Slope:
    """Ends a trial that would not reach the best value at its end, even if it went on improving as it does now.

    It is pruned: worse than others, and not done. How fast it improves says a robust line (Theil and Sen) through its
    last reports. Learning curves flatten, so a straight line is a kind forecast; it is wrong where a curve stays flat
    and falls late, as with a learning rate that drops near the end. A trial that has been as good as the best value at
    any step goes on, and one that gets no better is expected to stay as it is. With several objectives it must miss
    one of the best trials in each of them.

    A trial that was given its number of steps by `trial.steps(n)` is over there; else the longest trial so far tells.

    Attributes:
        steps: Reports that the line goes through, at least 3; nothing is ended before them. With 10, two or three of
            them may be off (29% is what the line bears).
        warmup: Steps during which nothing is ended.

    Raises:
        StudyError: `steps` is below 3.

    References:
        Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA, 1968.
    """

    steps: int = 10
    warmup: int = 0

    def __post_init__(self) -> None:
        if self.steps < 3:
            raise StudyError(f"Slope(steps={self.steps}): a line needs 3 reports at least.")

    def __call__(self, history: History, trial: int) -> bool:
        reached, end = int(history.reached[trial]), horizon(history, trial)
        if reached <= self.warmup or reached >= end:
            return False
        bests = bars(history)
        ahead = [self._forecast(history, trial, objective.metric, end) for objective in history.objectives]
        return bool(np.any(np.all(bests < np.array(ahead), axis=1)))

    def _forecast(self, history: History, trial: int, metric: str, end: int) -> float:
        """The lowest that the trial has been, or would be at the end; NaN if nothing can be said."""
        steps, values = history.curve(trial, metric)
        known = np.isfinite(values)
        if np.count_nonzero(known) < self.steps or not known[-1]:
            return np.nan
        t, y = steps[known], values[known]
        with np.errstate(over="ignore", invalid="ignore"):
            slope, level = line(t[-self.steps :], y[-self.steps :])
            return float(min(y.min(), level + slope * (end - int(t[-1]))))


def line(steps: Ints, values: Array) -> tuple[float, float]:
    """The slope of the robust line through points (n,), and its height at the last step.

    >>> line(np.array([1, 2, 3, 4, 5]), np.array([9.0, 8.0, 70.0, 6.0, 5.0]))
    (-1.0, 5.0)
    """
    later, earlier = np.tril_indices(len(steps), -1)
    slope = float(np.median((values[later] - values[earlier]) / (steps[later] - steps[earlier])))
    return slope, float(np.median(values - slope * (steps - steps[-1])))
