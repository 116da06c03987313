"""What an objective may return and report."""

import math
import numbers
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from tuneful.errors import ObjectiveError
from tuneful.history import Bound, Objective
from tuneful.values import Diverged, MissingMetric, final_values, metrics_of, number_of

ONE, TWO = (Objective("loss"),), (Objective("loss"), Objective("accuracy", maximize=True))
NAN, INF = math.nan, math.inf


class Real(numbers.Real):
    """A number of somebody's making."""

    def __init__(self, error):
        self.error = error

    def __float__(self):
        if isinstance(self.error, float):
            return self.error
        raise self.error


Real.__abstractmethods__ = frozenset()


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


class Shapeless:
    shape = None


class Lying:
    """Has the shape of a number, and is none."""

    shape = ()

    def item(self):
        raise RuntimeError("on another device")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (-0.5, -0.5),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 3), 1 / 3),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (np.array(3), 3.0),
        (torch.tensor(0.25), 0.25),
        (torch.tensor(0.25, requires_grad=True), 0.25),
        (torch.tensor(3), 3.0),
        (Real(4.0), 4.0),
        (INF, INF),
        (-INF, -INF),
        (np.float64("inf"), INF),
    ],
)
def test_a_real_number_of_any_kind_is_its_float(value, expected):
    found = number_of(value, "loss")
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize("value", [NAN, np.nan, Decimal("nan"), torch.tensor(NAN)])
def test_nan_is_a_number_that_is_unknown(value):
    assert math.isnan(number_of(value, "loss"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"loss must be a number, and is None \(NoneType\)"),
        ("0.5", r"is '0.5' \(str\). Convert it: float\(...\)"),
        (np.str_("0.5"), r"Convert it: float"),
        (b"0.5", r"is b'0.5' \(bytes\)"),
        (1j, r"is 1j \(complex\). Return its real part"),
        (np.complex128(1j), "Return its real part"),
        (torch.tensor(1j), "Return its real part"),
        (np.array([1.0]), r"It has the shape \(1,\); return one number, for example its mean"),
        (np.zeros((2, 3)), r"It has the shape \(2, 3\)"),
        (torch.zeros(4), r"It has the shape \(4,\)"),
        (np.array(None), r"is None"),
        ([0.5], r"is \[0.5\] \(list\)"),
        (10**400, r"which is no float: int too large"),
        pytest.param(10**5000, r"that cannot be printed \(int\), which is no float", id="huge"),
        pytest.param(Fraction(10**5000), r"printed \(Fraction\), which is no float", id="huge fraction"),
        (Decimal("sNaN"), "which is no float"),
        (Real(TypeError("broken")), r"\(Real\), which is no float: broken"),
        (Real(RuntimeError("broken")), "which is no float: broken"),
        (Unprintable(), r"is an object that cannot be printed \(Unprintable\)"),
        (Shapeless(), r"\(Shapeless\)\.$"),
        (Lying(), "which is no float: on another device"),
        (torch.zeros((), device="meta"), "which is no float"),
        (len, "builtin_function_or_method"),
    ],
)
def test_anything_else_is_refused_with_what_it_is_and_what_to_do(value, message):
    with pytest.raises(ObjectiveError, match=message):
        number_of(value, "loss")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ObjectiveError) as caught:
        number_of("x" * 10_000, "loss")
    assert len(str(caught.value)) < 200


def test_one_number_is_the_studied_metric():
    assert metrics_of(0.5, ONE, "it") == {"loss": 0.5}


def test_a_dict_names_its_metrics_studied_or_not():
    assert metrics_of({"loss": 1, "val/acc": np.float32(0.5)}, ONE, "it") == {"loss": 1.0, "val/acc": 0.5}
    assert metrics_of({}, ONE, "it") == {}


@pytest.mark.parametrize("value", [(1.0, 0.5), [1.0, 0.5]])
def test_a_tuple_gives_several_objectives_in_their_order(value):
    assert metrics_of(value, TWO, "it") == {"loss": 1.0, "accuracy": 0.5}


@pytest.mark.parametrize("value", [1.0, (1.0,), (1.0, 2.0, 3.0), None, Unprintable()])
def test_several_objectives_need_a_value_each(value):
    with pytest.raises(ObjectiveError, match=r"but 2 metrics are studied\. Return a dict with loss, accuracy"):
        metrics_of(value, TWO, "it")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256, 3, None, ("loss",)])
def test_a_metric_has_a_printable_name(name):
    with pytest.raises(ObjectiveError, match="use a string of 1 to 255 printable characters"):
        metrics_of({name: 1.0}, ONE, "it")


def test_a_bad_value_in_a_dict_is_named():
    with pytest.raises(ObjectiveError, match="What it returned: 'acc' must be a number, and is None"):
        metrics_of({"loss": 1.0, "acc": None}, ONE, "What it returned")
    with pytest.raises(ObjectiveError, match="What it returned: 'accuracy' must be a number"):
        metrics_of((1.0, "high"), TWO, "What it returned")


CURVE = {"loss": ([1, 2, 3], [3.0, 1.0, 2.0]), "acc": ([1], [0.5])}


def test_what_is_returned_counts_else_the_last_report():
    assert final_values(0.5, CURVE, ONE, (), "last") == {"loss": 0.5, "acc": 0.5}
    assert final_values(None, CURVE, ONE, (), "last") == {"loss": 2.0, "acc": 0.5}
    assert final_values({"acc": 0.9}, CURVE, ONE, (), "last") == {"loss": 2.0, "acc": 0.9}


@pytest.mark.parametrize(
    ("returned", "maximize", "best"),
    [(None, False, 1.0), (None, True, 3.0), (0.5, False, 0.5), (2.5, False, 1.0)],
)
def test_the_best_of_the_steps_counts_where_that_is_asked_for(returned, maximize, best):
    objectives = (Objective("loss", maximize),)
    assert final_values(returned, CURVE, objectives, (), "best")["loss"] == best


def test_the_best_of_the_steps_passes_over_those_that_broke_down():
    curve = {"loss": ([1, 2, 3], [NAN, 1.0, -INF])}
    assert final_values(None, curve, ONE, (), "best") == {"loss": 1.0}


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("of", ["last", "best"])
def test_a_studied_metric_that_is_not_finite_has_diverged(value, of):
    with pytest.raises(Diverged, match=r"'loss' is .*The trial counts as failed"):
        final_values(value, {}, ONE, (), of)


def test_another_metric_need_not_be_finite():
    assert final_values({"loss": 1.0, "grad": INF}, {}, ONE, (), "last") == {"loss": 1.0, "grad": INF}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "ended with None and reported nothing"),
        (
            {"acc": 0.5, "time": 3},
            r"never gave 'loss', which is studied. It gave 'acc', 'time'.*minimize='acc'",
        ),
    ],
)
def test_a_studied_metric_that_is_missing_is_named_with_those_that_were_given(returned, message):
    with pytest.raises(MissingMetric, match=message):
        final_values(returned, {}, ONE, (), "last")


def test_a_metric_that_a_constraint_bounds_may_not_be_missing_either():
    bounds = (Bound("memory", 4.0),)
    assert final_values({"loss": 1.0, "memory": 9.0}, {}, ONE, bounds, "last")["memory"] == 9.0
    with pytest.raises(MissingMetric, match="never gave 'memory'"):
        final_values(1.0, {}, ONE, bounds, "last")
