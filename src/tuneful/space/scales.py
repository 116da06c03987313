"""How the numbers of a parameter lie in the unit interval: arrays in, arrays out.

A scale maps values to [0, 1] (`encode`) and back (`decode`); NaN stays NaN. `decode(encode(v)) == v` holds
to the last bit for every value that `decode` can return. To make that possible for continuous parameters they
are not every float of their range but a fine decimal lattice on it (11 significant digits or more), so that
rounding errors, which differ from machine to machine, never show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DIGITS = 11  # exp and log lose up to 3e-13 over the range of floats; 11 digits leave a margin of 16
_EXACT_POWER = 22  # 10.0**22 is the largest power of ten that a float holds exactly
_EXACT_WHOLE = 2**53  # whole numbers up to here are floats
# Not 10.0 ** array: the power of an array may differ from machine to machine in the last bit.
_POWERS = np.array([10.0 ** max(0, i) for i in range(-_EXACT_POWER, _EXACT_POWER + 1)])


@dataclass(frozen=True)
class Continuous:
    """Every number from `low` to `high`, uniform or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False

    size = math.inf

    @property
    def edges(self) -> tuple[float, float]:
        """Where the unit interval begins and ends, as values."""
        return self.low, self.high

    @cached_property
    def _curved(self) -> bool:
        return self.log and self.high > 1.001 * self.low  # on less, the logarithm is a straight line

    @cached_property
    def _start(self) -> float:
        return math.log(self.low) if self._curved else self.low

    @cached_property
    def _length(self) -> float:
        return math.log(self.high) - self._start if self._curved else self.high - self.low

    @cached_property
    def _places(self) -> int | None:
        """To how many decimals values are rounded (not when curved); None for not at all."""
        largest, width = _exponent(max(abs(self.low), abs(self.high))), _exponent(self.high - self.low)
        places = min(_DIGITS - width, 14 - largest)
        return places if places + width >= 4 else None  # so short that rounding would leave few; and needless

    @cached_property
    def _merged(self) -> tuple[float, float]:
        """From where on a rounded value counts as the end: 3/4 of the lattice's spacing away from it."""
        if self._curved:
            first, last = (10.0 ** (_exponent(end) - _DIGITS + 1) for end in (self.low, self.high))
        else:
            first = last = 0.0 if self._places is None else 10.0**-self._places
        return self.low + 0.75 * first, self.high - 0.75 * last

    def encode(self, values: Array) -> Array:
        """Values (n,) to the unit interval."""
        at = np.minimum(np.maximum(values, self.low), self.high)
        if self._curved:
            at = np.log(at)
        return np.minimum(np.maximum((at - self._start) / self._length, 0.0), 1.0)

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to values."""
        at = self._start + unit * self._length
        return self.snap(np.exp(at) if self._curved else at)

    def snap(self, values: Array) -> Array:
        """The nearest values that `decode` can return."""
        first, last = self._merged
        if self._curved:
            rounded = _significant(values)
        else:
            rounded = values + 0.0 if self._places is None else _rounded(values, self._places)
        rounded[rounded <= first] = self.low
        rounded[rounded >= last] = self.high
        return rounded

    def accept(self, value: float) -> float | None:
        """The value itself if it lies in the range, else None."""
        return value if self.low <= value <= self.high else None

    def levels(self, n: int) -> Array:
        """`n` values spread evenly, both ends included."""
        return np.unique(self.decode(np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5])))


@dataclass(frozen=True)
class Lattice:
    """The values `low`, `low + step`, … `high`, `size` of them, exactly as written in decimals."""

    low: float
    high: float
    step: float
    size: int

    @cached_property
    def _decimal(self) -> tuple[Decimal, Decimal]:
        return Decimal(repr(self.low)), Decimal(repr(self.step))

    @cached_property
    def _places(self) -> int:
        return max(-_last_digit(number) for number in self._decimal if number)

    @cached_property
    def _whole(self) -> tuple[int, int] | None:
        """`low` and `step` in units of the last decimal; None if floats could not keep all values."""
        low, step = (int(decimal.scaleb(self._places)) for decimal in self._decimal)
        exact = abs(low) + self.size * step < _EXACT_WHOLE and abs(self._places) <= _EXACT_POWER
        return (low, step) if exact else None

    @cached_property
    def _closes(self) -> bool:
        """Whether the steps meet `high` exactly; those of 1/3, as a float, do not."""
        low, step = self._decimal
        return low + step * (self.size - 1) == Decimal(repr(self.high))

    @property
    def edges(self) -> tuple[float, float]:
        """Where the unit interval begins and ends, as values: half a step outside the first and last."""
        return self.low - self.step / 2, self.high + self.step / 2

    def at(self, index: Array) -> Array:
        """The values with these numbers (n,)."""
        if self._whole is None:
            first, each = self._decimal
            known = ~np.isnan(index)
            values = np.full(index.shape, np.nan)
            values[known] = [float(first + int(i) * each) for i in index[known].tolist()]
        else:
            low, step = self._whole
            values = low + index * step
            if self._places > 0:
                values = values / 10.0**self._places
            elif self._places < 0:
                values = values * 10.0**-self._places
        if not self._closes:
            values[index == self.size - 1] = self.high
        return values

    def index(self, values: Array) -> Array:
        """The numbers of the values nearest to these (n,)."""
        return np.minimum(np.maximum(np.rint((values - self.low) / self.step), 0), self.size - 1)

    def encode(self, values: Array) -> Array:
        """Values (n,) to the centres of their cells in the unit interval."""
        return (self.index(values) + 0.5) / self.size

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to values."""
        return self.at(_cell(unit, self.size))

    def snap(self, values: Array) -> Array:
        """The nearest values of the lattice."""
        return self.at(self.index(values))

    def accept(self, value: float) -> float | None:
        """The lattice's own float for `value` if it is one (up to rounding), else None."""
        near = float(self.snap(np.array([value]))[0])
        return near if abs(near - value) <= 1e-9 * self.step else None

    def levels(self, n: int) -> Array:
        """All values, or `n` of them spread evenly if there are more."""
        return self.at(_spread(self.size, n))


