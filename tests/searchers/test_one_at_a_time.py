"""One parameter at a time, around the best config so far."""

import math

import pytest

from tuneful.errors import SpaceError
from tuneful.history import Bound, History, Objective, State
from tuneful.searchers import OneAtATime
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.testing.histories import begin, end

SPACE = Space(
    {
        "lr": Log(1e-4, 1, default=1e-4),
        "units": Int(16, 256, log=True, step=2, default=16),
        "act": Choice(["relu", "tanh", "gelu"], default="tanh"),
    }
)
OPTIMUM = {"lr": 1e-2, "units": 128, "act": "gelu"}


def separable(config):
    act = {"relu": 0.4, "tanh": 0.9, "gelu": 0.0}[config["act"]]
    return math.log10(config["lr"] / 1e-2) ** 2 + math.log2(config["units"] / 128) ** 2 + act


def play(searcher, history, value, workers=1, trials=200):
    while len(history) < trials:
        for proposal in searcher.propose(history, workers - len(history.of_state(State.RUNNING))):
            begin(history, proposal.config, why=proposal.why)
        running = history.of_state(State.RUNNING)
        if not running:
            return history
        end(history, running[0], value(history.config(running[0])))
    return history


def changed(config, other):
    return {path for path in config.keys() | other.keys() if config.get(path) != other.get(path)}


def test_the_first_trial_is_the_default():
    (first,) = OneAtATime().propose(History(SPACE), 3)
    assert first.config == SPACE.default


def test_what_has_no_default_is_drawn_for_the_first_trial():
    space = Space({"x": Float(0, 1), "lr": Log(1e-4, 1, default=1e-2)})
    firsts = [OneAtATime().propose(History(space, seed=seed), 2) for seed in (2, 2, 3)]
    assert [len(first) for first in firsts] == [1, 1, 1]
    configs = [first[0].config for first in firsts]
    assert [config["lr"] for config in configs] == [1e-2] * 3
    assert configs[0] == configs[1] != configs[2]


def test_where_the_first_draws_break_a_constraint_it_begins_at_random():
    space = Space({"a": Int(1, 50), "b": Int(1, 50), "c": Int(1, 50)}, ["a < b", "b < c"])
    for seed in range(8):
        (first,) = OneAtATime().propose(History(space, seed=seed), 1)
        assert first.config["a"] < first.config["b"] < first.config["c"]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_trial_differs_in_one_parameter_from_the_best_at_the_start_of_its_sweep(workers):
    history = play(OneAtATime(), History(SPACE), separable, workers)
    swept = [history.text("why", trial) for trial in range(1, len(history))]
    assert swept
    for trial, why in enumerate(swept, 1):
        centre = why["centre"]
        begun = next(t for t, other in enumerate(swept, 1) if other == why)
        assert changed(history.config(trial), history.config(centre)) == {why["parameter"]}
        assert separable(history.config(centre)) == min(separable(history.config(t)) for t in range(begun))


def test_sweeps_follow_the_order_of_the_space_or_the_one_that_is_given():
    def order(searcher):
        history = play(searcher, History(SPACE), separable, trials=12)
        return list(dict.fromkeys(history.text("why", trial)["parameter"] for trial in range(1, 12)))

    assert order(OneAtATime(levels=4)) == ["lr", "units", "act"]
    assert order(OneAtATime(levels=4, order=("act", "lr", "units"))) == ["act", "lr", "units"]


def test_a_parameter_that_is_left_out_of_the_order_stays_as_it_is():
    history = play(OneAtATime(order=("lr",)), History(SPACE), separable)
    assert {history.config(trial)["units"] for trial in range(len(history))} == {16}
    assert len(history) == 5


@pytest.mark.parametrize("workers", [1, 4])
def test_the_optimum_of_a_function_of_parameters_that_act_apart_is_found_in_one_round(workers):
    history = play(OneAtATime(levels=5), History(SPACE), separable, workers)
    assert history.config(history.best) == OPTIMUM
    assert history.best <= 11  # 1 + 4 + 4 + 2 trials are one sweep of each parameter
    assert len(history) < 75  # the grid


def test_when_nothing_is_better_around_the_best_it_is_done():
    history = play(OneAtATime(), History(SPACE), separable)
    assert OneAtATime().propose(history, 3) == []
    best = history.config(history.best)
    for path, value in [("units", 32), ("act", "relu"), ("lr", 1e-3)]:
        assert history.contains({**best, path: value})


