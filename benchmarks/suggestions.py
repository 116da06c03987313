"""What a suggestion costs, beside Optuna's and Rustuna's, after few trials and many.

`python benchmarks/suggestions.py`. CPU time of ask and tell in memory, one thread, ten floats, measured in turns in one
run. It takes three minutes.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from contenders import LIBRARIES, NAMES, SPACE, optuna, rustuna
from measure import in_turns
from table import Table

import tuneful as tn
from tuneful.searchers import Auto, Gp, Tpe

FEW, MANY = 1_000, 10_000


def value(params: dict[str, float]) -> float:
    return sum((u - 0.3) ** 2 for u in params.values())


class Ours:
    """A study with so many trials."""

    def __init__(self, n: int, search: Any, trials: int | None = None) -> None:
        self.study = tn.Study(SPACE, search=search, seed=0, trials=trials)
        for _ in range(n):
            self()

    def __call__(self) -> None:
        trial = self.study.ask()
        assert trial is not None
        self.study.tell(trial, value(trial.params))


class Optuna:
    """The same; it begins at random, since otherwise it takes minutes."""

    def __init__(self, n: int, sampler: Callable[[], Any]) -> None:
        assert optuna is not None
        self.study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(n):
            self()
        self.study.sampler = sampler()

    def __call__(self) -> None:
        trial = self.study.ask()
        self.study.tell(trial, value({name: trial.suggest_float(name, 0, 1) for name in NAMES}))


class Rustuna:
    """The same."""

    def __init__(self, n: int) -> None:
        assert rustuna is not None
        self.study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=0))
        for _ in range(n):
            self()

    def __call__(self) -> None:
        trial = self.study.ask()
        self.study.tell(trial.number, value({name: trial.suggest_float(name, 0, 1) for name in NAMES}))


def densities(table: Table) -> None:
    counts = {FEW: {"tuneful": 40, "optuna": 4, "rustuna": 40}, MANY: {"tuneful": 40, "optuna": 1, "rustuna": 10}}
    begun: dict[str, Callable[[int], Callable[[], None]]] = {
        "tuneful": lambda n: Ours(n, Tpe()),
        "optuna": lambda n: Optuna(n, lambda: optuna.samplers.TPESampler(seed=0)),
        "rustuna": Rustuna,
    }
    calls = {f"{name} {n}": (begun[name](n), counts[n][name]) for n in (FEW, MANY) for name in LIBRARIES}
    seconds = in_turns(calls, 9, time.process_time)  # all in one round, so that they meet the same noise
    few, many = ({name: 1e3 * seconds[f"{name} {n}"] for name in LIBRARIES} for n in (FEW, MANY))
    rival = "rustuna" in LIBRARIES
    near = few["tuneful"] <= 2 * few["rustuna"] if rival else None
    table.line(f"Tpe, ask + tell at {FEW:,}: CPU ms", few, "at most 2 x Rustuna's", holds=near)
    faster = many["tuneful"] < many["rustuna"] if rival else None
    table.line(f"  at {MANY:,}: CPU ms", many, "less than Rustuna's", holds=faster)
    growth = {name: many[name] / few[name] for name in LIBRARIES}
    table.line(f"  at {MANY:,}, x that at {FEW:,}", growth, "at most 1.5", holds=growth["tuneful"] <= 1.5)


def processes(table: Table) -> None:
    """The mean over the trials just before a count, the thorough fits among them."""
    peer = optuna is not None and find_spec("torch") is not None
    theirs = Optuna(90, lambda: optuna.samplers.GPSampler(seed=0)) if peer else None
    cost = {name: _along(Ours(0, searcher), 400) for name, searcher in (("Gp", Gp()), ("Auto", Auto()))}
    rows = [("Gp", 100, 20), ("Gp", 300, 60), ("Auto", 100, 30), ("Auto", 400, 100)]
    for name, n, most in rows:
        found = {"tuneful": float(cost[name][n - 25 : n].mean())}
        if theirs is not None and (name, n) == ("Gp", 100):
            found["optuna"] = float(_along(theirs, 10).mean())
        table.line(f"{name}, ask + tell at {n}: CPU ms", found, f"at most {most}", holds=found["tuneful"] <= most)
    late = _along(Ours(MANY, Auto(), MANY + 50), 40)
    table.line(
        f"Auto, ask + tell at {MANY:,}: CPU ms", {"tuneful": late.mean()}, "at most 100", holds=late.mean() < 100
    )


def _along(study: Callable[[], None], n: int) -> np.ndarray:
    """CPU milliseconds of each of the next `n` trials."""
    taken = []
    for _ in range(n):
        start = time.process_time()
        study()
        taken.append(1e3 * (time.process_time() - start))
    return np.array(taken)


def main() -> None:
    peers = {name: f"{name} {version(name)}" if name in LIBRARIES else name for name in ("optuna", "rustuna")}
    table = Table({"tuneful": "tuneful", **peers}, frozenset(peers) - frozenset(LIBRARIES))
    table.head()
    densities(table)
    processes(table)
    table.foot()


if __name__ == "__main__":
    main()
