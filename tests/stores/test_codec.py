import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneful.stores.codec import dumps, loads

TEXT = st.text(st.characters(codec=None, categories=None))  # lone surrogates too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@given(VALUES)
def test_every_json_value_comes_back_exactly(value):
    text = dumps(value)
    text.encode("ascii")
    assert repr(loads(text)) == repr(value)


@pytest.mark.parametrize(
    "value", [{"$float": 0.5}, {"$float": "high"}, {"$float": "x", "y": math.nan}, {"$float": None}]
)
def test_a_parameter_may_be_called_like_the_mark(value):
    assert repr(loads(dumps(value))) == repr(value)


def test_a_tuple_comes_back_as_a_list():
    assert loads(dumps({"rung": (1, math.inf)})) == {"rung": [1, math.inf]}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", 1j, {"x": [object()]}])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(TypeError):
        dumps(value)
