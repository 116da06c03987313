"""What a Gaussian process promises of configs, for a hill climber."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from tuneful.surrogates.features import Features, Points
from tuneful.surrogates.gaussian_process import GaussianProcess, View
from tuneful.surrogates.improvement import log_improvement

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

# What a merit is (m,), and its derivatives by the means (m, s) and by the standard deviation (m,).
Merit = Callable[[View, Array], tuple[Array, Array, Array]]

_LOG_ROOT = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Acquisition:
    """How much a config is worth trying: its merit, and how likely it is to succeed.

    Attributes:
        features: How the processes see configs.
        process: What is known of values: one process for each way in which the running trials may end.
        merit: Of a config, from what the process expects there.
        success: What is known of success: values near 1 where trials succeed, near -1 where they fail.

    References:
        Gelbart et al., "Bayesian optimization with unknown constraints", UAI 2014 (the product with the
        probability of success).
    """

    features: Features
    process: GaussianProcess
    merit: Merit
    success: GaussianProcess | None = None

    @property
    def columns(self) -> Ints:
        return self.features.numbers

    @cached_property
    def reach(self) -> Array:
        return self.process.kernel.lengths[: len(self.columns)]

    @cached_property
    def best(self) -> Array:
        """The lowest mean where something is known, (s,): with noise, a lucky value is not the best one."""
        lowest: Array = self.process.smoothed.min(axis=0)
        return lowest

    def __call__(self, x: Array) -> Array:
        points = self.features.of(x)
        values = self.merit(self.process.at(points), self.best)[0]
        return values if self.success is None else values + log_success(self.success.at(points))[0]

    def slopes(self, x: Array) -> tuple[Array, Array]:
        points = self.features.of(x)
        view = self.process.at(points)
        values, by_mean, by_spread = self.merit(view, self.best)
        by = view.slopes(by_mean, by_spread)
        if self.success is not None:
            view = self.success.at(points)
            logs, by_success, by_doubt = log_success(view)
            more = view.slopes(by_success[:, None], by_doubt)
            values, by = values + logs, Points(by.near + more.near, by.far + more.far)
        return values, self.features.slopes(x, by)

    def chance(self, x: Array) -> Array:
        """The probability (m,) that trials of configs (m, d) succeed."""
        if self.success is None:
            return np.ones(len(x))
        return np.exp(log_success(self.success.at(self.features.of(x)))[0])


def improvement(view: View, best: Array) -> tuple[Array, Array, Array]:
    """The logarithm of the expected improvement on `best` (s,), averaged over the processes.

    References:
        Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023.
    """
    spread = view.spread[:, None]
    z = (best - view.mean) / spread
    logs, by_z = log_improvement(z)
    highest = logs.max(axis=1, keepdims=True)
    share = np.exp(logs - highest)
    total = share.sum(axis=1, keepdims=True)
    by_z *= share / total
    values = highest[:, 0] + np.log(total[:, 0] / z.shape[1] * view.spread)
    return values, -by_z / spread, (1.0 - (by_z * z).sum(axis=1)) / view.spread


def lower_bound(kappa: float) -> Merit:
    """How low a value may well be: the mean less `kappa` standard deviations, negative.

    References:
        Srinivas et al., "Gaussian process optimization in the bandit setting: no regret and experimental design",
        ICML 2010.
    """

    def merit(view: View, _: Array) -> tuple[Array, Array, Array]:
        m, s = view.mean.shape
        values = kappa * view.spread - view.mean.mean(axis=1)
        return values, np.full((m, s), -1.0 / s), np.full(m, kappa)

    return merit


def log_success(view: View) -> tuple[Array, Array, Array]:
    """The log probability (m,) that a trial succeeds, and its derivatives by mean and spread, (m,) each."""
    process = view.process
    doubt = np.sqrt(view.spread**2 + process.scale * process.kernel.noise)
    t = view.mean[:, 0] / doubt
    log = log_ndtr(t)
    by_t = np.exp(-0.5 * t * t - _LOG_ROOT - log)
    return log, by_t / doubt, -by_t * t * view.spread / doubt**2
