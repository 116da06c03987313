"""When to stop: rules and gains."""

import numpy as np
import pytest

import tuneful as tn
from tuneful.engine.rules import Rules, gainless


def study_of(values, **goal):
    study = tn.Study({"x": tn.Float(0, 1)}, seed=0, search="random", **goal)
    for value in values:
        trial = study.ask()
        study.tell(trial, value) if value is not None else study.tell(trial, state="failed")
    return study


@pytest.mark.parametrize(
    ("values", "count"),
    [([], 0), ([1.0], 0), ([None, None], 0), ([3.0, 2.0, 1.0], 0), ([1.0, 2.0, None, 1.0], 3), ([2.0, 1.0, 3.0], 1)],
)
def test_trials_without_a_gain_are_counted_in_the_order_of_their_ends(values, count):
    assert gainless(study_of(values).history) == count


def test_with_several_objectives_a_new_point_of_the_front_is_a_gain():
    study = study_of([], minimize=["a", "b"])
    for point in [(1, 9), (9, 1), (5, 5), (8, 8), (9, 9)]:
        study.tell(study.ask(), point)
    assert gainless(study.history) == 2


def test_without_rules_nothing_ends_a_study():
    history = study_of([1.0, 2.0]).history
    assert Rules().verdict(history, 1e9) is None
    assert Rules(timeout=5).verdict(history, 4.9) is None
    assert Rules(timeout=5).verdict(history, 5.0) == "timeout"
    assert Rules(target=1.0).verdict(history, 0) == "target"
    assert Rules(target=0.9).verdict(history, 0) is None
    assert Rules(target=0.9).verdict(study_of([None]).history, 0) is None
    assert Rules(patience=1).verdict(history, 0) == "converged"


def test_values_of_an_objective_may_be_numpy_and_are_kept_as_floats():
    study = tn.minimize(lambda x: np.float32(0.5), {"x": [1, 2]}, quiet=True)
    assert {type(r.value) for r in study.trials} == {float}
