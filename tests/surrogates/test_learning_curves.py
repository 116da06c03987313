"""LearningCurves: exactly the process over all points of all curves, and sane where there is little."""

import numpy as np
import pytest

from tuneful.surrogates.features import Features
from tuneful.surrogates.kernel import Kernel
from tuneful.surrogates.learning_curves import _CENTRE, Drift, LearningCurves, Table, _Unlikely, cells
from tuneful.surrogates.likelihood import JITTER

LAST = 27
FEATURES = Features((0, 0), (False, False))
KERNEL = Kernel(np.array([0.5, 0.8]), 0.2, 0.01)


def table_of(lengths, last=LAST, seed=0, gaps=()):
    """Curves that fall as a power of the step, towards different ends."""
    draw = np.random.default_rng(seed)
    curve = np.repeat(np.arange(len(lengths)), lengths)
    step = np.concatenate([np.arange(1, length + 1) for length in lengths])
    ends = draw.normal(size=len(lengths))
    value = ends[curve] + 2.0 * step**-0.7 + 0.01 * draw.normal(size=len(step))
    kept = ~np.isin(step, gaps) | (curve % 2 == 0)
    return Table.of(curve[kept], step[kept], value[kept], len(lengths), last), ends


def joint(drift, points, table, scale, mean):
    """Final values by the process over all points: means and variances of those of the curves."""
    rows, columns = np.nonzero(~np.isnan(table.values))
    loading, within = drift.loading(table.times), drift.within(table.times)
    k, _ = KERNEL.between(points, points)
    k = scale * (k + (KERNEL.noise + JITTER) * np.eye(len(k)))
    over = k[np.ix_(rows, rows)] * np.outer(loading[columns], loading[columns])
    over += (rows[:, None] == rows) * within[np.ix_(columns, columns)]
    off = table.values[rows, columns] - drift.curve(table.times)[columns] - loading[columns] * mean
    across = k[:, rows] * loading[columns]
    return across @ np.linalg.solve(over, off), np.diag(k - across @ np.linalg.solve(over, across.T))


@pytest.mark.parametrize("gaps", [(), (2, 3, 9)])
def test_it_is_the_process_over_all_points(gaps):
    table, _ = table_of([1, 3, 9, 9, 27, 20, 5], gaps=gaps)
    points = FEATURES.of(np.random.default_rng(1).random((7, 2)))
    drift = Drift(mean=(0.3, 1.0, -0.5, 0.2))
    curves = LearningCurves.of(drift, KERNEL, points, table, scale=0.7)
    off = curves.mean - drift.mean[0]
    mean, variance = joint(drift, points, table, 0.7, off)
    found, spread = curves.finals
    np.testing.assert_allclose(found - curves.mean, mean, atol=1e-8)
    np.testing.assert_allclose(spread**2, variance, atol=1e-8)


def test_the_gradient_of_a_fit_is_right():
    table, _ = table_of([3, 9, 9, 27, 20], gaps=(2,))
    unlikely, at = _Unlikely(table), _CENTRE + 0.1
    steps = 1e-5 * np.eye(len(at))
    numeric = [(unlikely(at + step)[0] - unlikely(at - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(unlikely(at)[1], numeric, rtol=1e-4, atol=1e-5)


def test_it_foresees_the_end_of_curves():
    lengths = [27] * 6 + [9] * 14
    table, ends = table_of(lengths)
    points = FEATURES.of(np.random.default_rng(1).random((20, 2)))
    curves = LearningCurves.of(Drift.fitted(table), KERNEL, points, table)
    mean, spread = curves.finals
    assert np.corrcoef(mean, ends)[0, 1] > 0.95
    assert spread[:6].max() < spread[6:].min()


def test_a_curve_without_values_is_as_its_config():
    table, _ = table_of([27] * 5 + [9] * 5)
    table.values[0] = np.nan
    points = FEATURES.of(np.random.default_rng(1).random((10, 2)))
    curves = LearningCurves.of(Drift.fitted(table), KERNEL, points, table)
    assert np.isfinite(curves.finals[0]).all()
    assert curves.finals[1][0] == curves.finals[1].max()


def test_what_is_believed_leaves_no_doubt_where_curves_are():
    table, _ = table_of([9] * 8)
    points = FEATURES.of(np.random.default_rng(1).random((8, 2)))
    more = FEATURES.of(np.array([[0.5, 0.5]]))
    curves = LearningCurves.of(Drift.fitted(table), KERNEL, points, table)
    process = curves.believing(more)
    assert len(process.y) == 9
    assert (process.at(points).spread < 0.2 * np.sqrt(process.scale)).all()
    np.testing.assert_allclose(process.y[8], curves.process.means(more)[0])


@pytest.mark.parametrize(
    ("steps", "last"), [([1], 1), ([1, 2, 3], 3), ([10, 20, 30], 30), ([], 5), (range(1, 1001), 1000)]
)
def test_cells_are_few_end_with_the_curve_and_are_never_empty(steps, last):
    found = cells(np.array(list(steps), dtype=np.int64), last)
    assert found[-1] == last
    assert (np.diff(found) > 0).all()
    assert len(found) <= 21
    assert set(found[:-1]) <= set(steps)


def test_of_the_points_in_a_cell_the_last_counts_and_what_is_not_finite_is_left_out():
    curve, step = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 2, 99, 1, 2, 1])
    table = Table.of(curve, step, np.array([3.0, 2.0, 1.0, np.inf, 5.0, np.nan]), 4, 2)
    np.testing.assert_array_equal(table.values, [[3.0, 1.0], [np.nan, 5.0], [np.nan, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(table.latest, [1.0, 5.0, np.nan, np.nan])


def test_equal_curves_and_few_of_them_are_survived():
    for values in (np.zeros((3, 4)), np.full((1, 4), 1.0)):
        table = Table(np.array([1.0, 0.6, 0.3, 0.0]), values)
        drift = Drift.fitted(table)
        assert np.isfinite(drift.ends(table)).all()
