"""Several pruners as one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from tuneful.history import History
from tuneful.protocols import Pruner


@dataclass(frozen=True)
class AnyOf:
    """Ends a trial as soon as one of several pruners would.

    Attributes:
        pruners: The pruners, asked in order; of an `AnyOf` among them, those that it holds.
    """

    pruners: tuple[Pruner, ...]

    def __post_init__(self) -> None:
        # Flat, so that whoever asks which of them has spoken finds it, and whether it `finishes`.
        held = (pruner.pruners if isinstance(pruner, AnyOf) else (pruner,) for pruner in self.pruners)
        object.__setattr__(self, "pruners", tuple(chain.from_iterable(held)))

    @property
    def alone(self) -> bool:
        """Whether none of them looks at other trials."""
        return all(getattr(pruner, "alone", False) for pruner in self.pruners)

    def __call__(self, history: History, trial: int) -> bool:
        return any(pruner(history, trial) for pruner in self.pruners)
