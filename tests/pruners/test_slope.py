"""Slope: a straight line to the end."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.errors import StudyError
from tuneful.history import Bound, History, Objective
from tuneful.pruners import Slope
from tuneful.pruners.slope import line
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

NAN, INF = math.nan, math.inf
BEST = [1.0] * 20


def falling(start, by, n):
    return [start - by * step for step in range(1, n + 1)]


@pytest.mark.parametrize(
    ("by", "ends"),
    [
        (0.10, False),  # at step 10: 2.1 - 1 = 1.1; ten steps more: 0.1
        (0.06, False),  # 1.5 - 0.6 = 0.9
        (0.02, True),  # 1.9 - 0.2 = 1.7
        (0.0, True),
        (-0.1, True),
    ],
)
def test_a_trial_ends_that_would_miss_the_best_value_if_it_went_on_as_now(reported, by, ends):
    assert Slope()(reported(falling(2.1, by, 10), BEST, finished=(1,)), 0) is ends


@pytest.mark.parametrize(("by", "ends"), [(0.0551, False), (0.0549, True)])
def test_the_line_is_exact(reported, by, ends):
    assert Slope()(reported(falling(2.1, by, 10), BEST, finished=(1,)), 0) is ends  # 2.1 - 20 by, beside 1


def test_outliers_do_not_turn_the_line():
    y = np.arange(10.0)[::-1] + 5
    y[[0, 4]] = 1e6
    assert line(np.arange(1, 11), y) == (-1.0, 5.0)


def test_steps_count_and_not_reports(reported):
    history = reported([], BEST, finished=(1,))
    for k in range(1, 7):
        history.report(0, 2 * k, {"value": 3.0 - 0.1 * k})  # 0.05 a step; at step 12: 2.4, at step 20: 2.0
    assert Slope(steps=6)(history, 0)
    history.length[0] = 39  # 2.4 - 27 x 0.05 = 1.05
    assert Slope(steps=6)(history, 0)
    history.length[0] = 41  # 2.4 - 29 x 0.05 = 0.95
    assert not Slope(steps=6)(history, 0)


def test_its_own_end_counts_then_the_longest_known(reported):
    mine = falling(2.1, 0.03, 10)  # reaches 1 at step 36.7
    history = reported(mine, BEST, finished=(1,))
    assert Slope()(history, 0)
    history.length[0] = 37
    assert not Slope()(history, 0)
    history.length[0] = 36
    assert Slope()(history, 0)
    history.length[:] = 0, 40
    assert not Slope()(history, 0)


def test_at_its_end_it_is_not_ended(reported):
    history = reported([5.0] * 12, BEST, finished=(1,))
    assert Slope()(history, 0)
    history.length[0] = 12
    assert not Slope()(history, 0)
    assert not Slope()(reported([5.0] * 20, BEST, finished=(1,)), 0)
    assert not Slope()(reported([5.0] * 12, BEST), 0)  # nobody is done: there is no end, and nothing to beat


def test_one_that_was_as_good_at_any_step_goes_on(reported):
    assert not Slope()(reported([1.0, *[5.0] * 11], BEST, finished=(1,)), 0)
    assert Slope()(reported([1.1, *[5.0] * 11], BEST, finished=(1,)), 0)


@pytest.mark.parametrize(("steps", "ends"), [(3, True), (10, True), (11, False)])
def test_it_waits_for_so_many_reports(reported, steps, ends):
    assert Slope(steps=steps)(reported([5.0] * 10, BEST, finished=(1,)), 0) is ends


@pytest.mark.parametrize(("warmup", "ends"), [(9, True), (10, False)])
def test_nothing_is_ended_during_the_warmup(reported, warmup, ends):
    assert Slope(warmup=warmup)(reported([5.0] * 10, BEST, finished=(1,)), 0) is ends


def test_only_the_last_reports_make_the_line(reported):
    late = [9.0] * 10 + falling(9.0, 0.9, 5)  # falls at last, by 0.9 a step
    assert not Slope(steps=5)(reported(late, BEST, finished=(1,)), 0)
    early = [9.0, 7.0, 5.0, 3.0, 2.0, *[2.0] * 8]
    assert Slope(steps=5)(reported(early, BEST, finished=(1,)), 0)


def test_with_maximize_the_low_and_slow_end(reported):
    best = [0.9] * 20
    assert Slope()(reported([0.5 + 0.01 * k for k in range(10)], best, finished=(1,), maximize=True), 0)
    assert not Slope()(reported([0.5 + 0.05 * k for k in range(10)], best, finished=(1,), maximize=True), 0)


def test_values_that_are_not_finite_are_left_out(reported):
    broken = [5.0, NAN, 5.0, INF, 5.0, -INF, *[5.0] * 7]
    assert Slope()(reported(broken, BEST, finished=(1,)), 0)
    assert not Slope(steps=11)(reported(broken, BEST, finished=(1,)), 0)
    assert not Slope()(reported([*broken, NAN], BEST, finished=(1,)), 0)  # for others to judge
    assert not Slope()(reported([NAN] * 12, BEST, finished=(1,)), 0)
    assert not Slope()(reported([1.7e308, -1.7e308] * 6, BEST, finished=(1,)), 0)


def test_what_broke_a_constraint_is_no_bar():
    history = History(Space({"x": Float(0, 1)}), (Objective(),), [Bound("memory", 1.0)])
    for x in (0.1, 0.2):
        trial = begin(history, {"x": x})
        for step in range(1, 13 if x == 0.2 else 21):
            history.report(trial, step, {"value": 5.0 if x == 0.2 else 1.0})
    end(history, 0, {"value": 1.0, "memory": 2.0})
    assert not Slope()(history, 1)


def test_other_metrics_alone_end_nothing(reported):
    history = reported([], BEST, finished=(1,))
    for step in range(1, 13):
        history.report(0, step, {"other": 9.0})
    assert not Slope()(history, 0)


def test_with_several_objectives_it_must_miss_one_of_the_best_in_each():
    def judged(loss, accuracy):
        history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
        for trial, goal in enumerate([(1.0, 0.5), (2.0, 0.9)]):
            begin(history, {"x": trial / 10})
            for step in range(1, 21):
                history.report(trial, step, dict(zip(("loss", "accuracy"), goal, strict=True)))
            end(history, trial, dict(zip(("loss", "accuracy"), goal, strict=True)))
        running = begin(history, {"x": 0.9})
        for step in range(1, 11):
            history.report(running, step, {"loss": loss, "accuracy": accuracy})
        return Slope()(history, running)

    assert judged(1.5, 0.4)
    assert judged(2.5, 0.8)
    assert not judged(1.5, 0.6)
    assert not judged(0.5, 0.1)
    assert not judged(9.0, 0.95)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=25), st.floats(-5, 5))
def test_it_never_ends_what_has_reached_the_best_value(curve, best):
    history = History(Space({"x": Float(0, 1)}))
    trial = begin(history, {"x": 0.1})
    history.report(trial, 30, {"value": best})
    end(history, trial, best)
    trial = begin(history, {"x": 0.2})
    for step, value in enumerate(curve, 1):
        history.report(trial, step, {"value": value})
    if Slope(steps=3)(history, trial):
        assert min(curve) > best


@pytest.mark.parametrize("steps", [2, 0, -1])
def test_less_than_three_reports_are_no_line(steps):
    with pytest.raises(StudyError, match="3 reports at least"):
        Slope(steps)
