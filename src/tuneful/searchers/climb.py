"""Hill climbing in a mixed space: along the gradient of the numbers, and over all values of the rest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tuneful.searchers.ground import Ground

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

_STEPS = 20  # along the gradient, of each turn
_TURNS = 2  # between numbers and the rest
_FIRST = 0.1  # how far the first step goes
_GAIN = 1e-3  # of a score that is a logarithm, below which a second turn is not worth its time


class Score(Protocol):
    """What is climbed: higher is better."""

    @property
    def columns(self) -> Ints:
        """The columns (c,) of a config that have slopes."""

    @property
    def reach(self) -> Array:
        """How far along each of them (c,) the score keeps its shape, about."""

    def __call__(self, x: Array) -> Array:
        """The scores (m,) of configs (m, d) of the unit cube."""

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """The scores (m,) and their derivatives (m, c); 0 where a number is absent."""


def climbed(ground: Ground, score: Score, x: Array, rng: Rng) -> tuple[Array, Array]:
    """Configs `x` (k, d) moved uphill, each by itself, and their scores (k,)."""
    values = score(x)
    few = [j for j, levels in enumerate(ground.levels) if levels is not None and len(levels) > 1]
    for _ in range(_TURNS):
        before = values
        x, values = _better(ground, x, values, *_ascended(ground, score, x, rng))
        for column in few:
            x, values = _better(ground, x, values, *_best_of(score, ground.swept(x, column, rng)))
        if not few or not (values > before + _GAIN).any():
            break
    return x, values


def _better(ground: Ground, x: Array, values: Array, other: Array, others: Array) -> tuple[Array, Array]:
    up = (others > values) & ground.allowed(other)
    return np.where(up[:, None], other, x), np.where(up, others, values)


def _best_of(score: Score, x: Array) -> tuple[Array, Array]:
    """The best of each row of configs (k, m, d), (k, d)."""
    k, m, d = x.shape
    values = score(x.reshape(k * m, d)).reshape(k, m)
    best = np.argmax(values, axis=1)
    return x[np.arange(k), best], values[np.arange(k), best]


def _ascended(ground: Ground, score: Score, x: Array, rng: Rng) -> tuple[Array, Array]:
    """The configs nearest to where the gradient leads from `x` (k, d), each with step lengths of its own."""
    free = [i for i, j in enumerate(score.columns) if ground.levels[j] is None]
    columns, scale = score.columns[free], np.minimum(score.reach[free], 1.0)
    if not free:
        return x, score(x)
    values, slopes = score.slopes(x)
    slopes = slopes[:, free]
    steps = _FIRST / np.maximum(np.abs(slopes * scale).max(axis=1), 1e-12)
    for _ in range(_STEPS):
        there = x.copy()
        there[:, columns] = np.clip(x[:, columns] + steps[:, None] * scale**2 * slopes, 0.0, 1.0)
        values_there, slopes_there = score.slopes(there)
        up = values_there > values
        x, values = np.where(up[:, None], there, x), np.where(up, values_there, values)
        slopes = np.where(up[:, None], slopes_there[:, free], slopes)
        steps *= np.where(up, 1.7, 0.3)
    x = ground.nearest(x, rng)
    return x, score(x)
