"""Hyperband: successive halving, from daring to careful."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Job
from tuneful.protocols import Searcher
from tuneful.schedulers import brackets
from tuneful.schedulers.brackets import Bracket
from tuneful.schedulers.rungs import check_rungs, length


@dataclass(frozen=True)
class Hyperband:
    """Brackets of successive halving, from many trials that begin with few steps to few that get all of them.

    With R steps and s from the largest power of `eta` in R down to 0, a bracket begins with
    ceil((s_max + 1) / (s + 1) x eta^s) trials of R / eta^s steps; of each rung 1/`eta` goes on to `eta` times as many.
    When all brackets are full, they begin anew. Until a trial has said how many steps it has, each is trained for one.

    Attributes:
        searcher: Proposes the new trials; with `Kde` this is BOHB.
        eta: One of so many goes on; 3 as in the paper.
        steps: How many a trial has, R, if trials do not say so by `trial.steps(n)`.

    Raises:
        StudyError: `eta` is below 2.

    References:
        Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 2018, algorithm 1.
    """

    searcher: Searcher
    eta: int = 3
    steps: int | None = None

    def __post_init__(self) -> None:
        check_rungs("Hyperband", 1, self.eta)

    def plan(self, history: History, n: int) -> list[Job]:
        return brackets.plan(history, n, self.searcher, self._shape(history))

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
        return brackets.ends(history, trial, self._shape(history), self.eta)

    def _shape(self, history: History) -> brackets.Shape:
        shapes = layout(length(history, self.steps), self.eta)
        return lambda number: shapes[number % len(shapes)]


def layout(steps: int | None, eta: int) -> list[Bracket]:
    """The brackets of one round, the most daring first.

    >>> [bracket.sizes for bracket in layout(81, 3)]
    [(81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,)]
    """
    if steps is None:
        return [brackets.unknown(1)]
    most = 0
    while eta ** (most + 1) <= steps:
        most += 1
    found = []
    for s in range(most, -1, -1):
        first = -(-(most + 1) * eta**s // (s + 1))
        sizes = tuple(first // eta**i for i in range(s + 1))
        levels = tuple(steps // eta ** (s - i) if i < s else None for i in range(s + 1))
        found.append(Bracket(sizes, levels))
    return found
