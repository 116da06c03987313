"""What a suggestion of TPE costs beside Optuna's and Rustuna's, at a thousand and at ten thousand trials.

`python benchmarks/tpe.py`. CPU time of ask and tell in memory, one thread, ten floats, measured in turns in one run.
It takes two minutes.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import time
from collections.abc import Callable
from importlib.metadata import version

from contenders import LIBRARIES, NAMES, SPACE, optuna, rustuna
from measure import in_turns
from table import Table

import tuneful as tn
from tuneful.searchers.tpe import Tpe

FEW, MANY = 1_000, 10_000


def value(params: dict[str, float]) -> float:
    return sum((u - 0.3) ** 2 for u in params.values())


class Ours:
    """A study with so many trials."""

    def __init__(self, n: int) -> None:
        self.study = tn.Study(SPACE, search=Tpe(), seed=0)
        for _ in range(n):
            self()

    def __call__(self) -> None:
        trial = self.study.ask()
        assert trial is not None
        self.study.tell(trial, value(trial.params))


class Optuna:
    """The same; it begins at random, since otherwise it takes minutes."""

    def __init__(self, n: int) -> None:
        assert optuna is not None
        self.study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(n):
            self()
        self.study.sampler = optuna.samplers.TPESampler(seed=0)

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


CONTENDERS: dict[str, Callable[[int], Callable[[], None]]] = {"tuneful": Ours, "optuna": Optuna, "rustuna": Rustuna}
COUNTS = {FEW: {"tuneful": 40, "optuna": 4, "rustuna": 40}, MANY: {"tuneful": 40, "optuna": 1, "rustuna": 10}}


def main() -> None:
    peers = {name: f"{name} {version(name)}" if name in LIBRARIES else name for name in ("optuna", "rustuna")}
    table = Table({"tuneful": "tuneful", **peers}, frozenset(peers) - frozenset(LIBRARIES))
    table.head()
    made = {(name, n): CONTENDERS[name](n) for n in (FEW, MANY) for name in LIBRARIES}
    calls = {f"{name} {n}": (study, COUNTS[n][name]) for (name, n), study in made.items()}
    seconds = in_turns(calls, 9, time.process_time)  # all in one round, so that they meet the same noise
    cost = {n: {name: 1e3 * seconds[f"{name} {n}"] for name in LIBRARIES} for n in (FEW, MANY)}
    few, many = cost[FEW], cost[MANY]
    rival = "rustuna" in LIBRARIES
    near = few["tuneful"] <= 2 * few["rustuna"] if rival else None
    table.line(f"TPE ask + tell at {FEW:,}: CPU ms", few, "at most 2 x Rustuna's", holds=near)
    faster = many["tuneful"] < many["rustuna"] if rival else None
    table.line(f"  at {MANY:,}: CPU ms", many, "less than Rustuna's", holds=faster)
    growth = {name: many[name] / few[name] for name in LIBRARIES}
    table.line(f"  at {MANY:,}, x that at {FEW:,}", growth, "at most 1.5", holds=growth["tuneful"] <= 1.5)
    table.foot()


if __name__ == "__main__":
    main()
