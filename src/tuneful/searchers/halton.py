"""Quasi-random search with a Halton sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tuneful.history import History, Proposal
from tuneful.searchers.sobol import quasi_random


@dataclass(frozen=True)
class Halton:
    """Fills the space evenly with a scrambled Halton sequence, for any number of parameters and trials.

    References:
        Halton, "On the efficiency of certain quasi-random sequences of points …", 1960.
        Owen, "A randomized Halton algorithm in R", 2017 (the scrambling).
    """

    learns: ClassVar[bool] = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        return quasi_random(history, n, "halton")
