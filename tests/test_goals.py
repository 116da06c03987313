"""Objectives and constraints, as people write them and as stores keep them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneful.errors import StudyError
from tuneful.goals import bounds_of, describe, goals_from_json, goals_to_json, objectives_of
from tuneful.history import Bound, Objective

names = st.text(min_size=1, max_size=20).filter(str.isprintable)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("minimize", "maximize", "expected"),
    [
        (None, None, [Objective("value")]),
        ([], None, [Objective("value")]),
        ("loss", None, [Objective("loss")]),
        (None, "accuracy", [Objective("accuracy", maximize=True)]),
        (
            ["loss", "size"],
            "accuracy",
            [Objective("loss"), Objective("size"), Objective("accuracy", maximize=True)],
        ),
        (("val/loss",), None, [Objective("val/loss")]),
        (None, {"läyer 1": 0}.keys(), [Objective("läyer 1", maximize=True)]),
    ],
)
def test_metrics_are_named_one_or_several_each_way(minimize, maximize, expected):
    assert objectives_of(minimize, maximize) == tuple(expected)


@pytest.mark.parametrize(
    ("minimize", "maximize", "message"),
    [
        ("loss", "loss", "'loss' is named twice"),
        (["a", "b", "a"], None, "'a' is named twice"),
        (5, None, "called 5: use a string"),
        ([None], None, "called None: use a string"),
        (b"loss", None, "called b'loss'"),
        ("", None, "called ''"),
        ("a\nb", None, r"called 'a\\nb'"),
        ("a" * 256, None, "1 to 255 printable characters"),
    ],
)
def test_a_metric_named_twice_or_by_no_usable_name_is_refused(minimize, maximize, message):
    with pytest.raises(StudyError, match=message):
        objectives_of(minimize, maximize)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("memory_gb <= 4", Bound("memory_gb", 4.0)),
        ("accuracy>=0.9", Bound("accuracy", 0.9, at_least=True)),
        ("  val/loss of fold 1  <=  -1e-3 ", Bound("val/loss of fold 1", -1e-3)),
        ("a < b <= 2", Bound("a < b", 2.0)),
    ],
)
def test_a_constraint_bounds_a_metric_from_one_side(text, bound):
    assert bounds_of(text) == (bound,)


def test_there_may_be_several_constraints_or_none():
    assert bounds_of(["a <= 1", "b >= 2"]) == (Bound("a", 1.0), Bound("b", 2.0, at_least=True))
    assert bounds_of(()) == bounds_of([]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a < 4",
        "a == 4",
        "<= 4",
        "a <=",
        "a <= b",
        "a <= nan",
        "a <= inf",
        "0 <= a <= 1",
        "4 >= a",
        4,
        None,
        ["a <= 4"],
    ],
)
def test_what_is_no_bound_on_a_metric_is_refused_with_the_form_it_should_have(text):
    with pytest.raises(StudyError, match="is not of the form 'metric <= number' or 'metric >= number'"):
        bounds_of([text])


def test_a_single_constraint_that_is_no_text_is_refused_too():
    with pytest.raises(StudyError, match="The constraint 4 is not of the form"):
        bounds_of(4)


@given(
    st.lists(st.builds(Objective, names, st.booleans()), min_size=1, max_size=3),
    st.lists(st.builds(Bound, names, numbers, st.booleans()), max_size=3),
)
def test_goals_come_back_from_json_as_they_were(objectives, bounds):
    form = json.loads(json.dumps(goals_to_json(objectives, bounds)))
    assert goals_from_json(form) == (tuple(objectives), tuple(bounds))


def test_goals_are_described_in_words():
    assert describe(objectives_of("loss", "accuracy")) == "minimizes 'loss' and maximizes 'accuracy'"
