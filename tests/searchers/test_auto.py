"""Auto: its table."""

import pytest

from tuneful.history import History, Limits
from tuneful.searchers import Auto, CmaEs, Gp, Grid, Then, Tpe
from tuneful.searchers.auto import MODELLED, TABLE
from tuneful.searchers.draws import combinations
from tuneful.space import Float, Int, Space, Switch

FINITE, CONTINUOUS = Space({"a": Int(1, 3), "b": [True, False]}), Space({"x": Float(0, 1)})
MIXED = Space({"x": Float(0, 1), "s": Switch({"on": {"k": Float(0, 1)}, "off": {}})})
GROWING = Space({"a": Int(1, 3)}, open=True)
LONG = 2 * MODELLED + 1


@pytest.mark.parametrize(
    ("space", "trials", "expected"),
    [
        (FINITE, 6, Grid()),
        (FINITE, 50, Grid()),
        (FINITE, 5, Gp()),
        (FINITE, None, Gp()),
        (CONTINUOUS, 50, Gp()),
        (CONTINUOUS, None, Gp()),
        (CONTINUOUS, LONG, Then(Gp(), MODELLED, CmaEs())),
        (MIXED, 50, Gp()),
        (MIXED, LONG, Then(Gp(), MODELLED, Tpe())),
        (GROWING, 50, Gp()),
        (GROWING, LONG, Then(Gp(), MODELLED, Tpe())),
        (Space({}, open=True), None, Gp()),
    ],
)
def test_the_space_and_the_limit_of_trials_decide(space, trials, expected):
    history = History(space, limits=Limits(trials), seed=3)
    assert Auto().rule(history).searcher == expected
    assert Auto().propose(history, 2) == expected.propose(history, 2)


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: rule.when)
def test_the_table_stands_in_the_docstring(rule):
    assert f"| {rule.when} |" in Auto.__doc__


def test_it_says_in_one_line_what_it_chose_and_why():
    assert Auto().describe(History(CONTINUOUS)) == "search: Gp: a Gaussian process needs the fewest trials"
    assert Auto().describe(History(CONTINUOUS, limits=Limits(LONG))).startswith("search: Gp, after 500 trials CmaEs: ")


def test_combinations_count_what_exists_under_conditions_once():
    assert combinations(FINITE) == 6
    assert combinations(CONTINUOUS) == float("inf")
    assert combinations(Space({"s": Switch({"on": {"a": Int(1, 3)}, "off": {}})})) == 4
