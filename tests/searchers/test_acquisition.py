"""What configs promise, and the exact slopes by which a climber finds better ones."""

import numpy as np
import pytest
from scipy import stats

from tuneful.searchers.acquisition import Acquisition, improvement, lower_bound
from tuneful.surrogates.features import Features
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.kernel import Kernel

NAN = np.nan
FEATURES = Features((0, 3, 0, 0), (False, False, True, False))
KERNEL = Kernel.of(np.log([0.4, 1.5, 0.8, 2.0, 0.3, 0.02]), FEATURES.group)
MERITS = {"improvement": improvement, "bound": lower_bound(2.0)}


def configs(n, seed):
    x = np.random.default_rng(seed).uniform(0.02, 0.98, (n, 4))
    x[x[:, 1] < 1 / 3, 2] = NAN
    return x


def process(seed=0, pending=0):
    x = configs(20, seed)
    y = np.sin(4 * x[:, 0]) + np.where(np.isnan(x[:, 2]), 0.5, x[:, 2]) - x[:, 3]
    known = GaussianProcess.of(KERNEL, FEATURES.of(x), stats.zscore(y))
    if not pending:
        return known
    normal = np.random.default_rng(seed).standard_normal((pending, 8))
    return known.imagining(FEATURES.of(configs(pending, seed + 50)), normal)


def success(seed=0):
    x = configs(25, seed + 9)
    return GaussianProcess.of(KERNEL, FEATURES.of(x), np.where(x[:, 0] + x[:, 3] > 1, -1.0, 1.0))


def check_slopes(score, x):
    """Against central differences of what the score is when it is called."""
    values, slopes = score.slopes(x)
    assert values == pytest.approx(score(x), rel=1e-9, abs=1e-9)
    for i, column in enumerate(score.columns):
        up, down = x.copy(), x.copy()
        up[:, column] += 1e-5
        down[:, column] -= 1e-5
        expected = (score(up) - score(down)) / 2e-5
        absent = np.isnan(x[:, column])
        assert not slopes[absent, i].any()
        assert slopes[~absent, i] == pytest.approx(expected[~absent], rel=2e-4, abs=2e-4)


@pytest.mark.parametrize("fails", [False, True], ids=["", "where trials fail"])
@pytest.mark.parametrize("pending", [0, 3], ids=["", "while trials run"])
@pytest.mark.parametrize("merit", MERITS)
def test_slopes_are_those_of_finite_differences(merit, pending, fails):
    score = Acquisition(FEATURES, process(1, pending), MERITS[merit], success() if fails else None)
    x = configs(40, 2)
    assert np.isnan(x[:, 2]).any()
    check_slopes(score, x)


def test_an_improvement_is_what_is_to_be_expected():
    score = Acquisition(FEATURES, process(1), improvement)
    x = configs(30, 3)
    view = score.process.at(FEATURES.of(x))
    gap = score.best[0] - view.mean[:, 0]
    z = gap / view.spread
    expected = gap * stats.norm.cdf(z) + view.spread * stats.norm.pdf(z)
    likely = expected > 1e-8
    assert likely.sum() > 5
    assert score(x)[likely] == pytest.approx(np.log(expected[likely]), rel=1e-6)


def test_while_trials_run_it_is_the_average_over_how_they_may_end():
    known = process(1, pending=3)
    score = Acquisition(FEATURES, known, improvement)
    x = configs(30, 3)
    alone = [
        Acquisition(FEATURES, GaussianProcess(KERNEL, known.points, known.y[:, [i]], known.scale), improvement)(x)
        for i in range(8)
    ]
    assert score(x) == pytest.approx(np.log(np.exp(alone).mean(axis=0)), rel=1e-9)


def test_a_bound_is_how_low_a_value_may_well_be():
    x = configs(10, 3)
    view = process(1).at(FEATURES.of(x))
    score = Acquisition(FEATURES, process(1), lower_bound(1.5))
    assert score(x) == pytest.approx(1.5 * view.spread - view.mean[:, 0])


def test_the_merit_counts_by_the_chance_of_success():
    x = configs(30, 4)
    plain, careful = (Acquisition(FEATURES, process(1), improvement, known) for known in (None, success()))
    assert careful(x) == pytest.approx(plain(x) + np.log(careful.chance(x)))
    assert np.array_equal(plain.chance(x), np.ones(30))


def test_the_chance_of_success_is_high_where_trials_succeed_and_low_where_they_fail():
    x = configs(200, 4)
    chance = Acquisition(FEATURES, process(1), improvement, success()).chance(x)
    assert np.all((chance > 0) & (chance < 1))
    fails = x[:, 0] + x[:, 3]
    assert np.median(chance[fails < 0.7]) > 0.75
    assert np.median(chance[fails > 1.3]) < 0.25


def test_the_best_is_what_the_process_believes_and_not_a_lucky_value():
    x = np.vstack([configs(20, 0), np.repeat(configs(1, 8), 5, axis=0)])
    y = np.append(np.zeros(20), [-4.0, 1, 1, 1, 1])
    kernel = Kernel.of(np.log([0.4, 1.5, 0.8, 2.0, 0.01, 1.0]), FEATURES.group)
    score = Acquisition(FEATURES, GaussianProcess.of(kernel, FEATURES.of(x), y), improvement)
    assert score.best[0] > -1.0


def test_nowhere_is_the_score_or_its_slope_undefined():
    kernel = Kernel.of(np.log([7.0, 7.0, 7.0, 7.0, 1e-4, 1e-6]), FEATURES.group)
    x = configs(30, 0)
    y = np.append(np.zeros(29), -1e3)
    score = Acquisition(FEATURES, GaussianProcess.of(kernel, FEATURES.of(x), y), improvement, success())
    values, slopes = score.slopes(np.vstack([x, configs(50, 1)]))
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
