"""The percentile rule, and the median rule that is its half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.pruners.standing import standings


@dataclass(frozen=True)
class Percentile:
    """Ends a trial that is not among the best `keep` percent of all trials that got to its step.

    It is judged by its best value so far, on the curves of all trials, also the unfinished ones.

    Attributes:
        keep: The percentage that goes on.
        warmup: Steps during which nothing is ended: curves cross early.
        peers: Other trials that must have got to the step before it is judged.

    Raises:
        StudyError: `keep` is not between 0 and 100.
    """

    keep: float = 25.0
    warmup: int = 2
    peers: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.keep < 100:
            raise StudyError(f"Percentile(keep={self.keep}): pass a percentage between 0 and 100.")

    def __call__(self, history: History, trial: int) -> bool:
        step = int(history.reached[trial])
        if step <= self.warmup:
            return False
        standing = standings(history, step)
        others = np.delete(standing, trial)
        others = others[~np.isnan(others)]
        if len(others) < self.peers:
            return False
        return bool(standing[trial] > np.percentile(others, self.keep))
