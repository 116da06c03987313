"""The signed-rank test: worse than the best, fold by fold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.pruners.rivals import incumbents, leader

Array = NDArray[np.float64]

_EXACT = 50  # pairs up to which all signs are counted; above, the normal law is as good


@dataclass(frozen=True)
class Wilcoxon:
    """Ends a trial that is worse than the best one, step by step, where steps are folds, seeds or instances.

    What both reported at the same step is compared: so it matters neither in which order they reported, nor that some
    folds are harder than others. The best is the done trial with the best value; while none is done, the one with the
    best mean over the same steps. A trial that is better in the mean over the shared steps goes on, whatever the test
    says; so does one that has reported all its steps. With several objectives it must be worse in each of them than
    one of the best trials.

    NaN is left out, infinity is the worst rank, and equal values speak for neither side.

    Attributes:
        p: The chance of so bad a result among equals, below which a trial ends: 0.1 as in Optuna. It takes 4 pairs to
            get there.
        startup: Shared steps before a trial is judged: 2 as in Optuna.

    Raises:
        StudyError: `p` is not between 0 and 1, or `startup` is below 1.

    References:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin, 1945; Pratt, "Remarks on zeros and
        ties in the Wilcoxon signed rank procedures", JASA, 1959.
    """

    p: float = 0.1
    startup: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.p < 1:
            raise StudyError(f"Wilcoxon(p={self.p}): pass a chance between 0 and 1.")
        if self.startup < 1:
            raise StudyError(f"Wilcoxon(startup={self.startup}): pass 1 shared step or more.")

    def __call__(self, history: History, trial: int) -> bool:
        length = int(history.length[trial])
        if length and len(history.curve(trial)[0]) >= length:
            return False
        rivals = incumbents(history)
        rivals = rivals if len(rivals) else leader(history, trial)
        metrics = [objective.metric for objective in history.objectives]
        return any(all(self._worse(history, trial, rival, metric) for metric in metrics) for rival in rivals.tolist())

    def _worse(self, history: History, trial: int, rival: int, metric: str) -> bool:
        (steps, mine), (others, theirs) = history.curve(trial, metric), history.curve(rival, metric)
        _, here, there = np.intersect1d(steps, others, assume_unique=True, return_indices=True)
        with np.errstate(over="ignore", invalid="ignore"):
            difference = mine[here] - theirs[there]
            difference = difference[~np.isnan(difference)]
            mean = difference.mean() if len(difference) else 0.0
        return bool(len(difference) >= self.startup and mean > 0 and signed_rank(difference) < self.p)


def signed_rank(difference: Array) -> float:
    """The chance that the ranks of what is above 0 add up to as much as here, or to more, if signs were tossed.

    Exact up to 50 differences, also with ties (middle ranks) and zeros (ranked, and then left out, after Pratt).

    Args:
        difference: Of pairs, (n,), not NaN.

    >>> signed_rank(np.array([1.0, 2.0, 3.0, 4.0]))
    0.0625
    """
    _, place, count = np.unique(np.abs(difference), return_inverse=True, return_counts=True)
    twice = (2 * np.cumsum(count) - count + 1)[place]  # twice the middle ranks, so that they are whole
    signed = twice[difference != 0]
    above, total = int(twice[difference > 0].sum()), int(signed.sum())
    if len(signed) > _EXACT:
        spread = math.sqrt(float(np.square(signed).sum()))
        return 0.5 * math.erfc((2 * above - total) / spread / math.sqrt(2))
    chance = np.zeros(total + 1)  # of each sum
    chance[0] = 1.0
    for rank in signed.tolist():
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: len(chance) - rank]
        chance = (chance + moved) / 2
    return float(chance[above:].sum())
