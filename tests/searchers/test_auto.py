"""Auto: its table."""

import pytest

from tuneful.history import History, Limits
from tuneful.searchers import Auto, Grid, Random, Sobol
from tuneful.searchers.draws import combinations
from tuneful.space import Float, Int, Space, Switch

FINITE, CONTINUOUS = Space({"a": Int(1, 3), "b": [True, False]}), Space({"x": Float(0, 1)})
GROWING = Space({"a": Int(1, 3)}, open=True)


@pytest.mark.parametrize(
    ("space", "trials", "expected"),
    [
        (FINITE, 6, Grid()),
        (FINITE, 50, Grid()),
        (FINITE, 5, Sobol()),
        (FINITE, None, Sobol()),
        (CONTINUOUS, 50, Sobol()),
        (CONTINUOUS, None, Sobol()),
        (GROWING, 50, Random()),
        (Space({}, open=True), None, Random()),
    ],
)
def test_the_space_and_the_limit_of_trials_decide(space, trials, expected):
    history = History(space, limits=Limits(trials), seed=3)
    assert Auto().chosen(history) == expected
    assert Auto().propose(history, 2) == expected.propose(history, 2)


def test_combinations_count_what_exists_under_conditions_once():
    assert combinations(FINITE) == 6
    assert combinations(CONTINUOUS) == float("inf")
    assert combinations(Space({"s": Switch({"on": {"a": Int(1, 3)}, "off": {}})})) == 4
