"""Between the parameters of a space and the normal distribution of CMA-ES: which of its numbers stand for a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuneful.searchers.cma import Cma
from tuneful.space import Choice, Domain, Space
from tuneful.space.scales import LogCells

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """Which columns of a space are numbers and which choices, and where the values of numbers begin and end."""

    space: Space

    @cached_property
    def numbers(self) -> Flags:
        """Which columns are numbers, (d,)."""
        return ~self.space.categorical

    @cached_property
    def options(self) -> Ints:
        """How many options the others have."""
        sizes = [p.domain.size for p in self.space.parameters if p.domain.categorical]
        return np.array(sizes, dtype=np.int64)

    @cached_property
    def _domains(self) -> list[Domain]:
        return [p.domain for p in self.space.parameters if not p.domain.categorical]

    @cached_property
    def _half(self) -> Array:
        """Half the width of the cells of each number; 0 without steps."""
        return np.array([0.5 / domain.size for domain in self._domains])

    @cached_property
    def _uneven(self) -> list[tuple[int, LogCells]]:
        """The numbers, by place, whose cells differ in width."""
        scales = [None if isinstance(domain, Choice) else domain.scale for domain in self._domains]
        return [(place, scale) for place, scale in enumerate(scales) if isinstance(scale, LogCells)]

    @property
    def middle(self) -> Array:
        """The defaults of numbers, in the unit cube; the middle of those that have none."""
        config = self.space.default or {}
        unit = self.space.encode(self.space.row(config)[None])[0][self.numbers]
        return np.where(np.isnan(unit), 0.5, unit)

    def around(self, mean: Array, sigma: float, population: int) -> Cma:
        """A round distribution of the numbers (k,), and all options."""
        return self.with_margin(Cma.around(mean, sigma, self.options, population))

    def with_margin(self, cma: Cma) -> Cma:
        """The same, where no value is given up for ever."""
        return cma.with_margin(*self._at(cma.mean))

    def raw(self, numbers: Array, options: Ints) -> Array:
        """Raw rows (n, d) of draws; what lies outside the cube is put on its edge."""
        unit = np.empty((len(numbers), len(self.space)))
        unit[:, self.numbers] = np.clip(numbers, 0.0, 1.0)
        unit[:, ~self.numbers] = (options + 0.5) / self.options
        return self.space.decode(unit)

    def of(self, x: Array) -> tuple[Array, Array, Ints]:
        """For configs (n, d) in the unit cube, the borders of the cells that their numbers lie in, and their options.

        Anywhere, for numbers that do not exist; -1, for options.
        """
        unit, chosen = x[:, self.numbers], x[:, ~self.numbers]
        low, high = unit - self._half, unit + self._half
        for place, scale in self._uneven:
            start, end = (math.log(edge) for edge in scale.edges)
            value = scale.decode(unit[:, place])
            low[:, place] = (np.log(value - 0.5) - start) / (end - start)
            high[:, place] = (np.log(value + 0.5) - start) / (end - start)
        low = np.where(low > 1e-9, low, -np.inf)
        high = np.where(high < 1 - 1e-9, high, np.inf)
        options = np.where(np.isnan(chosen), -1, np.floor(chosen * self.options)).astype(np.int64)
        return low, high, options

    def _at(self, numbers: Array) -> tuple[Array, Array]:
        """The borders of the cells that numbers (k,) lie in, (k,) each."""
        unit = np.clip(numbers, 0.0, 1.0)
        for place, domain in enumerate(self._domains):
            if domain.size < math.inf:
                unit[place] = domain.encode(domain.decode(unit[place : place + 1]))[0]
        x = np.full((1, len(self.space)), np.nan)
        x[0, self.numbers] = unit
        low, high, _ = self.of(x)
        return low[0], high[0]
