"""What searchers are compared on: problems of our own, and those of a panel folder."""

from __future__ import annotations

from importlib.util import find_spec

from problems import numeric, structured
from problems.problem import Params, Problem

__all__ = ["Params", "Problem", "bundled"]


def bundled() -> list[Problem]:
    """The problems of our own; the trainings only where scikit-learn is installed."""
    found = [*numeric.problems(), *structured.problems()]
    if find_spec("sklearn") is not None:
        from problems import trainings

        found += trainings.problems()
    return found
