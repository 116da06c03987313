"""What an objective may return and report, as numbers by metric."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tuneful.errors import ObjectiveError
from tuneful.history import Objective


def number_of(value: object, what: str) -> float:
    """`value` as a float: a real number, or an array or tensor of no dimensions that holds one.

    Raises:
        ObjectiveError: it is something else.

    >>> number_of(3, "loss")
    3.0
    """
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()  # type: ignore[attr-defined]  # numpy scalars, arrays and tensors have it
    if isinstance(value, (numbers.Real, Decimal)):
        try:
            return float(value)
        except (OverflowError, ValueError) as error:
            raise ObjectiveError(f"{what} is {value!r:.40}, which is no float: {error}.") from None
    kind = type(value).__name__
    hint = ""
    if isinstance(value, str):
        hint = " Convert it: float(...)."
    elif hasattr(value, "shape"):
        hint = f" It has the shape {tuple(value.shape)}; return one number, for example its mean."
    elif isinstance(value, complex):
        hint = " Return its real part, or its magnitude."
    raise ObjectiveError(f"{what} must be a number, and is {value!r:.80} ({kind}).{hint}")


def metrics_of(value: Any, objectives: Sequence[Objective], what: str) -> dict[str, float]:
    """The metrics of what an objective returned or reported: a number, a dict, or a tuple for several objectives.

    Raises:
        ObjectiveError: it cannot be read so.
    """
    if isinstance(value, Mapping):
        return {_name(name): number_of(inner, f"{what}: {name!r}") for name, inner in value.items()}
    if len(objectives) == 1:
        return {objectives[0].metric: number_of(value, what)}
    names = [objective.metric for objective in objectives]
    if isinstance(value, (tuple, list)) and len(value) == len(objectives):
        return {name: number_of(inner, f"{what}: {name!r}") for name, inner in zip(names, value, strict=True)}
    raise ObjectiveError(
        f"{what} is {value!r:.80}, but {len(names)} metrics are studied. Return a dict with {', '.join(names)}."
    )


def final_values(
    returned: Any,
    curve: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    objectives: Sequence[Objective],
    of: str,
) -> dict[str, float]:
    """The final value of each metric of a trial: what was returned, else the last report (or, `of` best, the best).

    Raises:
        ObjectiveError: a studied metric was neither returned nor reported, or is not finite.
    """
    values = {name: points[-1] for name, (_, points) in curve.items() if len(points)}
    if returned is not None:
        values |= metrics_of(returned, objectives, "What the objective returned")
    for objective in objectives:
        if objective.metric not in values:
            raise MissingMetric(_missing(objective.metric, values))
        if of == "best":
            points = [*curve.get(objective.metric, ((), ()))[1], values[objective.metric]]
            finite = [point for point in points if math.isfinite(point)]
            values[objective.metric] = min(finite or points, key=lambda point: objective.sign * point)
        if not math.isfinite(values[objective.metric]):
            raise NotFinite(
                f"{objective.metric!r} is {values[objective.metric]}: the training broke down, or the objective did. "
                "The trial counts as failed."
            )
    return values


class MissingMetric(ObjectiveError):
    """An objective ended without the studied metric."""


class NotFinite(ObjectiveError):
    """A studied metric is NaN or infinite at the end."""


def _missing(metric: str, values: Mapping[str, float]) -> str:
    if not values:
        return "The objective returned None and reported nothing. Return the value, or trial.report() it."
    names = ", ".join(repr(name) for name in values)
    return (
        f"The objective never gave {metric!r}, which is studied. It gave {names}. Study one of these "
        f"(minimize={next(iter(values))!r}), or return {metric!r} as well."
    )


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise ObjectiveError(f"A metric is called {name!r:.80}: use a string of 1 to 255 printable characters.")
    return name
