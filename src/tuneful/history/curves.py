"""The curves of all trials: one long array a field, for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

UNTOLD = int(np.iinfo(np.int64).max)  # the revision of what only the process knows that reported it
_SCANNED = 4096  # points that are looked through one by one before they are sorted by trial


class Curves:
    """The points (trial, step, value) of one metric, in the order in which they became known."""

    def __init__(self) -> None:
        self._n = 0
        self._trial: Ints = np.empty(64, dtype=np.int64)
        self._step: Ints = np.empty(64, dtype=np.int64)
        self._rev: Ints = np.empty(64, dtype=np.int64)
        self._value: Array = np.empty(64)
        # The first `_sorted` points by trial: those of trial t are _order[_starts[t] : _starts[t + 1]].
        self._sorted = 0
        self._order: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._starts: NDArray[np.intp] = np.zeros(1, dtype=np.intp)

    def __len__(self) -> int:
        return self._n

    @property
    def trial(self) -> Ints:
        """The trial of each point, (p,)."""
        return self._trial[: self._n]

    @property
    def step(self) -> Ints:
        """The step of each point, (p,)."""
        return self._step[: self._n]

    @property
    def value(self) -> Array:
        """The value of each point, (p,)."""
        return self._value[: self._n]

    @property
    def rev(self) -> Ints:
        """The revision of the study at which each point became known, (p,)."""
        return self._rev[: self._n]

    def add(self, trial: int, step: int, value: float, rev: int) -> None:
        """One more point."""
        if self._n == len(self._trial):
            self._grow(1)
        n = self._n
        self._trial[n], self._step[n], self._value[n], self._rev[n] = trial, step, value, rev
        self._n += 1

    def extend(self, trial: int, steps: Sequence[int], values: Sequence[float], rev: int | Ints) -> None:
        """A whole curve, with one revision or with one for each step."""
        count = len(steps)
        if self._n + count > len(self._trial):
            self._grow(count)
        at = slice(self._n, self._n + count)
        self._trial[at], self._step[at], self._value[at], self._rev[at] = trial, steps, values, rev
        self._n += count

    def drop(self, trial: int, after: int) -> None:
        """Forget the points of `trial` beyond step `after`."""
        places = self._places(trial)
        self._remove(places[self._step[places] > after])

    def drop_step(self, trial: int, step: int) -> None:
        """Forget what `trial` reported at `step`."""
        places = self._places(trial)
        self._remove(places[self._step[places] == step])

    def drop_untold(self, trial: int) -> None:
        """Forget the points of `trial` that only this process knows."""
        places = self._places(trial)
        self._remove(places[self._rev[places] == UNTOLD])

    def tell(self, trial: int, rev: int) -> None:
        """The points of `trial` that only this process knew became known to all at `rev`."""
        places = self._places(trial)
        self._rev[places[self._rev[places] == UNTOLD]] = rev

    def of(self, trial: int) -> tuple[Ints, Array]:
        """The (steps, values) of one trial, in order of step."""
        steps, values, _ = self.points(trial)
        return steps, values

    def points(self, trial: int) -> tuple[Ints, Array, Ints]:
        """The (steps, values, revisions) of one trial, in order of step."""
        places = self._places(trial)
        places = places[np.argsort(self._step[places], kind="stable")]
        return self._step[places], self._value[places], self._rev[places]

    def at(self, step: int, n: int) -> Array:
        """The value that each of `n` trials had at `step`, (n,); NaN where it has not got there."""
        values = np.full(n, np.nan)
        here = self.step == step
        values[self.trial[here]] = self.value[here]
        return values

    def best_until(self, step: int, n: int, sign: float) -> Array:
        """The best value (lowest of `sign` times the value) of each of `n` trials up to `step`, (n,)."""
        best = np.full(n, np.inf)
        here = (self.step <= step) & ~np.isnan(self.value)
        np.minimum.at(best, self.trial[here], sign * self.value[here])
        return np.where(np.isinf(best), np.nan, best)

    def copy(self, which: NDArray[np.bool_]) -> Curves:
        """Only the points of `which` (p,)."""
        other = Curves()
        other._n = int(np.count_nonzero(which))
        other._trial, other._step = self.trial[which], self.step[which]
        other._rev, other._value = self.rev[which], self.value[which]
        return other

    def _places(self, trial: int) -> NDArray[np.intp]:
        """Where the points of a trial are, in the order in which they became known."""
        if self._n - self._sorted > _SCANNED + self._sorted // 32:  # a share of all: so sorting costs each point little
            self._sort()
        late = self._sorted + np.flatnonzero(self._trial[self._sorted : self._n] == trial)
        if trial >= len(self._starts) - 1:
            return late
        return np.concatenate([self._order[self._starts[trial] : self._starts[trial + 1]], late])

    def _sort(self) -> None:
        self._sorted = self._n
        self._order = np.argsort(self.trial, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(self.trial))])

    def _remove(self, places: NDArray[np.intp]) -> None:
        if not len(places):
            return
        first = int(places.min())
        kept = np.ones(self._n - first, dtype=bool)
        kept[places - first] = False
        for column in (self._trial, self._step, self._rev, self._value):
            left = column[first : self._n][kept]
            column[first : first + len(left)] = left
        self._n -= len(places)
        if first < self._sorted:
            self._sorted, self._starts = 0, np.zeros(1, dtype=np.intp)

    def _grow(self, count: int) -> None:
        room = max(2 * len(self._trial), self._n + count)
        self._trial, self._step = _wider(self._trial, room), _wider(self._step, room)
        self._rev, self._value = _wider(self._rev, room), _wider(self._value, room)


def _wider(column: NDArray[Any], room: int) -> NDArray[Any]:
    wider: NDArray[Any] = np.empty(room, dtype=column.dtype)
    wider[: len(column)] = column
    return wider


def metrics_of(curves: Mapping[str, Curves], trial: int) -> dict[str, tuple[list[int], list[float]]]:
    """Every metric that `trial` reported: (steps, values)."""
    found = {}
    for name, curve in curves.items():
        steps, values = curve.of(trial)
        if len(steps):
            found[name] = (steps.tolist(), values.tolist())
    return found


def revisions_of(curves: Mapping[str, Curves], trial: int) -> list[int]:
    """When the steps that `trial` reported became known, by step: a revision each, 0 for not yet to all."""
    found: dict[int, int] = {}
    for curve in curves.values():
        steps, _, revs = curve.points(trial)
        found.update(zip(steps.tolist(), revs.tolist(), strict=True))
    return [0 if found[step] == UNTOLD else found[step] for step in sorted(found)]
