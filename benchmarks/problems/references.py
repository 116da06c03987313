"""What random search finds on each problem of our own: the yardstick of regret, kept in references.json.

`python benchmarks/search.py --references` draws them anew, which takes half an hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from problems.problem import Problem

PATH = Path(__file__).with_name("references.json")
_SEED = 12345
_DRAWS = {"training": 2_000}
_MOST = 50_000


@dataclass(frozen=True)
class Reference:
    """The least loss known of a problem, and the median loss of random configs that do not fail."""

    best: float
    median: float


def kept() -> dict[str, Reference]:
    """The references that are in the file."""
    return {name: Reference(form["best"], form["median"]) for name, form in json.loads(PATH.read_text()).items()}


def write(problems: Iterable[Problem]) -> None:
    """Draw the references of `problems` anew and write them."""
    forms = json.loads(PATH.read_text()) if PATH.exists() else {}
    for problem in problems:
        n = _DRAWS.get(problem.family, _MOST)
        reference = drawn(problem, n)
        forms[problem.name] = {**asdict(reference), "draws": n}
        PATH.write_text(json.dumps(dict(sorted(forms.items())), indent=1) + "\n")
        print(f"{problem.name:20} best {reference.best:.6g}, median {reference.median:.6g} of {n:,}", flush=True)


def drawn(problem: Problem, n: int) -> Reference:
    """The reference of a problem from `n` random configs; its optimum is the best, where it is known."""
    space = problem.space
    losses = []
    for raw in space.draw(np.random.default_rng(_SEED).random((n, len(space)))):
        try:
            losses.append(problem.loss(space.nested(space.config(raw)), None))
        except (ArithmeticError, MemoryError, RuntimeError, ValueError):
            continue
    best = min(losses) if problem.optimum is None else problem.optimum
    return Reference(best, float(np.median(losses)))
