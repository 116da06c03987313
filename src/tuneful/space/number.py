"""Numbers that can vary: Float, Int, and the shorthand Log."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.space.options import Scalar
from tuneful.space.scales import Continuous, Lattice, LogCells, LogLattice, Scale

if TYPE_CHECKING:
    from tuneful.space.beliefs import Belief

Array = NDArray[np.float64]

_LARGEST_INT = 2**53  # whole numbers above it are not all floats
_LARGEST_LOG_INT = 10**12  # beyond it exp(log(i)) may miss i
_MOST_STEPS = 2**50  # beyond it (i + 0.5) / n * n may miss i
_MOST_FACTORS = 10_000  # the values of a logarithmic step are kept in a table


@dataclass(frozen=True)
class _Number:
    """What Float and Int share; they differ in their scale and in which numbers they take."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    belief: Belief | None = None

    categorical: ClassVar[bool] = False
    _kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            if (value := getattr(self, name)) is not None:
                number = _read(self, value)
                if isinstance(number, str):
                    raise SpaceError(f"{self}: {name} must be {self._kind}, and is {number}.")
                object.__setattr__(self, name, number)
        _check_range(self)
        if self.belief is not None:
            _check_belief(self, self.belief)
        if self.default is not None:
            object.__setattr__(self, "default", self.to_value(self.to_raw(self.default, "The default")))

    @cached_property
    def scale(self) -> Scale:
        """How its values lie in the unit interval."""
        if self.step is None and isinstance(self, Float):
            return Continuous(self.low, self.high, self.log)
        if self.step is None and self.log:
            return LogCells(int(self.low), int(self.high))
        step = 1 if self.step is None else self.step
        return (LogLattice if self.log else Lattice)(self.low, self.high, step, _steps(self, step) + 1)

    @property
    def size(self) -> float:
        """How many values there are; inf if it is continuous."""
        return self.scale.size

    def levels(self, n: int | None = None) -> list[Any]:
        """All values in order, or at most `n` of them spread evenly.

        Raises:
            SpaceError: it is continuous and `n` is not given.
        """
        if n is None and self.size == math.inf:
            raise SpaceError(f"{self} is continuous: say how many levels of it to use.")
        return [self.to_value(raw) for raw in self.scale.levels(int(self.size) if n is None else n).tolist()]

    def encode(self, raw: Array) -> Array:
        """Values (n,) to the unit interval; NaN stays NaN."""
        return self.scale.encode(raw)

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to values."""
        return self.scale.decode(unit)

    def draw(self, q: Array) -> Array:
        """The values at the quantiles `q` (n,) of what is believed; uniform on its scale without a belief."""
        if self.belief is None:
            return self.scale.decode(q)
        return self.scale.snap(self.belief.quantile(q, *self.scale.edges))

    def to_raw(self, value: object, what: str = "The value") -> float:
        """The number that stands for `value` in arrays.

        Raises:
            SpaceError: it is not a number of this range.
        """
        number = _read(self, value)
        if isinstance(number, str):
            raise SpaceError(f"{what} {number} is not {self._kind}. {self._remedy()}")
        accepted = self.scale.accept(number)
        if accepted is None:
            raise SpaceError(f"{what} {value!r} is not in {self}. {self._remedy()}")
        return float(accepted)

    def position(self, value: Scalar) -> float:
        """The number that stands for a stored `value`, unchecked."""
        return float(value)  # type: ignore[arg-type]  # stored values of numbers are numbers

    def to_value(self, raw: float) -> Any:
        """The value that `raw` stands for."""
        return raw

    def to_object(self, value: Scalar) -> object:
        """What the objective gets for a stored `value`."""
        return value

    def widened(self, other: object) -> Any:
        """The smallest domain that holds both; settings other than the range are `other`'s.

        Raises:
            SpaceError: they are of different kinds.
        """
        if isinstance(other, _Number) and type(self) is type(other):
            return _widened(self, other)
        raise SpaceError(f"{self} and {other} are of different kinds. Give one of them another name.")

    def to_json(self) -> dict[str, Any]:
        """The domain as JSON values."""
        form: dict[str, Any] = {"type": type(self).__name__.lower(), "low": self.low, "high": self.high}
        if self.log:
            form["log"] = True
        form |= {k: v for k in ("step", "default") if (v := getattr(self, k)) is not None}
        return form if self.belief is None else form | {"belief": self.belief.to_json()}

    def _remedy(self) -> str:
        """What to pass instead of a value that is not in it."""
        if self.step is not None and self.size <= 12:
            return f"Pass one of {', '.join(map(_short, self.levels()))}."
        unit = "" if self.step is None else f", in {'factors' if self.log else 'steps'} of {_short(self.step)}"
        return f"Pass {self._kind.replace('finite ', '')} from {_short(self.low)} to {_short(self.high)}{unit}."

    def __str__(self) -> str:
        parts = [_short(self.low), _short(self.high)]
        parts += ["log=True"] if self.log else []
        parts += [] if self.step is None else [f"step={_short(self.step)}"]
        return f"{type(self).__name__}({', '.join(parts)})"


def _read(domain: _Number, value: object) -> float | str:
    """`value` as a number that the domain could take, or what it is instead."""
    return _whole(value) if isinstance(domain, Int) else _real(value)


def _real(value: object) -> float | str:
    """`value` as a finite float, or what it is instead."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return f"{value!r:.80} ({type(value).__name__})"
    try:
        number = float(value)
    except OverflowError:
        return _short(value)
    return number + 0.0 if math.isfinite(number) else repr(value)  # + 0.0 turns -0.0 into 0.0


