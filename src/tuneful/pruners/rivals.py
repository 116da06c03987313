"""The trials that a running one has to beat, and how long it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, State
from tuneful.history.ranking import undominated

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def incumbents(history: History) -> Ints:
    """The best of the done, feasible trials that reported steps: one, or with several objectives its front; (k,)."""
    known = (history.state == State.DONE) & history.feasible & np.isfinite(history.means).all(axis=1)
    for objective in history.objectives:
        if objective.metric not in history.curves:
            return np.empty(0, dtype=np.int64)
        reported = np.zeros(len(history), dtype=bool)
        reported[history.curves[objective.metric].trial] = True
        known &= reported
    done = np.flatnonzero(known)
    y = history.means[done]
    if len(history.objectives) == 1:
        return done[np.argsort(y[:, 0], kind="stable")[:1]]
    return done[undominated(y)]


def leader(history: History, trial: int) -> Ints:
    """The other trial with the lowest mean over the steps of `trial`, of those that have them all; (1,) or (0,).

    Nobody leads where several objectives are studied.
    """
    steps, _ = history.curve(trial)
    if len(history.objectives) > 1 or not len(steps):
        return np.empty(0, dtype=np.int64)
    curve = history.curves[history.objectives[0].metric]
    here = np.isin(curve.step, steps) & np.isfinite(curve.value) & (curve.trial != trial)
    count = np.bincount(curve.trial[here], minlength=len(history))
    with np.errstate(over="ignore"):  # values that large lead nowhere
        total = np.bincount(curve.trial[here], curve.value[here], len(history))
    able = np.flatnonzero((count == len(steps)) & np.isfinite(total))
    return able[np.argsort(history.objectives[0].sign * total[able], kind="stable")[:1]]


def horizon(history: History, trial: int) -> int:
    """The step at which `trial` is over: as it has said, else the longest known of any; 0 if there is none."""
    own = int(history.length[trial])
    trained = np.where(history.state == State.DONE, history.reached, 0)
    return own or int(max(history.length.max(initial=0), trained.max(initial=0)))


def bars(history: History) -> Array:
    """What there is to beat: the values of the best done trials, (k, m); with one objective, (1, 1) or (0, 1)."""
    return history.means[history.front]
