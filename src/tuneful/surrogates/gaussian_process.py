"""Gaussian process regression: a smooth function from few noisy values, and how sure one can be of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from tuneful.surrogates.features import Points
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.likelihood import JITTER, mirrored

Array = NDArray[np.float64]

_LEAST = 1e-7  # variance, as a share of the scale: less is lost in the sums


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process of mean zero that has seen values; or several, that differ in what they were told of some.

    Attributes:
        kernel: What it believes of functions.
        points: Where it has seen values, n of them.
        y: The values, (n, s) for s processes.
        scale: The variance of the process.

    References:
        Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm 2.1.
    """

    kernel: Kernel
    points: Points
    y: Array
    scale: float

    @classmethod
    def of(cls, kernel: Kernel, points: Points, y: Array) -> GaussianProcess:
        """The process of the most likely scale that has seen the values `y` (n,)."""
        bare = cls(kernel, points, y[:, None], 1.0)
        scale = float(y @ bare.alpha[:, 0]) / len(y)
        found = replace(bare, scale=max(scale, 1e-12))
        vars(found).update(inverse=bare.inverse, alpha=bare.alpha)  # the scale does not change them
        return found

    @cached_property
    def inverse(self) -> Array:
        """The inverse of the covariance matrix, (n, n), for a scale of 1."""
        k, _ = self.kernel.between(self.points, self.points)
        k.flat[:: len(k) + 1] += self.kernel.noise + JITTER
        factor, _ = lapack.dpotrf(k, lower=1, overwrite_a=1)
        return mirrored(lapack.dpotri(factor, lower=1, overwrite_c=1)[0])

    @cached_property
    def alpha(self) -> Array:
        """The weight of each value in a mean, (n, s)."""
        weights: Array = self.inverse @ self.y
        return weights

    @property
    def smoothed(self) -> Array:
        """The mean at the points where it has seen values, (n, s)."""
        return self.y - (self.kernel.noise + JITTER) * self.alpha

    def at(self, points: Points) -> View:
        """What it expects at m points."""
        k, slope = self.kernel.between(points, self.points)
        return View(self, points, k, slope)

    def means(self, points: Points) -> Array:
        """The mean alone, (m, s)."""
        mean: Array = self.kernel.between(points, self.points)[0] @ self.alpha
        return mean

    def covariance(self, points: Points) -> Array:
        """The covariance (m, m) of the function at m points."""
        k, _ = self.kernel.between(points, self.points)
        prior, _ = self.kernel.between(points, points)
        return self.scale * (prior - k @ self.inverse @ k.T)

    def drawn(self, points: Points, normal: Array) -> Array:
        """One draw of the function at m points, (m,), from standard normal numbers (m,)."""
        drawn: Array = self.means(points)[:, 0] + _root(self.covariance(points)) @ normal
        return drawn

    def imagining(self, points: Points, normal: Array) -> GaussianProcess:
        """Processes that also know what might come of `points`: a draw from what this one expects for each.

        Args:
            points: Where trials run, m of them.
            normal: Standard normal numbers, (m, s): one column for each process.

        References:
            Snoek et al., "Practical Bayesian optimization of machine learning algorithms", NeurIPS 2012, section 3.2.
        """
        among = self.covariance(points)
        among.flat[:: len(among) + 1] += self.scale * self.kernel.noise
        guessed = self.means(points) + _root(among) @ normal
        several = replace(self, y=np.repeat(self.y, normal.shape[1], axis=1))
        return several.supposing(points, guessed)

    def supposing(self, points: Points, values: Array) -> GaussianProcess:
        """The same, had it also seen `values` (m, s) at m points."""
        return GaussianProcess(self.kernel, self.points.and_also(points), np.vstack([self.y, values]), self.scale)

    def left_out(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each value as predicted from all others, (n,), noise included.

        Source: Rasmussen and Williams, 2006, eq. 5.12.
        """
        precision = np.diag(self.inverse)
        return self.y[:, 0] - self.alpha[:, 0] / precision, np.sqrt(self.scale / precision)


def _root(covariance: Array) -> Array:
    """A lower triangular root of a covariance matrix (m, m) that rounding may have left a little less than positive."""
    size = float(np.trace(covariance)) / len(covariance)
    for jitter in (JITTER, 1e-6, 1e-4, 1e-2):
        raised = covariance + jitter * size * np.eye(len(covariance))
        factor, failed = lapack.dpotrf(raised, lower=1, clean=1)
        if not failed:
            break
    return np.asarray(factor)


@dataclass(frozen=True)
class View:
    """What a process expects at m points.

    Attributes:
        process: Whose expectation it is.
        points: Where.
        k: Covariances of the function there with the values seen, (m, n), for a scale of 1.
        slope: The derivatives of the Matérn part of these by squared distance.
    """

    process: GaussianProcess
    points: Points
    k: Array
    slope: Array

    @cached_property
    def mean(self) -> Array:
        """The mean, (m, s)."""
        mean: Array = self.k @ self.process.alpha
        return mean

    @cached_property
    def spread(self) -> Array:
        """The standard deviation of the function, noise apart, (m,)."""
        variance = self.process.kernel.within(self.points) - np.einsum("ij,ij->i", self._pulled, self.k)
        spread: Array = np.sqrt(self.process.scale * np.maximum(variance, _LEAST))
        return spread

    @cached_property
    def _pulled(self) -> Array:
        pulled: Array = self.k @ self.process.inverse
        return pulled

    def slopes(self, by_mean: Array, by_spread: Array) -> Points:
        """The gradient of a score by the coordinates of the points.

        Args:
            by_mean: The derivative of the score by each mean, (m, s).
            by_spread: The same by the standard deviation, (m,).
        """
        process, points = self.process, self.points
        lengths = process.kernel.lengths
        # The score moves with the covariances by way of the mean and of the variance: spread' = variance' / (2 spread).
        half = (by_spread * process.scale / self.spread)[:, None]
        by_k = by_mean @ process.alpha.T - half * self._pulled
        pull = self.slope * by_k
        off = pull.sum(axis=1)[:, None] * (points.near / lengths) - pull @ (process.points.near / lengths)
        far = process.kernel.trend * (by_k @ process.points.far + half * points.far)
        return Points(2.0 * off / lengths, far)
