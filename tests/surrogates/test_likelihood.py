"""Which kernel explains some values: the density of the book, its exact gradient, and what it makes of data."""

import numpy as np
import pytest
from scipy import optimize, stats

from tuneful.surrogates.features import Features
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.likelihood import JITTER, PRIOR, Likelihood, Prior, mirrored

NAN = np.nan
MIXED = Features((0, 0, 3, 2, 0), (False, True, False, True, False))


def mixed(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 5))
    absent = rng.random(n) < 0.4
    x[absent, 1], x[~absent, 3] = NAN, NAN
    y = np.sin(5 * x[:, 0]) + np.where(absent, 1.0, x[:, 1] ** 2) + 0.1 * rng.standard_normal(n)
    return Likelihood(MIXED.of(x), MIXED.group, y - y.mean(), PRIOR)


def vectors(n, seed=1):
    low, high = np.array(PRIOR.bounds(5)).T
    low, high = np.maximum(low, -2.5), np.minimum(high, 2.5)
    return np.random.default_rng(seed).uniform(low, high, (n, 7))


@pytest.mark.parametrize("n", [2, 3, 25])
def test_the_gradient_is_that_of_finite_differences(n):
    likelihood = mixed(n)
    for vector in vectors(6):
        _, gradient = likelihood(vector)
        found = optimize.approx_fprime(vector, lambda v: likelihood(v)[0], 1e-6)
        assert gradient == pytest.approx(found, rel=1e-4, abs=2e-4)


def test_it_is_the_density_of_the_values_and_of_the_kernel():
    likelihood = mixed(20)
    n, y = 20, likelihood.y

    def expected(vector):
        kernel = Kernel.of(vector, MIXED.group)
        k = kernel.between(likelihood.points, likelihood.points)[0] + (kernel.noise + JITTER) * np.eye(n)
        scale = y @ np.linalg.solve(k, y) / n
        density = stats.multivariate_normal(np.zeros(n), scale * k).logpdf(y)
        lengths = stats.lognorm(PRIOR.length_spread, scale=np.exp(PRIOR.length + 0.5 * np.log(5)))
        density += lengths.logpdf(np.exp(vector[:5])).sum()
        density += stats.norm(PRIOR.trend, PRIOR.trend_spread).logpdf(vector[5])
        return -density - stats.norm(PRIOR.noise, PRIOR.noise_spread).logpdf(vector[6])

    some = vectors(8)
    off = [likelihood(vector)[0] - expected(vector) for vector in some]
    assert off == pytest.approx([off[0]] * len(some), abs=1e-6)


def test_the_most_likely_kernel_is_at_least_as_likely_as_where_the_search_began():
    likelihood = mixed(40)
    starts = PRIOR.starts(5)
    best = likelihood.best(starts, 40)
    assert likelihood(best)[0] <= min(likelihood(start)[0] for start in starts)
    low, high = np.array(PRIOR.bounds(5)).T
    assert np.all((low <= best) & (best <= high))


def test_it_sees_which_columns_matter():
    rng = np.random.default_rng(3)
    features = Features((0,) * 4, (False,) * 4)
    x = rng.random((60, 4))
    y = stats.zscore(np.sin(8 * x[:, 1]))
    best = Likelihood(features.of(x), features.group, y, PRIOR).best(PRIOR.starts(4), 40)
    assert np.argmin(best[:4]) == 1
    assert np.exp(best[1]) < 1 < np.exp(np.delete(best[:4], 1)).min()


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 0, 1e-3), (0.5, 0.05, 10)])
def test_it_sees_how_much_noise_there_is(noise, low, high):
    rng = np.random.default_rng(4)
    features = Features((0,), (False,))
    x = rng.random((80, 1))
    y = stats.zscore(np.sin(6 * x[:, 0]) + noise * rng.standard_normal(80))
    best = Likelihood(features.of(x), features.group, y, PRIOR).best(PRIOR.starts(1), 40)
    assert low <= np.exp(best[-1]) <= high


@pytest.mark.parametrize("y", [[0.0] * 6, [0, 0, 0, 0, 0, 1e-12], [1e150, -1e150, 0, 0, 0, 0]])
def test_values_that_say_nothing_or_too_much_have_a_likelihood(y):
    features = Features((0,), (False,))
    x = np.array([[0.5]] * 3 + [[0.1], [0.2], [0.9]])
    best = Likelihood(features.of(x), features.group, np.array(y), PRIOR).best(PRIOR.starts(1), 20)
    assert np.isfinite(best).all()


def test_points_that_are_equal_do_not_break_it():
    features = Features((0, 2), (False, False))
    x = np.repeat([[0.3, 0.2]], 50, axis=0)
    likelihood = Likelihood(features.of(x), features.group, np.linspace(-1, 1, 50), PRIOR)
    for vector in np.array([[7.0, 7.0, 3.0, np.log(1e-6)], [-5.0, -5.0, -10.0, 1.0]]):
        value, gradient = likelihood(vector)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_a_kernel_that_cannot_be_is_no_candidate():
    features = Features((0,), (False,))
    x = np.linspace(0, 1, 5)[:, None]
    likelihood = Likelihood(features.of(x), features.group, np.ones(5), PRIOR)
    likelihood._trends = -1e6 * np.ones((5, 5))
    value, gradient = likelihood(PRIOR.starts(1)[0])
    assert value > likelihood.prior.centre(1).sum()
    assert not gradient.any()


def test_a_prior_says_where_to_begin_and_how_far_to_go():
    prior = Prior(length=0.0, noise=-2.0, least_noise=1e-3)
    assert prior.centre(4) == pytest.approx([np.log(2)] * 4 + [-1.0, -2.0])
    bounds = np.array(prior.bounds(4))
    assert bounds[-1, 0] == pytest.approx(np.log(1e-3))
    for start in prior.starts(4):
        assert np.all((bounds[:, 0] <= start + 1e-9) | (np.arange(6) == 5))
        assert len(start) == 6


def test_the_mirror_of_a_triangle():
    whole = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(mirrored(whole), [[0, 3, 6], [3, 4, 7], [6, 7, 8]])
