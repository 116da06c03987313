"""One of several options: Choice, and the shorthand Bool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.space import options as naming
from tuneful.space.options import GivenInCode, Labelled, Scalar, Stored, key_of, natural_key

Array = NDArray[np.float64]


class _Unset(Enum):
    UNSET = "no default"


UNSET: Final = _Unset.UNSET  # None is an option like any other


@dataclass(frozen=True, init=False)
class Choice:
    """One of several options, which may be any Python objects.

    Options are stored by label: a JSON scalar is its own, a class or function is `module:name`, a list or
    tuple is written out; for anything else give the label: `Choice({"small": object1, "large": object2})`.

    Args:
        options: The options, or `{label: option}`.
        weights: How much more often random search draws an option than another; all alike by default.
        ordered: The options lie on a line, like 32, 64, 128: a model may interpolate between them.
        default: The option (or its label) you would use without tuning.

    Raises:
        SpaceError: there is no option, two have one label, one has none, the default is none of them.

    >>> Choice(["adam", None, 3, (64, 32)]).labels
    ('adam', None, 3, '(64, 32)')
    """

    labels: tuple[Scalar, ...] = field(compare=False)
    keys: tuple[str, ...] = field(repr=False)
    options: tuple[object, ...] = field(compare=False, repr=False)
    weights: tuple[float, ...] | None
    ordered: bool
    default: Any = field(compare=False)
    default_key: str | None = field(repr=False)

    def __init__(
        self,
        options: Sequence[Any] | Mapping[Any, Any] | Labelled,
        *,
        weights: Sequence[float] | None = None,
        ordered: bool = False,
        default: Any = UNSET,
    ) -> None:
        labels, objects = naming.normal_options(options)
        assign = object.__setattr__
        assign(self, "labels", tuple(labels))
        assign(self, "keys", tuple(key_of(label) for label in labels))
        assign(self, "options", tuple(objects))
        assign(self, "ordered", ordered)
        if not labels:
            raise SpaceError("A Choice without options. Pass at least one.")
        if len(self._positions) < len(labels):
            twice = next(label for label, key in zip(labels, self.keys, strict=True) if self.keys.count(key) > 1)
            raise SpaceError(f"Choice has two options with the label {twice!r}. Leave one out, or label them.")
        assign(self, "weights", None if weights is None else _checked(weights, labels))
        assign(self, "default", UNSET if default is UNSET else labels[self._find(default, "The default")])
        assign(self, "default_key", None if default is UNSET else key_of(self.default))

    @property
    def categorical(self) -> bool:
        """Whether the options have no order."""
        return not self.ordered

    @property
    def size(self) -> float:
        """How many options there are."""
        return len(self.labels)

    @property
    def incomplete(self) -> bool:
        """Whether options are known by what was stored of them, and not by the objects themselves."""
        return any(isinstance(option, (Stored, GivenInCode)) for option in self.options)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def _natural(self) -> dict[str, int]:
        """The positions of options by the labels that they would have had by themselves."""
        known = {natural_key(option): position for position, option in enumerate(self.options)}
        return {key: position for key, position in known.items() if key is not None}

    @cached_property
    def _places(self) -> dict[tuple[type, Scalar], float]:
        return {(type(label), label): float(position) for position, label in enumerate(self.labels)}

    @cached_property
    def _shares(self) -> Array:
        """The share of each option and those before it, but for the last."""
        total: Array = np.cumsum(np.array(self.weights, dtype=np.float64))
        shares: Array = total / total[-1]
        return shares[:-1]

    def _find(self, option: object, what: str) -> int:
        key = natural_key(option)
        if key is not None and (known := self._positions.get(key, self._natural.get(key))) is not None:
            return known
        for position, (label, known_option) in enumerate(zip(self.labels, self.options, strict=True)):
            alike = type(label) in (int, float) and type(option) in (int, float) and label == option  # 1 for 1.0
            if known_option is option or alike:
                return position
        raise SpaceError(f"{what} {option!r:.120} is none of the options {_listed(self.labels)}. Pass one of them.")

    def levels(self, n: int | None = None) -> list[Scalar]:
        """The labels of all options in order, whatever `n`."""
        return list(self.labels)

    def encode(self, raw: Array) -> Array:
        """Positions (n,) to the centres of their cells in the unit interval."""
        return (raw + 0.5) / len(self.labels)

    def decode(self, unit: Array) -> Array:
        """Points of the unit interval (n,) to positions."""
        n = len(self.labels)
        return np.minimum(np.maximum(np.floor(unit * n), 0), n - 1)

    def draw(self, q: Array) -> Array:
        """The positions at the quantiles `q` (n,) of the weights."""
        if self.weights is None:
            return self.decode(q)
        drawn = np.searchsorted(self._shares, np.minimum(q, np.nextafter(1.0, 0.0)), side="right")
        return drawn.astype(np.float64)

    def to_raw(self, value: object, what: str = "The value") -> float:
        """The position of an option, or of its label.

        Raises:
            SpaceError: it is none of the options.
        """
        return float(self._find(value, what))

    def position(self, value: Scalar) -> float:
        """The position of a stored label, unchecked."""
        place = self._places.get((type(value), value))
        return float(self._positions[key_of(value)]) if place is None else place  # NaN, which does not equal itself

    def to_value(self, raw: float) -> Scalar:
        """The label at position `raw`."""
        return self.labels[int(raw)]

    def to_object(self, value: Scalar) -> object:
        """The option whose label is `value`."""
        option = self.options[int(self.position(value))]
        return option.load() if isinstance(option, (Stored, GivenInCode)) else option

    def widened(self, other: object) -> Choice:
        """The options of both, these first; settings are `other`'s.

        Raises:
            SpaceError: `other` is no Choice.
        """
        if not isinstance(other, Choice):
            raise SpaceError(f"{self} and {other} are of different kinds. Give one of them another name.")
        if other.keys == self.keys:
            return other
        pairs = dict(zip(self.keys, zip(self.labels, self.options, strict=True), strict=True))
        pairs |= dict(zip(other.keys, zip(other.labels, other.options, strict=True), strict=True))
        weights = None
        if other.weights is not None:
            given = dict(zip(other.keys, other.weights, strict=True))
            weights = [given.get(key, 0.0) for key in pairs]
        return Choice(Labelled(pairs.values()), weights=weights, ordered=other.ordered, default=other.default)

    def to_json(self) -> dict[str, Any]:
        """The domain as JSON values; options that are neither JSON nor importable become their labels."""
        pairs = zip(self.options, self.labels, strict=True)
        form: dict[str, Any] = {"type": "choice", "options": [naming.to_json(*pair) for pair in pairs]}
        if self.weights is not None:
            form["weights"] = list(self.weights)
        if self.ordered:
            form["ordered"] = True
        if self.default is not UNSET:
            form["default"] = naming.to_json(self.default, self.default)
        return form

    def __str__(self) -> str:
        return f"Choice({_listed(self.labels)})"


def Bool(*, default: Any = UNSET, weights: Sequence[float] | None = None) -> Choice:
    """False or True.

    >>> Bool(default=True).labels
    (False, True)
    """
    return Choice([False, True], default=default, weights=weights)


def _checked(weights: Sequence[float], labels: Sequence[Scalar]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(weight) for weight in weights)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != len(labels) or not all(0 <= w < math.inf for w in numbers) or not 0 < sum(numbers) < math.inf:
        raise SpaceError(
            f"Choice: the weights {weights!r:.120} do not fit the {len(labels)} options {_listed(labels)}. "
            "Pass one number, 0 or more, for each option, not all 0."
        )
    return numbers


def _listed(labels: Sequence[Scalar]) -> str:
    shown = ", ".join(f"{label!r:.60}" for label in labels[:12])
    return f"[{shown}{f', … {len(labels) - 12} more' if len(labels) > 12 else ''}]"