@dataclass(frozen=True)
class LogLattice:
    """The values `low`, `low * step`, … `high`, `size` of them, exactly as written in decimals."""

    low: float
    high: float
    step: float
    size: int

    @cached_property
    def _values(self) -> Array:
        low, step = Decimal(repr(self.low)), Decimal(repr(self.step))
        return np.array([*(float(low * step**i) for i in range(self.size - 1)), self.high])

    @cached_property
    def _borders(self) -> Array:
        roots = np.sqrt(self._values)
        return roots[:-1] * roots[1:]

    @property
    def edges(self) -> tuple[float, float]:
        """Where the unit interval begins and ends, as values: half a factor outside the first and last."""
        half = math.sqrt(self.step)
        return self.low / half, self.high * half

    def at(self, index: Array) -> Array:
        """The values with these numbers (n,)."""
        known = ~np.isnan(index)
        return np.where(known, self._values[np.where(known, index, 0).astype(np.intp)], np.nan)

    def index(self, values: Array) -> Array:
        """The numbers of the values nearest to these in the logarithm (n,)."""
        return np.where(np.isnan(values), np.nan, np.searchsorted(self._borders, values))

    def encode(self, values: Array) -> Array:
        """Values (n,) to the centres of their cells in the unit interval."""
        return (self.index(values) + 0.5) / self.size

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to values."""
        return self.at(_cell(unit, self.size))

    def snap(self, values: Array) -> Array:
        """The nearest values of the lattice."""
        return self.at(self.index(values))

    def accept(self, value: float) -> float | None:
        """The lattice's own float for `value` if it is one (up to rounding), else None."""
        near = float(self.snap(np.array([value]))[0])
        return near if abs(near - value) <= 1e-9 * (self.step - 1) * near else None

    def levels(self, n: int) -> Array:
        """All values, or `n` of them spread evenly if there are more."""
        return self.at(_spread(self.size, n))


