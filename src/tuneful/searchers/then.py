"""One searcher after another."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.errors import StudyError
from tuneful.history import History, Proposal
from tuneful.protocols import Searcher


@dataclass(frozen=True)
class Then:
    """Asks one searcher for so many trials, and another for those after them; which may be a `Then` itself.

    What the first does not propose before that, because it has no more or waits for results, the next does.

    Attributes:
        first: Asked for the trials before number `trials`.
        trials: How many of the study's trials; those that it did not propose count too.
        then: Asked from there on. If it learns, it learns from all trials.

    Raises:
        StudyError: `trials` is negative.

    >>> from tuneful.searchers import Random, Sobol
    >>> searcher = Then(Sobol(), 20, Random())
    """

    first: Searcher
    trials: int
    then: Searcher

    def __post_init__(self) -> None:
        if self.trials < 0:
            raise StudyError(f"Then: the first searcher is given {self.trials} trials. Pass 0 or more.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        asked = min(n, self.trials - len(history))
        found = self.first.propose(history, asked) if asked > 0 else []
        # Never both in one answer: the next searcher has to see what the first one proposed.
        return found or self.then.propose(history, n)
