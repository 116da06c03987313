"""Covariances: those of the book, and positive semi-definite on every kind of config."""

import numpy as np
import pytest

from tuneful.surrogates.features import Features
from tuneful.surrogates.kernel import Kernel, matern, squared_distances

NAN = np.nan


def conditional(n, seed):
    """Configs of a space with numbers, choices and conditions of every kind, some of them twice."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    options = tuple(int(k) for k in rng.choice([0, 0, 1, 2, 3, 6], size=d))
    optional = tuple(bool(o) for o in rng.random(d) < 0.5)
    x = rng.random((n, d))
    x[:, optional] = np.where(rng.random((n, sum(optional))) < 0.4, NAN, x[:, optional])
    x[n // 2 :: 5] = x[0]
    return Features(options, optional), x


def test_the_matern_kernel_is_that_of_the_book():
    r = np.array([0.0, 1e-6, 0.1, 1.0, 3.0, 20.0])
    a = np.sqrt(5) * r
    assert matern(r**2)[0] == pytest.approx((1 + a + 5 * r**2 / 3) * np.exp(-a), rel=1e-12)


def test_its_slope_is_that_of_finite_differences():
    squared = np.array([0.01, 0.3, 1.0, 4.0, 60.0])
    up, down = matern(squared * (1 + 1e-5))[0], matern(squared * (1 - 1e-5))[0]
    assert matern(squared)[1] == pytest.approx((up - down) / (2e-5 * squared), rel=1e-5)
    assert matern(np.zeros(1))[1] == pytest.approx([-5 / 6])


@pytest.mark.parametrize("squared", [0.0, -1e-12, 1e-300, 1e12, 1e300])
def test_distances_of_any_size_have_a_kernel(squared):
    value, slope = matern(np.array([squared]))
    assert 0 <= value[0] <= 1 + 1e-12
    assert -1 <= slope[0] <= 0


def test_squared_distances():
    rng = np.random.default_rng(0)
    z, others = rng.standard_normal((7, 3)), rng.standard_normal((5, 3))
    expected = ((z[:, None] - others[None]) ** 2).sum(axis=2)
    assert squared_distances(z, others) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(12))
def test_covariances_are_positive_semidefinite_whatever_the_space(seed):
    features, x = conditional(60, seed)
    rng = np.random.default_rng(seed)
    vector = np.append(rng.uniform(-3, 3, x.shape[1]), [rng.uniform(-6, 2), -4.0])
    points = features.of(x)
    k, _ = Kernel.of(vector, features.group).between(points, points)
    np.testing.assert_allclose(k, k.T, atol=1e-9)
    values = np.linalg.eigvalsh(0.5 * (k + k.T))
    assert values.min() > -1e-10 * values.max()


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_of_a_value_is_its_covariance_with_itself(seed):
    features, x = conditional(20, seed)
    points = features.of(x)
    kernel = Kernel.of(np.linspace(-1, 1, x.shape[1] + 2), features.group)
    assert kernel.within(points) == pytest.approx(np.diag(kernel.between(points, points)[0]))


def test_a_kernel_has_one_length_scale_a_column():
    features = Features((0, 3, 0), (False, False, True))
    kernel = Kernel.of(np.log([0.5, 2.0, 3.0, 0.1, 0.01]), features.group)
    by_column = dict(zip(features.group.tolist(), kernel.lengths.tolist(), strict=False))
    assert by_column == pytest.approx({0: 0.5, 1: 2.0, 2: 3.0})
    assert (kernel.trend, kernel.noise) == pytest.approx((0.1, 0.01))


def test_what_exists_in_one_config_only_says_nothing_of_how_alike_two_are():
    features = Features((2, 0, 0), (False, True, True))
    kernel = Kernel.of(np.log([1.0, 0.2, 3.0, 0.7, 0.01]), features.group)
    u = np.random.default_rng(0).random((10, 1))
    ones, others = (np.full((10, 1), value) for value in (0.25, 0.75))
    absent = np.full((10, 1), NAN)
    one, other = features.of(np.hstack([ones, u, absent])), features.of(np.hstack([others, absent, u]))
    alike, _ = kernel.between(one, other)
    assert np.ptp(alike) < 1e-12


def test_a_short_length_scale_makes_a_column_matter_and_a_long_one_does_not():
    features = Features((0, 0), (False, False))
    kernel = Kernel.of(np.append(np.log([0.1, 100.0]), [-20.0, -4.0]), features.group)
    points = features.of(np.array([[0.5, 0.5], [0.9, 0.5], [0.5, 0.9]]))
    alike = kernel.between(points, points)[0][0]
    assert alike[1] < 0.01
    assert alike[2] > 0.99
