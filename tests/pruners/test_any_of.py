"""AnyOf: several pruners as one."""

import tuneful as tn
from tuneful.pruners import AnyOf, Patience, Threshold


def test_one_that_would_end_a_trial_is_enough(stopped):
    both = AnyOf((Patience(3), Threshold(upper=9.0)))
    assert stopped(both, [1, 2, 3, 4, 5]) == 4
    assert stopped(both, [1, 10]) == 2
    assert stopped(both, [5, 4, 3, 2, 1]) is None


def test_they_are_asked_in_order_and_no_further_than_needed(reported):
    asked = []

    def judge(name, verdict):
        def asks(history, trial):
            asked.append(name)
            return verdict

        return asks

    assert AnyOf((judge("a", False), judge("b", True), judge("c", True)))(reported([1.0]), 0)
    assert asked == ["a", "b"]


def test_several_in_one_of_several_are_asked_like_the_others():
    assert AnyOf((Threshold(upper=9.0), AnyOf((Patience(3), AnyOf(()))))) == AnyOf((Threshold(upper=9.0), Patience(3)))


def test_who_has_shown_what_it_can_is_done_and_not_pruned_however_deep_the_pruner_lies():
    study = tn.Study({"x": [1]}, prune=AnyOf((Threshold(upper=9.0), AnyOf((Patience(2),)))))

    def flat(trial, x):
        for _ in trial.steps(9):
            trial.report(1.0)

    study.run(flat, quiet=True)
    assert (study.trials[0].state, study.trials[0].step) == (tn.State.DONE, 3)


def test_no_pruners_end_nothing(reported):
    assert AnyOf(())(reported([1.0]), 0) is False
