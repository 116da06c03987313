"""Hill climbing: never down, and up to the top of numbers, steps and options alike."""

from dataclasses import dataclass

import numpy as np
import pytest

from tuneful.searchers.climb import climbed
from tuneful.searchers.ground import Ground
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.testing import small_spaces

NAN = np.nan


@dataclass(frozen=True)
class Bump:
    """Highest, 0, at `top` (d,); columns whose top is NaN do not count."""

    ground: Ground
    top: np.ndarray
    steep: float = 1.0

    @property
    def columns(self):
        return self.ground.features(np.empty((0, len(self.top)))).numbers

    @property
    def reach(self):
        return np.ones(len(self.columns))

    def off(self, x):
        return np.nan_to_num(np.where(np.isnan(self.top), 0.0, x - self.top))

    def __call__(self, x):
        return -self.steep * (self.off(x) ** 2).sum(axis=1)

    def slopes(self, x):
        return self(x), -2.0 * self.steep * self.off(x)[:, self.columns]


def begun(ground, n, seed=0):
    x = ground.drawn(np.random.default_rng(seed).random((n * 8, len(ground.space))))
    return x[ground.allowed(x)][:n]


def climb(space, top, n=6, steep=1.0, seed=0):
    ground = Ground(space)
    score = Bump(ground, np.array(top), steep)
    x = begun(ground, n, seed)
    return ground, score, x, *climbed(ground, score, x, np.random.default_rng(seed))


@pytest.mark.parametrize("steep", [1e-6, 1.0, 1e6])
def test_it_finds_the_top_of_a_smooth_hill_however_steep(steep):
    space = Space({"x": Float(-3, 5), "y": Log(1e-5, 1), "z": Float(0, 1)})
    *_, x, values = climb(space, [0.3, 0.8, 0.55], steep=steep)
    assert np.abs(x - [0.3, 0.8, 0.55]).max() < 0.02


def test_it_finds_the_top_at_an_edge():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    *_, x, _ = climb(space, [1.5, -0.5])
    assert x == pytest.approx(np.tile([1.0, 0.0], (6, 1)))


def test_it_finds_the_top_of_steps_and_options():
    space = Space({"k": Int(1, 9), "opt": list("abcde"), "size": Choice(["s", "m", "l"], ordered=True)})
    ground = Ground(space)
    top = space.encode(space.row({"k": 7, "opt": "d", "size": "m"})[None])[0]
    *_, x, values = climb(space, top)
    assert np.array_equal(x, np.tile(top, (6, 1)))
    assert values == pytest.approx(np.zeros(6))
    assert ground.allowed(x).all()


def test_it_finds_the_top_of_a_number_with_many_steps():
    space = Space({"k": Int(0, 100_000), "n": Int(1, 4096, log=True)})
    *_, x, _ = climb(space, [0.7, 0.4])
    assert np.abs(x - [0.7, 0.4]).max() < 0.03


def test_it_finds_the_better_branch_and_the_top_in_it():
    space = Space({"model": Switch({"net": {"lr": Log(1e-5, 1)}, "tree": {"depth": Float(0, 1)}}), "x": Float(0, 1)})
    ground, _, begun, x, _ = climb(space, [0.75, NAN, 0.4, 0.2], n=8)
    assert len(set(begun[:, 0])) == 2
    assert np.all(x[:, 0] > 0.5)
    assert np.isnan(x[:, 1]).all()
    assert np.abs(x[:, 2:] - [0.4, 0.2]).max() < 0.05
    assert ground.allowed(x).all()


@pytest.mark.parametrize("name", small_spaces())
@pytest.mark.parametrize("seed", range(4))
def test_it_never_ends_lower_than_it_began_and_always_at_a_config(name, seed):
    space = small_spaces()[name]
    top = np.random.default_rng(seed).uniform(-0.2, 1.2, len(space))
    ground, score, before, x, values = climb(space, top, seed=seed)
    assert np.all(values >= score(before))
    assert values == pytest.approx(score(x))
    assert ground.allowed(x).all()
    np.testing.assert_array_equal(space.encode(space.decode(np.where(np.isnan(x), 0.5, x))), x)


def test_it_keeps_to_the_constraints_though_the_top_lies_outside():
    space = Space({"a": Float(0, 1), "b": Int(0, 8)}, ["a + b <= 4"])
    ground, score, before, x, values = climb(space, [0.9, 1.0])
    assert ground.allowed(x).all()
    assert np.all(values >= score(before))
    assert values.max() > score(before).max()


def test_a_plain_where_nothing_is_better_is_left_as_it_is():
    space = Space({"x": Float(0, 1), "opt": ["a", "b"]})
    _, _, before, x, values = climb(space, [NAN, NAN])
    np.testing.assert_array_equal(x, before)
    assert not values.any()


def test_each_climbs_by_itself():
    space = Space({"x": Float(0, 1), "y": Float(0, 1), "k": Int(1, 5)})
    ground = Ground(space)
    score = Bump(ground, np.array([0.2, 0.9, 0.5]))
    x = begun(ground, 5)
    together, _ = climbed(ground, score, x, np.random.default_rng(0))
    for i in range(5):
        alone, _ = climbed(ground, score, x[i : i + 1], np.random.default_rng(1))
        assert alone[0] == pytest.approx(together[i], abs=0.02)
