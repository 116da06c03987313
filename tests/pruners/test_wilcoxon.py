"""Wilcoxon: worse than the best, fold by fold."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import History, Objective
from tuneful.pruners import Wilcoxon
from tuneful.pruners.wilcoxon import signed_rank
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

NAN, INF = math.nan, math.inf
BEST = [5.0, 1.0, 3.0, 2.0, 4.0, 6.0]


@pytest.fixture
def folds():
    """A history with the best trial, done, and a running one, by what each reported at which fold."""

    def make(mine, best=None, *, value=None, maximize=False):
        history = History(Space({"x": Float(0, 1)}), (Objective(maximize=maximize),))
        best = dict(enumerate(BEST, 1)) if best is None else best
        for x, told in ((0.1, best), (0.2, mine)):
            trial = begin(history, {"x": x})
            for step, value_of_step in told.items():
                history.report(trial, step, {"value": value_of_step})
        end(history, 0, sum(best.values()) / len(best) if value is None else value)
        return history

    return make


def worse_by(*differences):
    return {step: BEST[step - 1] + difference for step, difference in enumerate(differences, 1)}


# The test itself


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9).map(np.array))
def test_the_chance_is_that_of_all_signs_counted(difference):
    magnitude = stats.rankdata(np.abs(difference))
    nonzero = difference != 0
    above = magnitude[difference > 0].sum()
    sums = [magnitude[nonzero] @ np.array(signs) for signs in product([0.0, 1.0], repeat=int(nonzero.sum()))]
    assert signed_rank(difference.astype(float)) == pytest.approx(np.mean(np.array(sums) >= above - 1e-9))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1).filter(lambda d: abs(d) > 1e-6), min_size=2, max_size=45, unique_by=abs).map(np.array))
def test_without_ties_it_is_what_scipy_says(difference):
    expected = stats.wilcoxon(difference, alternative="greater", method="exact").pvalue
    assert signed_rank(difference) == pytest.approx(expected, abs=1e-12)


def test_many_pairs_are_judged_by_the_normal_law():
    difference = np.random.default_rng(0).normal(0.1, 1, 51)
    exact = stats.wilcoxon(difference, alternative="greater", method="exact").pvalue
    assert signed_rank(difference) == pytest.approx(exact, abs=0.005)
    tied = np.round(np.random.default_rng(0).normal(0.1, 1, 90), 1)
    tied = tied[tied != 0]
    approximate = stats.wilcoxon(tied, alternative="greater", method="approx", correction=False).pvalue
    assert signed_rank(tied) == pytest.approx(approximate, abs=1e-12)


@pytest.mark.parametrize("difference", [[0.0], [0.0] * 60, [0.0] * 5])
def test_what_is_equal_everywhere_is_no_evidence(difference):
    assert signed_rank(np.array(difference)) >= 0.5


# The rule


@pytest.mark.parametrize(
    ("differences", "ends"),
    [
        ((1, 2, 3), False),  # p = 1/8
        ((1, 2, 3, 4), True),  # 1/16
        ((-1, 2, 3, 4), False),  # 2/16
        ((-1, 2, 3, 4, 5), True),  # 2/32
        ((0, 0, 0, 0, 0), False),
        ((1, 1, 1, 0), False),  # the zero has the lowest rank and no sign: 1/8
        ((1, 1, 1, 1, 0), True),  # 1/16
        ((-1, -2, -3, -4, -5), False),
    ],
)
def test_a_trial_ends_when_its_folds_are_worse_than_chance_explains(folds, differences, ends):
    assert Wilcoxon()(folds(worse_by(*differences)), 1) is ends


def test_the_order_of_the_folds_does_not_matter(folds):
    shuffled = {step: BEST[step - 1] + step for step in (6, 2, 4, 1)}
    assert Wilcoxon()(folds(shuffled), 1)
    assert not Wilcoxon()(folds({step: value for step, value in shuffled.items() if step != 6}), 1)


def test_hard_folds_are_no_disgrace(folds):
    best = {1: 0.1, 2: 0.1, 3: 0.1, 4: 9.0, 5: 9.0, 6: 9.0, 7: 9.0}
    hard = dict.fromkeys((4, 5, 6, 7), 8.9)  # in the mean far above that of the best
    assert not Wilcoxon(p=0.9)(folds(hard, best), 1)
    easy = {1: 0.2, 2: 0.3, 3: 0.4, 8: -100.0}  # the best has no fold 8
    assert Wilcoxon(p=0.2)(folds(easy, best), 1)


def test_one_that_is_better_in_the_mean_goes_on(folds):
    mine = worse_by(0.1, 0.2, 0.3, 0.4, 0.5, -60.0)
    p = signed_rank(np.array([0.1, 0.2, 0.3, 0.4, 0.5, -60.0]))
    assert p < 0.5
    assert not Wilcoxon(p=0.5)(folds(mine), 1)
    assert Wilcoxon(p=0.5)(folds(worse_by(0.1, 0.2, 0.3, 0.4, 0.5, -0.6)), 1)


@pytest.mark.parametrize(("startup", "ends"), [(1, True), (4, True), (5, False)])
def test_it_waits_for_so_many_shared_folds(folds, startup, ends):
    mine = worse_by(1, 1, 1, 1) | {9: 50.0, 10: 50.0}
    assert Wilcoxon(startup=startup)(folds(mine), 1) is ends


def test_nan_is_left_out_and_infinity_is_the_worst(folds):
    assert not Wilcoxon()(folds(worse_by(1, 2, 3, NAN)), 1)
    assert Wilcoxon()(folds(worse_by(1, 2, 3, NAN, 4)), 1)
    assert Wilcoxon()(folds(worse_by(1, 2, 3, INF)), 1)
    assert not Wilcoxon()(folds(worse_by(1, 2, 3, -INF)), 1)
    assert not Wilcoxon()(folds(worse_by(INF, -INF, INF, INF, -INF)), 1)
    assert not Wilcoxon()(folds(worse_by(1, 2, 3, 4), dict.fromkeys(range(1, 7), NAN), value=1.0), 1)
    assert not Wilcoxon()(folds(worse_by(*[1e308] * 5), dict.fromkeys(range(1, 7), 1e308), value=1.0), 1)


def test_with_maximize_what_is_lower_ends(folds):
    worse = {step: value - step for step, value in enumerate(BEST[:4], 1)}
    assert Wilcoxon()(folds(worse, maximize=True), 1)
    assert not Wilcoxon()(folds(worse_by(1, 2, 3, 4), maximize=True), 1)


def test_the_last_fold_is_not_worth_ending_a_trial_for(folds):
    history = folds(worse_by(1, 2, 3, 4))
    history.length[1] = 4
    assert not Wilcoxon()(history, 1)
    history.length[1] = 5
    assert Wilcoxon()(history, 1)
    history = folds({step: BEST[step - 1] + step for step in (6, 2, 4, 1)})
    history.length[1] = 6  # fold 6 came first; two more are to come
    assert Wilcoxon()(history, 1)


def test_only_the_best_counts_and_not_those_it_has_beaten(reported):
    worse = [value + 1 for value in BEST]
    assert not Wilcoxon()(reported(worse, [value + 2 for value in BEST], finished=(1,)), 0)
    assert not Wilcoxon()(reported(worse, BEST, [0.0], finished=(1, 2)), 0)  # the best has one fold


def test_while_none_is_done_the_leader_at_the_same_folds_is_the_best(reported):
    worse = [value + 1 for value in BEST[:4]]
    assert Wilcoxon()(reported(worse, BEST), 0)
    assert not Wilcoxon()(reported(worse, BEST), 1)
    assert not Wilcoxon()(reported(worse, BEST[:3], [value + 2 for value in BEST]), 0)  # who leads has fold 4 not yet
    assert Wilcoxon()(reported(worse, [0.0] * 3, BEST), 0)
    assert Wilcoxon()(reported(worse, [100.0] * 5, BEST), 0)
    assert not Wilcoxon()(reported(worse), 0)
    assert not Wilcoxon()(reported(worse, [NAN] * 6), 0)
    assert not Wilcoxon()(reported([9.0] * 5, [1e308] * 5, [-1e308, -1e308, -1e308, -1e308, -1e308]), 0)
    assert Wilcoxon()(reported([1, 1, 1, 1], [2, 2, 2, 2], maximize=True), 0)


def test_other_metrics_alone_end_nothing(reported):
    assert not Wilcoxon()(reported([9.0] * 6, BEST, finished=(), metric="other"), 0)
    history = reported([], BEST, finished=(1,))
    history.report(0, 4, {"other": 9.0})
    assert not Wilcoxon()(history, 0)


def test_with_several_objectives_it_must_be_worse_in_each_than_one_of_the_best():
    def judged(losses, accuracies):
        history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
        for trial, (loss, accuracy) in enumerate([(1.0, 0.5), (2.0, 0.9), (3.0, 0.4)]):
            begin(history, {"x": trial / 10})
            for step in range(1, 6):
                history.report(trial, step, {"loss": loss + step, "accuracy": accuracy})
            end(history, trial, {"loss": loss, "accuracy": accuracy})
        running = begin(history, {"x": 0.9})
        for step, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), 1):
            history.report(running, step, {"loss": loss + step, "accuracy": accuracy})
        return Wilcoxon()(history, running)

    assert judged([1.5] * 5, [0.4] * 5)
    assert judged([2.5] * 5, [0.8] * 5)
    assert not judged([1.5] * 5, [0.6] * 5)  # between the two best
    assert not judged([0.5] * 5, [0.1] * 5)
    assert not judged([9.0] * 5, [0.95] * 5)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.integers(1, 8), st.floats(-10, 10), min_size=1),
    st.dictionaries(st.integers(1, 8), st.floats(-10, 10), min_size=1),
)
def test_it_never_ends_what_is_at_least_as_good_in_the_mean(mine, best):
    history = History(Space({"x": Float(0, 1)}))
    for x, told in ((0.1, best), (0.2, mine)):
        trial = begin(history, {"x": x})
        for step, value in told.items():
            history.report(trial, step, {"value": value})
    end(history, 0, 1.0)
    shared = [mine[step] - best[step] for step in sorted(mine.keys() & best.keys())]
    if Wilcoxon(p=0.5)(history, 1):
        assert np.mean(shared) > 0
        assert len(shared) >= 2


def test_it_ends_folds_of_a_study():
    study = tn.Study({"x": tn.Choice([0.0, 1.0])}, search="grid", prune="wilcoxon", seed=0)

    def validate(trial):
        scores = []
        for fold in trial.steps(8):
            scores.append(trial.params["x"] + fold % 3)
            trial.report(scores[-1])
        return sum(scores) / len(scores)

    study.run(validate, trials=2, quiet=True)
    assert [(str(trial.state), trial.step) for trial in study.trials] == [("done", 8), ("pruned", 4)]


@pytest.mark.parametrize("wrong", [{"p": 0.0}, {"p": 1.0}, {"p": NAN}, {"startup": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(StudyError, match="pass"):
        Wilcoxon(**wrong)
