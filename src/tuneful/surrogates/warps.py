"""Values as a Gaussian process likes them: of unit spread, and without a tail of disasters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

_POWERS = np.linspace(-1.0, 3.0, 33)
_FAR = 3.0  # by how many extents of the better half a value must be worse than the median to be drawn in
_MANY = 1e290  # extents; more would overflow
_CEILING = 600.0  # exponents above would overflow


@dataclass(frozen=True)
class Warp:
    """A monotone map under which some values look normal, and the way back.

    Distances from the median are measured in extents of the better half; what lies far behind the median is drawn in
    to its logarithm, so that a divergent trial cannot hide the differences between good ones. The power of Yeo and
    Johnson that fits best does the rest.

    Attributes:
        middle, extent: The median, and how far the better half extends from it.
        power: Yeo and Johnson's lambda; 1 leaves everything as it is.
        before, after: (mean, standard deviation) before and after the power.

    References:
        Yeo and Johnson, "A new family of power transformations to improve normality or symmetry", Biometrika 2000.
        Cowen-Rivers et al., "HEBO: pushing the limits of sample-efficient hyper-parameter optimisation", JAIR 2022
        (what a power transform is worth).
    """

    middle: float
    extent: float
    power: float
    before: tuple[float, float]
    after: tuple[float, float]

    @classmethod
    def fitted(cls, y: Array) -> Warp:
        """The map for the values `y` (n,), which must be finite; if all are equal, to 0."""
        middle = float(np.median(y))
        extent = _extent(y - middle)
        tame = _drawn_in(_in_units(y - middle, extent))
        before = _moments(tame)
        z = (tame - before[0]) / before[1]
        power = _most_normal(z)
        return cls(middle, extent, power, before, _moments(_bent(z, power)))

    def __call__(self, y: Array) -> Array:
        """Values (m,) as a model shall see them: those it was fitted to have mean 0 and variance 1."""
        z = (_drawn_in(_in_units(y - self.middle, self.extent)) - self.before[0]) / self.before[1]
        return (_bent(z, self.power) - self.after[0]) / self.after[1]

    def back(self, values: Array) -> Array:
        """What values (m,) of a model mean."""
        z = _straightened(np.asarray(values) * self.after[1] + self.after[0], self.power)
        meant: Array = self.middle + self.extent * _let_out(z * self.before[1] + self.before[0])
        return meant


def normal_scores(y: Array) -> Array:
    """Normal quantiles of the ranks of values (n,); ties share one."""
    levels, place = np.unique(y, return_inverse=True)
    scores: Array = ndtri((place + 0.5) / len(levels))
    return scores


def _extent(off: Array) -> float:
    """The unit for distances from the median: how far the better half goes; if not at all, the other one."""
    best, worse = -float(off.min()), off[off > 0]
    if best > 0:
        return best
    return float(np.median(worse)) if len(worse) else 1.0


def _in_units(off: Array, extent: float) -> Array:
    return np.clip(off, -extent * _MANY, extent * _MANY) / extent


def _moments(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) or 1.0


def _drawn_in(off: Array) -> Array:
    return np.where(off > _FAR, _FAR * (1.0 + np.log(np.maximum(off, _FAR) / _FAR)), off)


def _let_out(off: Array) -> Array:
    return np.where(off > _FAR, _FAR * np.exp(np.clip(off / _FAR - 1.0, 0.0, _CEILING)), off)


def _most_normal(z: Array) -> float:
    """The power under which `z` is most likely normal (Yeo and Johnson 2000, eq. 3.1)."""
    lean = float((np.sign(z) * np.log1p(np.abs(z))).sum())
    variances = _bent(z, _POWERS[:, None]).var(axis=1)
    likely = -0.5 * len(z) * np.log(variances + 1e-300) + (_POWERS - 1.0) * lean
    return float(_POWERS[np.argmax(likely)])


def _bent(z: Array, power: float | Array) -> Array:
    """Yeo and Johnson 2000, eq. 2.1."""
    above, below = np.log1p(np.maximum(z, 0.0)), np.log1p(np.maximum(-z, 0.0))
    return _grown(above, power) - _grown(below, 2.0 - power)


def _straightened(w: Array, power: float) -> Array:
    """The inverse of `_bent`."""
    return _shrunk(np.maximum(w, 0.0), power) - _shrunk(np.maximum(-w, 0.0), 2.0 - power)


def _grown(log: Array, power: float | Array) -> Array:
    flat = np.equal(power, 0.0)
    grown: Array = np.where(flat, log, np.expm1(power * log) / np.where(flat, 1.0, power))
    return grown


def _shrunk(w: Array, power: float) -> Array:
    if power == 0:
        return np.expm1(np.minimum(w, _CEILING))
    log = np.log1p(np.maximum(power * w, 1e-12 - 1.0)) / power
    return np.expm1(np.minimum(log, _CEILING))
