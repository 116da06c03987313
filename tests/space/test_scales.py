"""Encoding to the unit interval and back: exact to the last bit, whatever the range."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.space import Bool, Choice, Float, Int, Log, Space

units = st.floats(0, 1)
anywhere = st.floats(-1e300, 1e300)
positive = st.floats(1e-300, 1e300)


def bits(array):
    return np.asarray(array, dtype=np.float64).tobytes()


@st.composite
def float_ranges(draw):
    low, high = sorted(draw(st.tuples(anywhere, anywhere).filter(lambda ends: ends[0] != ends[1])))
    return Float(low, high)


@st.composite
def log_ranges(draw):
    low, high = sorted(draw(st.tuples(positive, positive).filter(lambda ends: ends[0] != ends[1])))
    return Log(low, high)


@st.composite
def narrow_ranges(draw):
    offset = draw(st.floats(1e-10, 1e15)) * draw(st.sampled_from([-1, 1]))
    width = abs(offset) * 10.0 ** draw(st.integers(-15, -1))
    high = offset + width
    if high <= offset:
        high = math.nextafter(offset, math.inf)
    return Float(offset, high, log=offset > 0 and draw(st.booleans()))


@st.composite
def decimal_steps(draw):
    places, steps = draw(st.integers(0, 12)), draw(st.integers(1, 10**6))
    step, first = draw(st.integers(1, 999)), draw(st.integers(-(10**6), 10**6))
    low, high = (float(f"{n}e-{places}") for n in (first, first + steps * step))
    return Float(low, high, step=float(f"{step}e-{places}"))


@st.composite
def log_steps(draw):
    kind, step = draw(st.sampled_from([(Float, 10), (Float, 2), (Float, 1.5), (Int, 2), (Int, 3)]))
    low, steps = draw(st.integers(1, 100)), draw(st.integers(1, 25))
    return kind(low, low * step**steps, log=True, step=step)


@st.composite
def int_ranges(draw):
    low = draw(st.integers(-(2**53), 2**53 - 1))
    return Int(low, draw(st.integers(low + 1, min(2**53, low + 2**50 - 1))))


@st.composite
def int_steps(draw):
    low, step, steps = (
        draw(st.integers(-(10**9), 10**9)),
        draw(st.integers(1, 10**4)),
        draw(st.integers(1, 10**6)),
    )
    return Int(low, low + step * steps, step=step)


@st.composite
def log_ints(draw):
    low = draw(st.integers(1, 10**12 - 1))
    return Int(low, draw(st.integers(low + 1, 10**12)), log=True)


choices = st.integers(1, 50).map(lambda n: Choice(list(range(n))))
domains = st.one_of(
    *(float_ranges(), log_ranges(), narrow_ranges(), decimal_steps(), log_steps()),
    *(int_ranges(), int_steps(), log_ints(), choices),
)
extremes = [
    Float(1e-300, 1e300, log=True),
    Float(5e-324, 1.7e308, log=True),
    Float(-8e307, 8e307),
    Float(0, 1.7976931348623157e308),
    Float(0, 1e-300),
    Float(0, 1e-320),
    Float(1e15, 1e15 + 1),
    Float(0.1, math.nextafter(0.1, 1)),
    Float(0.1, 0.1 + 1e-16),
    Log(1, 1 + 1e-12),
    Log(0.0123456789005, 0.5),
    Float(0, 3e-29, step=1e-30),
    Float(0, 3e300, step=1e300),
    Float(0, 1e6, step=1e-9),
    Float(0, 1, step=1 / 3),
    Float(1, 2, log=True, step=2**0.25),
    Float(1e-12, 1e12, log=True, step=10),
    Int(0, 2**50 - 1),
    Int(-(2**53), -(2**53) + 10),
    Int(2**53 - 10, 2**53),
    Int(1, 10**12, log=True),
    Int(10**12 - 1, 10**12, log=True),
    Bool(),
]


@settings(max_examples=600, deadline=None)
@given(domains, st.lists(units, min_size=1, max_size=8))
def test_encoding_and_decoding_gives_the_same_bits(domain, unit):
    raw = domain.decode(np.array(unit))
    again = domain.encode(raw)
    assert ((again >= 0) & (again <= 1)).all()
    assert bits(domain.decode(again)) == bits(raw)


@pytest.mark.parametrize("domain", extremes, ids=str)
def test_extreme_ranges_are_exact_and_reach_their_ends(domain):
    rng = np.random.default_rng(1)
    unit = np.concatenate([[0.0, 1.0, 1e-17, 1 - 1e-16], rng.random(2_000), rng.random(200) * 1e-12])
    raw = domain.decode(unit)
    assert bits(domain.decode(domain.encode(raw))) == bits(raw)
    if not isinstance(domain, Choice):
        assert (raw[0], raw[1]) == (domain.low, domain.high)
        assert domain.decode(domain.encode(np.array([domain.low, domain.high]))).tolist() == [
            domain.low,
            domain.high,
        ]


@settings(max_examples=200, deadline=None)
@given(domains, st.lists(units, min_size=1, max_size=8))
def test_what_is_decoded_lies_inside_and_is_a_value(domain, unit):
    for raw in domain.decode(np.array(unit)).tolist():
        value = domain.to_value(raw)
        assert struct.pack("d", domain.to_raw(value)) == struct.pack("d", raw)
        assert domain.position(json.loads(json.dumps(value))) == raw
        if not isinstance(domain, Choice):
            assert domain.low <= value <= domain.high
            assert type(value) is (int if isinstance(domain, Int) else float)


@settings(max_examples=100, deadline=None)
@given(domains, st.lists(units, min_size=1, max_size=8))
def test_many_at_once_are_the_same_as_one_by_one(domain, unit):
    unit = np.array(unit)
    raw = domain.decode(unit)
    assert bits(raw) == bits([domain.decode(unit[i : i + 1])[0] for i in range(len(unit))])
    assert bits(domain.encode(raw)) == bits([domain.encode(raw[i : i + 1])[0] for i in range(len(raw))])


@settings(max_examples=100, deadline=None)
@given(domains)
def test_nan_stays_nan(domain):
    nan = np.array([np.nan, 0.5, np.nan])
    assert np.isnan(domain.decode(nan)).tolist() == [True, False, True]
    assert np.isnan(domain.encode(np.array([np.nan]))).all()


@settings(max_examples=100, deadline=None)
@given(domains, units, units)
def test_decoding_keeps_the_order(domain, a, b):
    low, high = domain.decode(np.array(sorted([a, b])))
    assert low <= high


@settings(max_examples=100, deadline=None)
@given(st.one_of(float_ranges(), log_ranges(), decimal_steps(), int_ranges(), log_ints()), st.integers(1, 9))
def test_levels_rise_within_the_range_and_are_at_most_n(domain, n):
    levels = domain.levels(n)
    assert 1 <= len(levels) <= n
    assert levels == sorted(set(levels))
    assert all(domain.low <= level <= domain.high for level in levels)
    if n > 1:
        assert (levels[0], levels[-1]) == (domain.low, domain.high)


def test_steps_are_the_decimals_that_people_write():
    assert Float(0.1, 0.5, step=0.1).levels() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(-0.3, 0.3, step=0.1).levels() == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    assert Float(1e-3, 1e3, log=True, step=10).levels() == [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0]
    assert Float(0, 1, step=1 / 3).levels()[-1] == 1.0
    assert Float(1e20, 1e22, step=1e20).levels()[:3] == [1e20, 2e20, 3e20]
    assert Float(0, 1e-299, step=1e-300).levels()[:4] == [0.0, 1e-300, 2e-300, 3e-300]
    thousandths = Float(0, 5, step=0.001).levels()
    assert thousandths == [float(f"{i}e-3") for i in range(5001)]


def test_continuous_values_are_short_decimals():
    drawn = Float(0, 1).decode(np.random.default_rng(0).random(200)).tolist()
    assert all(len(repr(value)) <= 13 or "e" in repr(value) for value in drawn)
    assert repr(float(Float(-1, 1).decode(np.array([0.5 - 2**-54]))[0])) == "0.0"
    assert repr(Float(-0.0, 1).low) == "0.0"


def test_equal_shares_of_the_unit_interval_are_equal_shares_of_the_scale():
    unit = (np.arange(100_000) + 0.5) / 100_000
    assert np.bincount(Int(0, 4).decode(unit).astype(int)).tolist() == [20_000] * 5
    assert Log(1e-4, 1).decode(np.array([0.25, 0.5, 0.75])) == pytest.approx([1e-3, 1e-2, 1e-1])
    counts = np.bincount(Int(1, 3, log=True).decode(unit).astype(int))[1:] / 100_000
    expected = np.diff(np.log([0.5, 1.5, 2.5, 3.5])) / math.log(7)
    assert counts == pytest.approx(expected, abs=1e-4)


def test_values_outside_are_encoded_at_the_ends():
    assert Log(0.1, 1).encode(np.array([-1.0, 0.0, 5.0])).tolist() == [0.0, 0.0, 1.0]
    assert Float(0, 1).encode(np.array([-1.0, 5.0])).tolist() == [0.0, 1.0]
    assert Int(1, 4, log=True).decode(np.array([-0.1, 1.1])).tolist() == [1.0, 4.0]
    assert Int(1, 4, log=True).levels(1) == [2]
    assert Int(1, 9).levels(1) == [5]


def test_columns_of_a_space_are_encoded_and_decoded_together():
    space = Space({"a": Float(0, 1), "b": Log(1e-5, 1), "c": Int(1, 9), "d": ["x", "y"], "e": Int(1, 1000, log=True)})
    unit = np.random.default_rng(0).random((50, 5))
    raw = space.decode(unit)
    assert bits(space.decode(space.encode(raw))) == bits(raw)
    assert bits(raw) == bits([space.decode(row[None])[0] for row in unit])
    for row in raw:
        config = space.config(row)
        assert bits(space.row(json.loads(json.dumps(config)))) == bits(row)
        assert space.complete(config) == config
