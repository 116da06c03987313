"""Configs in a history: exact values, the unit cube of the space of the day, and which were tried."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.errors import SpaceError
from tuneful.history import History, Row, State
from tuneful.space import Choice, Float, Int, Log, Repeat, Space, Switch
from tuneful.testing.histories import begin, end, small_spaces

NAN = math.nan


def history_of(space, *configs):
    history = History(space)
    for config in configs:
        end(history, begin(history, config), 1.0)
    return history


def same(a, b):
    return np.allclose(np.asarray(a, float), np.asarray(b, float), equal_nan=True, atol=1e-12)


# Values


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(small_spaces().items())), st.integers(0, 999))
def test_every_value_comes_out_as_it_went_in(named, seed):
    space = named[1]
    rows = space.draw(np.random.default_rng(seed).random((5, len(space))))
    history = history_of(space, *map(space.config, rows))
    for trial, row in enumerate(rows):
        assert json.dumps(history.config(trial)) == json.dumps(space.config(row))
    assert same(history.x, space.encode(rows))
    assert history.inside.all()


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1 / 3, 1e308])
def test_floats_are_kept_to_the_last_bit(value):
    history = history_of(Space({"x": Float(0, 1e308)}), {"x": value})
    assert history.config(0)["x"].hex() == value.hex()


def test_whole_numbers_are_kept_as_whole_numbers():
    history = history_of(Space({"n": Int(0, 2**49)}), {"n": 2**49 - 1})
    assert history.config(0) == {"n": 2**49 - 1}
    assert type(history.config(0)["n"]) is int


def test_options_that_are_equal_in_python_are_told_apart():
    options = [1, True, 1.0, "1", None, NAN, math.inf]
    history = history_of(Space({"a": options}), *({"a": option} for option in options))
    assert [repr(history.config(t)["a"]) for t in range(7)] == [repr(option) for option in options]
    assert [history.find({"a": option}) for option in [1.0, True, 1, "1", None, math.inf]] == [
        2,
        1,
        0,
        3,
        4,
        6,
    ]
    assert history.find({"a": float("nan")}) == 5  # as a store gives it back


# The space of the day


def test_a_wider_range_moves_the_old_trials_inside_it():
    history = history_of(
        Space({"x": Float(0, 1), "lr": Log(1e-4, 1e-2)}), {"x": 0.5, "lr": 1e-3}, {"x": 1.0, "lr": 1e-2}
    )
    assert same(history.x, [[0.5, 0.5], [1.0, 1.0]])
    history.move_to(Space({"x": Float(-1, 1), "lr": Log(1e-4, 1)}), 1)
    assert same(history.x, [[0.75, 0.25], [1.0, 0.5]])
    assert history.inside.all()
    assert history.space_number == 1
    begin(history, {"x": -1.0, "lr": 1.0})
    assert same(history.x[2], [0.0, 1.0])


def test_one_more_option_keeps_the_old_trials_wherever_it_is_put():
    history = history_of(Space({"act": ["relu", "tanh"]}), {"act": "relu"}, {"act": "tanh"})
    assert same(history.x[:, 0], [0.25, 0.75])
    history.move_to(Space({"act": ["gelu", "tanh", "relu"]}), 1)
    assert same(history.x[:, 0], [5 / 6, 0.5])
    assert [history.config(trial)["act"] for trial in (0, 1)] == ["relu", "tanh"]
    assert history.find({"act": "tanh"}) == 1
    assert history.find({"act": "gelu"}) is None
    begin(history, {"act": "gelu"})
    assert same(history.x[2], [1 / 6])


def test_trials_outside_a_narrower_space_stay_known_and_are_hidden_from_models():
    history = history_of(
        Space({"x": Float(0, 1), "act": ["a", "b"]}),
        *({"x": x, "act": a} for x, a in [(0.2, "a"), (0.9, "a"), (0.2, "b")]),
    )
    history.move_to(Space({"x": Float(0, 0.5), "act": ["a"]}), 1)
    assert history.inside.tolist() == [True, False, False]
    assert same(history.x, [[0.4, 0.5], [NAN, NAN], [NAN, NAN]])
    assert history.config(1) == {"x": 0.9, "act": "a"}
    assert history.contains({"x": 0.2, "act": "b"})
    assert history.y[:, 0].tolist() == [1.0] * 3
    history.move_to(Space({"x": Float(0, 1), "act": ["b", "a"]}), 2)
    assert history.inside.all()
    assert same(history.x, [[0.2, 0.75], [0.9, 0.75], [0.2, 0.25]])


def test_one_more_parameter_is_absent_in_the_old_trials():
    history = history_of(Space({"x": Float(0, 1)}), {"x": 0.25})
    history.move_to(Space({"y": Float(0, 2), "x": Float(0, 1)}), 1)
    begin(history, {"x": 0.5, "y": 1.0})
    assert same(history.x, [[NAN, 0.25], [0.5, 0.5]])
    assert history.inside.all()
    assert history.config(0) == {"x": 0.25}


def test_trials_with_a_parameter_that_is_gone_are_outside():
    switch = Switch({"on": {"y": Float(0, 1)}, "off": {}})
    history = history_of(Space({"s": switch}), {"s": "on", "s.on.y": 0.5}, {"s": "off"})
    history.move_to(Space({"s": ["on", "off"]}), 1)
    assert history.inside.tolist() == [False, True]
    assert same(history.x[:, 0], [NAN, 0.75])


def test_inactive_parameters_are_nan_in_the_unit_cube():
    space = Space({"layers": Repeat(1, 2, {"units": Int(1, 4)})})
    history = history_of(
        space, {"layers": 1, "layers.0.units": 4}, {"layers": 2, "layers.0.units": 1, "layers.1.units": 2}
    )
    assert np.isnan(history.x).tolist() == [[False, False, True], [False, False, False]]


@pytest.mark.parametrize("other", [Int(0, 1), Choice(["a"])], ids=str)
def test_a_parameter_of_another_kind_is_refused_and_nothing_changes(other):
    history = history_of(Space({"x": Float(0, 1)}), {"x": 0.25})
    space, version = history.space, history.version
    with pytest.raises(SpaceError, match=r"`x` .*another kind. Give it another name"):
        history.move_to(Space({"x": other, "y": Float(0, 1)}), 1)
    assert (history.space, history.space_number, history.version) == (space, 0, version)
    assert same(history.x, [[0.25]])
    assert history.find({"x": 0.25}) == 0


def test_trials_of_a_space_that_somebody_else_searches_are_understood_and_outside():
    history = history_of(Space({"x": Float(0, 1)}), {"x": 0.25})
    history.learn(Space({"x": Float(0, 9), "act": ["a", "b"]}))
    history.apply(Row(1, {"x": 7.0, "act": "b"}, space=1, state=State.RUNNING))
    assert history.config(1) == {"x": 7.0, "act": "b"}
    assert history.inside.tolist() == [True, False]
    assert same(history.x, [[0.25], [NAN]])
    assert history.contains({"x": 7.0, "act": "b"})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_after_any_moves_the_unit_cube_is_that_of_a_history_that_was_always_in_the_last_space(data):
    spaces = [
        Space({"x": Float(0, high), "act": options})
        for high in (1, 2, 0.5)
        for options in (["a", "b"], ["c", "b", "a"], ["b"])
    ]
    history, configs = History(spaces[0]), []
    for version in range(1, 5):
        space = history.space
        for row in space.draw(np.random.default_rng(version).random((data.draw(st.integers(0, 20)), 2))):
            configs.append(space.config(row))
            begin(history, configs[-1])
        _ = history.x if data.draw(st.booleans()) else None
        history.move_to(data.draw(st.sampled_from(spaces)), version)
    high, options = history.space["x"].high, history.space["act"].labels
    fits = [config["x"] <= high and config["act"] in options for config in configs]
    assert history.inside.tolist() == fits
    for trial, config in enumerate(configs):
        known = history.space.encode(history.space.row(config)[None])[0] if fits[trial] else [NAN, NAN]
        assert same(history.x[trial], known)
        assert history.find(config) == configs.index(config)


# Which were tried


def test_the_first_trial_of_a_config_is_found():
    history = history_of(Space({"x": Float(0, 1)}), {"x": 0.5}, {"x": 0.25}, {"x": 0.5})
    assert history.find({"x": 0.5}) == 0
    assert history.find({"x": 0.75}) is None
    assert history.contains({"x": 0.25})
    assert not history.contains({})


def test_what_the_study_never_had_is_not_found():
    history = history_of(Space({"x": Float(0, 1), "act": ["a"]}), {"x": 0.5, "act": "a"})
    assert history.find({"x": 0.5, "act": "b"}) is None
    assert history.find({"x": 0.5, "other": 1}) is None


def test_a_config_that_changes_is_found_under_its_last_values():
    history = history_of(Space({"x": Float(0, 1)}), {"x": 0.5}, {"x": 0.25})
    assert history.contains({"x": 0.5})
    history.apply(Row(0, {"x": 0.75}, state=State.DONE, values={"value": 1.0}))
    assert [history.find({"x": x}) for x in (0.5, 0.25, 0.75)] == [None, 1, 0]
    assert same(history.x[:, 0], [0.75, 0.25])


def test_in_a_space_that_grows_a_config_that_agrees_in_all_that_a_trial_asked_for_would_repeat_it():
    space = Space({"model": ["linear", "forest"], "depth": Int(1, 9)}, open=True)
    history = history_of(space, {"model": "linear"}, {"model": "forest", "depth": 3})
    assert history.find({"model": "linear", "depth": 5}) == 0
    assert history.find({"model": "forest", "depth": 3}) == 1
    assert history.find({"model": "forest", "depth": 4}) is None
    assert history.find({"depth": 3}) is None


def test_in_a_space_that_grows_only_trials_that_are_over_have_shown_what_they_ask_for():
    space = Space({"model": ["linear", "forest"], "depth": Int(1, 9)}, open=True)
    history = History(space)
    begin(history, {"model": "linear"})
    assert history.find({"model": "linear", "depth": 5}) is None
    assert history.find({"model": "linear"}) == 0
    end(history, 0, 1.0)
    assert history.find({"model": "linear", "depth": 5}) == 0


def test_in_a_space_that_begins_empty_no_config_has_been_tried():
    history = History(Space({}, open=True))
    begin(history, {})
    assert not history.contains({})
    end(history, 0, 1.0)
    assert not history.contains({})
