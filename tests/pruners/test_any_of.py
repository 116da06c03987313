"""AnyOf: several pruners as one."""

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


def test_no_pruners_end_nothing(reported):
    assert AnyOf(())(reported([1.0]), 0) is False
