"""Parzen estimators: the density of rows as a mixture of kernels, one around each row that is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tuneful.surrogates.parzen_axes import Axes, cell_of

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_NARROWEST = 0.01  # a kernel of a number
_LARGEST = 700.0  # exp of more is beyond floats
_NEVER = 1e-300  # what has no probability has this one, so that its logarithm is a number


@dataclass(frozen=True)
class Parzen:
    """A density of rows in the unit cube that may lack columns.

    Joint, it is a mixture of products of kernels, so it knows which values go together: a Gaussian cut off at 0
    and 1 for a number, for options what the row has or, sometimes, any. A column that the row of a component lacks
    has the prior there; one that the rated row lacks counts nothing, since the column that it depends on has been
    counted. That is a density on the union of all branches of a space. Not joint, it is the product of such
    mixtures of one column each, over the rows that have it.

    Attributes:
        axes: The columns.
        x: The rows of the components, (n, d); the last one lacks everything, which makes it the prior.
        weights: What each component counts, (n,); their sum is 1.
        sd: The width of the kernels of numbers, (d,).
        stray: How often a kernel of options has another one, drawn from the prior, (d,).
        joint: Whether columns go together.

    References:
        Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4.
        Falkner et al., "BOHB: robust and efficient hyperparameter optimization at scale", ICML 2018 (joint kernels).
        Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and their roles for
        better empirical performance", 2023.
    """

    axes: Axes
    x: Array
    weights: Array
    sd: Array
    stray: Array
    joint: bool = True

    @classmethod
    def fit(
        cls, axes: Axes, x: Array, weights: Array, *, width: float, prior: float = 1.0, joint: bool = True
    ) -> Parzen:
        """The estimator of rows.

        Args:
            axes: The columns.
            x: The rows, (n, d); there may be none.
            weights: What each row counts, (n,).
            width: The width of a kernel around a single row; it falls with their number as Scott's rule has it.
            prior: What the prior counts.
            joint: Whether columns go together.
        """
        d = x.shape[1]
        known = np.maximum(np.count_nonzero(~np.isnan(x), axis=0), 1)
        # Scott, "Multivariate density estimation", 1992: n^(-1 / (d + 4))
        sd = np.maximum(width * known ** (-1.0 / ((d if joint else 1) + 4)), np.maximum(axes.width, _NARROWEST))
        stray = np.zeros(d)
        for j, _, cells in axes.discrete:
            stray[j] = 1.0 / (1.0 + known[j] / (len(cells) - 1))
        counts = np.append(weights, prior)
        return cls(axes, np.vstack([x, np.full((1, d), np.nan)]), counts / counts.sum(), sd, stray, joint)

    @cached_property
    def _known(self) -> Flags:
        """Which component has which column, (n, d)."""
        return ~np.isnan(self.x)

    @cached_property
    def _kernels(self) -> tuple[Array, Array]:
        """The means and the widths of numbers, (n, d): the prior's where a component lacks one."""
        return np.where(self._known, self.x, self.axes.mean), np.where(self._known, self.sd, self.axes.sd)

    @cached_property
    def _coefficients(self) -> Array:
        """The logarithm of each weighted component as coefficients of the features, (f, n)."""
        axes, n = self.axes, len(self.x)
        c = len(axes.continuous)
        found = np.empty((axes.size, n))
        found[-1] = np.log(self.weights)
        mean, sd = (a[:, axes.continuous].T for a in self._kernels)
        within = ndtr((1.0 - mean) / sd) - ndtr(-mean / sd)
        around, precision = mean - 0.5, 1.0 / (sd * sd)
        found[:c], found[c : 2 * c] = -0.5 * precision, around * precision
        found[2 * c : 3 * c] = -0.5 * around * around * precision - np.log(sd * within * math.sqrt(2 * math.pi))
        for j, at, cells in axes.discrete:
            k = len(cells) - 1
            place = np.where(self._known[:, j], cell_of(cells, self.x[:, j]), k)
            found[at : at + k] = np.log(np.maximum(self._table(j, cells), _NEVER))[:, place]
        return found

    def _table(self, j: int, cells: Array) -> Array:
        """The probability of each cell of column `j` (k) under a kernel in each of them and the prior (k + 1)."""
        share, k = self.axes.shares[j], len(cells) - 1
        if share is not None:
            table = np.repeat(share[:, None], k + 1, axis=1)
            table[:, :k] = self.stray[j] * table[:, :k] + (1.0 - self.stray[j]) * np.eye(k)
            return table
        mean = np.append((cells[1:] + cells[:-1]) / 2, self.axes.mean[j])
        sd = np.append(np.full(k, self.sd[j]), self.axes.sd[j])
        table = np.diff(ndtr((cells[:, None] - mean) / sd), axis=0)
        return np.asarray(table / table.sum(axis=0))

    def log_kernels(self, features: Array) -> Array:
        """The logarithm of each weighted component at rows with these features (m, f): (m, n)."""
        return np.asarray(features @ self._coefficients)

    def log_density(self, features: Array) -> Array:
        """The logarithm of the density at rows with these features (m, f): (m,)."""
        if self.joint:
            return _log_of_sum(self.log_kernels(features))
        total = np.zeros(len(features))
        for there, logs in self._by_column(features):
            total += np.where(there, _log_of_sum(logs), 0.0)
        return total

    def parts(self, row: Array) -> Array:
        """What share each component has in the density at one row (d,): (n,). The last is the prior's.

        If columns do not go together, the mean of its shares in those that the row has.
        """
        features = self.axes.features(row[None])
        if self.joint:
            return _shares(self.log_kernels(features)[0])
        kernels = [logs[0] for there, logs in self._by_column(features) if there[0]]
        return np.asarray(np.mean([_shares(logs) for logs in kernels], axis=0))

    def draw(self, generator: np.random.Generator, n: int) -> Array:
        """`n` rows (n, d) without a gap: also columns that their row will turn out to lack have values."""
        d = self.x.shape[1]
        if self.joint:
            which: Any = _drawn(self.weights, generator.random(n))
        else:
            q = generator.random((n, d))
            which = np.column_stack([_drawn(self._weights_of(j), q[:, j]) for j in range(d)]), np.arange(d)
        mean, sd = (a[which] for a in self._kernels)
        q = generator.random((n, d))
        low, high = ndtr(-mean / sd), ndtr((1.0 - mean) / sd)
        rows: Array = np.minimum(np.maximum(mean + sd * ndtri(low + q * (high - low)), 0.0), 1.0)
        x = self.x[which] if len(self.axes.options) else rows
        for j in self.axes.options:
            rows[:, j] = self._options(j, x[:, j], q[:, j])
        return rows

    def vary(self, generator: np.random.Generator, x: Array) -> Array:
        """Rows near `x` (n, d): every other number is moved by half a kernel's width; gaps get any value."""
        moved = generator.random(x.shape) < 0.5
        moved[:, self.axes.options] = False
        rows = np.abs(np.where(moved, x + 0.5 * self.sd * generator.standard_normal(x.shape), x))
        rows = np.maximum(np.where(rows > 1.0, 2.0 - rows, rows), 0.0)  # the ends reflect
        return np.asarray(np.where(np.isnan(x), generator.random(x.shape), rows))

    def _by_column(self, features: Array) -> Iterator[tuple[Flags, Array]]:
        """For each column which rows have it, (m,), and the logarithm of each component of it alone, (m, n)."""
        for j, which in self.axes.columns:
            of_row = features[:, which]
            weights = np.log(np.maximum(self._weights_of(j), _NEVER))
            yield np.asarray(of_row.any(axis=1)), of_row @ self._coefficients[which] + weights

    def _weights_of(self, j: int) -> Array:
        """What each component counts for column `j` alone, (n,): nothing where it lacks it, but for the prior."""
        counts = np.where(self._known[:, j], self.weights, 0.0)
        counts[-1] = self.weights[-1]
        return np.asarray(counts / counts.sum())

    def _options(self, j: int, x: Array, q: Array) -> Array:
        """Options of column `j` (n,) drawn at the quantiles `q` (n,) around those of components (n,)."""
        share = self.axes.shares[j]
        assert share is not None
        stray = np.where(np.isnan(x), 1.0, self.stray[j])
        other = _drawn(share, q / stray)
        return np.asarray(np.where(q < stray, (other + 0.5) / len(share), x))


def _drawn(weights: Array, q: Array) -> NDArray[np.intp]:
    """The places at the quantiles `q` (n,) of `weights` (k,)."""
    return np.searchsorted(np.cumsum(weights)[:-1], q, side="right")


def _shares(logs: Array) -> Array:
    """Exponentials (n,) as shares of their sum."""
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())


def _log_of_sum(logs: Array) -> Array:
    """The logarithm of the sum of each row of exponentials (m, n): (m,). It overwrites them."""
    if logs.max() < _LARGEST:  # nearly always; it halves the time
        return np.asarray(np.log(np.maximum(np.exp(logs, out=logs).sum(axis=1), _NEVER)))
    top = logs.max(axis=1, keepdims=True)
    logs -= top
    return np.asarray(top[:, 0] + np.log(np.exp(logs, out=logs).sum(axis=1)))
