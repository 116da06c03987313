"""From the unit cube to the spaces in which a kernel works."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_LINE, _PARABOLA = np.sqrt(12.0), np.sqrt(180.0)  # of unit variance over the unit interval


class Points(NamedTuple):
    """Configs as a kernel sees them.

    Attributes:
        near: Coordinates in which distance says how much two configs differ, (n, f).
        far: What a trend over the whole space is made of, (n, t).
    """

    near: Array
    far: Array

    def and_also(self, others: Points) -> Points:
        """These, and then the others."""
        return Points(np.vstack([self.near, others.near]), np.vstack([self.far, others.far]))


@dataclass(frozen=True)
class Features:
    """An embedding of configs in which plain Euclidean distance says how much two of them differ.

    A number is itself. Two different options of a choice are 1 apart. A number that may be absent lies on an arc of
    one radian around its absence, which therefore is 1 away from all of its values, whatever they are: two configs of
    different branches differ by the branch, and not by what exists in only one of them. A positive definite
    function of a Euclidean distance remains one.

    The trend of a number is a line and a parabola, that of a choice a level for each option; 0 where it is absent.

    Attributes:
        options: How many options each column has, (d,); 0 for a number.
        optional: Which columns may be absent, (d,).

    References:
        Swersky et al., "Raiders of the lost architecture: kernels for Bayesian optimization in conditional parameter
        spaces", 2014 (the arc).
    """

    options: tuple[int, ...]
    optional: tuple[bool, ...]

    @cached_property
    def numbers(self) -> Ints:
        """The columns that hold numbers, (c,): first those that are always there."""
        return np.append(self._plain, self._arcs)

    @cached_property
    def group(self) -> Ints:
        """To which column of a config each coordinate of `Points.near` belongs, (f,)."""
        choices = [np.repeat(j, 1 if k <= 2 else k) for j, k in self._choices]
        return np.concatenate([self._plain, self._arcs, self._arcs, *choices])

    def of(self, x: Array) -> Points:
        """Configs (n, d) of the unit cube, NaN where a parameter is absent."""
        plain, arcs = x[:, self._plain], x[:, self._arcs]
        near, far = [plain], [plain - 0.5]
        if len(self._arcs):
            absent = np.isnan(arcs)
            near += [np.where(absent, 0.0, np.cos(arcs)), np.where(absent, 0.0, np.sin(arcs))]
            far.append(np.where(absent, 0.0, arcs - 0.5))
        lines = np.hstack(far)
        bent = lines * lines
        bent -= 1.0 / 12.0
        if len(self._arcs):
            bent[:, len(self._plain) :][absent] = 0.0
        levels = [_which(x[:, j], self.options[j]) for j, _ in self._choices]
        near += [_apart(which, k) for which, (_, k) in zip(levels, self._choices, strict=True)]
        sides = [_sides(which, self.options[j]) for which, (j, _) in zip(levels, self._choices, strict=True)]
        return Points(np.hstack(near), np.hstack([lines * _LINE, bent * _PARABOLA, *sides]))

    def slopes(self, x: Array, by: Points) -> Array:
        """Derivatives by the coordinates as those (n, c) by the `numbers` of `x` (n, d); 0 where one is absent."""
        p, c = len(self._plain), len(self.numbers)
        a = c - p
        u = x[:, self.numbers]
        slopes = by.far[:, c : 2 * c] * (u - 0.5)
        slopes *= 2.0 * _PARABOLA
        slopes += by.far[:, :c] * _LINE
        slopes[:, :p] += by.near[:, :p]
        if a:
            arcs = u[:, p:]
            slopes[:, p:] += np.cos(arcs) * by.near[:, p + a : p + 2 * a] - np.sin(arcs) * by.near[:, p : p + a]
            slopes[np.isnan(slopes)] = 0.0
        return slopes

    @cached_property
    def _plain(self) -> Ints:
        return np.array([j for j, k in enumerate(self.options) if not k and not self.optional[j]], dtype=np.int64)

    @cached_property
    def _arcs(self) -> Ints:
        return np.array([j for j, k in enumerate(self.options) if not k and self.optional[j]], dtype=np.int64)

    @cached_property
    def _choices(self) -> list[tuple[int, int]]:
        """The columns that hold choices, and how many different things each can be, absence included."""
        return [(j, k + self.optional[j]) for j, k in enumerate(self.options) if k]


def _which(u: Array, k: int) -> Array:
    """The option of each row, and k where there is none."""
    absent = np.isnan(u)
    return np.where(absent, k, np.minimum(np.floor(np.where(absent, 0.0, u) * k), k - 1))


def _apart(which: Array, k: int) -> Array:
    """Coordinates that put `k` things 1 apart from each other."""
    if k <= 2:
        return which[:, None]
    return np.where(which[:, None] == np.arange(k), np.sqrt(0.5), 0.0)


def _sides(which: Array, k: int) -> Array:
    """A level for each of `k` options, 0 where there is none."""
    return np.where(which[:, None] < k, (which[:, None] == np.arange(k)) - 1.0 / k, 0.0)
