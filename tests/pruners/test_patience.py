"""Patience: never at a bump, at the exact step of a sustained rise."""

import math

import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.pruners import Patience
from tuneful.space import Float

NAN = math.nan


def test_one_bump_does_not_end_a_trial(stopped):
    assert stopped(Patience(3), [5, 4, 4.5, 3, 3.5, 2, 2.5, 2.6, 1]) is None


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_a_sustained_rise_ends_it_at_that_many_steps_after_the_best(stopped, steps):
    assert stopped(Patience(steps), [5, 4, 3, *range(4, 20)]) == 3 + steps


def test_staying_equal_is_no_gain(stopped):
    assert stopped(Patience(4), [1.0] * 9) == 5


def test_with_maximize_a_fall_is_what_ends_it(stopped):
    curve = [0.1, 0.5, 0.6, 0.55, 0.5, 0.4, 0.3]
    assert stopped(Patience(3), curve, maximize=True) == 6
    assert stopped(Patience(3), curve) == 4


def test_gains_below_min_delta_do_not_count(stopped):
    curve = [1 - 0.01 * k for k in range(12)]
    assert stopped(Patience(3), curve) is None
    assert stopped(Patience(8, min_delta=0.05), curve) is None  # six small gains are one that counts
    assert stopped(Patience(3, min_delta=0.2), curve) == 4


def test_a_relative_min_delta_is_a_share_of_the_best_value(stopped):
    curve = [1000 * 0.99**k for k in range(12)]  # each step gains one percent
    assert stopped(Patience(3, min_delta=0.005, relative=True), curve) is None
    assert stopped(Patience(3, min_delta=0.5, relative=True), curve) == 4
    assert stopped(Patience(3, min_delta=0.5), curve) is None  # 0.5 of a thousand
    assert stopped(Patience(8, min_delta=0.025, relative=True), curve) is None  # three small gains are one that counts
    accuracies = [0.5, 0.52, 0.521, 0.522, 0.523, 0.9]
    assert stopped(Patience(3, min_delta=0.01, relative=True), accuracies, maximize=True) == 5
    assert stopped(Patience(3, min_delta=0.1, relative=True), [math.inf, math.inf, 5, 4, 3, 2]) is None
    assert stopped(Patience(3, min_delta=0.1, relative=True), [1, -math.inf, -math.inf, 0, 0]) == 5
    assert stopped(Patience(3, min_delta=0.1, relative=True), [0.0, -1e-9, -2e-9, -3e-9]) is None


@pytest.mark.parametrize("min_delta", [-0.1, NAN])
def test_a_gain_that_is_none_is_refused(min_delta):
    with pytest.raises(StudyError, match="0 or more"):
        Patience(3, min_delta=min_delta)


def test_nothing_is_ended_during_the_warmup(stopped):
    assert stopped(Patience(2, warmup=6), [1, 2, 3, 4, 5, 6, 7, 8]) == 7


def test_nan_is_no_gain_and_no_reason_by_itself(stopped):
    assert stopped(Patience(3), [1, NAN, 0.5, NAN, NAN, 0.4, NAN, 0.3]) is None
    assert stopped(Patience(3), [1, NAN, NAN, NAN, NAN]) == 4
    assert stopped(Patience(3), [NAN] * 6) == 4


def test_steps_are_counted_and_not_reports(reported):
    history = reported([1.0])
    history.report(0, 5, {"value": 2.0})
    assert Patience(4)(history, 0)
    assert not Patience(5)(history, 0)


def test_only_the_curve_of_the_trial_itself_counts(reported):
    history = reported([5, 6, 7, 8], [3, 2, 1, 0.5], [1, 2, 3, 4])
    assert [Patience(3)(history, trial) for trial in range(3)] == [True, False, True]


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_less_than_two_steps_are_refused(steps):
    with pytest.raises(StudyError, match="wait for 2 steps at least"):
        Patience(steps)


def test_what_it_ends_is_done_and_not_pruned():
    study = tn.Study({"x": Float(0, 1)}, prune=Patience(3), of="best", seed=0)

    def train(trial):
        for step in trial.steps(50):
            trial.report(abs(step - 4.0))

    study.run(train, trials=1, quiet=True)
    (trial,) = study.trials
    assert (str(trial.state), trial.step, trial.value) == ("done", 7, 0.0)
