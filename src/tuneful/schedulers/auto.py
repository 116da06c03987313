"""The scheduler for people who do not want to choose one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tuneful.history import History, Job, State
from tuneful.protocols import Scheduler, Searcher
from tuneful.schedulers.asha import Asha
from tuneful.schedulers.freeze_thaw import FreezeThaw
from tuneful.schedulers.full import Full

_SHORT = 4  # steps below which there is nothing to save: the first rung and the end are all there is


@dataclass(frozen=True)
class Rule:
    """A row of the table by which `Auto` chooses.

    Attributes:
        when: The case, in words.
        holds: Whether it is that of a history.
        make: What it chooses then.
        because: Why.
    """

    when: str
    holds: Callable[[History], bool]
    make: Callable[[Searcher], Scheduler]
    because: str


def _is_silent(history: History) -> bool:
    over = history.state >= State.DONE
    return bool(over.any()) and not np.any(history.reached > 1)


def _is_short(history: History) -> bool:
    return 0 < int(history.length.max(initial=0)) < _SHORT


TABLE = (
    Rule("trials report no steps", _is_silent, Full, "trials report no steps"),
    Rule("trials have fewer than 4 steps", _is_short, Full, "trials have too few steps to end any early"),
    Rule(
        "several objectives",
        lambda history: len(history.objectives) > 1,
        Asha,
        "the undominated of those that have got as far go on",
    ),
    Rule("else", lambda _: True, FreezeThaw, "a model of the learning curves says what may still win"),
)


@dataclass(frozen=True)
class Auto:
    """Chooses how far to run trials, from what they report.

    | the study | scheduler |
    |---|---|
    | trials report no steps | `Full` |
    | trials have fewer than 4 steps | `Full` |
    | several objectives | `Asha` |
    | else | `FreezeThaw` |

    Attributes:
        searcher: Proposes the new trials.
    """

    searcher: Searcher

    def plan(self, history: History, n: int) -> list[Job]:
        return self.chosen(history).plan(history, n)

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
        chosen = self.chosen(history)
        return callable(chosen) and bool(chosen(history, trial))

    def describe(self, history: History) -> str:
        """What it chose and why, in one line."""
        rule = self.rule(history)
        return f"schedule: {type(rule.make(self.searcher)).__name__}: {rule.because}"

    def chosen(self, history: History) -> Scheduler:
        """The scheduler for a history."""
        return self.rule(history).make(self.searcher)

    def rule(self, history: History) -> Rule:
        """The row of the table that decides for a history."""
        return next(rule for rule in TABLE if rule.holds(history))
