"""The median rule."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History
from tuneful.pruners.percentile import Percentile


@dataclass(frozen=True)
class Median:
    """Ends a trial whose best value so far is worse than the median of the others' at its step.

    Attributes:
        warmup: Steps during which nothing is ended: curves cross early.
        peers: Other trials that must have got to the step before it is judged.

    References:
        Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017, section 3.2.
    """

    warmup: int = 2
    peers: int = 4

    def __call__(self, history: History, trial: int) -> bool:
        return Percentile(50.0, self.warmup, self.peers)(history, trial)