def test_it_waits_for_the_last_trials_of_a_sweep_before_it_moves_to_the_best():
    history = History(SPACE)
    end(history, begin(history, OneAtATime().propose(history, 1)[0].config), 5.0)
    sweep = OneAtATime().propose(history, 9)
    assert [p.why["parameter"] for p in sweep] == ["lr"] * 4
    for proposal in sweep:
        begin(history, proposal.config, why=proposal.why)
    for trial in (1, 2, 3):
        end(history, trial, 9.0)
        assert OneAtATime().propose(history, 2) == []
    end(history, 4, 1.0)
    assert {p.why["centre"] for p in OneAtATime().propose(history, 2)} == {4}


def test_what_exists_only_under_the_changed_value_is_drawn_and_the_rest_goes():
    space = Space({"opt": Switch({"sgd": {"lr": Float(0, 1)}, "adam": {"beta": Float(0, 1)}}), "x": Float(0, 1)})
    history = History(space)
    end(history, begin(history, {"opt": "sgd", "opt.sgd.lr": 0.25, "x": 0.75}), 1.0)
    (found,) = OneAtATime(order=("opt",)).propose(history, 4)
    assert found.config.keys() == {"opt", "opt.adam.beta", "x"}
    assert found.config["opt"] == "adam"
    assert found.config["x"] == 0.75
    assert found.config == space.complete(found.config)


def test_a_parameter_that_does_not_exist_in_the_best_is_passed_over():
    space = Space({"opt": Switch({"sgd": {"lr": Float(0, 1)}, "adam": {}})})
    history = History(space)
    end(history, begin(history, {"opt": "adam"}), 1.0)
    assert OneAtATime(order=("opt.sgd.lr",)).propose(history, 1) == []


def test_while_every_trial_has_failed_it_draws_at_random():
    history = History(SPACE, seed=1)
    for _ in range(3):
        (found,) = OneAtATime().propose(history, 1)
        end(history, begin(history, found.config, why=found.why), state=State.FAILED)
    assert [history.text("why", trial)["searcher"] for trial in range(3)] == [
        "one_at_a_time",
        "random",
        "random",
    ]


def test_the_best_of_another_space_is_no_centre():
    history = History(Space({"x": Float(0, 10)}))
    for x, value in [(9.0, 0.1), (2.0, 0.5), (3.0, 0.4), (8.0, 0.2)]:
        end(history, begin(history, {"x": x}), value)
    history.move_to(Space({"x": Float(0, 5)}), 1)
    assert {p.why["centre"] for p in OneAtATime().propose(history, 2)} == {2}
    history.move_to(Space({"x": Float(-5, -1)}), 2)
    assert [p.why["searcher"] for p in OneAtATime().propose(history, 2)] == ["random"]


def test_a_sweep_around_a_config_that_the_space_no_longer_has_is_not_continued():
    history = History(Space({"x": Float(0, 10), "y": Float(0, 1)}))
    end(history, begin(history, {"x": 9.0, "y": 0.5}), 0.1)
    (proposal,) = OneAtATime(order=("y",)).propose(history, 1)
    end(history, begin(history, proposal.config, why=proposal.why), 1.0)
    history.move_to(Space({"x": Float(0, 5), "y": Float(0, 1)}), 1)
    (found,) = OneAtATime(order=("y",)).propose(history, 1)
    assert found.config["x"] <= 5


def test_a_trial_that_breaks_a_constraint_is_no_centre():
    history = History(SPACE, (Objective("loss"),), (Bound("memory", 1.0),))
    for act, loss, memory in [("tanh", 2.0, 0.5), ("gelu", 1.0, 9.0)]:
        config = {**SPACE.default, "act": act}
        end(history, begin(history, config), {"loss": loss, "memory": memory})
    assert {p.why["centre"] for p in OneAtATime().propose(history, 2)} == {0}


def test_an_unknown_parameter_in_the_order_is_refused_by_name():
    history = History(SPACE)
    end(history, begin(history, SPACE.default), 1.0)
    with pytest.raises(SpaceError, match=r"`unit` in `order` is not a parameter. Did you mean `units`\?"):
        OneAtATime(order=("lr", "unit")).propose(history, 1)
