"""What a user believes about where the good values of a parameter lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from tuneful.errors import SpaceError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """Good values lie around `mean`, most of them within two `sd`.

    A belief changes what is drawn (random search draws from it), not what is allowed.

    Args:
        mean: The middle, as a value of the parameter.
        sd: The standard deviation.

    Raises:
        SpaceError: the mean is not finite, or the sd not positive.

    >>> from tuneful.space import Float
    >>> Float(0, 1, belief=Normal(0.3, 0.1)).draw(np.array([0.5])).round(3)
    array([0.3])
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        _make_floats(self, "mean", "sd")
        if not (math.isfinite(self.mean) and 0 < self.sd < math.inf):
            raise SpaceError(f"{self}: pass a finite mean and a positive, finite sd.")

    def quantile(self, q: Array, low: float, high: float) -> Array:
        """The `q`-quantiles (n,) of the normal cut off at `low` and `high`."""
        return self.mean + self.sd * _truncated(q, (low - self.mean) / self.sd, (high - self.mean) / self.sd)

    def to_json(self) -> dict[str, Any]:
        """The belief as JSON values."""
        return {"type": "normal", "mean": self.mean, "sd": self.sd}


@dataclass(frozen=True)
class LogNormal:
    """Good values lie around `median`, most of them within a factor `spread` squared.

    Args:
        median: The middle, as a value of the parameter.
        spread: Above 1; 3 means: two thirds of the good values lie between a third and triple the median.

    Raises:
        SpaceError: the median is not positive, or the spread not above 1.

    >>> from tuneful.space import Log
    >>> Log(1e-5, 1, belief=LogNormal(1e-3, 3)).draw(np.array([0.5])).round(6)
    array([0.001])
    """

    median: float
    spread: float

    def __post_init__(self) -> None:
        _make_floats(self, "median", "spread")
        if not (0 < self.median < math.inf and 1 < self.spread < math.inf):
            raise SpaceError(
                f"{self}: pass a positive median and a spread above 1 "
                "(2 means: two thirds of the good values lie between half and twice the median)."
            )

    def quantile(self, q: Array, low: float, high: float) -> Array:
        """The `q`-quantiles (n,) of the log-normal between `low` and `high`; NaN if none is positive."""
        if high <= 0:
            return np.full(np.shape(q), np.nan)
        centre, sd = math.log(self.median), math.log(self.spread)
        lowest = (math.log(low) - centre) / sd if low > 0 else -math.inf
        return np.exp(centre + sd * _truncated(q, lowest, (math.log(high) - centre) / sd))

    def to_json(self) -> dict[str, Any]:
        """The belief as JSON values."""
        return {"type": "lognormal", "median": self.median, "spread": self.spread}


Belief = Normal | LogNormal


def belief_from_json(form: Mapping[str, Any]) -> Belief:
    """The belief that `to_json` wrote.

    Raises:
        SpaceError: it is not such a form.
    """
    kinds: dict[Any, type[Belief]] = {"normal": Normal, "lognormal": LogNormal}
    try:
        settings = {key: value for key, value in form.items() if key != "type"}
        return kinds[form["type"]](**settings)
    except (AttributeError, KeyError, TypeError):
        raise SpaceError(
            f"Unknown belief {form!r}. Write {{'type': 'normal', 'mean': …, 'sd': …}} "
            "or {'type': 'lognormal', 'median': …, 'spread': …}."
        ) from None


def _make_floats(belief: Belief, *names: str) -> None:
    for name in names:
        value = getattr(belief, name)
        try:
            object.__setattr__(belief, name, float(value))
        except (TypeError, ValueError):
            raise SpaceError(f"{type(belief).__name__}: {name} must be a number, and is {value!r}.") from None


def _truncated(q: Array, low: float, high: float) -> Array:
    """Quantiles of the standard normal cut off at `low` and `high`, from the tail that loses no digits."""
    if low > 0:
        return -_truncated(1 - q, -high, -low)
    # In logarithms, since beyond 38 sd the distribution function itself is 0.
    below, above = log_ndtr(low), log_ndtr(high)
    with np.errstate(divide="ignore"):
        quantiles: Array = np.clip(ndtri_exp(above + np.log(q + (1 - q) * np.exp(below - above))), low, high)
    return quantiles
