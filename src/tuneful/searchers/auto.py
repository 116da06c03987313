"""The searcher for people who do not want to choose one."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Proposal
from tuneful.searchers.draws import combinations
from tuneful.searchers.grid import Grid
from tuneful.searchers.random import Random
from tuneful.searchers.sobol import Sobol


@dataclass(frozen=True)
class Auto:
    """Covers a space completely when the trials suffice for it, and otherwise fills it evenly.

    | the space | searcher |
    |---|---|
    | finite, and no larger than the limit of trials | `Grid` |
    | grows while the objective runs (define-by-run) | `Random` |
    | else | `Sobol` |
    """

    def propose(self, history: History, n: int) -> list[Proposal]:
        return self.chosen(history).propose(history, n)

    def chosen(self, history: History) -> Grid | Random | Sobol:
        """The searcher it uses for this space and limit."""
        if history.space.open:
            return Random()
        trials = history.limits.trials
        if trials is not None and combinations(history.space) <= trials:
            return Grid()
        return Sobol()
