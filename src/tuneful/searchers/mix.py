"""Several searchers that share the trials of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from tuneful.errors import StudyError
from tuneful.history import History, Proposal
from tuneful.protocols import Searcher, rng


@dataclass(frozen=True)
class Mix:
    """Gives each trial to one of several searchers, drawn by their weights: a portfolio.

    All that learn, learn from all trials. When one has nothing to propose, the next in line is asked.

    Attributes:
        searchers: Each with its weight, as pairs or as a dict; or alone, to weigh 1.

    Raises:
        StudyError: there is none, or a weight is not above 0.

    >>> from tuneful.searchers import Random, Sobol
    >>> Mix([Sobol(), (Random(), 3)]).searchers
    ((Sobol(), 1.0), (Random(), 3.0))
    """

    searchers: Mapping[Searcher, float] | Sequence[Searcher | tuple[Searcher, float]]

    def __post_init__(self) -> None:
        given = self.searchers.items() if isinstance(self.searchers, Mapping) else self.searchers
        pairs = tuple(each if isinstance(each, tuple) else (each, 1.0) for each in given)
        if not pairs:
            raise StudyError("Mix: there is no searcher. Pass at least one.")
        for searcher, weight in pairs:
            if not 0 < weight < math.inf:
                raise StudyError(f"Mix: the weight of {searcher} is {weight!r}. Pass a number above 0.")
        object.__setattr__(self, "searchers", tuple((searcher, float(weight)) for searcher, weight in pairs))

    def propose(self, history: History, n: int) -> list[Proposal]:
        if n <= 0:
            return []
        pairs, first = self._pairs, len(history)
        turn = self._turn(history.seed, first)
        numbers = range(first, first + n)
        # Never two in one answer: each has to see what the others proposed.
        own = len(list(takewhile(lambda number: self._turn(history.seed, number) == turn, numbers)))
        for searcher, _ in pairs[turn:] + pairs[:turn]:
            if found := searcher.propose(history, own):
                return found
        return []

    @property
    def _pairs(self) -> tuple[tuple[Searcher, float], ...]:
        assert isinstance(self.searchers, tuple)
        return self.searchers

    def _turn(self, seed: int, number: int) -> int:
        """Whose turn trial `number` is, by place."""
        weights = [weight for _, weight in self._pairs]
        return int(rng(seed, number, "mix").choice(len(weights), p=[weight / math.fsum(weights) for weight in weights]))
