"""What a Parzen estimator must know of the columns of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FLAT = 100.0  # a Gaussian so wide is flat on the unit interval, but for 1 part in 100,000


@dataclass(frozen=True)
class Axes:
    """The columns of rows in the unit cube, and what is believed of each before any result.

    A column holds a number or options. Where a number has few values, a kernel gives each the probability of its
    cell, which is right however wide the cells are; elsewhere it is a density. Rows hold NaN where a column does
    not exist.

    Attributes:
        mean, sd: The prior of numbers: Gaussians cut off at 0 and 1, (d,); flat with an sd of `FLAT`.
        cells: The borders (k + 1,), from 0 to 1, of columns of options and of few numbers; None for others.
        shares: The prior (k,) of options; None for numbers.
        width: The narrowest kernel that a column can tell from a point: half the distance of its values, (d,).
    """

    mean: Array
    sd: Array
    cells: tuple[Array | None, ...]
    shares: tuple[Array | None, ...]
    width: Array

    @cached_property
    def options(self) -> Ints:
        """The columns of options."""
        return np.array([j for j, share in enumerate(self.shares) if share is not None], dtype=np.int64)

    @cached_property
    def continuous(self) -> Ints:
        """The columns with a density, (c,)."""
        return np.array([j for j, cells in enumerate(self.cells) if cells is None], dtype=np.int64)

    @cached_property
    def discrete(self) -> list[tuple[int, int, Array]]:
        """The columns with cells: (column, its first feature, borders)."""
        found, at = [], 3 * len(self.continuous)
        for j, cells in enumerate(self.cells):
            if cells is not None:
                found.append((j, at, cells))
                at += len(cells) - 1
        return found

    @cached_property
    def columns(self) -> list[tuple[int, slice]]:
        """Each column with its features."""
        c = len(self.continuous)
        every = [(int(j), slice(i, 3 * c, c)) for i, j in enumerate(self.continuous)]
        return every + [(j, slice(at, at + len(cells) - 1)) for j, at, cells in self.discrete]

    @cached_property
    def size(self) -> int:
        """How many features there are."""
        return 3 * len(self.continuous) + sum(len(cells) - 1 for _, _, cells in self.discrete) + 1

    def features(self, x: Array) -> Array:
        """Features (n, f) of rows (n, d), in which the logarithm of every kernel is linear.

        A number u with a density has u², u and 1; a cell has 1 if it holds the row. All are 0 where the column
        does not exist. The last feature is 1 for every row.
        """
        c, there = len(self.continuous), ~np.isnan(x)
        found = np.zeros((len(x), self.size))
        found[:, -1] = 1.0
        if c:
            ones = there[:, self.continuous]
            u = np.where(ones, x[:, self.continuous] - 0.5, 0.0)  # around the middle: loses the fewest digits
            found[:, :c], found[:, c : 2 * c], found[:, 2 * c : 3 * c] = u * u, u, ones
        for j, at, cells in self.discrete:
            rows = np.flatnonzero(there[:, j])
            found[rows, at + cell_of(cells, x[rows, j])] = 1.0
        return found


def cell_of(cells: Array, u: Array) -> NDArray[np.intp]:
    """In which of the `cells` (k + 1,) each point (n,) lies, (n,)."""
    return np.searchsorted(cells[1:-1], u, side="right")
