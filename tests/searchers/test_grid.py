"""Grid search: every combination once, in the stated order."""

from itertools import product

import pytest

from tuneful.errors import SpaceError
from tuneful.history import History, Limits, State
from tuneful.searchers import Grid
from tuneful.space import Bool, Float, Int, Repeat, Space, Switch
from tuneful.testing.histories import begin, end, rebuilt

LR_AND_BATCH = {"lr": Float(1e-5, 1e-1, log=True), "batch": Int(32, 512, log=True, step=2)}


def in_order(grid, space, n=10**6):
    history = History(space)
    return [proposal.config for proposal in grid.propose(history, n)]


def test_five_levels_of_two_parameters_are_twenty_five_trials_the_last_parameter_varying_fastest():
    space = Space(LR_AND_BATCH)
    rates, sizes = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], [32, 64, 128, 256, 512]
    assert Grid(levels=5).cost(space) == 25
    assert in_order(Grid(levels=5), space) == [{"lr": lr, "batch": size} for lr, size in product(rates, sizes)]


def test_the_digits_space_of_the_keras_example_is_covered_by_9600_different_trials():
    dropout = Float(0.1, 0.5, step=0.1)
    spec = {
        "hidden1": Int(32, 512, step=32),
        "dropout1": dropout,
        "hidden2": Int(16, 128, step=16),
        "dropout2": dropout,
    }
    space = Space({**spec, "learning_rate": [1e-4, 1e-3, 1e-2]})
    assert Grid().cost(space) == 9600
    history = History(space)
    while proposals := Grid().propose(history, 960):
        for proposal in proposals:
            begin(history, proposal.config)
    assert len(history) == 9600
    assert len({tuple(history.config(trial).values()) for trial in range(9600)}) == 9600


def test_parameters_under_a_condition_are_combined_only_where_it_holds():
    switch = Switch({"sgd": {"momentum": Float(0, 1), "nesterov": Bool()}, "adam": {}})
    configs = in_order(Grid(levels=2), Space({"opt": switch, "layers": Repeat(1, 2, {"units": Int(1, 2)})}))
    sgd = [
        {"opt": "sgd", "opt.sgd.momentum": momentum, "opt.sgd.nesterov": nesterov}
        for momentum, nesterov in product([0.0, 1.0], [False, True])
    ]
    layers = [{"layers": 1, "layers.0.units": units} for units in (1, 2)]
    layers += [{"layers": 2, "layers.0.units": a, "layers.1.units": b} for a, b in product((1, 2), (1, 2))]
    assert configs == [one | other for one, other in product([*sgd, {"opt": "adam"}], layers)]


def test_combinations_that_break_a_constraint_are_left_out_but_counted_in_the_cost():
    space = Space({"a": Int(1, 3), "b": Int(1, 3)}, ["b < a"])
    assert in_order(Grid(), space) == [{"a": 2, "b": 1}, {"a": 3, "b": 1}, {"a": 3, "b": 2}]
    assert Grid().cost(space) == 9


def test_levels_may_be_numbers_or_values_for_each_parameter():
    space = Space({**LR_AND_BATCH, "act": ["relu", "tanh"]})
    grid = Grid(levels={"lr": [0.003, 0.001], "batch": 2})
    assert in_order(grid, space) == [
        {"lr": lr, "batch": size, "act": act} for lr, size, act in product([0.003, 0.001], [32, 512], ["relu", "tanh"])
    ]
    assert grid.cost(space) == 8


def test_options_that_are_equal_in_python_are_tried_apart():
    assert list(map(repr, in_order(Grid(), Space({"a": [1, True, 1.0, "1"]})))) == [
        *("{'a': 1}", "{'a': True}", "{'a': 1.0}", "{'a': '1'}")
    ]


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_a_grid_goes_on_where_it_was_whatever_was_tried_beside_it(batch):
    space = Space({"a": Int(1, 4), "b": Int(1, 4)})
    history = History(space)
    end(history, begin(history, {"a": 2, "b": 2}, why={"searcher": "enqueued"}), 0.5)
    found = []
    while proposals := Grid().propose(history, batch):
        found += [(proposal.config["a"], proposal.config["b"]) for proposal in proposals]
        for proposal in proposals:
            end(history, begin(history, proposal.config), state=State.FAILED)
        history = rebuilt(history)
    assert found == [pair for pair in product(range(1, 5), range(1, 5)) if pair != (2, 2)]


def test_a_grid_says_which_combination_it_is_at():
    history = History(Space({"a": Int(1, 3)}))
    begin(history, {"a": 1})
    assert [p.why for p in Grid().propose(history, 2)] == [{"searcher": "grid", "index": i} for i in (1, 2)]


def test_a_wider_space_is_covered_from_its_beginning():
    history = History(Space({"a": [2, 3]}), limits=Limits(9))
    for proposal in Grid().propose(history, 9):
        begin(history, proposal.config)
    assert Grid().propose(history, 1) == []
    history.move_to(Space({"a": [1, 2, 3]}), 1)
    assert [p.config for p in Grid().propose(history, 9)] == [{"a": 1}]


def test_a_continuous_parameter_without_levels_is_refused_by_name():
    with pytest.raises(SpaceError, match=r"`lr` is continuous.*levels=5"):
        Grid().cost(Space(LR_AND_BATCH))
    with pytest.raises(SpaceError, match=r"`lr` is continuous"):
        Grid(levels={"batch": 2}).propose(History(Space(LR_AND_BATCH)), 1)
    with pytest.raises(SpaceError, match=r"`l` is given levels, but is not a parameter.*`lr`"):
        Grid(levels={"l": 2}).cost(Space(LR_AND_BATCH))
