"""Tuneful tunes hyperparameters.

Say what can vary and what good means; it finds the best setting in few and short runs, and never loses a result.

>>> import tuneful as tn
>>> def train(lr, opt):
...     return (lr - 0.01) ** 2 + (opt == "sgd")
>>> study = tn.minimize(train, {"lr": tn.Log(1e-5, 1e-1), "opt": ["adam", "sgd"]}, trials=20, seed=0, quiet=True)
>>> study.best.params["opt"]
'adam'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneful.homes import importing

if TYPE_CHECKING:
    from tuneful import executors as executors
    from tuneful import pruners as pruners
    from tuneful import schedulers as schedulers
    from tuneful import searchers as searchers
    from tuneful.doors import maximize as maximize
    from tuneful.doors import minimize as minimize
    from tuneful.doors import open_study as open_study
    from tuneful.errors import CheckpointError as CheckpointError
    from tuneful.errors import ObjectiveError as ObjectiveError
    from tuneful.errors import SpaceError as SpaceError
    from tuneful.errors import StoreAway as StoreAway
    from tuneful.errors import StoreBusy as StoreBusy
    from tuneful.errors import StoreError as StoreError
    from tuneful.errors import StoreFull as StoreFull
    from tuneful.errors import StudyError as StudyError
    from tuneful.errors import StudyNotFound as StudyNotFound
    from tuneful.errors import TunefulError as TunefulError
    from tuneful.history import History as History
    from tuneful.history import State as State
    from tuneful.simulation import simulate as simulate
    from tuneful.space import Bool as Bool
    from tuneful.space import Choice as Choice
    from tuneful.space import Float as Float
    from tuneful.space import Int as Int
    from tuneful.space import Log as Log
    from tuneful.space import Repeat as Repeat
    from tuneful.space import Space as Space
    from tuneful.space import Switch as Switch
    from tuneful.space import When as When
    from tuneful.space.beliefs import LogNormal as LogNormal
    from tuneful.space.beliefs import Normal as Normal
    from tuneful.study import Study as Study
    from tuneful.trial import Trial as Trial

__version__ = "0.1.0"

# Where each public name lives; it is imported when it is first used.
_HOMES: dict[str, str | None] = {
    **dict.fromkeys(("Bool", "Choice", "Float", "Int", "Log", "Repeat", "Space", "Switch", "When"), "space"),
    **dict.fromkeys(("LogNormal", "Normal"), "space.beliefs"),
    **dict.fromkeys(("History", "State"), "history"),
    **dict.fromkeys(("maximize", "minimize", "open_study"), "doors"),
    "simulate": "simulation",
    "Study": "study",
    "Trial": "trial",
    **dict.fromkeys(
        (
            *("CheckpointError", "ObjectiveError", "SpaceError", "StoreAway", "StoreBusy", "StoreError"),
            *("StoreFull", "StudyError", "StudyNotFound", "TunefulError"),
        ),
        "errors",
    ),
    **dict.fromkeys(("executors", "pruners", "schedulers", "searchers", "testing")),
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of strings

__getattr__ = importing(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
