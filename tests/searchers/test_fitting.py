"""Processes of a study: a function of its values alone, at a bounded cost."""

import numpy as np
import pytest

from tuneful.history import History
from tuneful.searchers.fitting import Fitting, seen
from tuneful.searchers.ground import Ground
from tuneful.space import Float, Space, Switch
from tuneful.surrogates.likelihood import PRIOR, Likelihood
from tuneful.surrogates.warps import Warp

SPACE = Space({"x": Float(0, 1), "s": Switch({"on": {"k": Float(0, 1)}, "off": {}})})


def data(n, seed=0):
    x = Ground(SPACE).drawn(np.random.default_rng(seed).random((n, 3)))
    return x, (x[:, 0] - 0.3) ** 2 + np.where(x[:, 1] < 0.5, np.nan_to_num(x[:, 2]), 0.3)


def fitting(history=None):
    ground = Ground(SPACE)
    return Fitting(History(SPACE) if history is None else history, ground.features(np.empty((0, 3))), PRIOR)


def warped(y):
    return Warp.fitted(y)(y)


def same(one, other):
    for a, b in [
        (one.kernel.lengths, other.kernel.lengths),
        ([one.kernel.trend, one.kernel.noise, one.scale], [other.kernel.trend, other.kernel.noise, other.scale]),
        (one.points.near, other.points.near),
        (one.y, other.y),
    ]:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n", [2, 3, 17, 60])
def test_what_is_remembered_changes_nothing_to_the_last_bit(n):
    x, y = data(n)
    history = History(SPACE)
    for k in range(2, n):
        fitting(history).process("gp", x[:k], y[:k], warped)
    grown = fitting(history).process("gp", x, y, warped)
    same(grown, fitting().process("gp", x, y, warped))
    same(grown, fitting(history).process("gp", x, y, warped))


def test_nor_does_what_is_remembered_of_other_values():
    x, y = data(30)
    history = History(SPACE)
    fitting(history).process("gp", x, -y, warped)
    fitting(history).process("other", x[::-1], y, warped)
    same(fitting(history).process("gp", x, y, warped), fitting().process("gp", x, y, warped))


@pytest.fixture
def fits(monkeypatch):
    """(values, starts) of each fit."""
    found = []
    best = Likelihood.best

    def counted(self, starts, steps):
        starts = list(starts)
        found.append((len(self.y), len(starts)))
        return best(self, starts, steps)

    monkeypatch.setattr(Likelihood, "best", counted)
    return found


def test_thorough_fits_are_few_and_come_to_one_start_for_each_trial(fits):
    x, y = data(100)
    history = History(SPACE)
    for k in range(2, 101):
        fitting(history).process("gp", x[:k], y[:k], warped)
    thorough = [n for n, starts in fits if starts > 1]
    assert len(thorough) == len(set(thorough)) < 25
    assert sum(starts == 1 for _, starts in fits) == 99 - len(thorough)


def test_the_cost_of_many_values_is_bounded(fits):
    x, y = data(1500)
    process = fitting().process("gp", x, y, warped)
    assert len(process.y) == 400
    assert max(n for n, _ in fits) <= 200
    assert len(fits) <= 2


@pytest.mark.parametrize("n", [401, 1500])
def test_of_many_values_the_best_and_some_of_all_times_are_seen(n):
    y = np.random.default_rng(1).random(n)
    kept = seen(y)
    assert len(kept) == len(set(kept.tolist())) == 400
    assert np.all(np.diff(kept) > 0)
    assert set(np.argsort(y)[:200].tolist()) <= set(kept.tolist())
    rest = np.setdiff1d(kept, np.argsort(y)[:200])
    assert len(rest) == 200
    assert rest.min() < 0.05 * n
    assert rest.max() > 0.95 * n
    assert np.diff(rest).max() < 0.1 * n


def test_few_values_are_all_seen():
    assert seen(np.ones(400)).tolist() == list(range(400))
    assert len(seen(np.ones(401))) == 400


def test_it_predicts_what_it_has_not_seen():
    x, y = data(60)
    process = fitting().process("gp", x, y, warped)
    new, expected = data(40, seed=5)
    found = process.means(fitting().features.of(new))[:, 0]
    assert np.corrcoef(found, Warp.fitted(y)(expected))[0, 1] > 0.95
