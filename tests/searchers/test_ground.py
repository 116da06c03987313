"""Where a searcher looks: every point is a config, to the last bit, and keeps the constraints."""

import numpy as np
import pytest

from tuneful.history import History
from tuneful.searchers.ground import Ground
from tuneful.space import Bool, Float, Int, Log, Repeat, Space, Switch
from tuneful.testing import small_spaces

SPACES = small_spaces() | {
    "rough": Space(
        {
            "step": Float(0.1, 0.7, step=0.1),
            "units": Int(3, 999, log=True),
            "lr": Log(1e-7, 13.7),
            "neg": Float(-1e9, 1e-3),
            "big": Int(-(2**48), 2**48),
            "wide": [f"o{i}" for i in range(40)],
            "layers": Repeat(0, 3, {"n": Int(1, 5), "act": Switch({"relu": {}, "elu": {"alpha": Float(0, 2)}})}),
        }
    ),
    "listed": Space({"a": Int(1, 5), "b": list("xyz"), "c": Switch({"on": {"k": Bool()}, "off": {}})}, ["a != 3"]),
}


@pytest.fixture(params=SPACES)
def ground(request):
    return Ground(SPACES[request.param])


def draw(seed=0):
    return np.random.default_rng(seed)


def points(ground, n=100, seed=0):
    return ground.drawn(draw(seed).random((n, len(ground.space))))


def check_configs(ground, x):
    """Each row is what its config is in the unit cube, to the last bit."""
    space = ground.space
    rows = ground.rows(x)
    np.testing.assert_array_equal(space.encode(rows), x)
    for row, raw in zip(x, rows, strict=True):
        config = space.config(raw)
        assert space.complete(config) == config
        np.testing.assert_array_equal(space.encode(space.row(config)[None])[0], row)
    assert np.nanmin(x, initial=0.5) >= 0
    assert np.nanmax(x, initial=0.5) <= 1


def feasible(ground, x):
    return x[ground.allowed(x)]


def test_what_is_drawn_is_a_config(ground):
    check_configs(ground, feasible(ground, points(ground)))


def test_the_nearest_config_to_a_point_is_one_and_one_is_its_own(ground):
    space = ground.space
    wild = draw(1).random((60, len(space)))
    wild[::3] = points(ground, 20)
    check_configs(ground, feasible(ground, ground.nearest(wild, draw())))
    x = points(ground)
    np.testing.assert_array_equal(ground.nearest(x, draw()), x)


def test_neighbours_are_configs_and_near_or_far(ground):
    x = points(ground, 3)
    near = ground.near(x, 300, draw(2))
    assert near.shape == (300, len(ground.space))
    check_configs(ground, feasible(ground, near))


def test_every_level_of_a_column_is_tried(ground):
    x = points(ground, 4)
    for column, levels in enumerate(ground.levels):
        if levels is None:
            continue
        swept = ground.swept(x, column, draw(3))
        assert swept.shape == (4, len(levels), len(ground.space))
        check_configs(ground, feasible(ground, swept.reshape(-1, len(ground.space))))
        there = ~np.isnan(x[:, column])
        for row in swept[there]:
            np.testing.assert_array_equal(row[:, column], levels)
        if ground.space.parameters[column].parent is None and not any(
            p.parent == column for p in ground.space.parameters
        ):
            others = np.delete(np.arange(len(ground.space)), column)
            np.testing.assert_array_equal(swept[:, 0][:, others], x[:, others])


def test_the_levels_are_all_values_of_a_column(ground):
    for parameter, levels in zip(ground.space.parameters, ground.levels, strict=True):
        if levels is not None:
            assert len(set(levels.tolist())) == len(levels) == parameter.domain.size
            raw = parameter.domain.decode(levels)
            assert len(set(raw.tolist())) == len(levels)


def test_what_is_few_is_listed_and_what_is_many_is_not():
    every = Ground(SPACES["listed"]).every
    assert every is not None
    assert len({row.tobytes() for row in every}) == len(every) == 45
    check_configs(Ground(SPACES["listed"]), feasible(Ground(SPACES["listed"]), every))
    assert Ground(SPACES["rough"]).every is None
    assert Ground(Space({"a": Int(1, 513)})).every is None


def test_neighbours_change_few_columns_and_mostly_by_little():
    ground = Ground(Space({f"x{i}": Float(0, 1) for i in range(30)}))
    x = points(ground, 1)
    off = np.abs(ground.near(x, 2000, draw(4)) - x)
    changed = (off > 1e-9).sum(axis=1)
    assert changed.min() >= 1
    assert 1 < np.median(changed) < 10
    assert changed.max() > 15
    assert np.median(off[off > 1e-9]) < 0.1


def test_neighbours_go_through_the_options_and_the_steps():
    space = Space({"opt": list("abcd"), "k": Int(1, 3), "x": Float(0, 1)})
    near = Ground(space).near(points(Ground(space), 1), 400, draw(5))
    configs = [space.config(row) for row in space.decode(near)]
    assert {config["opt"] for config in configs} == set("abcd")
    assert {config["k"] for config in configs} == {1, 2, 3}


def test_constraints_are_kept():
    ground = Ground(SPACES["constrained"])
    x = points(ground, 200)
    allowed = ground.allowed(x)
    configs = [ground.space.config(row) for row in ground.rows(x)]
    assert allowed.tolist() == [config["b"] <= config["a"] for config in configs]
    assert 0 < allowed.sum() < 200
    assert Ground(SPACES["rough"]).allowed(points(Ground(SPACES["rough"]), 5)).all()


def test_features_know_what_may_be_absent():
    space = Space({"s": Switch({"on": {"k": Float(0, 1)}, "off": {}}), "x": Float(0, 1), "o": list("abc")})
    nothing = np.empty((0, 4))
    assert Ground(space).features(nothing).options == (2, 0, 0, 3)
    assert Ground(space).features(nothing).optional == (False, True, False, False)
    older = np.array([[0.2, 0.5, np.nan, 0.1]])
    assert Ground(space).features(nothing, older).optional == (False, True, True, False)


def test_the_ground_of_a_study_is_that_of_its_current_space():
    history = History(Space({"x": Float(0, 1)}))
    assert Ground.of(history).space is history.space
    assert Ground.of(history) is Ground.of(history)
    history.move_to(Space({"x": Float(0, 2)}), 1)
    assert Ground.of(history).space is history.space
