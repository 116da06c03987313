"""Successive halving as a rule to stop by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.history.ranking import ranks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Halving:
    """Ends a trial that is not in the top 1/`eta` of all that have got as far as a rung: successive halving.

    The rungs are the steps `first`, `first` x `eta`, `first` x `eta`² … A trial is judged by its value at the last
    rung that it has passed, or by the last one that it reported before it, never by a later one. It counts among those
    that are compared. Ties go on; NaN and infinity are worse than any number. Between two rungs, where more trials may
    have come by since, one that is in the top of those that got to its step goes on, whatever it was at the rung.

    Works with any loop: trials end or go on, none is paused. With several objectives trials are compared by the rank
    of what they reported.

    Attributes:
        first: The first rung.
        eta: One in so many goes on: 3 as in Syne Tune and NePS; the experiments of the paper have 4.
        peers: Other trials that must have got to the rung before a trial is judged; with `eta` of 3, the best third of
            fewer than 3 trials is less than one.

    Raises:
        StudyError: `first` or `peers` is below 1, or `eta` below 2, or one of them is not whole.

    References:
        Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; the stopping variant.
    """

    first: int = 1
    eta: int = 3
    peers: int = 2

    def __post_init__(self) -> None:
        for name, value, least in (("first", self.first, 1), ("eta", self.eta, 2), ("peers", self.peers, 1)):
            if int(value) != value or value < least:
                raise StudyError(f"Halving({name}={value}): pass a whole number of {least} or more.")

    def __call__(self, history: History, trial: int) -> bool:
        step, length = int(history.reached[trial]), int(history.length[trial])
        if step < self.first or step >= length > 0:
            return False
        rung = self.rung(step)
        if not self._is_out(history, trial, rung, self.peers):
            return False
        return step == rung or self._is_out(history, trial, step, 0)

    def rung(self, step: int) -> int:
        """The last rung up to `step`, which is at least the first.

        >>> [Halving().rung(step) for step in (1, 2, 3, 8, 9, 26, 27)]
        [1, 1, 3, 3, 9, 9, 27]
        """
        rung = self.first
        while rung * self.eta <= step:
            rung *= self.eta
        return rung

    def _is_out(self, history: History, trial: int, step: int, peers: int) -> bool:
        """Whether a trial is not in the top of at least `peers` others at `step`."""
        standing = standings_at(history, step)
        n = int(np.count_nonzero(~np.isnan(standing)))
        if np.isnan(standing[trial]) or n <= peers:
            return False
        return int(np.count_nonzero(standing < standing[trial])) >= max(1, n // self.eta)


def standings_at(history: History, step: int) -> Array:
    """One number for each trial that got to `step`, from its last report up to it, (n,); lower is better.

    Equal reports have equal numbers, what is not finite has infinity, and NaN means that the trial did not get there,
    or had not reported all objectives.
    """
    y = np.column_stack([_last_until(history, step, objective.metric) for objective in history.objectives])
    there = (history.reached >= step) & ~np.isnan(y).any(axis=1)
    standing = np.where(there, np.inf, np.nan)
    finite = there & np.isfinite(y).all(axis=1)
    if len(history.objectives) == 1:
        standing[finite] = y[finite, 0]
    elif np.any(finite):
        rows, place = np.unique(y[finite], axis=0, return_inverse=True)
        standing[finite] = ranks(rows)[place.reshape(-1)]
    return standing


def _last_until(history: History, step: int, metric: str) -> Array:
    """What each trial reported last up to `step`, (n,), lower is better; inf for NaN, NaN for nothing."""
    last = np.full(len(history), np.nan)
    if metric in history.curves:
        curve = history.curves[metric]
        at = np.zeros(len(history), dtype=np.int64)  # the step of that report
        here = np.flatnonzero(curve.step <= step)
        np.maximum.at(at, curve.trial[here], curve.step[here])
        here = here[curve.step[here] == at[curve.trial[here]]]
        values = history.sign(metric) * curve.value[here]
        last[curve.trial[here]] = np.where(np.isnan(values), np.inf, values)
    return last
