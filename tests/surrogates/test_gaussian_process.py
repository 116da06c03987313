"""Gaussian process regression, against the formulas of the book computed in full."""

import numpy as np
import pytest
from scipy import optimize

from tuneful.surrogates.features import Features, Points
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.likelihood import JITTER

NAN = np.nan
FEATURES = Features((0, 0, 3, 0), (False, True, False, False))
KERNEL = Kernel.of(np.log([0.4, 0.8, 1.5, 2.0, 0.3, 0.02]), FEATURES.group)


def configs(n, seed):
    x = np.random.default_rng(seed).random((n, 4))
    x[x[:, 2] < 1 / 3, 1] = NAN
    return x


def known(n=25, seed=0):
    x = configs(n, seed)
    y = np.sin(4 * x[:, 0]) + np.where(np.isnan(x[:, 1]), 0.5, x[:, 1]) - x[:, 3]
    return GaussianProcess.of(KERNEL, FEATURES.of(x), y - y.mean())


def in_full(process, points):
    """Mean (m, s) and covariance (m, m), by solving."""
    k = process.kernel.between(process.points, process.points)[0]
    k += (process.kernel.noise + JITTER) * np.eye(len(k))
    cross = process.kernel.between(points, process.points)[0]
    prior = process.kernel.between(points, points)[0]
    solved = np.linalg.solve(k, np.hstack([process.y, cross.T]))
    s = process.y.shape[1]
    return cross @ solved[:, :s], process.scale * (prior - cross @ solved[:, s:])


def some(points, rows):
    return Points(points.near[rows], points.far[rows])


def test_mean_spread_and_covariance_are_those_of_the_book():
    process, points = known(), FEATURES.of(configs(40, 1))
    mean, covariance = in_full(process, points)
    view = process.at(points)
    assert view.mean == pytest.approx(mean, abs=1e-9)
    assert process.means(points) == pytest.approx(mean, abs=1e-9)
    assert view.spread == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-6)
    assert process.covariance(points) == pytest.approx(covariance, abs=1e-9)


def test_the_scale_is_the_most_likely_one():
    process = known()
    n = len(process.y)
    k = process.kernel.between(process.points, process.points)[0] + (KERNEL.noise + JITTER) * np.eye(n)
    assert process.scale == pytest.approx(process.y[:, 0] @ np.linalg.solve(k, process.y[:, 0]) / n)


def test_values_without_noise_are_met_and_far_away_is_unknown():
    kernel = Kernel.of(np.log([0.2, 1e-30, 1e-6]), np.zeros(1, dtype=int))
    features = Features((0,), (False,))
    x, y = np.array([[0.1], [0.4], [0.6]]), np.array([1.0, -2.0, 0.5])
    process = GaussianProcess.of(kernel, features.of(x), y)
    view = process.at(features.of(np.vstack([x, [[40.0]]])))
    assert view.mean[:3, 0] == pytest.approx(y, abs=1e-4)
    assert view.spread[:3].max() < 0.01 * view.spread[3]
    assert view.mean[3, 0] == pytest.approx(0, abs=1e-6)
    assert view.spread[3] == pytest.approx(np.sqrt(process.scale), rel=1e-4)


def test_leaving_one_out_is_what_the_others_say_of_it():
    process = known(15)
    mean, spread = process.left_out()
    for i in range(15):
        others = np.delete(np.arange(15), i)
        without = GaussianProcess(KERNEL, some(process.points, others), process.y[others], process.scale)
        at, covariance = in_full(without, some(process.points, [i]))
        noise = process.scale * (KERNEL.noise + JITTER)
        assert mean[i] == pytest.approx(at[0, 0], abs=1e-8)
        assert spread[i] == pytest.approx(np.sqrt(covariance[0, 0] + noise), rel=1e-6)


