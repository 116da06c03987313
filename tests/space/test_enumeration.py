"""Every config of a finite space, once and in order."""

import itertools

import pytest
from hypothesis import assume, given, settings
from random_spaces import finite, spaces

from tuneful.errors import SpaceError
from tuneful.space import Choice, Float, Int, Log, Repeat, Space, Switch, When


def by_hand(space):
    """All configs, as nested loops over the parameters would give them."""
    configs = [{}]
    for parameter in space.parameters:
        grown = []
        for config in configs:
            parent = None if parameter.parent is None else space.parameters[parameter.parent]
            there = parent is None or any(
                parent.path in config and repr(config[parent.path]) == repr(value) for value in parameter.among
            )
            grown += [{**config, parameter.path: v} for v in parameter.domain.levels()] if there else [config]
        configs = grown
        assume(len(configs) <= 3_000)
    return [repr(sorted(config.items())) for config in configs]


@settings(max_examples=60, deadline=None)
@given(spaces(leaves=finite, depth=2))
def test_enumeration_gives_every_config_once(space):
    expected = by_hand(space)
    every = space.enumeration()
    assert every.size == len(expected)
    found = [space.config(every.row(i)) for i in range(every.size)]
    assert sorted(repr(sorted(config.items())) for config in found) == sorted(expected)
    assert len(set(expected)) == len(expected)


def test_the_last_parameter_varies_fastest():
    space = Space({"a": Int(1, 2), "b": ["x", "y", "z"], "c": Float(0.1, 0.2, step=0.1)})
    every = space.enumeration()
    found = [tuple(space.config(every.row(i)).values()) for i in range(every.size)]
    assert found == list(itertools.product([1, 2], ["x", "y", "z"], [0.1, 0.2]))


def test_conditional_parameters_are_enumerated_where_they_exist():
    space = Space({"opt": Switch({"sgd": {"m": [0.0, 0.9]}, "adam": {}}), "n": Repeat(0, 2, ["a", "b"])})
    every = space.enumeration()
    found = [space.nested(space.config(every.row(i))) for i in range(every.size)]
    opts = [{"name": "sgd", "m": 0.0}, {"name": "sgd", "m": 0.9}, {"name": "adam"}]
    lists = [[], ["a"], ["b"], ["a", "a"], ["a", "b"], ["b", "a"], ["b", "b"]]
    assert found == [{"opt": opt, "n": n} for opt in opts for n in lists]


def test_the_spaces_of_the_mission_have_9600_and_25_configs():
    dropout = Float(0.1, 0.5, step=0.1)
    keras = {
        "hidden1": Int(32, 512, step=32),
        "dropout1": dropout,
        "hidden2": Int(16, 128, step=16),
        "dropout2": dropout,
        "learning_rate": [1e-4, 1e-3, 1e-2],
    }
    assert Space(keras).size == 9600
    assert (
        Space(keras, ["hidden2 <= hidden1"]).size
        == sum(h2 <= h1 for h1 in range(32, 513, 32) for h2 in range(16, 129, 16)) * 5 * 5 * 3
    )
    grid = {"batch_size": Int(32, 512, log=True, step=2), "learning_rate": Log(1e-5, 1e-1)}
    assert Space(grid).enumeration(levels=5).size == 25
    assert Space(grid).size == float("inf")


def test_size_counts_what_satisfies_the_constraints():
    space = Space({"a": Int(1, 3), "b": Int(1, 3)}, ["b <= a"])
    assert space.size == 6
    assert space.enumeration().size == 9
    assert Space({"a": Int(1, 1000), "b": Int(1, 1000)}, "b <= a").size == 1_000_000  # too many to count


def test_huge_finite_spaces_are_numbered_without_being_listed():
    space = Space({"seed": Int(0, 2**50 - 1), "n": Int(0, 10**12), "more": When({"n": [7, 10**9]}, Int(1, 3))})
    every = space.enumeration()
    assert every.size == space.size == 2**50 * (10**12 + 1 + 4)
    assert space.config(every.row(0)) == {"seed": 0, "n": 0}
    assert [space.config(every.row(i)) for i in (7, 9, 10)] == [
        {"seed": 0, "n": 7, "more": 1},
        {"seed": 0, "n": 7, "more": 3},
        {"seed": 0, "n": 8},
    ]
    assert space.config(every.row(every.size - 1)) == {"seed": 2**50 - 1, "n": 10**12}
    assert space.config(every.row(10**9 + 4)) == {"seed": 0, "n": 10**9, "more": 3}
    log = Space({"a": Int(1, 10**6, log=True), "b": When({"a": 5}, Int(1, 4, log=True, step=2))}).enumeration()
    assert log.size == 10**6 + 2
    assert log.row(6)[1] == 4


def test_levels_are_given_for_all_or_by_path():
    space = Space({"lr": Log(1e-3, 1e-1), "n": Int(1, 100), "opt": Choice(["a", "b"])})
    assert space.enumeration(3).size == 3 * 3 * 2
    assert space.enumeration({"lr": 3}).size == 3 * 100 * 2
    rows = space.enumeration({"lr": [0.01, 0.02, 0.01], "n": [7], "opt": ["b"]})
    assert [space.config(rows.row(i)) for i in range(rows.size)] == [
        {"lr": 0.01, "n": 7, "opt": "b"},
        {"lr": 0.02, "n": 7, "opt": "b"},
    ]
    under = Space({"opt": ["a", "b"], "x": When({"opt": "a"}, Float(0, 1))})
    assert under.enumeration({"opt": ["b"], "x": 5}).size == 1
    assert under.enumeration({"x": 5}).size == 6
    assert list(under.enumeration(2)._levels[0][0:2]) == [0.0, 1.0]


def test_a_number_that_is_none_of_the_configs_is_refused():
    with pytest.raises(SpaceError, match=r"There is no config 2: the space has 2, counted from 0\."):
        Space({"a": ["x", "y"]}).enumeration().row(2)
