"""What unfinished learning curves will come to: a Gaussian process over curves and configs at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from tuneful.surrogates.features import Points
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.likelihood import JITTER, mirrored

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_CELLS = 20  # steps at most at which curves are looked at, closer at the beginning
_BENT = (1, 2, 4)  # powers of time in the mean curve
_EARLY = 6.0  # the power of time with which the burst grows
_LOOSE = 0.1  # precision of the mean curve's coefficients: values have unit variance
_RESCALED = (0.1, 10.0)  # by what the scale of the process may differ from that of final values
_BELIEVED = 1e-4  # the doubt of what is believed, as a share of the scale
_LEAST = 1e-8  # how much a curve says at least of its end
_FIT_STEPS = 8
_IMPOSSIBLE = 1e10


def cells(steps: Ints, last: int) -> Ints:
    """The ends (T,) of the cells into which steps up to `last` are sorted: about evenly by logarithm, none empty.

    Args:
        steps: Those at which something was reported, in any order.
        last: The step at which curves end.
    """
    known = np.unique(np.append(np.clip(steps, 1, last), last))
    ends = np.unique(np.round(np.geomspace(1, last, _CELLS)).astype(np.int64))
    chosen = np.unique(np.maximum(np.searchsorted(known, ends, side="right") - 1, 0))
    found: Ints = known[chosen]
    return found


@dataclass(frozen=True)
class Table:
    """Curves as rows of a table.

    Attributes:
        times: How far from its end a curve is at each column, (T,): the logarithm of last / step, as a share of the
            logarithm of last; 0 at the end.
        values: (n, T), lower is better; NaN where nothing is known.
    """

    times: Array
    values: Array

    @classmethod
    def of(cls, curve: Ints, step: Ints, value: Array, n: int, last: int) -> Table:
        """From the points (p,) of `n` curves; of the points in one cell the last one counts.

        Args:
            curve: To which row each belongs.
            step: From 1; what is beyond `last` counts as at its end.
            value: What is not finite is left out.
            n: How many curves there are.
            last: The step at which curves end.
        """
        kept = np.flatnonzero(np.isfinite(value) & (step >= 1))
        kept = kept[np.argsort(np.minimum(step[kept], 65535).astype(np.uint16), kind="stable")]
        ends = cells(step[kept], last)
        table = np.full((n, len(ends)), np.nan)
        table[curve[kept], np.minimum(np.searchsorted(ends, step[kept]), len(ends) - 1)] = value[kept]
        return cls(np.log(last / ends) / max(np.log(last), 1.0), table)

    @cached_property
    def latest(self) -> Array:
        """The last value of each curve, (n,); NaN if it has none."""
        found = ~np.isnan(self.values)
        at = self.values.shape[1] - 1 - np.argmax(found[:, ::-1], axis=1)
        latest: Array = self.values[np.arange(len(self.values)), at]
        return latest

    @cached_property
    def groups(self) -> list[tuple[Ints, Ints, Ints]]:
        """Curves that are known at the same columns up to where they end: (columns (k,), rows (m,), lengths (m,))."""
        found = ~np.isnan(self.values)
        counts = found.sum(axis=1)
        whole = np.flatnonzero((counts > 0) & (counts == _lengths(found)))
        groups = [(np.arange(found.shape[1]), whole, counts[whole])] if len(whole) else []
        gaps = np.flatnonzero((counts > 0) & (counts < _lengths(found)))
        patterns, which = np.unique(found[gaps], axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            rows = gaps[which.ravel() == i]
            groups.append((np.flatnonzero(pattern), rows, counts[rows]))
        return groups

    def only(self, rows: Ints) -> Table:
        """Some of the curves."""
        return Table(self.times, self.values[rows])


def _lengths(found: Flags) -> Ints:
    """Up to which column something is known of each row, (n,)."""
    return np.where(found.any(axis=1), found.shape[1] - np.argmax(found[:, ::-1], axis=1), 0)


@dataclass(frozen=True)
class Drift:
    """How curves come to their final value: y(t) = f (1 - pull t^2) + mean(t) + g(t) + noise, t = 0 at the end.

    f is the final value of a curve. Its own way there, g, is a straight line, a line that bends, a random walk, and
    another one that is over after the first steps; all end in 0.

    Attributes:
        pull: How much less a curve says of its end at its beginning.
        slope, bend, walk, burst: The variances of the line, of the bends (an integrated random walk), of the walk and
            of the first steps, for curves whose final values have unit variance.
        noise: The variance of the noise.
        spread: The variance of final values between configs.
        mean: The coefficients (1 + b,) of the mean final value, and of powers of time.
    """

    pull: float = 0.3
    slope: float = 0.1
    bend: float = 0.3
    walk: float = 0.01
    burst: float = 0.3
    noise: float = 1e-3
    spread: float = 1.0
    mean: tuple[float, ...] = (0.0,) * (1 + len(_BENT))

    @classmethod
    def fitted(cls, table: Table) -> Drift:
        """The one that is most likely if configs say nothing."""
        unlikely = _Unlikely(table)
        found = minimize(
            unlikely, _CENTRE, jac=True, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": _FIT_STEPS}
        )
        mean = unlikely.mean(found.x)
        slope, bend, walk, burst, noise, spread = np.exp(found.x[1:]).tolist()
        return cls(float(found.x[0]), slope, bend, walk, burst, noise, spread, tuple(mean.tolist()))

    def loading(self, times: Array) -> Array:
        """What share of its final value a curve shows, (T,)."""
        share: Array = 1.0 - self.pull * times**2
        return share

    def within(self, times: Array) -> Array:
        """Covariances (T, T) of a curve around its final value, noise included."""
        parts = np.array([self.slope, self.bend, self.walk, self.burst, self.noise])
        k: Array = np.tensordot(parts, _ways(times), 1)
        return k

    def curve(self, times: Array) -> Array:
        """The mean curve (T,)."""
        mean: Array = np.column_stack([self.loading(times), _powers(times)]) @ np.array(self.mean)
        return mean

    def ends(self, table: Table) -> tuple[Array, Array]:
        """What each curve alone says of its final value less the mean one, and how surely: (values, precisions), (n,).

        Of a curve that says nothing, 0 and 0.
        """
        values, precisions = np.zeros(len(table.values)), np.zeros(len(table.values))
        off = table.values - self.curve(table.times)
        k, loading = self.within(table.times), self.loading(table.times)
        for columns, rows, lengths in table.groups:
            root = np.linalg.cholesky(k[np.ix_(columns, columns)])
            both = np.column_stack([loading[columns], np.nan_to_num(off[np.ix_(rows, columns)]).T])
            whitened = lapack.dtrtrs(root, both, lower=1)[0]
            u, w = whitened[:, 0], whitened[:, 1:]
            at = lengths - 1
            precision = np.maximum(np.cumsum(u * u)[at], _LEAST)
            precisions[rows] = precision
            values[rows] = np.cumsum(u[:, None] * w, axis=0)[at, np.arange(len(rows))] / precision
        return values, precisions


# pull, and the logarithms of slope, bend, walk, burst, noise and spread: medians, standard deviations, bounds
_CENTRE = np.array([0.3, *np.log([0.1, 0.3, 0.01, 0.3, 1e-3, 1.0])])
_SPREADS = np.array([0.3, 1.0, 1.0, 1.0, 1.5, 1.5, 1.0])
_BOUNDS = [(-0.5, 1.0), (-9.0, 3.0), (-8.0, 3.0), (-8.0, 3.0), (-8.0, 3.0), (-12.0, 0.0), (-5.0, 4.0)]


def _powers(times: Array) -> Array:
    return np.column_stack([times**power for power in _BENT])


def _ways(times: Array) -> Array:
    """Covariances (5, T, T) of the parts of a curve's way, for unit variances."""
    low, high = np.minimum(times[:, None], times), np.maximum(times[:, None], times)
    bends = low**2 * (3.0 * high - low)
    return np.stack([low * high, bends, low, low**_EARLY, np.eye(len(times))])


