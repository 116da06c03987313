"""A line that a metric must not cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tuneful.errors import StudyError
from tuneful.history import History


@dataclass(frozen=True)
class Threshold:
    """Ends a trial as soon as a metric is above `upper` or below `lower`.

    Attributes:
        upper: The highest value, as reported, that may go on.
        lower: The lowest.
        metric: Which metric; the first objective by default.
        warmup: Steps during which nothing is ended.

    Raises:
        StudyError: neither bound is given.
    """

    upper: float | None = None
    lower: float | None = None
    metric: str | None = None
    warmup: int = 0

    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.upper is None and self.lower is None:
            raise StudyError("Threshold(): pass `upper`, `lower` or both.")

    def __call__(self, history: History, trial: int) -> bool:
        name = self.metric or history.objectives[0].metric
        steps, values = history.curve(trial, name)
        if not len(steps) or steps[-1] <= self.warmup:
            return False
        value = history.sign(name) * float(values[-1])
        above = self.upper is not None and value > self.upper
        return above or (self.lower is not None and value < self.lower)