@dataclass(frozen=True)
class LogCells:
    """The whole numbers from `low` to `high`, each with the share of the logarithm that it covers."""

    low: int
    high: int

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    @property
    def edges(self) -> tuple[float, float]:
        """Where the unit interval begins and ends, as values."""
        return self.low - 0.5, self.high + 0.5

    @cached_property
    def _start(self) -> float:
        return math.log(self.low - 0.5)

    @cached_property
    def _length(self) -> float:
        return math.log(self.high + 0.5) - self._start

    def at(self, index: Array) -> Array:
        """The values with these numbers (n,)."""
        return self.low + index

    def index(self, values: Array) -> Array:
        """The numbers of the values nearest to these (n,)."""
        return self.snap(values) - self.low

    def encode(self, values: Array) -> Array:
        """Values (n,) to the unit interval."""
        return (np.log(np.minimum(np.maximum(values, self.low), self.high)) - self._start) / self._length

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to values."""
        return self.snap(np.exp(self._start + unit * self._length))

    def snap(self, values: Array) -> Array:
        """The nearest whole numbers of the range."""
        return np.minimum(np.maximum(np.rint(values), self.low), self.high)

    def accept(self, value: float) -> float | None:
        """The value if it is a whole number of the range, else None."""
        return value if self.low <= value <= self.high and value == int(value) else None

    def levels(self, n: int) -> Array:
        """All values, or `n` of them spread evenly in the logarithm, both ends included."""
        if n >= self.size:
            return np.arange(self.low, self.high + 1, dtype=np.float64)
        spread = np.linspace(math.log(self.low), math.log(self.high), n) if n > 1 else np.array([0.5])
        return np.unique(self.snap(np.exp(spread)) if n > 1 else self.decode(spread))


Stepped = Lattice | LogLattice | LogCells  # scales of finitely many values
Scale = Continuous | Stepped


def _cell(unit: Array, n: int) -> Array:
    """In which of `n` equal cells of the unit interval these points (m,) lie."""
    return np.minimum(np.maximum(np.floor(unit * n), 0), n - 1)


def _spread(size: int, n: int) -> Array:
    """`n` of the numbers from 0 to `size - 1`, spread evenly, or all."""
    if n == 1:
        return np.array([float((size - 1) // 2)])
    return np.unique(np.rint(np.linspace(0, size - 1, min(n, size))))


def _exponent(value: float) -> int:
    return math.floor(math.log10(value)) if value > 0 else 0


def _last_digit(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # a finite number's
    return exponent


def _rounded(values: Array, places: int) -> Array:
    """`values` (n,) rounded to so many decimal places: the floats that are written so."""
    if abs(places) > _EXACT_POWER:
        return np.array([float(round(Decimal(value), places)) + 0.0 for value in values.tolist()])
    if places >= 0:
        return np.rint(values * 10.0**places) / 10.0**places + 0.0  # turns -0.0 into 0.0
    return np.rint(values / 10.0**-places) * 10.0**-places + 0.0


def _significant(values: Array) -> Array:
    """Positive `values` (n,) rounded to significant digits: the floats that are written so."""
    places = _DIGITS - 1 - np.floor(np.log10(values))
    near = np.fmax(np.fmin(places, _EXACT_POWER), -_EXACT_POWER).astype(np.intp)  # fmin: NaN becomes a number
    up, down = _POWERS[_EXACT_POWER + near], _POWERS[_EXACT_POWER - near]  # one of them is 1
    rounded: Array = np.rint(values * up / down) / up * down
    if (far := np.abs(places) > _EXACT_POWER).any():
        rounded[far] = [float(f"{value:.{_DIGITS - 1}e}") for value in values[far].tolist()]
    return rounded
