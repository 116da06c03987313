"""How alike the values of two configs are: what a Gaussian process is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.surrogates.features import Points

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROOT5 = np.sqrt(5.0)


@dataclass(frozen=True)
class Kernel:
    """A Matérn-5/2 kernel with a length scale for each column, beside a trend over the whole space.

    The trend is a Bayesian linear model: it lets a few values say which end of a range is better long before they
    are dense enough to say more. The variance of the Matérn part is 1.

    Attributes:
        lengths: Of each coordinate of `Points.near`, (f,).
        trend: The variance of each coefficient of the trend.
        noise: The variance of the noise.
    """

    lengths: Array
    trend: float
    noise: float

    @classmethod
    def of(cls, vector: Array, group: Ints) -> Kernel:
        """From the logarithms of a length scale for each column, the trend and the noise."""
        return cls(np.exp(vector[:-2])[group], float(np.exp(vector[-2])), float(np.exp(vector[-1])))

    def between(self, points: Points, others: Points) -> tuple[Array, Array]:
        """Covariances (n, m), and the derivative of the Matérn part by squared distance."""
        value, slope = matern(squared_distances(points.near / self.lengths, others.near / self.lengths))
        value += self.trend * (points.far @ others.far.T)
        return value, slope

    def within(self, points: Points) -> Array:
        """The variance of each value, noise apart, (n,)."""
        variance: Array = 1.0 + self.trend * np.einsum("it,it->i", points.far, points.far)
        return variance


def matern(squared: Array) -> tuple[Array, Array]:
    """The Matérn-5/2 correlation at squared distances, and its derivative by these.

    Source: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, eq. 4.17.
    """
    r = np.sqrt(np.maximum(squared, 0.0))
    r *= _ROOT5
    slope = np.exp(-r)
    rise = r + 1.0
    value = r * r
    value /= 3.0
    value += rise
    value *= slope
    slope *= rise
    slope *= -5.0 / 6.0
    return value, slope


def squared_distances(z: Array, others: Array) -> Array:
    """Squared Euclidean distances (n, m) between rows of `z` (n, f) and `others` (m, f)."""
    squared: Array = z @ others.T
    squared *= -2.0
    squared += np.einsum("if,if->i", z, z)[:, None]
    squared += np.einsum("if,if->i", others, others)
    return squared
