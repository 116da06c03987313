"""Synchronous successive halving."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Job
from tuneful.protocols import Searcher
from tuneful.schedulers import brackets
from tuneful.schedulers.brackets import Bracket
from tuneful.schedulers.rungs import check_rungs, geometric, length


@dataclass(frozen=True)
class SuccessiveHalving:
    """Starts a group of trials, and at each rung goes on with the best 1/`eta`; then the next group.

    Attributes:
        searcher: Proposes the new trials.
        first: The first rung; the next lie at `first` x `eta` and so on.
        eta: One of so many goes on.
        size: Trials in a group; by default as many as leave one at the end.
        steps: How many a trial has, if trials do not say so by `trial.steps(n)`.

    Raises:
        StudyError: `first` is below 1, or `eta` below 2.

    References:
        Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
    """

    searcher: Searcher
    first: int = 1
    eta: int = 3
    size: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        check_rungs("SuccessiveHalving", self.first, self.eta)

    def plan(self, history: History, n: int) -> list[Job]:
        return brackets.plan(history, n, self.searcher, self._shape(history))

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
        return brackets.ends(history, trial, self._shape(history), self.eta)

    def _shape(self, history: History) -> brackets.Shape:
        last = length(history, self.steps)
        if last is None:
            return lambda _: brackets.unknown(self.first)
        levels = geometric(self.first, self.eta, last)
        size = self.size or self.eta ** len(levels)
        sizes = tuple(max(1, size // self.eta**k) for k in range(len(levels) + 1))
        bracket = Bracket(sizes, (*levels, None))
        return lambda _: bracket
