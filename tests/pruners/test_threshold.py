"""Threshold: a line that is not to be crossed."""

import math

import pytest

from tuneful.errors import StudyError
from tuneful.pruners import Threshold


def test_a_value_above_the_upper_or_below_the_lower_line_ends_a_trial(stopped):
    assert stopped(Threshold(upper=3.0), [1, 3, 2, 3.01]) == 4
    assert stopped(Threshold(lower=1.0), [1, 3, 2, 0.99]) == 4
    assert stopped(Threshold(upper=3.0, lower=1.0), [2, 0.5]) == 2
    assert stopped(Threshold(upper=3.0, lower=1.0), [2, 3.5]) == 2


def test_lines_are_as_values_are_reported_also_with_maximize(stopped):
    assert stopped(Threshold(lower=0.5), [0.9, 0.6, 0.4], maximize=True) == 3
    assert stopped(Threshold(upper=0.5), [0.1, 0.4, 0.6], maximize=True) == 3
    assert stopped(Threshold(upper=0.5), [0.1, 0.4, 0.3], maximize=True) is None


def test_it_may_watch_another_metric(reported):
    history = reported([0.0, 0.0])
    history.report(0, 3, {"value": 99.0, "memory": 5.0})
    assert Threshold(upper=4.0, metric="memory")(history, 0)
    assert not Threshold(upper=6.0, metric="memory")(history, 0)
    assert not Threshold(upper=6.0, metric="unknown")(history, 0)


def test_nothing_is_ended_during_the_warmup(stopped):
    assert stopped(Threshold(upper=1.0, warmup=3), [9, 9, 9, 9]) == 4


@pytest.mark.parametrize(("value", "ends"), [(math.nan, False), (math.inf, True), (-math.inf, False)])
def test_infinity_is_above_every_line_and_nan_above_none(reported, value, ends):
    assert Threshold(upper=1.0)(reported([value]), 0) is ends


def test_a_threshold_without_a_line_is_refused():
    with pytest.raises(StudyError, match="pass `upper`, `lower` or both"):
        Threshold()
