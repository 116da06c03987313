"""Percentile and Median: a trial beside all others at its step."""

import math

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import History, Objective
from tuneful.pruners import Median, Percentile
from tuneful.space import Float, Space
from tuneful.testing.histories import begin

NAN = math.nan
OTHERS = [[k + 1, k + 1, k] for k in range(5)]  # at step 3: 0, 1, 2, 3, 4


def flat(value):
    return [value] * 3


@pytest.mark.parametrize(("value", "ends"), [(1.9, False), (2.0, False), (2.1, True), (9.0, True)])
def test_the_median_ends_what_is_worse_than_half_of_the_others(reported, value, ends):
    history = reported(flat(value), *OTHERS)
    assert Median()(history, 0) is ends


@pytest.mark.parametrize("finished", [(), (1, 2, 3, 4, 5), (2, 4)])
def test_unfinished_curves_count_like_finished_ones(reported, finished):
    assert Median()(reported(flat(2.1), *OTHERS, finished=finished), 0)
    assert not Median()(reported(flat(1.9), *OTHERS, finished=finished), 0)


def test_the_best_value_so_far_is_judged_and_not_a_bad_step(reported):
    assert not Median()(reported([1, 1, 9], *OTHERS), 0)
    assert Median()(reported([2.1, 9, 9], *OTHERS), 0)


def test_the_others_are_judged_at_the_step_of_the_trial(reported):
    late = [[*curve, -100, -100] for curve in OTHERS]
    assert not Median()(reported(flat(1.9), *late), 0)


def test_those_that_have_not_got_there_are_no_peers(reported):
    early = [curve[:2] for curve in OTHERS]
    assert not Median()(reported(flat(9.0), *early), 0)
    assert not Median()(reported(flat(9.0), *OTHERS[:3], *early), 0)
    assert Median()(reported(flat(9.0), *OTHERS[:4], *early), 0)


@pytest.mark.parametrize(("peers", "ends"), [(4, True), (5, True), (6, False)])
def test_it_waits_for_so_many_peers(reported, peers, ends):
    assert Median(peers=peers)(reported(flat(9.0), *OTHERS), 0) is ends


@pytest.mark.parametrize(("warmup", "ends"), [(0, True), (2, True), (3, False)])
def test_nothing_is_ended_during_the_warmup(reported, warmup, ends):
    assert Median(warmup=warmup)(reported(flat(9.0), *OTHERS), 0) is ends


def test_with_maximize_the_low_ones_end(reported):
    accuracies = [[0.1 * k] * 3 for k in range(1, 6)]
    history = reported(flat(0.25), *accuracies, maximize=True)
    assert Median()(history, 0)
    assert not Median()(history, 5)


@pytest.mark.parametrize("keep", [1, 20, 25, 50, 80, 99])
def test_a_percentile_ends_what_is_above_it(reported, keep):
    line = np.percentile([0, 1, 2, 3, 4], keep)
    assert not Percentile(keep)(reported(flat(line), *OTHERS), 0)
    assert Percentile(keep)(reported(flat(line + 1e-9), *OTHERS), 0)


def test_the_median_is_the_fiftieth_percentile(reported):
    history = reported(*[list(curve) for curve in np.random.default_rng(0).normal(size=(20, 5))])
    verdicts = [Median()(history, trial) for trial in range(20)]
    assert verdicts == [Percentile(50)(history, trial) for trial in range(20)]
    assert sum(verdicts) == 10


def test_nan_and_infinite_values_are_left_to_diverged(reported):
    broken = [[NAN] * 3, [math.inf] * 3]
    history = reported(*broken, *OTHERS)
    assert [Median()(history, trial) for trial in range(7)] == [False] * 5 + [True, True]
    assert Median()(reported([NAN, 9, NAN], *OTHERS), 0)


def test_a_trial_that_reported_other_metrics_only_goes_on(reported):
    assert not Median()(reported(flat(9.0), *OTHERS, metric="other"), 0)
    history = reported([], *OTHERS)
    history.report(0, 3, {"other": 9.0})
    assert not Median()(history, 0)


def test_with_several_objectives_the_rank_at_the_step_is_judged():
    history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
    for trial, (loss, accuracy) in enumerate([(1, 0.9), (2, 0.95), (3, 0.5), (4, 0.4), (5, 0.3), (6, 0.97)]):
        begin(history, {"x": trial / 10})
        for step in (1, 2, 3):
            history.report(trial, step, {"loss": loss, "accuracy": accuracy})
    assert [Median()(history, trial) for trial in range(6)] == [False, False, True, True, True, False]


@pytest.mark.parametrize("keep", [0, 100, -1, 150])
def test_a_percentage_outside_its_range_is_refused(keep):
    with pytest.raises(StudyError, match="between 0 and 100"):
        Percentile(keep)


def test_by_default_a_quarter_goes_on(reported):
    history = reported(*[flat(float(k)) for k in range(41)])
    assert [Percentile()(history, trial) for trial in range(41)] == 11 * [False] + 30 * [True]
