"""Grid search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, Proposal
from tuneful.searchers.draws import next_of
from tuneful.space import Space
from tuneful.space.enumeration import Enumeration

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Tries every combination once, in order: the last parameter of the space varies fastest.

    Right when the space is small and must be covered completely; the cost grows exponentially with the number
    of parameters, so ask `cost` first. Parameters under a condition are combined only where it holds, and
    combinations that break a constraint are left out.

    Attributes:
        levels: At most how many values of each number, spread evenly on its scale; or by path, how many or which
            ones. Choices are tried in all their options, and by default numbers in all their values.

    >>> from tuneful.space import Float, Int, Space
    >>> space = Space({"lr": Float(1e-5, 1e-1, log=True), "batch": Int(32, 512, log=True, step=2)})
    >>> Grid(levels=5).cost(space)
    25
    """

    levels: int | Mapping[str, int | Sequence[Any]] | None = None

    learns: ClassVar[bool] = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        every = self._enumeration(history)

        def row(index: int) -> Array | None:
            return every.row(index) if index < every.size else None

        return next_of(history, n, f"grid {self.levels!r}", row, {"searcher": "grid"})

    def describe(self, history: History) -> str:
        """What it is going to do, in one line."""
        return f"grid search: {self.cost(history.space):,} configs, each once"

    def cost(self, space: Space) -> int:
        """How many trials it takes (those that break a constraint included).

        Raises:
            SpaceError: a continuous parameter has no levels.
        """
        return space.enumeration(self.levels).size

    def _enumeration(self, history: History) -> Enumeration:
        key = f"grid levels {self.levels!r}"
        known = history.recall(key)
        every: Enumeration = history.space.enumeration(self.levels) if known is None else known[1]
        history.remember(key, every)
        return every
