"""Learning curves, extrapolated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.pruners.rivals import bars, horizon

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_FLOOR = 1e-3  # of the range of a curve: no forecast is surer than that
_SAME = 1e-12  # of the largest value: what varies less than this does not vary
_STILL = 1e-9  # a shape that has moved less than this so far cannot be fitted
_LATEST = 200  # points that a curve is fitted to
_CAUTION = 0.5  # the power of the evidence that chooses among fits: none of them is the true curve


@dataclass(frozen=True)
class Extrapolation:
    """Ends a trial whose learning curve, extrapolated, has hardly a chance to beat the best value at its end.

    Four families of curves that fall to an asymptote (power law, log power, Weibull with the exponential in it,
    logistic) are fitted to what the trial reported, and averaged by how well they fit. Each says how sure it is, from
    what it leaves over, and from how far ahead the end is. A trial goes on while too little is known: where it
    has reported few points, does not improve or does not vary at all, and where no other is done. So does one that has
    been as good as the best value at any step. With several objectives the chances to win in each of them, against one
    of the best trials, are added up.

    A trial that was given its number of steps by `trial.steps(n)` is over there; else the longest trial so far tells.
    No family foresees a fall that comes late and at once, as of a learning rate that drops: there, set `warmup` behind
    it, or take `Median`.

    Attributes:
        chance: Of beating the best value, below which a trial ends: 0.05 as in the paper.
        points: Reports before a trial is judged, at least 5.
        warmup: Steps during which nothing is ended.

    Raises:
        StudyError: `chance` is not between 0 and 1, or `points` is below 5.

    References:
        Domhan, Springenberg and Hutter, "Speeding up automatic hyperparameter optimization of deep neural networks by
        extrapolation of learning curves", IJCAI 2015: the rule, and most of the families. Golub and Pereyra, "The
        differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM Journal
        on Numerical Analysis, 1973: the fit, here over a grid of the few parameters that are not linear.
    """

    chance: float = 0.05
    points: int = 8
    warmup: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.chance < 1:
            raise StudyError(f"Extrapolation(chance={self.chance}): pass a chance between 0 and 1.")
        if self.points < 5:
            raise StudyError(f"Extrapolation(points={self.points}): a curve needs 5 reports at least.")

    def __call__(self, history: History, trial: int) -> bool:
        reached, end = int(history.reached[trial]), horizon(history, trial)
        bests = bars(history)
        if reached <= self.warmup or reached >= end or not len(bests):
            return False
        chances = np.zeros(len(bests))
        for objective, best in zip(history.objectives, bests.T, strict=True):
            chances += self._chances(*history.curve(trial, objective.metric), end, best)
        return bool(np.any(chances < self.chance))  # the chance to win in any objective is at most the sum

    def _chances(self, steps: Ints, values: Array, end: int, best: Array) -> Array:
        """The chance to be below each of `best` (k,) at the end, (k,); 1 where that cannot be said."""
        known = np.isfinite(values)
        steps, values = steps[known], values[known]
        if len(steps) < self.points:
            return np.ones(len(best))
        with np.errstate(all="ignore"):  # of numbers near the largest and the smallest there are
            forecast = extrapolated(steps[-_LATEST:], values[-_LATEST:], end)
            chance = np.ones(len(best)) if forecast is None else forecast.below(best)
        return np.where((values.min() <= best) | np.isnan(chance), 1.0, chance)


class Forecast(NamedTuple):
    """What a curve may be worth at its end: a mixture of Student's t distributions, one a fit, (g,).

    Attributes:
        weight: Of each fit; they add up to 1.
        mean: Where each expects the value.
        spread: The scale of each.
        freedom: Degrees of freedom, of all.
    """

    weight: Array
    mean: Array
    spread: Array
    freedom: float

    def below(self, values: Array) -> Array:
        """The chance to be below each of `values` (k,), (k,)."""
        from scipy.special import stdtr  # noqa: PLC0415 - a quarter of a second to import, for this pruner alone

        chance: Array = stdtr(self.freedom, (values[:, None] - self.mean) / self.spread) @ self.weight
        return chance


def extrapolated(steps: Ints, values: Array, end: int) -> Forecast | None:
    """What a falling curve may be worth at step `end`; None if it does not fall, or cannot be fitted.

    Args:
        steps: Where it is known, (n,), rising; n of 5 or more.
        values: Its values, (n,), lower is better, finite.
        end: A later step.
    """
    n, span = len(steps), float(np.ptp(values))
    if not max(_SAME * float(np.abs(values).max()), float(np.finfo(float).tiny)) < span < np.inf:
        return None
    y = (values - values[-1]) / span
    shapes, prior = families(steps / steps[-1], end / steps[-1])
    moves = np.ptp(shapes[:, :-1], axis=1) > _STILL
    shapes, prior = shapes[moves], prior[moves]
    g, ahead = shapes[:, :-1], shapes[:, -1]
    # The linear part of each curve, a + b g, by least squares.
    centre = g.mean(axis=1)
    away = g - centre[:, None]
    room = np.square(away).sum(axis=1)
    b = away @ (y - y.mean()) / room
    left = y - y.mean() - b[:, None] * away
    variance = np.maximum(np.square(left).sum(axis=1) / (n - 3), _FLOOR**2)
    effective = max(n * _fresh(left[np.argmin(variance)]), 6.0)  # points that say something new
    score = np.log(prior) - 0.5 * _CAUTION * effective * np.log(variance)
    best = int(np.argmax(score))
    if not b[best] > 0:
        return None
    weight = np.where(b > 0, np.exp(score - score[best]), 0.0)
    leverage = (1 / n + np.square(ahead - centre) / room) * n / effective
    mean = y.mean() + b * (ahead - centre)
    spread = np.sqrt(variance * (1 + leverage))
    return Forecast(weight / weight.sum(), values[-1] + span * mean, span * spread, effective - 3)


def families(t: Array, end: float) -> tuple[Array, Array]:
    """Curves that fall from step to step: their values at `t` and then at `end`, (g, n + 1); and their weights, (g,).

    Each family has the same weight. All but the power law may set in as late as half as far again as the end: so a
    curve that is flat at first is not taken to stay so.

    Args:
        t: Steps as a share of the last, (n,).
        end: The end, in the same unit.
    """
    t = np.append(t, end)[None]
    starts = np.geomspace(0.05, 1.5 * end, 12)
    power = t ** -np.geomspace(0.1, 3.0, 12)[:, None]
    start, steep = _pairs(starts, 1.0, 2.0, 4.0)
    log_power = 1 / (1 + (t / start) ** steep)
    start, steep = _pairs(starts, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
    weibull = np.exp(-((t / start) ** steep))
    start, steep = _pairs(starts, 2.0, 5.0, 12.0)
    logistic = np.exp(-np.logaddexp(0, steep * (t / start - 1)))
    kinds = (power, log_power, weibull, logistic)
    weight = [np.full(len(kind), 1 / len(kind) / len(kinds)) for kind in kinds]
    return np.concatenate(kinds), np.concatenate(weight)


def _pairs(starts: Array, *steeps: float) -> tuple[Array, Array]:
    """Each start with each steepness, as two columns."""
    return np.repeat(starts, len(steeps))[:, None], np.tile(steeps, len(starts))[:, None]


def _fresh(left: Array) -> float:
    """The share of residuals (n,) that say something new, where each resembles the one before."""
    alike = max(float(left[1:] @ left[:-1]) / (float(left @ left) + len(left) * _FLOOR**2), 0.0)
    return (1 - alike) / (1 + alike)
