"""The distribution of CMA-ES: what is drawn from it, and what is kept open."""

import numpy as np
from scipy.special import ndtr

from tuneful.searchers.cma import Cma

NONE = np.empty(0, dtype=np.int64)


def test_draws_have_its_mean_and_shape():
    cma = Cma.around(np.array([0.2, 0.7]), 0.1, NONE, 6)
    numbers, options = cma.draw(np.random.default_rng(0), 20_000)
    assert options.shape == (20_000, 0)
    assert np.allclose(numbers.mean(axis=0), [0.2, 0.7], atol=0.005)
    assert np.allclose(np.cov(numbers.T), 0.01 * np.eye(2), atol=0.0005)


def test_it_learns_the_line_along_which_values_fall():
    cma, rng = Cma.around(np.zeros(2), 1.0, NONE, 8), np.random.default_rng(0)
    for _ in range(60):
        numbers, options = cma.draw(rng, 8)
        value = (numbers @ [1, 1]) ** 2 * 1e4 + (numbers @ [1, -1]) ** 2
        order = np.argsort(value)
        cma = cma.learned(numbers[order], options[order])
    assert cma.covariance[0, 1] < -0.9 * np.sqrt(cma.covariance[0, 0] * cma.covariance[1, 1])
    assert np.allclose(cma.mean, 0, atol=0.05)


def test_options_that_win_become_likely_and_none_is_given_up():
    cma, rng = Cma.around(np.zeros(0), 1.0, np.array([3, 5, 1]), 8), np.random.default_rng(0)
    for _ in range(80):
        numbers, options = cma.draw(rng, 8)
        order = np.argsort((options[:, 0] != 2) + 1.0 * (options[:, 1] != 4), kind="stable")
        cma = cma.learned(numbers[order], options[order])
    assert np.allclose(cma.share.sum(axis=1), 1)
    assert cma.share[0, 2] > 0.8
    assert cma.share[1, 4] > 0.8
    assert cma.share[0, :3].min() > 0.01
    assert cma.share[1].min() > 0.01
    assert cma.share[2].tolist() == [1, 0, 0, 0, 0]


def test_choices_that_do_not_exist_teach_nothing():
    cma = Cma.around(np.zeros(0), 1.0, np.array([3]), 4)
    assert np.allclose(cma.learned(np.empty((4, 0)), np.full((4, 1), -1)).share, 1 / 3)


def test_a_stepped_number_keeps_a_chance_to_leave_its_value():
    frozen = Cma.around(np.array([0.5, 0.05, 0.31]), 1e-6, NONE, 10)
    low, high = np.array([0.4, -np.inf, 0.31]), np.array([0.6, 0.1, 0.31])
    open_ = frozen.with_margin(low, high)
    leaves = ndtr((low - open_.mean) / open_.spread) + ndtr((open_.mean - high) / open_.spread)
    alpha = 1 / (3 * 10)
    assert leaves[0] >= 0.99 * alpha
    assert leaves[1] >= 0.99 * alpha
    assert open_.mean[2] == 0.31
    assert open_.spread[2] == frozen.spread[2]


def test_a_wide_distribution_needs_no_margin():
    wide = Cma.around(np.array([0.5]), 0.3, NONE, 10)
    same = wide.with_margin(np.array([0.4]), np.array([0.6]))
    assert np.allclose(same.mean, wide.mean)
    assert np.allclose(same.stretch, 1)


def test_numbers_are_found_again_within_the_cells_of_their_values():
    cma = Cma.around(np.array([0.5, 0.5, 0.5]), 0.1, NONE, 10)
    low = np.tile([0.8, -np.inf, 0.123], (2000, 1))
    high = np.tile([0.9, np.inf, 0.123], (2000, 1))
    found = cma.within(low, high, np.random.default_rng(0))
    assert ((found[:, 0] >= 0.8) & (found[:, 0] <= 0.9)).all()
    assert found[:, 0].mean() < 0.85
    assert abs(found[:, 1].std() - 0.1) < 0.01
    assert (found[:, 2] == 0.123).all()


def test_far_away_cells_are_no_problem():
    cma = Cma.around(np.array([0.0]), 1e-9, NONE, 10)
    far = cma.within(np.array([[0.9], [-np.inf]]), np.array([[np.inf], [-0.9]]), np.random.default_rng(0))
    assert far.tolist() == [[0.9], [-0.9]]


def test_one_config_far_away_moves_it_no_further_than_its_own_draws():
    cma = Cma.around(np.zeros(4), 0.01, NONE, 8)
    numbers, options = cma.draw(np.random.default_rng(0), 8)
    numbers[0] = 100.0
    moved = cma.learned(numbers, options)
    assert np.linalg.norm(moved.mean) < 0.05
    assert moved.sigma < 0.03
