"""Which kernel explains some values best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from tuneful.surrogates.features import Points
from tuneful.surrogates.kernel import matern, squared_distances

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

JITTER = 1e-8
_IMPOSSIBLE = 1e10


@dataclass(frozen=True)
class Prior:
    """What is believed of a kernel before there is data: independent lognormal distributions.

    Length scales have a median that grows with the root of the number of columns, so that points in many dimensions
    still tell something about each other. Their density is over l and not over log l: its mode is twenty times smaller,
    without which a process starts out, and stays, a straight line.

    Attributes:
        length: The mean of log l, before half the logarithm of the number of columns; `length_spread`, its
            standard deviation.
        trend: The same for the variance of a coefficient of the trend, as a share of that of the Matérn part.
        noise: The same for the variance of the noise; `least_noise` bounds it from below.

    References:
        Hvarfner et al., "Vanilla Bayesian optimization performs great in high dimensions", ICML 2024, eq. 9.
    """

    length: float = float(np.sqrt(2.0))
    length_spread: float = float(np.sqrt(3.0))
    trend: float = -1.0
    trend_spread: float = 1.5
    noise: float = -4.0
    noise_spread: float = 1.5
    least_noise: float = 1e-6

    def centre(self, columns: int) -> Array:
        """The medians of the logarithms (columns + 2,)."""
        return np.append(np.full(columns, self.length + 0.5 * np.log(max(columns, 1))), [self.trend, self.noise])

    def starts(self, columns: int) -> list[Array]:
        """Where to begin to look for the most likely kernel: one start alone is caught by explanations by noise."""
        mode = self.centre(columns)[0] - self.length_spread**2
        places = ((0.0, -4.0), (1.5, -4.0), (0.7, -1.0), (-0.7, -6.0))
        return [np.append(np.full(columns, mode + off), [self.trend, noise]) for off, noise in places]

    def bounds(self, columns: int) -> list[tuple[float, float]]:
        """Between which values the logarithms are looked for."""
        least = float(np.log(self.least_noise))
        return [(-5.0, 7.0)] * columns + [(-10.0, 3.0), (least, 1.0)]


PRIOR = Prior()


class Likelihood:
    """How well kernels explain values, and are believed: the negative logarithm of their posterior density.

    The scale of the process is the most likely one for each kernel.

    Args:
        points: Where the values were found.
        group: To which column each coordinate of `points.near` belongs.
        y: The values, (n,).
        prior: What is believed of kernels.
    """

    def __init__(self, points: Points, group: Ints, y: Array, prior: Prior) -> None:
        self.points, self.group, self.y, self.prior = points, group, y, prior
        self.columns = int(group.max()) + 1
        self._centre = prior.centre(self.columns)
        spreads = [prior.length_spread] * self.columns + [prior.trend_spread, prior.noise_spread]
        self._precision = 1.0 / np.square(spreads)
        self._over_l = np.append(np.ones(self.columns), [0.0, 0.0])
        self._trends = points.far @ points.far.T

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """The value at the logarithms of a kernel (columns + 2,), and its gradient.

        Source: Rasmussen and Williams, 2006, eq. 5.8 and 5.9.
        """
        n = len(self.y)
        trend, noise = np.exp(vector[-2:])
        z = self.points.near / np.exp(vector[:-2])[self.group]
        k, slope = matern(squared_distances(z, z))
        k += trend * self._trends
        k.flat[:: n + 1] += noise + JITTER
        factor, failed = lapack.dpotrf(k, lower=1, overwrite_a=1)
        if failed:
            return _IMPOSSIBLE, np.zeros_like(vector)
        log_root = np.log(np.diag(factor)).sum()
        inverse = mirrored(lapack.dpotri(factor, lower=1, overwrite_c=1)[0])
        alpha = inverse @ self.y
        scale = max(float(self.y @ alpha) / n, 1e-12)
        inverse -= np.outer(alpha, alpha / scale)
        slope *= inverse
        by_coordinate = -2.0 * ((z * z).T @ slope.sum(axis=1) - np.einsum("if,if->f", z, slope @ z))
        gradient = np.bincount(self.group, by_coordinate, self.columns + 2)
        gradient[-2] = 0.5 * trend * np.einsum("ij,ij->", inverse, self._trends)
        gradient[-1] = 0.5 * noise * np.trace(inverse)
        off = vector - self._centre
        pull = self._precision * off
        value = 0.5 * n * np.log(scale) + log_root + 0.5 * (pull @ off) + self._over_l @ vector
        return float(value), gradient + pull + self._over_l

    def best(self, starts: Iterable[Array], steps: int) -> Array:
        """The most likely logarithms (columns + 2,) found in so many steps from each of `starts`."""
        bounds = self.prior.bounds(self.columns)
        found = [
            minimize(self, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
            for start in starts
        ]
        best: Array = min(found, key=lambda result: result.fun).x
        return best


def mirrored(lower: Array) -> Array:
    """The symmetric matrix with this lower triangle."""
    whole = np.tril(lower)
    whole += np.tril(lower, -1).T
    return whole
