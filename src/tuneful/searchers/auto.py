"""The searcher for people who do not want to choose one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuneful.history import History, Proposal
from tuneful.protocols import Searcher
from tuneful.searchers.cma_es import CmaEs
from tuneful.searchers.draws import combinations
from tuneful.searchers.gp import Gp
from tuneful.searchers.grid import Grid
from tuneful.searchers.then import Then
from tuneful.searchers.tpe import Tpe

MODELLED = 500  # trials that a Gaussian process chooses in a long study; a later one would cost too much


@dataclass(frozen=True)
class Rule:
    """A row of the table by which `Auto` chooses.

    Attributes:
        when: The case, in words.
        holds: Whether it is that of a history.
        searcher: What it chooses then.
        because: Why; the figures are in `docs/searchers.md`.
    """

    when: str
    holds: Callable[[History], bool]
    searcher: Searcher
    because: str


def _is_covered(history: History) -> bool:
    trials = history.limits.trials
    return not history.space.open and trials is not None and combinations(history.space) <= trials


def _is_long(history: History) -> bool:
    return max(history.limits.trials or 0, len(history)) > 2 * MODELLED


def _is_plain(history: History) -> bool:
    space = history.space
    return not space.open and not any(p.parent is not None or p.domain.categorical for p in space.parameters)


TABLE = (
    Rule(
        "the trials suffice for every config",
        _is_covered,
        Grid(),
        "every config is tried once",
    ),
    Rule(
        "more than 1,000 trials, numbers only",
        lambda history: _is_long(history) and _is_plain(history),
        Then(Gp(), MODELLED, CmaEs()),
        "a Gaussian process finds the region in 500 trials, and evolution goes on at a fraction of its cost",
    ),
    Rule(
        "more than 1,000 trials, with choices or conditions",
        _is_long,
        Then(Gp(), MODELLED, Tpe()),
        "a Gaussian process finds the region in 500 trials, and densities go on at a fraction of its cost",
    ),
    Rule(
        "else",
        lambda _: True,
        Gp(),
        "a Gaussian process needs the fewest trials",
    ),
)


@dataclass(frozen=True)
class Auto:
    """Chooses the searcher that finds most in a study like this one.

    | the study | searcher |
    |---|---|
    | the trials suffice for every config | `Grid` |
    | more than 1,000 trials, numbers only | `Gp`, after 500 trials `CmaEs` |
    | more than 1,000 trials, with choices or conditions | `Gp`, after 500 trials `Tpe` |
    | else | `Gp` |
    """

    def propose(self, history: History, n: int) -> list[Proposal]:
        return self.rule(history).searcher.propose(history, n)

    def describe(self, history: History) -> str:
        """What it chose and why, in one line."""
        rule = self.rule(history)
        if isinstance(rule.searcher, Grid):
            return rule.searcher.describe(history)
        return f"search: {_named(rule.searcher)}: {rule.because}"

    def rule(self, history: History) -> Rule:
        """The row of the table that decides for a history."""
        return next(rule for rule in TABLE if rule.holds(history))


def _named(searcher: Searcher) -> str:
    if isinstance(searcher, Then):
        return f"{_named(searcher.first)}, after {searcher.trials} trials {_named(searcher.then)}"
    return type(searcher).__name__
