"""Training that has broken down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tuneful.history import History


@dataclass(frozen=True)
class Diverged:
    """Ends a trial as soon as a metric is NaN or infinite: it does not come back from there.

    Attributes:
        metrics: Which metrics to watch; the studied ones by default.
    """

    metrics: tuple[str, ...] = ()

    alone: ClassVar[bool] = True

    def __call__(self, history: History, trial: int) -> bool:
        names = self.metrics or tuple(objective.metric for objective in history.objectives)
        last = (history.curve(trial, name)[1][-1:] for name in names)
        return any(not np.isfinite(value).all() for value in last)
