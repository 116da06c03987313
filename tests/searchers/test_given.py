"""A list of configs, tried in its order."""

import pytest

from tuneful.errors import SpaceError
from tuneful.history import History
from tuneful.searchers import Given
from tuneful.space import Float, Int, Log, Space, Switch
from tuneful.testing.histories import begin

OPTIMIZER = Switch({"sgd": {"m": Float(0, 1)}, "adam": {}})
SPACE = Space({"lr": Log(1e-4, 1, default=1e-2), "units": Int(1, 100), "opt": OPTIMIZER})


def proposed(configs, history, n=9):
    return [proposal.config for proposal in Given(configs).propose(history, n)]


def test_configs_come_in_their_order_nested_or_by_path():
    whole = [
        {"lr": 0.1, "units": 5, "opt": {"name": "sgd", "m": 0.5}},
        {"lr": 0.2, "units": 6, "opt": "adam"},
        {"lr": 0.3, "units": 7, "opt": "sgd", "opt.sgd.m": 0.25},
    ]
    history = History(SPACE)
    assert proposed(whole, history) == [
        {"lr": 0.1, "units": 5, "opt": "sgd", "opt.sgd.m": 0.5},
        {"lr": 0.2, "units": 6, "opt": "adam"},
        {"lr": 0.3, "units": 7, "opt": "sgd", "opt.sgd.m": 0.25},
    ]
    assert proposed(whole, history, 2) == proposed(whole, history)[:2]
    begin(history, proposed(whole, history, 1)[0])
    assert [p.why for p in Given(whole).propose(history, 1)] == [{"searcher": "given", "index": 1}]


def test_what_is_left_out_takes_its_default_or_the_same_draw_each_time():
    (first,) = proposed([{"opt": "adam"}], History(SPACE, seed=1))
    assert first["lr"] == 1e-2
    assert 1 <= first["units"] <= 100
    assert proposed([{"opt": "adam"}], History(SPACE, seed=1)) == [first]
    assert proposed([{"opt": "adam"}], History(SPACE, seed=2)) != [first]


def test_a_config_is_tried_once_however_often_it_is_given():
    history = History(SPACE)
    config = {"lr": 0.1, "units": 5, "opt": "adam"}
    assert proposed([config, config], history) == [config]
    begin(history, config)
    assert proposed([config, config], history) == []


def test_options_that_are_equal_in_python_are_tried_apart():
    found = proposed([{"a": 1}, {"a": True}, {"a": 1.0}], History(Space({"a": [1, True, 1.0]})))
    assert list(map(repr, found)) == ["{'a': 1}", "{'a': True}", "{'a': 1.0}"]


def test_what_is_left_out_is_drawn_so_that_the_constraints_hold():
    space = Space({"a": Int(1, 100), "b": Int(1, 100)}, ["b < a", "b * 10 < a"])
    found = proposed([{}] * 20, History(space), 20)
    assert len(found) == 20
    assert all(config["b"] * 10 < config["a"] for config in found)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"units": 0}, r"`units`: 0 is not in Int\(1, 100\)"),
        ({"unit": 3}, r"no parameter `unit`. Did you mean `units`"),
        ({"opt": "adam", "opt.sgd.m": 0.5}, r"`opt.sgd.m`=0.5 cannot be"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(config, message):
    with pytest.raises(SpaceError, match=message):
        proposed([config], History(SPACE))


def test_a_config_that_breaks_a_constraint_is_refused():
    space = Space({"a": Int(1, 9), "b": Int(1, 9), "c": Int(1, 9)}, ["b <= a"])
    with pytest.raises(SpaceError, match=r"'b <= a' does not hold for .*a=1, b=2|b=2, a=1"):
        proposed([{"a": 1, "b": 2}], History(space))