class _Unlikely:
    """How unlikely curves are, and are believed to be: the negative logarithm of a posterior density.

    The mean curve is the most likely one for each vector.

    Args:
        table: The curves.
    """

    def __init__(self, table: Table) -> None:
        self.times, self.ways, self.powers = table.times, _ways(table.times), _powers(table.times)
        self.groups = []
        for columns, rows, lengths in table.groups:
            values = np.nan_to_num(table.values[np.ix_(rows, columns)]).T
            here = np.arange(len(columns))[:, None] < lengths
            logs = here.sum(axis=1).astype(np.float64)  # how many curves have each column
            self.groups.append((columns, values, here.astype(np.float64), logs))

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """The value at a vector (7,), and its gradient."""
        variances = np.exp(vector[1:])
        fall = -(self.times**2)
        loading = 1.0 + vector[0] * fall
        roots, mean = self._solved(vector)
        if not roots:
            return _IMPOSSIBLE, np.zeros_like(vector)
        off = (vector - _CENTRE) / _SPREADS
        value = 0.5 * float(off @ off) + 0.5 * _LOOSE * float(mean @ mean)
        pull, by_k = np.zeros(len(self.times)), np.zeros_like(self.ways[0])
        for (columns, _, here, counts), (inverse, white, explaining) in zip(self.groups, roots, strict=True):
            left = white - here * (explaining @ mean)[:, None]
            weights = inverse.T @ left
            value += 0.5 * float(np.einsum("kr,kr->", left, left)) - float(counts @ np.log(np.diag(inverse)))
            pull[columns] += weights.sum(axis=1)
            by_k[np.ix_(columns, columns)] += inverse.T @ (counts[:, None] * inverse) - weights @ weights.T
        gradient = off / _SPREADS
        gradient[0] += variances[-1] * float(fall @ by_k @ loading) - float(pull @ fall) * mean[0]
        gradient[1:-1] += 0.5 * variances[:-1] * np.tensordot(self.ways, by_k, 2)
        gradient[-1] += 0.5 * variances[-1] * float(loading @ by_k @ loading)
        return value, gradient

    def mean(self, vector: Array) -> Array:
        """The most likely mean curve for a vector (7,)."""
        return self._solved(vector)[1]

    def _solved(self, vector: Array) -> tuple[list[tuple[Array, Array, Array]], Array]:
        """Of each group the inverse root of its covariances, and with it its values and basis; the mean."""
        variances = np.exp(vector[1:])
        loading = 1.0 - vector[0] * self.times**2
        basis = np.column_stack([loading, self.powers])
        k = np.tensordot(variances[:-1], self.ways, 1) + variances[-1] * np.outer(loading, loading)
        roots, precision, pulled = [], _LOOSE * np.eye(basis.shape[1]), np.zeros(basis.shape[1])
        for columns, values, here, counts in self.groups:
            root, failed = lapack.dpotrf(k[np.ix_(columns, columns)], lower=1, clean=1)
            if failed:
                return [], pulled
            inverse = lapack.dtrtri(root, lower=1)[0]
            white, explaining = here * (inverse @ values), inverse @ basis[columns]
            precision += explaining.T @ (counts[:, None] * explaining)
            pulled += explaining.T @ white.sum(axis=1)
            roots.append((inverse, white, explaining))
        return roots, np.asarray(np.linalg.solve(precision, pulled), dtype=np.float64)


