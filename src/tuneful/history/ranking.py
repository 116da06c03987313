"""Which of several rows of objectives are better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fronts(y: Array) -> NDArray[np.int64]:
    """The front of each row of `y` (n, m): 0 if no other is as good everywhere and better somewhere, and so on.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.

    >>> fronts(np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0]]))
    array([0, 0, 1])
    """
    rank = np.full(len(y), -1, dtype=np.int64)
    left = np.arange(len(y))
    front = 0
    while len(left):
        best = left[undominated(y[left])]
        rank[best] = front
        left = left[rank[left] < 0]
        front += 1
    return rank


def undominated(y: Array) -> NDArray[np.bool_]:
    """Which rows of `y` (n, m) no other row is as good as everywhere and better than somewhere, (n,)."""
    free = np.ones(len(y), dtype=bool)
    for i in np.lexsort(y.T[::-1]):
        if free[i]:
            beaten = np.all(y[i] <= y, axis=1) & np.any(y[i] < y, axis=1)
            free &= ~beaten
    return free


def crowding(y: Array) -> Array:
    """How far each row of `y` (n, m) is from its neighbours, (n,); inf at the ends of a front.

    Source: Deb et al., 2002, section III-B.
    """
    distance = np.zeros(len(y))
    for column in y.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if spread > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distance


def ranks(y: Array) -> Array:
    """One number for each row of `y` (n, m), lower is better: its front, then how crowded it is; NaN unknown."""
    rank = np.full(len(y), np.nan)
    known = np.flatnonzero(~np.isnan(y).any(axis=1))
    front = fronts(y[known])
    for k in np.unique(front):
        members = known[front == k]
        with np.errstate(invalid="ignore"):
            order = np.argsort(-crowding(y[members]), kind="stable")
        rank[members[order]] = k + np.arange(len(members)) / len(members)
    return rank