def _whole(value: object) -> int | str:
    """`value` as a whole number, or what it is instead."""
    number = _real(value)
    if isinstance(number, str):
        return number
    return int(value) if number == math.floor(number) else repr(value)  # type: ignore[call-overload]  # a number: floor took it


@dataclass(frozen=True)
class Float(_Number):
    """A number from `low` to `high`, both included.

    Args:
        low, high: The range.
        log: Search the logarithm: for what acts by its order of magnitude, like a learning rate.
        step: Only `low`, `low + step`, … `high`, as written (with `log`: `low`, `low * step`, … `high`).
        default: The value you would use without tuning; trial 0 tries it.
        belief: `Normal` or `LogNormal`: where you expect the good values.

    Raises:
        SpaceError: the range is empty or infinite, the step does not divide it, the default lies outside.

    >>> Float(0.1, 0.5, step=0.1).levels()
    [0.1, 0.2, 0.3, 0.4, 0.5]
    """

    _kind: ClassVar[str] = "a finite number"


@dataclass(frozen=True)
class Int(_Number):
    """A whole number from `low` to `high`, both included.

    Args:
        low, high: The range, within ±2**53 and no wider than 2**50 (with `log`, up to 10**12).
        log: Search the logarithm: for sizes, like units of a layer.
        step: Only `low`, `low + step`, … `high` (with `log`: `low`, `low * step`, … `high`).
        default: The value you would use without tuning; trial 0 tries it.
        belief: `Normal` or `LogNormal`: where you expect the good values.

    Raises:
        SpaceError: the range is empty, the step does not divide it, the default lies outside.

    >>> Int(32, 256, log=True, step=2).levels()
    [32, 64, 128, 256]
    """

    low: int
    high: int
    log: bool = False
    step: int | None = None
    default: int | None = None

    _kind: ClassVar[str] = "a whole number"

    def to_value(self, raw: float) -> int:
        """The value that `raw` stands for."""
        return int(raw)


def Log(low: float, high: float, *, default: float | None = None, belief: Belief | None = None) -> Float:
    """A positive number searched in its logarithm: `Float(low, high, log=True)`.

    >>> Log(1e-4, 1e-1).levels(4)
    [0.0001, 0.001, 0.01, 0.1]
    """
    return Float(low, high, log=True, default=default, belief=belief)


def fixed(value: int) -> Int:
    """The Int of one value, which a user may not write: the count of a Repeat that does not vary."""
    made = Int(value, value + 1)
    object.__setattr__(made, "high", value)
    object.__setattr__(made, "default", value)
    return made


