"""Gaussian processes fitted to the results of a study, at a cost that is spread over its trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History
from tuneful.searchers.evidence import telling
from tuneful.surrogates.features import Features, Points
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.likelihood import Likelihood, Prior

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Warped = Callable[[Array], Array]

_GROWTH = 1.25  # from one thorough fit to the next
_THOROUGH, _BRIEF = 40, 6  # steps of a fit
_FITTED = 150  # values that a kernel is fitted to: each step costs their cube
SEEN = 400  # values that a process sees


@dataclass(frozen=True)
class Fitting:
    """Finds the processes of a study.

    Attributes:
        history: Of the study; it remembers the last thorough fit.
        features: How the processes see configs.
        prior: What is believed of kernels.
    """

    history: History
    features: Features
    prior: Prior

    def process(self, key: str, x: Array, y: Array, warped: Warped = np.asarray) -> GaussianProcess:
        """The process most likely to have given the values `y` (n,) at the configs `x` (n, d), in the order of ending.

        A thorough fit to the first so many values is remembered, and brought up to date in a few steps for those
        after them. Both follow from the values alone, so nothing depends on what was remembered. If the values are
        many, it sees those that `seen` names.
        """
        first = _last_thorough(len(y))
        vector = self._thorough(key, x[:first], y[:first], warped)
        kept = seen(y)
        points, values = self.features.of(x[kept]), warped(y[kept])
        if first < len(y):
            vector = self._likelihood(points, values).best([vector], _BRIEF)
        return GaussianProcess.of(Kernel.of(vector, self.features.group), points, values)

    def _thorough(self, key: str, x: Array, y: Array, warped: Warped) -> Array:
        digest = hash((x.tobytes(), y.tobytes(), self.features, self.prior))
        known = self.history.recall(key)
        if known is not None and known[1][0] == digest:
            found: Array = known[1][1]
            return found
        kept = seen(y)
        likelihood = self._likelihood(self.features.of(x[kept]), warped(y[kept]))
        found = likelihood.best(self.prior.starts(likelihood.columns), _THOROUGH)
        self.history.remember(key, (digest, found))
        return found

    def _likelihood(self, points: Points, values: Array) -> Likelihood:
        kept = telling(values, _FITTED)
        return Likelihood(Points(points.near[kept], points.far[kept]), self.features.group, values[kept], self.prior)


def seen(y: Array) -> Ints:
    """The places of those of the values (n,) that a process sees."""
    return telling(y, SEEN)


def _last_thorough(n: int) -> int:
    """The last number of values, up to `n`, for which there is a thorough fit."""
    at = 1
    while (following := max(at + 1, int(at * _GROWTH))) <= n:
        at = following
    return at
