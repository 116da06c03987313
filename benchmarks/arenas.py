"""What is compared on together: the problems selected, their references, and the runs that others have recorded."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from problems import Problem, bundled, panel, references
from problems.references import Reference


class Arena(NamedTuple):
    """Problems that are compared on together.

    Attributes:
        title: What they are.
        problems: Those selected.
        references: What random search finds on each.
        recorded: Files of runs that others have made, by library.
    """

    title: str
    problems: list[Problem]
    references: dict[str, Reference]
    recorded: dict[str, Path]

    def only(self, names: Collection[str], families: Collection[str], half: str | None) -> Arena:
        """The arena with the problems whose names begin so, of these families, in this half; empty is all."""
        chosen = [problem for problem in self.problems if half is None or problem.name in _half(self.problems, half)]
        chosen = [problem for problem in chosen if not families or problem.family in families]
        return self._replace(problems=[p for p in chosen if not names or p.name.startswith(tuple(names))])


def own() -> Arena:
    """The problems of our own."""
    found = bundled()
    title = "problems of our own" + ("" if _has_trainings(found) else " (scikit-learn is not installed: no trainings)")
    return Arena(title, found, references.kept(), {})


def of_panel(folder: Path) -> Arena:
    """The problems of a panel folder, with the runs recorded there; none, if there is no panel."""
    if not panel.is_panel(folder):
        print(f"There is no panel in {folder}, so only the problems of our own are used. Name one with --panel.\n")
        return Arena("panel", [], {}, {})
    found, absent = panel.problems(folder)
    for reason in absent:
        print(f"Left out: {reason}.")
    return Arena(f"panel in {folder}", found, panel.references(folder), panel.recorded(folder))


def seeds_of(options: Namespace) -> list[int]:
    """The seeds of `--seeds`; of a half, the even or the odd ones."""
    half = options.half
    return [seed for seed in options.seeds if half is None or seed % 2 == (half == "held-out")]


def _half(problems: list[Problem], half: str) -> set[str]:
    """Every other problem of each family, so that both halves have some of all kinds."""
    families: dict[str, list[str]] = {}
    for problem in problems:
        families.setdefault(problem.family, []).append(problem.name)
    return {name for names in families.values() for name in names[half == "held-out" :: 2]}


def _has_trainings(problems: list[Problem]) -> bool:
    return any(problem.family == "training" for problem in problems)
