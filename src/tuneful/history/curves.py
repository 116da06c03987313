"""The curves of all trials: one long array a field, for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Curves:
    """The points (trial, step, value) of one metric, in the order in which they became known."""

    def __init__(self) -> None:
        self._n = 0
        self._trial: Ints = np.empty(64, dtype=np.int64)
        self._step: Ints = np.empty(64, dtype=np.int64)
        self._rev: Ints = np.empty(64, dtype=np.int64)
        self._value: Array = np.empty(64)

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

    def extend(self, trial: int, steps: Sequence[int], values: Sequence[float], rev: int) -> None:
        """A whole curve."""
        count = len(steps)
        if self._n + count > len(self._trial):
            self._grow(count)
        at = slice(self._n, self._n + count)
        self._trial[at], self._step[at], self._value[at], self._rev[at] = trial, steps, values, rev
        self._n += count

    def drop(self, trial: int, after: int) -> None:
        """Forget the points of `trial` beyond step `after`."""
        self.keep(~((self.trial == trial) & (self.step > after)))

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Forget all points but those of `which` (p,)."""
        kept = int(np.count_nonzero(which))
        if kept < self._n:
            for column in (self._trial, self._step, self._rev, self._value):
                column[:kept] = column[: self._n][which]
            self._n = kept

    def of(self, trial: int) -> tuple[Ints, Array]:
        """The (steps, values) of one trial, in order of step."""
        mine = self.trial == trial
        steps, values = self.step[mine], self.value[mine]
        order = np.argsort(steps, kind="stable")
        return steps[order], values[order]

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
