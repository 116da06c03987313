"""Halving: the top third at each rung."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import History, Objective
from tuneful.pruners import Halving
from tuneful.pruners.halving import standings_at
from tuneful.space import Float, Space
from tuneful.testing.histories import begin

NAN, INF = math.nan, math.inf


def verdicts(history, pruner=None):
    return [(pruner or Halving())(history, trial) for trial in range(len(history))]


@pytest.fixture
def told():
    """A history of trials that reported these values at these steps."""

    def make(*curves, maximize=False):
        history = History(Space({"x": Float(0, 1)}), (Objective(maximize=maximize),))
        for x, curve in enumerate(curves):
            trial = begin(history, {"x": x / 100})
            for step, value in curve.items():
                history.report(trial, step, {"value": value})
        return history

    return make


@pytest.mark.parametrize(
    ("n", "on"),
    [(1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 2), (8, 2), (9, 3), (10, 3), (81, 27)],
)
def test_one_in_three_goes_on_and_the_trial_itself_counts(reported, n, on):
    assert verdicts(reported(*[[float(k)] for k in range(n)])) == [False] * on + [True] * (n - on)


@pytest.mark.parametrize(("eta", "on"), [(2, 10), (3, 6), (4, 5), (20, 1), (50, 1)])
def test_one_in_eta_goes_on(reported, eta, on):
    history = reported(*[[float(k)] for k in range(20)])
    assert sum(verdicts(history, Halving(eta=eta))) == 20 - on


def test_rungs_are_exact_also_where_logarithms_are_not():
    assert Halving(first=1, eta=10).rung(1000) == 1000
    assert Halving(first=1, eta=10).rung(999) == 100
    assert Halving(first=1, eta=3).rung(3**5) == 243
    assert Halving(first=1, eta=5).rung(5**18) == 5**18
    assert Halving(first=4, eta=2).rung(31) == 16
    for eta in range(2, 12):
        for power in range(30):
            assert Halving(eta=eta).rung(eta**power) == eta**power
            assert Halving(eta=eta).rung(eta ** (power + 1) - 1) == eta**power


def test_nothing_is_ended_before_the_first_rung(stopped, reported):
    history = reported([9.0] * 4, *[[1.0] * 9] * 8)
    assert not Halving(first=5)(history, 0)
    history.report(0, 5, {"value": 9.0})
    assert Halving(first=5)(history, 0)


@pytest.mark.parametrize(("peers", "ends"), [(1, True), (3, True), (4, False)])
def test_it_waits_for_so_many_peers_at_the_rung(reported, peers, ends):
    history = reported([9.0] * 3, *[[1.0] * 3] * 3, *[[1.0] * 2] * 5)
    assert Halving(peers=peers)(history, 0) is ends


def test_ties_go_on(reported):
    assert verdicts(reported(*[[1.0]] * 9)) == [False] * 9
    assert verdicts(reported([0.0], [1.0], [1.0], [1.0], [2.0], [2.0])) == [False] * 4 + [True] * 2
    assert verdicts(reported(*[[NAN]] * 5)) == [False] * 5


def test_nan_and_infinity_are_worse_than_any_number(reported):
    history = reported([NAN], [INF], [-INF], [1e300], [1e301], [1e302])
    assert verdicts(history) == [True, True, True, False, False, True]
    assert verdicts(reported([NAN], [INF], [1.0], maximize=True)) == [True, True, False]


def test_with_maximize_the_low_ones_end(reported):
    assert verdicts(reported([0.1], [0.5], [0.9], maximize=True)) == [True, True, False]


def test_a_trial_is_judged_by_its_value_at_the_rung_and_never_by_a_later_one(told):
    best_late = {1: 9.0, 2: 9.0, 3: 9.0, 4: 0.1}
    others = [{1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}] * 4
    history = told(best_late, *others)
    assert list(standings_at(history, 3)) == [9, 1, 1, 1, 1]
    assert not Halving()(history, 0)  # it has caught up
    history.report(0, 4, {"value": 1.1})
    assert Halving()(history, 0)


def test_a_rung_that_was_jumped_has_the_last_value_before_it_or_none(told):
    jumps = {1: 5.0, 2: 4.0, 20: 0.0, 21: 0.0}
    history = told(jumps, {10: 1.0, 20: 1.0}, {9: 2.0})
    expected = {1: [5, NAN, NAN], 3: [4, NAN, NAN], 9: [4, NAN, 2], 10: [4, 1, NAN], 20: [0, 1, NAN]}
    for step, values in expected.items():
        np.testing.assert_array_equal(standings_at(history, step), values)


def test_reports_at_other_intervals_than_the_rungs_do_not_switch_it_off(told):
    """Each reports at every fifth step; the rungs are 1, 3, 9 and 27."""
    every_fifth = [{step: k + 1 / step for step in range(5, 31, 5)} for k in range(9)]
    for last in (10, 15, 20, 25, 30):
        history = told(*[{step: value for step, value in c.items() if step <= last} for c in every_fifth])
        assert verdicts(history) == [False] * 3 + [True] * 6, last
    assert verdicts(told(*[{5: c[5]} for c in every_fifth])) == [False] * 9  # nobody has a value at step 3 or before


def test_one_that_is_asked_about_late_is_still_judged(reported):
    history = reported([9.0] * 4, *[[float(k)] * 4 for k in range(8)])
    assert Halving()(history, 0)  # at step 4, if it was not asked at step 3


def test_one_that_is_alone_at_its_step_goes_on_until_the_next_rung(reported):
    history = reported([5.0] * 8, *[[1.0] * 3] * 8)
    assert not Halving()(history, 0)
    history = reported([5.0] * 8, *[[1.0] * 8] * 8)
    assert Halving()(history, 0)


def test_what_was_in_the_top_at_the_rung_goes_on_whatever_comes_between(reported):
    assert not Halving()(reported([0.0, 0.0, 0.0, 50.0], *[[1.0] * 4] * 8), 0)
    assert Halving()(reported([0.0, 0.0, 0.0, *[50.0] * 6], *[[1.0] * 9] * 8), 0)


def test_the_end_of_a_trial_is_no_rung(reported):
    history = reported([9.0] * 9, *[[1.0] * 9] * 8)
    assert Halving()(history, 0)
    history.length[0] = 9
    assert not Halving()(history, 0)
    history.length[0] = 10
    assert Halving()(history, 0)


def test_a_repeated_report_counts_as_it_was_last_said(told):
    history = told({1: 9.0}, {1: 1.0}, {1: 2.0})
    assert verdicts(history) == [True, False, True]
    history.report(0, 1, {"value": 0.5})
    assert verdicts(history) == [False, True, True]


def test_trials_that_report_other_metrics_only_are_not_compared(reported):
    history = reported([], *[[float(k)] for k in range(6)])
    history.report(0, 1, {"other": 9.0})
    assert verdicts(history) == [False, False, False, True, True, True, True]
    assert verdicts(reported(*[[float(k)] for k in range(6)], metric="other")) == [False] * 6


def test_with_several_objectives_the_rank_decides_and_equal_trials_are_equal():
    history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
    goals = [(1, 0.9), (2, 0.95), (1, 0.9), (4, 0.4), (5, 0.3), (6, 0.2), (NAN, 0.99), (0.5, INF), (9, 0.1)]
    for trial, (loss, accuracy) in enumerate(goals):
        begin(history, {"x": trial / 10})
        history.report(trial, 1, {"loss": loss, "accuracy": accuracy})
    half_known = begin(history, {"x": 0.95})
    history.report(half_known, 1, {"loss": 9.0})
    assert verdicts(history) == [False, False, False, True, True, True, True, True, True, False]
    assert math.isnan(standings_at(history, 1)[half_known])


_CURVES = st.lists(
    st.dictionaries(st.integers(1, 12), st.one_of(st.floats(-5, 5), st.sampled_from([NAN, INF, -INF]))), min_size=1
)


@settings(deadline=None, max_examples=100)
@given(_CURVES, st.integers(2, 4), st.integers(1, 3))
def test_the_best_at_a_rung_and_no_more_than_its_share_go_on(curves, eta, first):
    history = History(Space({"x": Float(0, 1)}))
    for k, curve in enumerate(curves):
        trial = begin(history, {"x": k / 100})
        for step, value in curve.items():
            history.report(trial, step, {"value": value})
    pruner = Halving(first, eta, peers=1)
    ended = np.array(verdicts(history, pruner))
    for trial in np.flatnonzero(ended):
        standing = standings_at(history, pruner.rung(int(history.reached[trial])))
        assert standing[trial] > np.nanmin(standing)
    for rung in (first, first * eta, first * eta**2):
        here = np.flatnonzero((history.reached == rung) & ~np.isnan(standings_at(history, rung)))
        standing = standings_at(history, rung)
        n = np.count_nonzero(~np.isnan(standing))
        if n > 1 and len(np.unique(standing[~np.isnan(standing)])) == n:
            assert np.count_nonzero(~ended[here]) <= max(1, n // eta)


def test_a_study_spends_most_steps_on_the_best():
    def train(trial):
        for step in trial.steps(27):
            trial.report(trial.params["x"] + 1 / step)

    study = tn.Study({"x": tn.Float(0, 1)}, search="sobol", prune="halving", seed=0)
    study.run(train, trials=27, quiet=True)
    steps = [trial.step for trial in study.trials]
    assert set(steps) <= {1, 3, 9, 27}
    assert sum(steps) < 27 * 27 / 3
    assert study.best.step == 27


@pytest.mark.parametrize("wrong", [{"first": 0}, {"eta": 1}, {"eta": 2.5}, {"peers": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(StudyError, match="whole number"):
        Halving(**wrong)
