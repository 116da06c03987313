"""Several pruners as one."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History
from tuneful.protocols import Pruner


@dataclass(frozen=True)
class AnyOf:
    """Ends a trial as soon as one of several pruners would.

    Attributes:
        pruners: The pruners, asked in order.
    """

    pruners: tuple[Pruner, ...]

    def __call__(self, history: History, trial: int) -> bool:
        return any(pruner(history, trial) for pruner in self.pruners)
