"""The logarithm of an expected improvement, against arithmetic with 60 digits."""

import mpmath
import numpy as np
import pytest

from tuneful.surrogates.improvement import log_improvement

PLACES = [
    *(-np.geomspace(1.0, 1e5, 60)),
    *np.linspace(-6, 6, 61),
    *(-1e4 * np.array([0.999, 0.999999, 1, 1.000001, 1.001])),
    -1.0 - 1e-12,
    -1.0 + 1e-12,
    10.0,
    40.0,
]


def exactly(z):
    with mpmath.workdps(60):
        z = mpmath.mpf(float(z))
        below = mpmath.ncdf(z)
        h = mpmath.npdf(z) + z * below
        return float(mpmath.log(h)), float(below / h)


def test_it_is_exact_from_hopeless_to_certain():
    z = np.array(PLACES)
    log, slope = log_improvement(z)
    expected = np.array([exactly(value) for value in z])
    assert log == pytest.approx(expected[:, 0], rel=1e-12, abs=1e-7)
    assert slope == pytest.approx(expected[:, 1], rel=1e-6)


def test_the_larger_parts_are_exact_to_the_last_digits():
    z = np.linspace(-30, 40, 141)
    expected = np.array([exactly(value) for value in z])
    log, slope = log_improvement(z)
    assert log == pytest.approx(expected[:, 0], rel=1e-12, abs=1e-12)
    assert slope == pytest.approx(expected[:, 1], rel=1e-11)


def test_more_is_better_everywhere():
    z = np.sort(np.concatenate([-np.geomspace(1e-3, 1e6, 2000), np.linspace(-2, 50, 2000)]))
    log, slope = log_improvement(z)
    assert np.all(np.diff(log) >= 0)
    assert np.all(slope > 0)


def test_the_slope_is_that_of_the_logarithm():
    z = np.concatenate([-np.geomspace(0.5, 300, 40), np.linspace(-1.2, 20, 40)])
    step = 1e-5 * np.maximum(np.abs(z), 1)
    found = (log_improvement(z + step)[0] - log_improvement(z - step)[0]) / (2 * step)
    assert log_improvement(z)[1] == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("z", [-1e150, -1e8, -1e4, 0.0, 1e3, 1e150])
def test_it_is_finite_at_any_distance_and_has_the_shape_of_what_it_gets(z):
    log, slope = log_improvement(np.full((2, 3), z))
    assert log.shape == slope.shape == (2, 3)
    assert np.isfinite(log).all()
    assert np.isfinite(slope).all()
