"""One step for all, and the best to the end."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Job
from tuneful.protocols import Searcher
from tuneful.schedulers import brackets
from tuneful.schedulers.brackets import Bracket
from tuneful.schedulers.rungs import check_rungs


@dataclass(frozen=True)
class OneEpoch:
    """Trains each trial of a group for its first steps, and the best few to the end; then the next group.

    On public tables of learning curves hardly anything beats it, since curves there seldom cross: what does not beat
    this is not worth its trouble.

    Attributes:
        searcher: Proposes the new trials.
        first: The steps that all get.
        size: Trials in a group.
        kept: How many of them go on.

    References:
        Egele et al., "Is one epoch all you need for multi-fidelity hyperparameter optimization?", ESANN 2023.
    """

    searcher: Searcher
    first: int = 1
    size: int = 27
    kept: int = 3

    def __post_init__(self) -> None:
        check_rungs("OneEpoch", self.first, 2)

    def plan(self, history: History, n: int) -> list[Job]:
        return brackets.plan(history, n, self.searcher, self._shape)

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
        return brackets.ends(history, trial, self._shape, max(1, self.size // self.kept))

    def _shape(self, _: int) -> Bracket:
        return Bracket((self.size, self.kept), (self.first, None))
