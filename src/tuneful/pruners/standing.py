"""How a running trial stands among the others at its step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History

Array = NDArray[np.float64]


def standings(history: History, step: int) -> Array:
    """One number for each trial that has got to `step`, (n,), lower is better; NaN for the others.

    The best value up to `step`, so that one bad step does not end a good trial; with several objectives the
    rank at `step`.
    """
    if len(history.objectives) > 1:
        return history.rank_at(step)
    objective = history.objectives[0]
    if objective.metric not in history.curves:
        return np.full(len(history), np.nan)
    best = history.curves[objective.metric].best_until(step, len(history), objective.sign)
    return np.where(history.reached >= step, best, np.nan)
