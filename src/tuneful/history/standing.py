"""How trials stand at a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuneful.history.history import History
from tuneful.history.ranking import ranks
from tuneful.history.row import State

Array = NDArray[np.float64]


def standings(history: History, level: int) -> Array:
    """One number for each trial, (n,), lower is better: how it stood at step `level`; NaN where it has not got there.

    What it reported then, or last before; where it has jumped over all of these, the first after. NaN counts as the
    worst, and so does a failure. A trial that was over earlier stands as it ended. With several objectives, the rank.
    """
    columns = [_values(history, objective.metric, level) for objective in history.objectives]
    there = (history.reached >= level) | (history.state >= State.DONE)
    values = np.column_stack(columns)
    values[np.isnan(values)] = np.inf
    values[history.state == State.FAILED] = np.inf
    values[~there] = np.nan
    return values[:, 0] if len(columns) == 1 else ranks(values)


def _values(history: History, metric: str, level: int) -> Array:
    """The last value that each trial reported up to `level`, (n,); else the first after; NaN where there is none."""
    values = np.full(len(history), np.nan)
    if metric not in history.curves:
        return values
    curves, sign = history.curves[metric], history.sign(metric)
    before = curves.step <= level
    trial, step, value = curves.trial[before], curves.step[before], curves.value[before]
    last = np.zeros(len(history), dtype=np.int64)
    np.maximum.at(last, trial, step)
    final = step == last[trial]
    values[trial[final]] = sign * value[final]
    for jumped in np.flatnonzero((last == 0) & (history.reached >= level)):
        points = history.curve(int(jumped), metric)[1]
        values[jumped] = points[0] if len(points) else np.nan
    return values
