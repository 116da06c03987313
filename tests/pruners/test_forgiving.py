"""Forgiving: the mean of the folds so far beside the worst fold of the best trial."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import History, Objective
from tuneful.pruners import Forgiving
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

NAN, INF = math.nan, math.inf
BEST = [1.0, 2.0, 3.0, 1.0]  # worst fold: 3, mean: 1.75


@pytest.mark.parametrize(
    ("mine", "ends"),
    [
        ([3.0], False),
        ([3.01], True),
        ([9.0, 1.0], True),
        ([5.0, 1.0], False),  # mean 3
        ([2.9, 2.9, 2.9], False),  # worse than the mean of the best, and forgiven
        ([], False),
    ],
)
def test_the_mean_so_far_must_not_be_worse_than_the_worst_fold_of_the_best(reported, mine, ends):
    assert Forgiving()(reported(mine, BEST, finished=(1,)), 0) is ends


def test_the_best_is_done_and_has_the_best_value(reported):
    assert not Forgiving()(reported([5.0], BEST), 0)
    assert not Forgiving()(reported([5.0], [1.0, 9.0, 0.5], BEST, finished=(1, 2)), 0)  # trial 1 ended at 0.5
    assert Forgiving()(reported([5.0], [1.0, 9.0, 1.5], BEST, finished=(1, 2)), 0)


def test_folds_come_in_any_order(reported):
    history = reported([], BEST, finished=(1,))
    for fold, value in ((4, 3.5), (2, 2.5)):
        history.report(0, fold, {"value": value})
    assert not Forgiving()(history, 0)
    history.report(0, 3, {"value": 3.1})
    assert Forgiving()(history, 0)


def test_with_maximize_what_is_lower_ends(reported):
    assert Forgiving()(reported([0.49], [0.5, 0.9], finished=(1,), maximize=True), 0)
    assert not Forgiving()(reported([0.5], [0.5, 0.9], finished=(1,), maximize=True), 0)


def test_nan_is_left_out_and_one_infinite_fold_ends_a_trial(reported):
    assert not Forgiving()(reported([NAN, 3.0, NAN], BEST, finished=(1,)), 0)
    assert not Forgiving()(reported([NAN], BEST, finished=(1,)), 0)
    assert Forgiving()(reported([1.0, INF], BEST, finished=(1,)), 0)
    assert not Forgiving()(reported([INF, -INF], BEST, finished=(1,)), 0)
    assert Forgiving()(reported([4.0], [NAN, *BEST], finished=(1,)), 0)
    assert not Forgiving()(reported([4.0], [NAN, INF, 1.0], finished=(1,)), 0)
    assert Forgiving()(reported([1e308] * 3, BEST, finished=(1,)), 0)


@pytest.mark.parametrize(("startup", "ends"), [(1, True), (2, True), (3, False)])
def test_it_waits_for_so_many_folds(reported, startup, ends):
    assert Forgiving(startup)(reported([9.0, 9.0, NAN], BEST, finished=(1,)), 0) is ends


def test_a_trial_with_all_its_folds_goes_on(reported):
    history = reported([9.0, 9.0, 9.0], BEST, finished=(1,))
    history.length[0] = 3
    assert not Forgiving()(history, 0)
    history.length[0] = 4
    assert Forgiving()(history, 0)


def test_other_metrics_alone_end_nothing(reported):
    history = reported([], BEST, finished=(1,))
    history.report(0, 1, {"other": 9.0})
    assert not Forgiving()(history, 0)
    assert not Forgiving()(reported([9.0], BEST, metric="other"), 0)


def test_with_several_objectives_it_must_be_worse_in_each_than_one_of_the_best():
    def judged(loss, accuracy):
        history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
        for trial, (low, high) in enumerate([(1.0, 0.5), (2.0, 0.9)]):
            begin(history, {"x": trial / 10})
            for step in (1, 2, 3):
                history.report(trial, step, {"loss": low + step / 10, "accuracy": high - step / 100})
            end(history, trial, {"loss": low, "accuracy": high})
        history.report(begin(history, {"x": 0.9}), 1, {"loss": loss, "accuracy": accuracy})
        return Forgiving()(history, 2)

    assert judged(1.4, 0.46)
    assert judged(2.4, 0.8)
    assert not judged(1.4, 0.48)
    assert not judged(1.2, 0.1)
    assert not judged(9.0, 0.89)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6),
)
def test_it_ends_no_trial_that_has_a_fold_as_good_as_each_of_the_best(mine, best):
    history = History(Space({"x": Float(0, 1)}))
    for x, curve in ((0.1, best), (0.2, mine)):
        trial = begin(history, {"x": x})
        for step, value in enumerate(curve, 1):
            history.report(trial, step, {"value": value})
    end(history, 0, sum(best) / len(best))
    if Forgiving()(history, 1):
        assert max(mine) > max(best)


def test_it_ends_folds_of_a_study():
    study = tn.Study({"x": tn.Choice([0.0, 0.5, 3.0])}, search="grid", prune="forgiving", seed=0)

    def validate(trial):
        scores = []
        for fold in trial.steps(5):
            scores.append(trial.params["x"] + fold % 3)
            trial.report(scores[-1])
        return sum(scores) / len(scores)

    study.run(validate, trials=3, quiet=True)
    assert [(str(trial.state), trial.step) for trial in study.trials] == [("done", 5), ("done", 5), ("pruned", 1)]


def test_impossible_settings_are_refused():
    with pytest.raises(StudyError, match="1 fold or more"):
        Forgiving(0)
