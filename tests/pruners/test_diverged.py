"""Diverged: training that has broken down."""

import math

import pytest

from tuneful.history import History, Objective
from tuneful.pruners import Diverged
from tuneful.space import Float, Space
from tuneful.testing.histories import begin


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("maximize", [False, True])
def test_the_first_value_that_is_not_finite_ends_a_trial(stopped, value, maximize):
    assert stopped(Diverged(), [1, 1e300, 2, value], maximize=maximize) == 4


def test_it_looks_at_the_last_value_only(stopped, reported):
    assert stopped(Diverged(), [1, 2, 3]) is None
    assert not Diverged()(reported([math.nan, 1.0]), 0)


def test_it_watches_every_studied_metric_or_those_it_is_given():
    history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
    begin(history, {"x": 0.5})
    history.report(0, 1, {"loss": 1.0, "accuracy": 0.5, "gradient": math.inf})
    assert not Diverged()(history, 0)
    assert Diverged(("gradient",))(history, 0)
    history.report(0, 2, {"loss": 1.0, "accuracy": math.nan})
    assert Diverged()(history, 0)
    assert not Diverged(("loss",))(history, 0)
