"""What a running trial has to beat, and how long it is."""

import math

import numpy as np
import pytest

from tuneful.history import Bound, History, Objective, State
from tuneful.pruners.rivals import bars, horizon, incumbents, leader
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end


@pytest.fixture
def history():
    return History(Space({"x": Float(0, 1)}), (Objective(),), [Bound("memory", 1.0)])


def trial_of(history, *values, ends=None, state=State.DONE, memory=0.0, **facts):
    trial = begin(history, {"x": len(history) / 100}, **facts)
    for step, value in enumerate(values, 1):
        history.report(trial, step, {"value": value})
    if ends is not None:
        end(history, trial, {"value": ends, "memory": memory}, state)
    return trial


def test_the_incumbent_is_the_best_that_is_done_and_feasible_and_has_a_curve(history):
    assert list(incumbents(history)) == []
    trial_of(history, 9.0)
    assert list(incumbents(history)) == []
    best = trial_of(history, 3.0, 2.0, ends=2.0)
    trial_of(history, 3.0, 2.0, ends=2.0)  # the first of several
    trial_of(history, ends=0.0)  # told by hand
    trial_of(history, 1.0, ends=1.0, memory=2.0)
    trial_of(history, 1.0, ends=1.0, state=State.PRUNED)
    trial_of(history, 1.0, ends=1.0, state=State.FAILED)
    trial_of(history, 1.0, ends=math.inf)
    trial_of(history, 1.0)
    assert list(incumbents(history)) == [best]


def test_with_several_objectives_the_incumbents_are_those_that_no_other_beats():
    history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
    for loss, accuracy in [(1, 0.5), (2, 0.9), (3, 0.4), (0, 0.99), (9, 1.0)]:
        trial = begin(history, {"x": len(history) / 10})
        history.report(trial, 1, {"loss": loss} | ({"accuracy": accuracy} if trial != 3 else {}))
        end(history, trial, {"loss": loss, "accuracy": accuracy})
    assert list(incumbents(history)) == [0, 1, 4]
    np.testing.assert_array_equal(bars(history), [[0, -0.99], [9, -1.0]])
    assert list(leader(history, 0)) == []


def test_the_leader_is_another_trial_that_has_all_the_steps(history):
    mine = trial_of(history, 1.0, 1.0)
    assert list(leader(history, mine)) == []
    trial_of(history, 0.0)
    trial_of(history, 0.0, math.nan)
    assert list(leader(history, mine)) == []
    trial_of(history, 5.0, 4.0, ends=4.0, state=State.PRUNED)
    second = trial_of(history, 4.0, 4.0, 99.0)
    assert list(leader(history, mine)) == [second]
    assert list(leader(history, second)) == []
    assert list(leader(history, trial_of(history))) == []


def test_the_horizon_is_its_own_length_or_the_longest_known(history):
    mine = trial_of(history, 1.0)
    assert horizon(history, mine) == 0
    trial_of(history, *[1.0] * 7)  # runs, and may go on
    assert horizon(history, mine) == 0
    trial_of(history, *[1.0] * 5, ends=1.0)
    assert horizon(history, mine) == 5
    trial_of(history, 1.0, length=9)
    assert horizon(history, mine) == 9
    history.length[mine] = 3
    assert horizon(history, mine) == 3


def test_the_bar_is_the_best_value(history):
    assert bars(history).shape == (0, 1)
    trial_of(history, 1.0, ends=3.0)
    trial_of(history, ends=2.0)
    trial_of(history, ends=1.0, memory=9.0)
    np.testing.assert_array_equal(bars(history), [[2.0]])