def _check_range(domain: _Number) -> None:
    if domain.low > domain.high:
        raise SpaceError(f"{domain}: low is above high. Swap them.")
    if domain.low == domain.high:
        raise SpaceError(
            f"{domain}: low equals high, so there is nothing to search. "
            "Widen the range, or leave the parameter out of the space and pass its value to the objective."
        )
    if domain.log and domain.low <= 0:
        raise SpaceError(
            f"{domain}: a logarithmic range must begin above 0, and low is {_short(domain.low)}. "
            "Pass a positive low, or leave `log` out."
        )
    if domain.high - domain.low == math.inf:
        raise SpaceError(f"{domain}: the range is too wide for a float. Narrow it, or use log=True.")
    largest = _LARGEST_LOG_INT if domain.log and domain.step is None else _LARGEST_INT
    if isinstance(domain, Int) and max(abs(domain.low), abs(domain.high)) > largest:
        limit = "10**12 with log=True" if largest == _LARGEST_LOG_INT else "2**53"
        raise SpaceError(f"{domain}: whole numbers may be as large as {limit}. Narrow the range, or use Float.")
    if domain.step is not None:
        _check_step(domain, domain.step)
    elif isinstance(domain, Int) and domain.high - domain.low >= _MOST_STEPS:
        raise SpaceError(f"{domain}: the range is wider than 2**50. Narrow it, or use Float.")


def _check_step(domain: _Number, step: float) -> None:
    if step <= (1 if domain.log else 0):
        least = "above 1 (it is a factor)" if domain.log else "above 0"
        raise SpaceError(f"{domain}: the step must be {least}, and is {_short(step)}.")
    steps, most = _steps(domain, step), _MOST_FACTORS if domain.log else _MOST_STEPS
    if steps >= most or (not domain.log and step < 4 * math.ulp(max(abs(domain.low), abs(domain.high)))):
        raise SpaceError(f"{domain}: the step {_short(step)} is too small for this range. Leave it out.")
    if steps == 0 or not _meets(domain, step, steps):
        last = _reached(domain, step, steps)
        if last > domain.high:
            last = _reached(domain, step, steps - 1)
        other = f"Pass high={_short(last)}, or another step." if last > domain.low else "Pass a smaller one."
        raise SpaceError(
            f"{domain}: the step {_short(step)} does not divide the range: "
            f"the last value would be {_short(last)}. {other}"
        )


def _steps(domain: _Number, step: float) -> int:
    """How many steps there are from `low` to `high`, to the nearest."""
    if domain.log:
        return round((math.log(domain.high) - math.log(domain.low)) / math.log(step))
    return round((Decimal(repr(domain.high)) - Decimal(repr(domain.low))) / Decimal(repr(step)))


def _meets(domain: _Number, step: float, steps: int) -> bool:
    """Whether so many steps end at `high`, but for what a float cannot hold of a third."""
    unit = (step - 1) * domain.high if domain.log else step
    slack = 0 if isinstance(domain, Int) else 1e-9 * unit
    return abs(_reached(domain, step, steps) - domain.high) <= slack


def _reached(domain: _Number, step: float, steps: int) -> float:
    low, each = Decimal(repr(domain.low)), Decimal(repr(step))
    reached = low * each**steps if domain.log else low + each * steps
    return int(reached) if isinstance(domain, Int) else float(reached)


def _check_belief(domain: _Number, belief: Any) -> None:
    if not callable(getattr(belief, "quantile", None)):
        raise SpaceError(
            f"{domain}: the belief {belief!r} is not one. Pass Normal(mean, sd) or LogNormal(median, spread)."
        )
    if not np.isfinite(belief.quantile(np.array([0.5]), *domain.scale.edges)).all():
        raise SpaceError(f"{domain}: {belief} expects positive values, and there are none. Pass a Normal.")


def _widened(old: _Number, new: _Number) -> _Number:
    low, high = min(old.low, new.low), max(old.high, new.high)
    if (low, high) == (new.low, new.high):
        return new
    plain = {"step": None, "log": new.log and low > 0}
    attempts: list[dict[str, Any]] = [{}, plain] if (old.step, old.log) == (new.step, new.log) else [plain]
    for settings in attempts:
        with suppress(SpaceError):  # the steps of one need not meet those of the other
            return replace(new, low=low, high=high, **settings)
    return replace(new, low=low, high=high, step=None, log=False)


def _short(number: object) -> str:
    """A number as short as it can be written exactly; a huge one in words."""
    if isinstance(number, int) and abs(number) > 10**20:
        return f"about {'-' * (number < 0)}10**{math.log10(abs(number)):.0f}"
    return repr(number).removesuffix(".0")
