"""What an objective may return and report, as numbers by metric."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tuneful.errors import ObjectiveError
from tuneful.history import Bound, Objective


def number_of(value: object, what: str) -> float:
    """`value` as a float: a real number, or an array or tensor of no dimensions that holds one.

    Raises:
        ObjectiveError: it is something else.

    >>> number_of(3, "loss")
    3.0
    """
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    try:
        if shape == () and callable(getattr(value, "item", None)):
            value = value.item()  # type: ignore[attr-defined]  # numpy scalars, arrays and tensors have it
        if isinstance(value, (numbers.Real, Decimal)):
            return float(value)
    except Exception as error:  # noqa: BLE001 - a number of somebody's making may raise anything
        raise ObjectiveError(f"{what} is {_written(value, 40)} ({kind}), which is no float: {error}.") from None
    hint = ""
    if isinstance(value, str):
        hint = " Convert it: float(...)."
    elif isinstance(shape, tuple) and shape:
        hint = f" It has the shape {tuple(shape)}; return one number, for example its mean."
    elif isinstance(value, complex):
        hint = " Return its real part, or its magnitude."
    raise ObjectiveError(f"{what} must be a number, and is {_written(value)} ({kind}).{hint}")


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
        f"{what} is {_written(value)}, but {len(names)} metrics are studied. Return a dict with {', '.join(names)}."
    )


def final_values(
    returned: Any,
    curve: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    objectives: Sequence[Objective],
    bounds: Sequence[Bound],
    of: str,
) -> dict[str, float]:
    """The final value of each metric of a trial: what was returned, else the last report (or, `of` best, the best).

    Raises:
        MissingMetric: a studied or constrained metric was neither returned nor reported.
        Diverged: a studied metric is not finite.
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
            raise Diverged(
                f"{objective.metric!r} is {values[objective.metric]}: the training broke down, or the objective did. "
                "The trial counts as failed."
            )
    for bound in bounds:
        if bound.metric not in values:
            raise MissingMetric(_missing(bound.metric, values, "which a constraint bounds"))
    return values


class MissingMetric(ObjectiveError):
    """An objective ended without the studied metric."""


class Diverged(ObjectiveError):
    """A studied metric is NaN or infinite."""


def _missing(metric: str, values: Mapping[str, float], role: str = "which is studied") -> str:
    if not values:
        return "The trial ended with None and reported nothing. Return (or tell) its value, or trial.report() it."
    names = ", ".join(repr(name) for name in values)
    if role != "which is studied":
        return f"The objective never gave {metric!r}, {role}. It gave {names}. Return {metric!r} as well."
    return (
        f"The objective never gave {metric!r}, which is studied. It gave {names}. Study one of these, as in "
        f"Study(..., minimize={next(iter(values))!r}) or minimize(..., metric={next(iter(values))!r}), or return "
        f"{metric!r} as well."
    )


def _written(value: object, width: int = 80) -> str:
    try:
        return f"{value!r:.{width}}"
    except Exception:  # noqa: BLE001 - a broken __repr__, or a whole number of too many digits
        return "an object that cannot be printed"


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise ObjectiveError(f"A metric is called {_written(name)}: use a string of 1 to 255 printable characters.")
    return name
