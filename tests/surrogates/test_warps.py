"""Values as a process likes them: whatever they are, in order, of unit spread, and with a way back."""

import numpy as np
import pytest
from scipy import stats

from tuneful.surrogates.warps import Warp, normal_scores

RNG = np.random.default_rng(0)
VALUES = {
    "normal": RNG.standard_normal(50),
    "of a bowl": (RNG.random((50, 3)) ** 2).sum(axis=1),
    "lognormal": np.exp(3 * RNG.standard_normal(50)),
    "with a long good tail": -np.exp(2 * RNG.standard_normal(50)),
    "accuracies": -np.minimum(1 - np.exp(-4 * RNG.random(50)), 1),
    "with disasters": np.append(RNG.random(40), [1e3, 1e6, 1e12, 1e30]),
    "huge": 1e300 * (RNG.random(30) - 0.5),
    "tiny": 1e-300 * RNG.random(30),
    "far from zero": 1e9 + RNG.random(30),
    "mostly ties": np.array([1.0] * 20 + [0.0, 2.0, 5.0]),
    "tied at the best": np.array([0.0] * 30 + [1.0, 2.0, 300.0]),
    "two": np.array([3.0, 8.0]),
    "two levels": np.array([0.0, 1.0] * 10),
    "extremes": np.array([-1e300, 0.0, 1e300]),
    "a disaster of the largest size": np.append(RNG.random(20), 1e250),
    "a triumph": np.append(RNG.random(20), -1e6),
}


@pytest.fixture(params=VALUES)
def y(request):
    return np.sort(VALUES[request.param])


def test_the_values_it_was_fitted_to_have_unit_spread(y):
    warped = Warp.fitted(y)(y)
    assert warped.mean() == pytest.approx(0, abs=1e-9)
    assert warped.std() == pytest.approx(1, abs=1e-9)


def test_the_order_stays(y):
    warp = Warp.fitted(y)
    warped = warp(y)
    assert np.all(np.diff(warped)[np.diff(y) == 0] == 0)
    assert np.all(np.diff(warped)[np.diff(y) > 1e-9 * np.ptp(np.sort(y)[: len(y) // 2 + 2])] > 0)
    between = np.sort(np.concatenate([y, 0.5 * y[1:] + 0.5 * y[:-1]]))
    assert np.all(np.diff(warp(between)) >= 0)


def test_there_is_a_way_back(y):
    warp = Warp.fitted(y)
    again = warp.back(warp(y))
    step = 1e-6 * (np.abs(y - warp.middle) + warp.extent) + 1e-14 * abs(warp.middle)
    assert np.all(np.abs(again - y) <= step)


def test_predictions_far_outside_mean_something_finite_in_the_same_order(y):
    warp = Warp.fitted(y)
    back = warp.back(np.array([-50.0, -5.0, -1.0, 0.0, 1.0, 5.0, 50.0]))
    if np.abs(y).max() < 1e299:
        assert np.isfinite(back).all()
    assert np.all(back[1:] >= back[:-1])


def test_differences_among_the_good_stay_visible_beside_a_disaster():
    good = np.linspace(0, 1, 20)
    hidden = stats.zscore(np.append(good, 1e30))[:20]
    beside = Warp.fitted(np.append(good, 1e30))(good)
    assert np.ptp(beside) > 0.2 > 1e20 * np.ptp(hidden)
    assert np.diff(beside).min() > 0.01


def test_several_disasters_do_not_hide_the_good_either():
    good = np.linspace(0, 1, 20)
    beside = Warp.fitted(np.concatenate([good, 10.0 ** np.arange(1, 15)]))(good)
    assert np.ptp(beside) > 0.08
    assert np.diff(beside).min() > 0.004


def test_normal_values_are_left_about_as_they_are():
    y = np.random.default_rng(1).standard_normal(400)
    warped = Warp.fitted(y)(y)
    assert np.corrcoef(y, warped)[0, 1] > 0.99


def test_skewed_values_become_less_skewed():
    y = VALUES["lognormal"]
    warped = Warp.fitted(y)(y)
    assert abs((warped**3).mean()) < 1.0 < (((y - y.mean()) / y.std()) ** 3).mean()


@pytest.mark.parametrize("value", [0.0, 3.0, -1e300, 1e-300, 0.1])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_values_that_are_equal_become_zero(value, n):
    y = np.full(n, value)
    assert Warp.fitted(y)(y) == pytest.approx(np.zeros(n), abs=1e-12)


@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e6, 0.0), (2.0, -700.0), (1e250, 0.0), (1e-250, 0.0)])
def test_units_do_not_matter(factor, shift):
    y = VALUES["of a bowl"]
    other = factor * y + shift
    assert Warp.fitted(other)(other) == pytest.approx(Warp.fitted(y)(y), abs=1e-6)


def test_scores_are_normal_quantiles_and_ties_share_one():
    scores = normal_scores(np.array([3.0, 1.0, 2.0, 2.0]))
    assert scores[2] == scores[3] == pytest.approx(0, abs=1e-12)
    assert scores[1] == pytest.approx(-scores[0])
    assert scores[1] < 0
    assert normal_scores(np.array([5.0])) == pytest.approx([0])


def test_values_beyond_all_proportion_overflow_nothing():
    y = np.array([0.0, 1e-300, 2e-300, 3e-300, 1e300])
    values = Warp.fitted(y)(y)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
