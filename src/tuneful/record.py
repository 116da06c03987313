"""What a study knows of its trials, to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.history import Checkpoint, History, State
from tuneful.space import Config, Space


@dataclass(frozen=True)
class Record:
    """One trial, as far as it is known; it reads from the study when asked, and so is always up to date.

    Attributes:
        number: Which trial.
    """

    number: int
    _history: History
    _spaces: Mapping[int, Space] = field(compare=False)

    @property
    def state(self) -> State:
        """Where it stands."""
        return State(int(self._history.state[self.number]))

    @property
    def config(self) -> Config:
        """Its values by path, as they are stored."""
        return self._history.config(self.number)

    @property
    def params(self) -> dict[str, Any]:
        """Its values as the objective gets them."""
        space = self._spaces.get(int(self._history.space_version[self.number]), self._history.space)
        try:
            return space.nested(self.config)
        except (SpaceError, KeyError):  # options that exist only in code that is not here
            return dict(self.config)

    @property
    def value(self) -> float | None:
        """The first studied metric at its end; None if there is none."""
        column = self._history.metrics.get(self._history.objectives[0].metric)
        return None if column is None else _known(column[self.number])

    @property
    def values(self) -> dict[str, float]:
        """The studied metrics at its end."""
        metrics = self.metrics
        return {o.metric: metrics[o.metric] for o in self._history.objectives if o.metric in metrics}

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics at its end."""
        found = ((name, float(column[self.number])) for name, column in self._history.metrics.items())
        return {name: value for name, value in found if value == value}  # noqa: PLR0124 - not NaN

    @property
    def mean(self) -> float | None:
        """The mean of the first studied metric over it and its repeats."""
        mean = self._history.objectives[0].sign * self._history.means[self.number, 0]
        return float(mean) if np.isfinite(mean) else None

    @property
    def feasible(self) -> bool:
        """Whether it breaks no constraint that is known of it."""
        return bool(self._history.feasible[self.number])

    @property
    def step(self) -> int:
        """The last step it reported."""
        return int(self._history.reached[self.number])

    @property
    def attempt(self) -> int:
        """How often it was started."""
        return int(self._history.attempt[self.number])

    @property
    def seconds(self) -> float:
        """How long it has trained, over all attempts."""
        return float(self._history.cost[self.number])

    @property
    def started(self) -> float | None:
        """The Unix time at which it was first started."""
        return _known(self._history.started_at[self.number])

    @property
    def finished(self) -> float | None:
        """The Unix time at which it ended."""
        return _known(self._history.finished_at[self.number])

    @property
    def error(self) -> Mapping[str, str] | None:
        """Why it failed: `type`, `message` and `traceback`."""
        found: Mapping[str, str] | None = self._history.text("error", self.number)
        return found

    @property
    def why(self) -> Mapping[str, Any]:
        """Why it was proposed, in data."""
        found: Mapping[str, Any] = self._history.text("why", self.number)
        return found

    @property
    def seen(self) -> int:
        """The revision of the study that was known when it was proposed; `study.explain` says more."""
        return int(self._history.seen[self.number])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The system settings it ran with."""
        found: Mapping[str, Any] = self._history.text("settings", self.number)
        return found

    @property
    def repeat_of(self) -> int | None:
        """The trial of which it repeats the config."""
        root = int(self._history.repeat_of[self.number])
        return None if root < 0 else root

    @property
    def parent(self) -> Checkpoint | None:
        """The checkpoint it was forked from."""
        trial = int(self._history.parent[self.number])
        return None if trial < 0 else Checkpoint(trial, int(self._history.parent_step[self.number]))

    @property
    def saved(self) -> int | None:
        """The step of its last checkpoint."""
        found = self._history.text("saved", self.number)
        return found[0] if found else None

    def curve(self, metric: str | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What it reported of a metric (the studied one by default), as it was reported: (steps, values)."""
        name = metric or self._history.objectives[0].metric
        steps, values = self._history.curve(self.number, name)
        return steps, self._history.sign(name) * values

    def __repr__(self) -> str:
        value = "" if self.value is None else f" {self.value:.4g}"
        return f"<trial {self.number} {self.state}{value}>"


class Records(Sequence[Record]):
    """Trials, each read when it is asked for."""

    def __init__(self, numbers: Sequence[int], history: History, spaces: Mapping[int, Space]) -> None:
        self._numbers, self._history, self._spaces = numbers, history, spaces

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> Record | Records:
        if isinstance(index, slice):
            return Records(self._numbers[index], self._history, self._spaces)
        try:
            return Record(int(self._numbers[index]), self._history, self._spaces)
        except IndexError:
            raise IndexError(f"There is no trial {index} here; there are {len(self)}, counted from 0.") from None

    def __iter__(self) -> Iterator[Record]:
        return (Record(int(number), self._history, self._spaces) for number in self._numbers)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self[:8]))}{', …' if len(self) > 8 else ''}]"


def _known(value: float) -> float | None:
    known = float(value)
    return None if math.isnan(known) else known
