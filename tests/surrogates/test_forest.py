"""A forest of extremely randomized trees."""

import numpy as np
import pytest

from tuneful.surrogates.forest import Settings, grown


def rng(seed=0):
    return np.random.default_rng(seed)


def bowl(x):
    return ((x - 0.3) ** 2).sum(axis=1)


def agreement(a, b):
    return np.corrcoef(a, b)[0, 1]


def test_it_predicts_a_smooth_function():
    x, new = rng().random((300, 4)), rng(1).random((500, 4))
    mean, variance = grown(x, bowl(x), [0] * 4, rng()).predict(new)
    assert agreement(mean, bowl(new)) > 0.93
    assert (variance >= 0).all()
    assert np.mean(np.abs(mean - bowl(new)) < 2 * np.sqrt(variance)) > 0.85


def test_it_predicts_by_options():
    worth = np.array([3.0, 0.0, 2.0, 5.0, 1.0])
    option = rng().integers(5, size=200)
    x = np.column_stack([(option + 0.5) / 5, rng(1).random(200)])
    new = np.column_stack([(np.arange(5) + 0.5) / 5, np.full(5, 0.5)])
    mean, _ = grown(x, worth[option], [5, 0], rng()).predict(new)
    assert np.allclose(mean, worth, atol=0.2)


def test_what_does_not_exist_is_on_a_side_of_its_own():
    exists = np.arange(120) % 2 == 0
    x = np.column_stack([np.where(exists, rng().random(120), np.nan), rng(1).random(120)])
    mean, _ = grown(x, np.where(exists, 1.0, -1.0), [0, 0], rng()).predict(
        np.array([[np.nan, 0.5], [0.02, 0.5], [0.9, 0.5]])
    )
    assert np.allclose(mean, [-1, 1, 1], atol=0.3)
    options = np.where(exists, 0.25, np.nan)[:, None]
    mean, _ = grown(options, np.where(exists, 1.0, -1.0), [2], rng()).predict(np.array([[np.nan], [0.25]]))
    assert np.allclose(mean, [-1, 1], atol=0.3)


def test_a_prediction_is_the_values_of_the_trials_by_their_weights():
    x, new = rng().random((80, 3)), rng(1).random((20, 3))
    forest = grown(x, bowl(x), [0] * 3, rng())
    weights = forest.weights(new)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights @ bowl(x), forest.predict(new)[0])


def test_near_trials_weigh_most():
    x = rng().random((100, 2))
    forest = grown(x, bowl(x), [0, 0], rng())
    assert (forest.weights(x).argmax(axis=1) == np.arange(100)).mean() > 0.9


def test_configs_share_leaves_with_what_is_near():
    x = rng().random((100, 2))
    forest = grown(x, bowl(x), [0, 0], rng())
    near, far = forest.sharing(np.array([x[7] + 1e-9, 1 - x[7]]), np.array([7]))
    assert near > 0.9
    assert far < 0.1
    assert forest.sharing(x, np.empty(0, dtype=np.int64)).max() == 0


def test_it_is_less_sure_far_from_data():
    x = np.vstack([rng().random((100, 2)) * 0.4, rng(2).random((10, 2))])
    y = np.sin(9 * x[:, 0]) + x[:, 1]
    _, variance = grown(x, y, [0, 0], rng()).predict(np.array([[0.2, 0.2], [0.9, 0.9]]))
    assert variance[1] > 2 * variance[0]


def test_rows_that_are_left_out_are_predicted_like_new_ones():
    x, new = rng().random((200, 3)), rng(1).random((200, 3))
    noise = 0.1 * rng(2).standard_normal(200)
    forest = grown(x, bowl(x) + noise, [0] * 3, rng())
    unseen, spread = forest.left_out()
    error = np.mean((unseen - bowl(x) - noise) ** 2)
    assert 0.5 < error / np.mean((forest.predict(new)[0] - bowl(new) - noise) ** 2) < 2
    assert error > 2 * np.mean((forest.predict(x)[0] - bowl(x) - noise) ** 2)
    assert (spread > 0).mean() > 0.95


def test_nothing_is_left_out_on_demand():
    x = rng().random((40, 2))
    forest = grown(x, bowl(x), [0, 0], rng(), Settings(folds=0, split=2))
    assert np.allclose(forest.predict(x)[0], bowl(x))


def test_the_same_generator_gives_the_same_forest():
    x = rng().random((60, 3))
    one, same, other = (grown(x, bowl(x), [0, 4, 0], rng(seed)).predict(x)[0] for seed in (5, 5, 6))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_rows_suffice(n):
    x = rng().random((n, 2))
    forest = grown(x, bowl(x), [0, 3], rng())
    for part in (*forest.predict(x), *forest.left_out()):
        assert part.shape == (n,)
    assert np.isfinite(forest.predict(x)).all()
    assert np.isfinite(forest.left_out()).all() == (n > 1)


def test_equal_values_and_equal_configs_are_no_problem():
    x = rng().random((30, 2))
    mean, variance = grown(x, np.full(30, 4.0), [0, 0], rng()).predict(x)
    assert np.allclose(mean, 4)
    assert np.allclose(variance, 0)
    mean, variance = grown(np.full((30, 2), 0.5), np.arange(30.0), [0, 2], rng()).predict(x)
    assert np.allclose(mean, 14.5, atol=2)
    assert (variance > 50).all()


def test_many_columns_and_many_options():
    x = rng().random((100, 200))
    sizes = [0] * 150 + [500] * 50
    mean, _ = grown(x, x[:, 3], sizes, rng()).predict(x)
    assert agreement(mean, x[:, 3]) > 0.6
