"""A panel folder: problems, reference values and recorded runs of other libraries, kept outside the project.

It holds `tasks_public.py`, whose `tasks()` names each task's `params` (kind, range, choices, parent) and evaluates
configs; `public/refs.json`, quantiles of random losses; and `public/results/*.jsonl`, one JSON line a run.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tuneful as tn
from problems.problem import Params, Problem
from problems.references import Reference

_NEEDS = {"yahpo": "onnxruntime", "sklearn": "sklearn"}


def is_panel(folder: Path) -> bool:
    return all((folder / part).exists() for part in ("tasks_public.py", "public/refs.json"))


def problems(folder: Path) -> tuple[list[Problem], list[str]]:
    """The panel's problems that can run here, and why others cannot."""
    found, absent = [], []
    for task in _tasks(folder):
        library = _NEEDS.get(task.family)
        if library is None or find_spec(library) is not None:
            loss = _loss(task)
            found.append(Problem(task.name, task.family, space_of(task.params), loss, noisy=task.noisy, needs=library))
        else:
            absent.append(f"{task.name} needs {library}, which is not installed")
    return found, absent


def references(folder: Path) -> dict[str, Reference]:
    """What random search finds on each problem."""
    stored = json.loads((folder / "public/refs.json").read_text())
    return {name: Reference(form["best_random"], form["quantiles"]["0.5"]) for name, form in stored.items()}


def recorded(folder: Path) -> dict[str, Path]:
    """The files of recorded runs, by the name of the library."""
    files = sorted((folder / "public/results").glob("*.jsonl"))
    return {path.stem: path for path in files if not path.stem.startswith("_")}


def space_of(params: list[Any]) -> tn.Space:
    """The space of a panel's params; one with a parent exists only under certain values of it."""
    spec = {}
    for param in params:
        domain = _domain(param)
        spec[param.name] = domain if param.parent is None else tn.When({param.parent: [*param.parent_values]}, domain)
    return tn.Space(spec)


def _domain(param: Any) -> tn.Choice | tn.Int | tn.Float:
    if param.kind == "cat":
        return tn.Choice(list(param.choices))
    return {"int": tn.Int, "float": tn.Float}[param.kind](param.low, param.high, log=param.log)


def _loss(task: Any) -> Callable[[Params, int | None], float]:
    def loss(params: Params, seed: int | None) -> float:
        return float(task.evaluate(dict(params), seed=seed)["loss"])

    return loss


def _tasks(folder: Path) -> list[Any]:
    """The tasks, imported from a folder that is not ours: last on the path, and nothing is written there."""
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.append(str(folder))  # stays: a task may import its neighbours when it first runs
    try:
        tasks: list[Any] = importlib.import_module("tasks_public").tasks()
    finally:
        sys.dont_write_bytecode = kept
    return tasks
