"""Fronts, crowding and ranks against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tuneful.history.ranking import crowding, fronts, ranks, undominated

calm = settings(max_examples=150, deadline=None)
few = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, -1.5])
rows = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(lambda shape: arrays(float, shape, elements=few))


def beats(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def slow_fronts(y):
    rank, left, front = {}, set(range(len(y))), 0
    while left:
        best = {i for i in left if not any(beats(y[j], y[i]) for j in left)}
        rank |= dict.fromkeys(best, front)
        left -= best
        front += 1
    return [rank[i] for i in range(len(y))]


@calm
@given(rows)
def test_a_front_holds_what_no_row_behind_the_earlier_fronts_beats(y):
    assert fronts(y).tolist() == slow_fronts(y)


@calm
@given(rows)
def test_undominated_rows_are_the_first_front(y):
    assert undominated(y).tolist() == [front == 0 for front in slow_fronts(y)]


@calm
@given(arrays(float, st.tuples(st.integers(2, 10), st.integers(1, 3)), elements=st.floats(-9, 9), unique=True))
def test_crowding_adds_up_the_distances_between_neighbours_and_is_infinite_at_the_ends(y):
    found = crowding(y)
    for i in range(len(y)):
        total = 0.0
        for column in y.T:
            below = [v for v in column if v < column[i]]
            above = [v for v in column if v > column[i]]
            spread = column.max() - column.min()
            total += (min(above) - max(below)) / spread if below and above else math.inf
        assert found[i] == pytest.approx(total)


def test_rows_that_are_all_alike_are_not_crowded_apart():
    assert crowding(np.ones((4, 2))).tolist() == [math.inf, 0, 0, math.inf]


@calm
@given(rows, st.data())
def test_ranks_order_by_front_and_leave_unknown_what_is_not_known(y, data):
    holes = data.draw(arrays(bool, y.shape, elements=st.booleans()))
    y = np.where(holes, np.nan, y)
    known = ~holes.any(axis=1)
    rank = ranks(y)
    assert np.isnan(rank).tolist() == (~known).tolist()
    assert np.floor(rank[known]).tolist() == slow_fronts(y[known])
    assert len(set(rank[known])) == known.sum()  # crowding tells those of a front apart


def test_in_one_front_the_ends_come_first_and_the_most_crowded_last():
    y = np.array([[0.0, 10.0], [1.0, 9.0], [1.2, 8.9], [5.0, 5.0], [10.0, 0.0]])
    order = np.argsort(ranks(y)).tolist()
    assert set(order[:2]) == {0, 4}
    assert order[2] == 3
    assert order[-1] == 1


def test_no_rows_have_no_ranks():
    assert ranks(np.empty((0, 2))).tolist() == []
    assert ranks(np.full((2, 2), np.nan)).tolist() == pytest.approx([math.nan] * 2, nan_ok=True)
