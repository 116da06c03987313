"""The same random trial of ten floats, asked for and told: by each library."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import tuneful as tn

NAMES = tuple(f"p{i}" for i in range(10))
SPACE = tn.Space({name: tn.Float(0, 1) for name in NAMES})
STUDY = "study"


def _installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


optuna, rustuna = _installed("optuna"), _installed("rustuna")
if optuna is not None:
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")


class Library(Protocol):
    """One study; calling it runs one trial."""

    def __call__(self) -> None: ...

    def trials(self) -> Sequence[Any]:
        """All trials, in the fastest way that users have."""

    def values(self) -> list[Any]:
        """The value of every trial."""


class Tuneful:
    """Ours; in memory, or in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self.study = tn.Study(SPACE, search="random", study=path and f"{path}#{STUDY}", seed=0)

    def __call__(self) -> None:
        trial = self.study.ask()
        assert trial is not None
        self.study.tell(trial, sum(trial.params.values()))

    def trials(self) -> Sequence[Any]:
        return self.study.trials

    def values(self) -> list[Any]:
        return [trial.value for trial in self.trials()]


class Optuna:
    """Optuna's RandomSampler; in memory, or in a file."""

    def __init__(self, path: Path | None = None) -> None:
        assert optuna is not None
        self.study = optuna.create_study(
            study_name=STUDY,
            storage=path and f"sqlite:///{path}",
            sampler=optuna.samplers.RandomSampler(seed=0),
        )

    def __call__(self) -> None:
        trial = self.study.ask()
        self.study.tell(trial, sum(trial.suggest_float(name, 0, 1) for name in NAMES))

    def trials(self) -> Sequence[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def values(self) -> list[Any]:
        return [trial.value for trial in self.trials()]


class Rustuna:
    """Rustuna's RandomSampler; in memory, or in a file."""

    def __init__(self, path: Path | None = None) -> None:
        assert rustuna is not None
        self.study = rustuna.create_study(
            study_name=STUDY,
            storage=path and rustuna.storages.SQLite3Storage(str(path)),
            sampler=rustuna.samplers.RandomSampler(seed=0),
        )

    def __call__(self) -> None:
        trial = self.study.ask()
        self.study.tell(trial.number, sum(trial.suggest_float(name, 0, 1) for name in NAMES))

    def trials(self) -> Sequence[Any]:
        found: list[Any] = self.study.trials
        return found

    def values(self) -> list[Any]:
        return [trial.value for trial in self.trials()]


# Those that can run here, ours first.
LIBRARIES: dict[str, Callable[..., Library]] = {
    "tuneful": Tuneful,
    **({} if optuna is None else {"optuna": Optuna}),
    **({} if rustuna is None else {"rustuna": Rustuna}),
}
