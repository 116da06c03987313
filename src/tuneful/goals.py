"""What a study studies: objectives and constraints, as people write them and as stores keep them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuneful.errors import StudyError
from tuneful.history import Bound, Objective

Goals = tuple[tuple[Objective, ...], tuple[Bound, ...]]

_BOUND = re.compile(r"\s*(?P<metric>(?:(?!<=|>=).)+?)\s*(?P<sign><=|>=)\s*(?P<limit>\S+)\s*")


def objectives_of(minimize: str | Sequence[str] | None, maximize: str | Sequence[str] | None) -> tuple[Objective, ...]:
    """The objectives that metric names give; `value`, to be minimized, if there are none.

    Raises:
        StudyError: a metric is named twice, or by no string.
    """
    named = [(name, False) for name in _listed(minimize)] + [(name, True) for name in _listed(maximize)]
    for name, _ in named:
        if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
            raise StudyError(
                f"A metric to study is called {name!r:.80}: use a string of 1 to 255 printable characters."
            )
        if [n for n, _ in named].count(name) > 1:
            raise StudyError(f"The metric {name!r} is named twice. Minimize it or maximize it.")
    return tuple(Objective(name, up) for name, up in named) or (Objective(),)


def bounds_of(constraints: str | Iterable[str]) -> tuple[Bound, ...]:
    """The constraints that texts like `memory_gb <= 4` give.

    Raises:
        StudyError: a text is not of that form.

    >>> bounds_of("accuracy >= 0.9")
    (Bound(metric='accuracy', limit=0.9, at_least=True),)
    """
    bounds = []
    for text in _listed(constraints):
        found = _BOUND.fullmatch(text) if isinstance(text, str) else None
        try:
            limit = float(found["limit"]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None or not math.isfinite(limit):
            raise StudyError(
                f"The constraint {text!r} is not of the form 'metric <= number' or 'metric >= number'. "
                "A relation between parameters belongs to the space: Space({...}, constraints=[...])."
            )
        bounds.append(Bound(found["metric"], limit, found["sign"] == ">="))
    return tuple(bounds)


def goals_to_json(objectives: Sequence[Objective], bounds: Sequence[Bound]) -> dict[str, Any]:
    """Objectives and constraints as JSON values."""
    return {
        "objectives": [[o.metric, o.maximize] for o in objectives],
        "constraints": [[b.metric, b.limit, b.at_least] for b in bounds],
    }


def goals_from_json(form: Mapping[str, Any]) -> Goals:
    """The objectives and constraints that `goals_to_json` wrote."""
    return (
        tuple(Objective(metric, up) for metric, up in form["objectives"]),
        tuple(Bound(metric, limit, at_least) for metric, limit, at_least in form["constraints"]),
    )


def describe(objectives: Sequence[Objective]) -> str:
    """Like "minimizes loss and maximizes accuracy"."""
    return " and ".join(f"{'maximizes' if o.maximize else 'minimizes'} {o.metric!r}" for o in objectives)


def _listed(given: object) -> list[Any]:
    """One or several, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
