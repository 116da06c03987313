"""Parzen estimators: densities that integrate to one, draws that follow them, on every kind of column."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

from tuneful.surrogates.parzen import Parzen
from tuneful.surrogates.parzen_axes import FLAT, Axes

NAN = np.nan


def axes(*kinds, prior=None):
    """Columns: "number", a count of equal cells, or shares of options."""
    d = len(kinds)
    cells = [
        None if kind == "number" else np.linspace(0, 1, (kind if type(kind) is int else len(kind)) + 1)
        for kind in kinds
    ]
    shares = [None if kind == "number" or type(kind) is int else np.array(kind) for kind in kinds]
    mean, sd = (0.5, FLAT) if prior is None else prior
    return Axes(np.full(d, mean), np.full(d, sd), tuple(cells), tuple(shares), np.zeros(d))


def fitted(columns, x, weights=None, **settings):
    x = np.array(x, dtype=float).reshape(-1, len(columns.mean))
    return Parzen.fit(
        columns, x, np.ones(len(x)) if weights is None else np.array(weights), **{"width": 0.1, **settings}
    )


def density(model, rows):
    return np.exp(model.log_density(model.axes.features(np.array(rows, dtype=float))))


def test_the_kernel_of_a_number_is_a_gaussian_that_is_cut_off_at_the_ends():
    model = fitted(axes("number"), [[0.05]], prior=1e-12)
    sd = model.sd[0]
    cut = stats.truncnorm(-0.05 / sd, 0.95 / sd, 0.05, sd)
    at = np.linspace(0, 1, 30)
    assert density(model, at[:, None]) == pytest.approx(cut.pdf(at), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("joint", [True, False])
def test_a_density_of_numbers_integrates_to_one(joint):
    model = fitted(axes("number", "number"), [[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]], [3, 1, 2], joint=joint)
    whole, _ = integrate.dblquad(lambda v, u: density(model, [[u, v]])[0], 0, 1, 0, 1, epsabs=1e-5)
    assert whole == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("joint", [True, False])
def test_the_probabilities_of_cells_and_options_add_up_to_one(joint):
    model = fitted(axes(5, [0.2, 0.3, 0.5]), [[0.1, 1 / 6], [0.9, 5 / 6]], joint=joint)
    every = list(product((np.arange(5) + 0.5) / 5, (np.arange(3) + 0.5) / 3))
    assert density(model, every).sum() == pytest.approx(1)


def test_cells_need_not_be_equal():
    cells = np.array([0.0, 0.5, 0.8, 1.0])
    columns = Axes(np.array([0.5]), np.array([FLAT]), (cells,), (None,), np.zeros(1))
    nothing = fitted(columns, [])
    assert density(nothing, [[0.25], [0.65], [0.9]]) == pytest.approx([0.5, 0.3, 0.2], rel=1e-3)


def test_without_rows_it_is_the_prior():
    model = fitted(axes("number", [0.2, 0.8]), [])
    assert density(model, [[0.3, 0.25], [0.9, 0.75]]) == pytest.approx([0.2, 0.8], rel=1e-3)
    believed = fitted(axes("number", prior=(0.2, 0.1)), [])
    assert density(believed, [[0.2]])[0] > 10 * density(believed, [[0.6]])[0]


def test_joint_it_knows_which_values_go_together_and_apart_it_does_not():
    x = [[0.2, 0.2], [0.8, 0.8]] * 5
    joint, apart = (fitted(axes("number", "number"), x, joint=which) for which in (True, False))
    together, crossed = [[0.2, 0.2]], [[0.2, 0.8]]
    assert density(joint, together)[0] > 5 * density(joint, crossed)[0]
    assert density(apart, together)[0] == pytest.approx(density(apart, crossed)[0])


def union(model):
    """The whole of a density over an option and, only under the second, a number."""
    inner, _ = integrate.quad(lambda u: density(model, [[0.75, u]])[0], 0, 1)
    return density(model, [[0.25, NAN]])[0], inner


@pytest.mark.parametrize("joint", [True, False])
def test_it_is_a_density_over_all_branches(joint):
    x = [[0.25, NAN], [0.75, 0.1], [0.75, 0.2], [0.25, NAN], [0.25, NAN]]
    model = fitted(axes([0.5, 0.5], "number"), x, joint=joint)
    first, second = union(model)
    assert first + second == pytest.approx(1, abs=1e-4)
    assert first > second
    assert density(model, [[0.75, 0.15]])[0] > 2 * density(model, [[0.75, 0.9]])[0]


def test_a_component_of_another_branch_says_nothing_of_what_it_lacks():
    model = fitted(axes([0.5, 0.5], "number"), [[0.25, NAN]])
    assert density(model, [[0.75, 0.1]]) == pytest.approx(density(model, [[0.75, 0.7]]), rel=1e-3)


@pytest.mark.parametrize("joint", [True, False])
def test_draws_follow_the_density(joint):
    columns = axes("number", 4, [0.5, 0.25, 0.25])
    model = fitted(columns, [[0.1, 0.125, 0.5], [0.9, 0.875, 1 / 6], [0.3, NAN, 1 / 6]], [1, 2, 3], joint=joint)
    drawn = model.draw(np.random.default_rng(0), 20_000)
    assert drawn.shape == (20_000, 3)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    grid = (np.arange(100) + 0.5) / 100
    cells = [(grid, (np.arange(4) + 0.5) / 4, (np.arange(3) + 0.5) / 3)]
    mass = density(model, list(product(*cells[0]))).reshape(100, 4, 3) / 100
    tenth = mass.reshape(10, 10, 4, 3).sum(axis=1)
    found, _ = np.histogramdd(drawn, bins=(np.linspace(0, 1, 11), np.linspace(0, 1, 5), np.linspace(0, 1, 4)))
    assert found / len(drawn) == pytest.approx(tenth, abs=0.012)


def test_more_rows_make_kernels_narrower_but_never_narrower_than_a_value():
    columns = Axes(np.full(1, 0.5), np.full(1, FLAT), (None,), (None,), np.array([0.05]))
    u = np.random.default_rng(0).random((500, 1))
    widths = [fitted(columns, u[:n]).sd[0] for n in (1, 5, 10, 500)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(0.1)
    assert widths[-1] == 0.05


def test_an_option_that_many_rows_have_is_seldom_left():
    columns = axes([1 / 3] * 3)
    few, many = (density(fitted(columns, [[0.5]] * n), [[1 / 6]])[0] for n in (2, 50))
    assert many < few / 5


@pytest.mark.parametrize("joint", [True, False])
def test_the_parts_of_a_density_name_the_rows_nearby(joint):
    model = fitted(
        axes("number", "number", "number"), [[0.1, 0.1, NAN], [0.9, 0.9, NAN], [0.12, 0.1, NAN]], joint=joint
    )
    parts = model.parts(np.array([0.1, 0.1, NAN]))
    assert parts.sum() == pytest.approx(1)
    assert parts[[0, 2]].min() > 10 * parts[1]
    assert parts[-1] < 0.3
    assert model.parts(np.array([0.5, 0.5, NAN]))[-1] > 0.8  # the prior


def test_varied_rows_stay_near_and_inside_and_keep_their_options():
    model = fitted(axes("number", "number", [0.5, 0.5]), [[0.0, 0.5, 0.25]])
    x = np.tile([[0.0, 0.5, 0.25]], (400, 1))
    rows = model.vary(np.random.default_rng(0), x)
    assert ((rows >= 0) & (rows <= 1)).all()
    assert (rows[:, 2] == 0.25).all()
    assert np.abs(rows - x).max() < 5 * model.sd.max()
    assert 0.4 < np.mean(rows[:, 0] == 0.0) < 0.6
    gaps = model.vary(np.random.default_rng(0), np.full((400, 3), NAN))
    assert stats.kstest(gaps[:, 0], "uniform").pvalue > 0.01


def test_hundreds_of_columns_and_rows_on_the_border_give_finite_densities():
    generator = np.random.default_rng(0)
    x = np.round(generator.random((50, 200)))
    for joint in (True, False):
        model = fitted(axes(*["number"] * 200), x, joint=joint, width=1e-9)
        rows = np.vstack([x[:3], generator.random((5, 200)), np.zeros((1, 200))])
        assert np.isfinite(model.log_density(model.axes.features(rows))).all()
        assert ((drawn := model.draw(generator, 30)) >= 0).all()
        assert (drawn <= 1).all()


def test_one_column_with_one_value_is_certain():
    model = fitted(axes([1.0], 1), [[0.5, 0.5]])
    assert density(model, [[0.5, 0.5]]) == pytest.approx([1])
    assert (model.draw(np.random.default_rng(0), 5)[:, 0] == 0.5).all()
