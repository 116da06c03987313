"""How a kernel sees configs: distances that mean something, absence included."""

import numpy as np
import pytest

from tuneful.surrogates.features import Features

NAN = np.nan


def near(features, *rows):
    return features.of(np.array(rows, dtype=float)).near


def gap(features, a, b):
    one, other = near(features, a, b)
    return np.linalg.norm(one - other)


def mixed(n, seed=0):
    """Two numbers, an optional one, a choice of 2, an optional choice of 3, an optional number: (features, x)."""
    rng = np.random.default_rng(seed)
    features = Features((0, 0, 0, 2, 3, 0), (False, False, True, False, True, True))
    x = rng.random((n, 6))
    x[:, [2, 4, 5]] = np.where(rng.random((n, 3)) < 0.4, NAN, x[:, [2, 4, 5]])
    return features, x


def test_numbers_differ_by_their_difference():
    features = Features((0, 0), (False, False))
    assert gap(features, [0.1, 0.2], [0.4, 0.6]) == pytest.approx(0.5)


@pytest.mark.parametrize("options", [2, 3, 7])
def test_different_options_are_one_apart_and_equal_ones_are_not(options):
    features = Features((options,), (False,))
    middles = (np.arange(options) + 0.5) / options
    points = near(features, *middles[:, None])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert gaps == pytest.approx(1.0 - np.eye(options), abs=1e-12)
    assert gap(features, [0.01 / options], [0.99 / options]) == 0.0


def test_the_ends_of_the_cube_are_the_first_and_the_last_option():
    features = Features((3,), (False,))
    assert gap(features, [0.0], [0.1]) == 0.0
    assert gap(features, [1.0], [0.9]) == 0.0


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.3, 0.999, 1.0])
def test_absence_is_one_away_from_every_number(value):
    assert gap(Features((0,), (True,)), [NAN], [value]) == pytest.approx(1.0)


@pytest.mark.parametrize("options", [1, 2, 3, 5])
def test_absence_is_one_away_from_every_option(options):
    features = Features((options,), (True,))
    for middle in (np.arange(options) + 0.5) / options:
        assert gap(features, [NAN], [middle]) == pytest.approx(1.0)
    assert gap(features, [NAN], [NAN]) == 0.0


def test_values_on_the_arc_are_about_as_far_from_each_other_as_plain_ones():
    features = Features((0,), (True,))
    for a, b in np.random.default_rng(0).random((50, 2)):
        assert 0.95 * abs(a - b) <= gap(features, [a], [b]) <= abs(a - b) + 1e-12


def test_configs_of_different_branches_differ_by_the_branch_whatever_they_hold():
    features = Features((2, 0, 0), (False, True, True))
    gaps = [gap(features, [0.25, u, NAN], [0.75, NAN, v]) for u, v in np.random.default_rng(1).random((20, 2))]
    assert gaps == pytest.approx([np.sqrt(3.0)] * 20)


def test_every_coordinate_belongs_to_the_column_that_moves_it():
    features, x = mixed(60)
    assert len(features.group) == features.of(x).near.shape[1]
    for j in range(x.shape[1]):
        other = x.copy()
        other[:, j] = x[::-1, j]
        moved = np.any(features.of(x).near != features.of(other).near, axis=0)
        assert set(features.group[moved]) == {j}


def test_the_trend_of_a_number_has_unit_variance_and_its_parts_do_not_overlap():
    far = Features((0,), (False,)).of(np.linspace(0, 1, 200_001)[:, None]).far
    assert far.mean(axis=0) == pytest.approx([0, 0], abs=1e-4)
    assert far.T @ far / len(far) == pytest.approx(np.eye(2), abs=1e-3)


def test_the_trend_has_no_opinion_on_what_is_absent():
    features = Features((0, 0, 3), (True, True, True))
    assert not features.of(np.array([[NAN, NAN, NAN]])).far.any()
    known = features.of(np.array([[0.9, 0.1, 0.5]])).far
    part = features.of(np.array([[0.9, NAN, 0.5]])).far
    assert np.all((part == known) | (part == 0))


def test_the_levels_of_a_choice_add_up_to_nothing():
    far = Features((4,), (False,)).of(((np.arange(4) + 0.5) / 4)[:, None]).far
    assert far.sum(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)


def test_the_numbers_are_those_that_are_always_there_and_then_the_others():
    assert mixed(1)[0].numbers.tolist() == [0, 1, 2, 5]


def test_slopes_are_those_of_finite_differences_and_zero_where_a_number_is_absent():
    features, x = mixed(30)
    x[:, features.numbers] = np.clip(x[:, features.numbers], 0.01, 0.99)
    points = features.of(x)
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(points.near.shape), rng.standard_normal(points.far.shape)

    def score(x):
        points = features.of(x)
        return (a * points.near).sum(axis=1) + (b * points.far).sum(axis=1)

    slopes = features.slopes(x, points._replace(near=a, far=b))
    for i, column in enumerate(features.numbers):
        up, down = x.copy(), x.copy()
        up[:, column] += 1e-6
        down[:, column] -= 1e-6
        expected = (score(up) - score(down)) / 2e-6
        assert slopes[:, i] == pytest.approx(expected, abs=1e-6)
        assert not slopes[np.isnan(x[:, column]), i].any()


def test_nothing_is_a_table_without_rows_and_points_can_be_joined():
    features, x = mixed(5)
    points = features.of(x)
    assert features.of(x[:0]).near.shape == (0, points.near.shape[1])
    joined = features.of(x[:2]).and_also(features.of(x[2:]))
    np.testing.assert_array_equal(joined.near, points.near)
    np.testing.assert_array_equal(joined.far, points.far)


def test_only_choices():
    features = Features((2, 3), (False, False))
    x = np.array([[0.2, 0.5], [0.8, 0.9]])
    points = features.of(x)
    assert np.isfinite(points.near).all()
    assert features.slopes(x, points).shape == (2, 0)
