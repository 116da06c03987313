"""What a history says to a model: which configs gave what, which failed, and which are still open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, State
from tuneful.history.ranking import ranks

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_LARGEST = 1e300  # so that differences are finite


@dataclass(frozen=True)
class Evidence:
    """What models may learn from: trials that lie in the current space, in the order in which they ended.

    Attributes:
        x: Configs with a value, (n, d) in the unit cube; NaN where a parameter does not exist.
        y: Their values, (n,), finite, lower is better. Of trials that were pruned or paused, what they would have
            come to; with several objectives, their rank; those that break a constraint on a metric come last.
        trials: Their numbers, (n,).
        failed: Configs that failed, (f, d); `failures`, their numbers.
        pending: Configs of trials that are queued or running, (p, d).
    """

    x: Array
    y: Array
    trials: Ints
    failed: Array
    failures: Ints
    pending: Array

    @classmethod
    def of(cls, history: History) -> Evidence:
        """The evidence of a history; remembered until it changes."""
        known = history.recall("evidence")
        if known is not None and known[0] == history.version:
            found: Evidence = known[1]
            return found
        found = _gathered(history)
        history.remember("evidence", found)
        return found

    def only(self, chosen: Ints) -> Evidence:
        """Of the configs with a value only those at these places (k,)."""
        if len(chosen) == len(self.y):
            return self
        return replace(self, x=self.x[chosen], y=self.y[chosen], trials=self.trials[chosen])

    def and_pending(self, x: Array) -> Evidence:
        """The same with one more pending config (d,)."""
        return replace(self, pending=np.vstack([self.pending, x]))


def telling(y: Array, most: int) -> Ints:
    """Which of the values (n,) to learn from if they are too many: the best half, and others evenly from all times."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.argsort(y, kind="stable")
    best, rest = order[: most // 2], np.sort(order[most // 2 :])
    return np.sort(np.append(best, rest[np.linspace(0, len(rest) - 1, most - len(best)).astype(np.int64)]))


def measure(history: History) -> tuple[str, float]:
    """What the values of the evidence are of, and what to multiply them with to get the user's."""
    objectives = history.objectives
    return (objectives[0].metric, objectives[0].sign) if len(objectives) == 1 else ("rank", 1.0)


def _gathered(history: History) -> Evidence:
    state, inside, y = history.state, history.inside, _values(history)
    open_ = np.zeros(len(history), dtype=bool)
    open_[history.unfinished] = True
    valued = inside & np.isfinite(y)
    lost = (state == State.FAILED) | ((state == State.DONE) & (history.repeat_of < 0))
    trials = np.flatnonzero(valued)
    # Those that have not ended (paused) come last, by number.
    ended = np.where(open_, np.iinfo(np.int64).max, history.ended)[trials]
    if (ended[1:] < ended[:-1]).any():  # seldom: one worker's trials end in the order of their numbers
        trials = trials[np.argsort(ended, kind="stable")]
    failures = np.flatnonzero(inside & lost & ~valued)
    return Evidence(
        x=_rows(history.x, trials),
        y=y[trials],
        trials=trials,
        failed=history.x[failures],
        failures=failures,
        pending=history.x[inside & open_ & ~valued],
    )


def _rows(x: Array, trials: Ints) -> Array:
    """The rows of these trials: a view where they are neighbours, since 10,000 rows take longer to copy than to use."""
    if len(trials) and (np.diff(trials) == 1).all():
        return x[trials[0] : trials[-1] + 1]
    return x[trials]


def _values(history: History) -> Array:
    """One number for each trial, (n,), lower is better; NaN or inf where there is none."""
    means = history.means
    if (np.abs(means) > _LARGEST).any():
        means = np.where(np.isfinite(means), np.clip(means, -_LARGEST, _LARGEST), means)
    if means.shape[1] == 1:
        y = means[:, 0].copy()
        _fill_in_unfinished(history, y)
    else:
        y = ranks(means)
    if not history.bounds:
        return y
    broken = ~history.feasible & np.isfinite(y)
    if broken.any():
        kept = y[np.isfinite(y) & ~broken]
        worst, spread = (kept.max(), max(float(np.ptp(kept)), 1e-9)) if len(kept) else (0.0, 1.0)
        y[broken] = worst + spread * _by_how_much(history.violations[broken])
    return y


def _by_how_much(violations: Array) -> Array:
    """How much of the worst each of `violations` (n, k) is, (n,), between 0 and 1; the infinite ones are it."""
    over = np.maximum(np.nan_to_num(violations, nan=0.0, posinf=np.inf), 0.0)
    finite = np.where(np.isfinite(over), over, 0.0)
    widest = np.maximum(finite.max(axis=0), 1e-300)
    shares: Array = np.minimum(over / widest, 1.0).mean(axis=1)
    return shares


def _fill_in_unfinished(history: History, y: Array) -> None:
    """Write what pruned and paused trials would have come to: trials that got as far say what became of such."""
    early = np.flatnonzero((history.state == State.PRUNED) | (history.state == State.PAUSED))
    metric = history.objectives[0].metric
    if not len(early) or metric not in history.curves:
        return
    done = (history.state == State.DONE) & np.isfinite(y)
    last = {int(trial): curve for trial in early if len((curve := history.curve(int(trial)))[0])}
    for step in sorted({int(steps[-1]) for steps, _ in last.values()}):
        there = history.value_at(step)
        both = done & np.isfinite(there)
        before, after = np.sort(there[both]), np.sort(y[both])
        for trial, (steps, values) in last.items():
            if int(steps[-1]) == step and np.isfinite(values[-1]):
                y[trial] = _come_to(float(values[-1]), before, after)


def _come_to(value: float, before: Array, after: Array) -> float:
    """Where `value` lands if its rank among the values `before` (k,) stays the same in those `after` (k,)."""
    if not len(before):
        return value
    beyond = min(value - float(before[0]), 0.0) + max(value - float(before[-1]), 0.0)
    return float(np.interp(value, before, after)) + beyond
