"""Between the parameters of a space and a normal distribution."""

import numpy as np

from tuneful.searchers.cells import Cells
from tuneful.space import Choice, Float, Int, Space, When

SPACE = Space(
    {
        "x": Float(0, 1, default=0.2),
        "k": Int(1, 4),
        "units": Int(1, 100, log=True),
        "kind": ["a", "b", "c"],
        "size": Choice(["s", "m"], ordered=True),
        "only_c": When({"kind": "c"}, Float(0, 1)),
    }
)
CELLS = Cells(SPACE)


def test_numbers_and_ordered_choices_are_numbers():
    assert CELLS.numbers.tolist() == [True, True, True, False, True, True]
    assert CELLS.options.tolist() == [3]


def test_every_point_of_a_cell_gives_its_value_and_none_outside():
    raw = SPACE.draw(np.random.default_rng(0).random((200, 6)))
    low, high, options = CELLS.of(SPACE.encode(raw))
    inside, outside = np.clip(low, 0, 1) + 1e-9, np.clip(high, 0, 1) + 1e-9
    stepped = [1, 2, 4]
    places = [1, 2, 3]  # of these among the numbers
    assert np.array_equal(CELLS.raw(inside, options)[:, stepped], raw[:, stepped])
    beyond = CELLS.raw(outside, options)[:, stepped] != raw[:, stepped]
    assert np.array_equal(beyond, np.isfinite(high[:, places]))


def test_a_number_without_steps_is_a_point_but_on_the_edge_anything_beyond_it():
    low, high, _ = CELLS.of(np.array([[x, 0.1, 0.5, 0.5, 0.25, 0.5] for x in (0.0, 0.3, 1.0)]))
    assert low[:, 0].tolist() == [-np.inf, 0.3, 1.0]
    assert high[:, 0].tolist() == [0.0, 0.3, np.inf]


def test_what_does_not_exist_may_be_anywhere():
    low, high, options = CELLS.of(np.array([[0.5, 0.1, 0.5, np.nan, 0.25, np.nan]]))
    assert (low[0, -1], high[0, -1]) == (-np.inf, np.inf)
    assert options.tolist() == [[-1]]


def test_it_begins_at_the_defaults_if_all_have_one():
    assert CELLS.middle.tolist() == [0.5] * 5
    both = Space({"x": Float(0, 1, default=0.2), "k": Int(1, 4, default=1)})
    assert Cells(both).middle.tolist() == [0.2, 0.125]
