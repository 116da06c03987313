"""Random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tuneful.history import History, Proposal
from tuneful.searchers.draws import each_new, random_rows


@dataclass(frozen=True)
class Random:
    """Draws every config by itself, from the weights and beliefs of the space; uniformly where there are none.

    Right when trials are cheap and the space is large: of many parameters few matter, and every random trial
    tries a new value of those, where a grid repeats its few levels. In a finite space no config comes twice.

    References:
        Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 2012.
    """

    learns: ClassVar[bool] = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        why = {"searcher": "random"}
        if not len(history.space):
            return [Proposal({}, why)] * n
        return each_new(history, n, lambda number: random_rows(history, number, "random"), why)
