"""Early stopping of one trial: no more gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tuneful.errors import StudyError
from tuneful.history import History


@dataclass(frozen=True)
class Patience:
    """Ends a trial, as done, that has not improved on its own best value for `steps` steps: early stopping.

    It has shown what it can, so its value counts: the last, or with `of="best"` the best of its steps.

    Never at a first bump: validation loss rises and falls again, so a few steps of waiting are part of the rule.

    Attributes:
        steps: Steps without gain to wait for, at least 2. Keras and Lightning users commonly wait 3 to 10.
        min_delta: Gains smaller than this do not count.
        warmup: Steps during which nothing is ended.
        relative: Whether `min_delta` is a share of the best value so far, as 0.01 for one percent, and not in its unit.

    Raises:
        StudyError: `steps` is below 2, or `min_delta` below 0.

    References:
        Prechelt, "Early stopping, but when?", 1998.
    """

    steps: int = 5
    min_delta: float = 0.0
    warmup: int = 0
    relative: bool = False

    finishes: ClassVar[bool] = True
    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise StudyError(f"Patience({self.steps}): wait for 2 steps at least; one bump says nothing.")
        if not self.min_delta >= 0:
            raise StudyError(f"Patience(min_delta={self.min_delta}): pass the smallest gain that counts, 0 or more.")

    def __call__(self, history: History, trial: int) -> bool:
        steps, values = history.curve(trial)
        if len(steps) < 2 or steps[-1] <= self.warmup:
            return False
        best, since = np.inf, int(steps[0])
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            if value < self._bar(best):
                best, since = value, step
        return int(steps[-1]) - since >= self.steps

    def _bar(self, best: float) -> float:
        """What a value must be below to be a gain."""
        return best - self.min_delta * (abs(best) if self.relative and math.isfinite(best) else 1.0)