@dataclass(frozen=True)
class LearningCurves:
    """What is known of the final values of curves, from the curves and from the configs of all of them.

    Final values are a Gaussian process over configs; a curve is a noisy look at one of them. This is exactly the
    process over all points of all curves, at the cost of one over n configs.

    Attributes:
        drift: How curves come to their final values.
        process: Over configs, of final values less their mean.
        doubt: The variance of what each curve alone says of its end, (n,), in the scale of the process.
        mean: The mean final value of all configs, most likely for this process.

    References:
        Swersky, Snoek and Adams, "Freeze-thaw Bayesian optimization", 2014, eq. 19 to 21.
    """

    drift: Drift
    process: GaussianProcess
    doubt: Array
    mean: float

    @classmethod
    def of(
        cls, drift: Drift, kernel: Kernel, points: Points, table: Table, scale: float | None = None
    ) -> LearningCurves:
        """What curves say that were trained with the configs at `points`.

        Args:
            drift: How curves come to their final values.
            kernel: Of final values over configs; its noise is what differs between equal configs.
            points: The configs, n of them.
            table: Their curves.
            scale: The variance of the process over configs; by default from that of final values.
        """
        values, precisions = drift.ends(table)
        precisions = np.maximum(precisions, _LEAST)
        guess = drift.spread / float(kernel.within(points).mean() + kernel.noise) if scale is None else scale
        mean, process = _seen_around(kernel, points, values, 1.0 / (guess * precisions), guess)
        if scale is None:
            guess *= float(np.clip(process.y[:, 0] @ process.alpha[:, 0] / len(values), *_RESCALED))
            mean, process = _seen_around(kernel, points, values, 1.0 / (guess * precisions), guess)
        return cls(drift, process, 1.0 / (guess * precisions), drift.mean[0] + mean)

    @cached_property
    def finals(self) -> tuple[Array, Array]:
        """Mean and standard deviation of the final value of each curve, (n,)."""
        process = self.process
        mean = process.y[:, 0] - self.doubt * process.alpha[:, 0]
        variance = self.doubt - self.doubt**2 * np.diag(process.inverse)
        return self.mean + mean, np.sqrt(process.scale * np.maximum(variance, 1e-12))

    def believing(self, points: Points) -> GaussianProcess:
        """The process, had all curves come to the end that it expects of them, and those of configs at `points` too.

        What is unknown to it is what no curve that has begun will tell.

        References:
            Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010, section 4.1
            (the believer).
        """
        process = self.process
        expected = np.append(self.finals[0] - self.mean, process.means(points)[:, 0])
        doubt = np.full(len(expected), _BELIEVED)
        return _seen(process.kernel, process.points.and_also(points), expected[:, None], doubt, process.scale)


def _seen_around(
    kernel: Kernel, points: Points, values: Array, doubt: Array, scale: float
) -> tuple[float, GaussianProcess]:
    """The most likely mean of the process that gave values (n,), and that process around it."""
    ones = np.ones((len(values), 1))
    process = _seen(kernel, points, np.column_stack([values, ones]), doubt, scale)
    weights = process.alpha[:, 1]
    mean = float(weights @ values) / (float(weights.sum()) + _LOOSE)
    around = replace(process, y=values[:, None] - mean)
    vars(around)["inverse"] = process.inverse
    return mean, around


def _seen(kernel: Kernel, points: Points, y: Array, doubt: Array, scale: float) -> GaussianProcess:
    """The process that has seen values (n, s), each with a doubt of its own beside the noise."""
    k, _ = kernel.between(points, points)
    k.flat[:: len(k) + 1] += kernel.noise + JITTER + doubt
    factor, _ = lapack.dpotrf(k, lower=1, overwrite_a=1)
    process = GaussianProcess(kernel, points, y, scale)
    vars(process)["inverse"] = mirrored(lapack.dpotri(factor, lower=1, overwrite_c=1)[0])
    return process