@pytest.mark.parametrize("s", [1, 4])
def test_slopes_are_those_of_finite_differences(s):
    rng = np.random.default_rng(2)
    process = known()
    if s > 1:
        process = process.imagining(FEATURES.of(configs(3, 5)), rng.standard_normal((3, s)))
    points = FEATURES.of(configs(6, 3))
    by_mean, by_spread = rng.standard_normal((6, s)), rng.standard_normal(6)
    found = process.at(points).slopes(by_mean, by_spread)
    f, t = points.near.shape[1], points.far.shape[1]
    for i in range(6):

        def score(vector, i=i):
            view = process.at(Points(vector[None, :f], vector[None, f:]))
            return float(view.mean[0] @ by_mean[i] + view.spread[0] * by_spread[i])

        at = np.append(points.near[i], points.far[i])
        expected = optimize.approx_fprime(at, score, 1e-6)
        assert np.append(found.near[i], found.far[i]) == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert t == found.far.shape[1]


def test_imagined_results_change_no_expectation():
    process, pending = known(), FEATURES.of(configs(4, 6))
    normal = np.random.default_rng(0).standard_normal((4, 8))
    imagined = process.imagining(pending, np.hstack([normal, -normal]))
    points = FEATURES.of(configs(30, 7))
    means = imagined.means(points)
    assert means.mean(axis=1) == pytest.approx(process.means(points)[:, 0], abs=1e-8)
    assert means.std(axis=1).max() > 0.01


def test_imagined_results_vary_as_real_ones_would():
    process, pending = known(), FEATURES.of(configs(3, 8))
    imagined = process.imagining(pending, np.random.default_rng(0).standard_normal((3, 20_000)))
    guessed = imagined.y[-3:]
    expected = process.covariance(pending) + process.scale * KERNEL.noise * np.eye(3)
    assert np.cov(guessed) == pytest.approx(expected, rel=0.1, abs=0.02 * expected.max())
    np.testing.assert_array_equal(imagined.y[:-3], np.repeat(process.y, 20_000, axis=1))


def test_imagining_makes_sure_of_the_pending_and_less_sure_of_nothing():
    process, pending = known(), FEATURES.of(configs(4, 6))
    imagined = process.imagining(pending, np.random.default_rng(1).standard_normal((4, 2)))
    before, after = process.at(pending).spread, imagined.at(pending).spread
    noise = np.sqrt(process.scale * (KERNEL.noise + JITTER))
    assert np.all(after <= before * noise / np.hypot(before, noise) + 1e-9)
    points = FEATURES.of(configs(50, 9))
    assert np.all(imagined.at(points).spread <= process.at(points).spread + 1e-9)


def test_draws_follow_the_process():
    process, points = known(), FEATURES.of(configs(4, 10))
    normal = np.random.default_rng(0).standard_normal((5000, 4))
    drawn = np.array([process.drawn(points, z) for z in normal])
    covariance = process.covariance(points)
    assert drawn.mean(axis=0) == pytest.approx(process.means(points)[:, 0], abs=0.05 * np.sqrt(covariance.max()))
    assert np.cov(drawn.T) == pytest.approx(covariance, rel=0.15, abs=0.03 * covariance.max())


def test_a_draw_at_points_that_are_equal_or_known_is_finite():
    process = known()
    points = process.points.and_also(some(process.points, [0] * 40))
    assert np.isfinite(process.drawn(points, np.ones(65))).all()
    assert np.isfinite(process.imagining(points, np.ones((65, 2))).means(points)).all()


@pytest.mark.parametrize("y", [[0.0, 0, 0, 0], [1, 1, 1, 1], [1e-200, 0, 0, 0]])
def test_values_that_say_nothing_and_points_that_are_equal(y):
    x = np.array([[0.5, 0.5, 0.9, 0.5]] * 4)
    process = GaussianProcess.of(KERNEL, FEATURES.of(x), np.array(y))
    view = process.at(FEATURES.of(configs(5, 0)))
    assert np.isfinite(view.mean).all()
    assert np.all(view.spread > 0)
