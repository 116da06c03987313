"""Algorithms by name: `search="one_at_a_time"` is `searchers.OneAtATime()`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tuneful import pruners, schedulers, searchers
from tuneful.errors import StudyError
from tuneful.protocols import Pruner, Scheduler, Searcher

Prune = str | Pruner | Sequence["Prune"] | None


def searcher_of(search: str | Searcher) -> Searcher:
    """A searcher by its name, or itself.

    Raises:
        StudyError: there is none of that name, or it is no searcher.
    """
    found = _made(searchers, search, "search")
    if not isinstance(found, Searcher):
        raise StudyError(f"search={search!r} has no `propose`. Pass a searcher, or one of {_listed(searchers)}.")
    return found


def scheduler_of(schedule: str | Scheduler, searcher: Searcher) -> Scheduler:
    """A scheduler by its name, holding `searcher`; or itself.

    Raises:
        StudyError: there is none of that name, or it is no scheduler.
    """
    found = _made(schedulers, schedule, "schedule", searcher)
    if not isinstance(found, Scheduler):
        raise StudyError(f"schedule={schedule!r} has no `plan`. Pass a scheduler, or one of {_listed(schedulers)}.")
    return found


def pruner_of(prune: Prune) -> Pruner | None:
    """A pruner by its name, itself, or several as one.

    Raises:
        StudyError: there is none of that name, or it cannot be called.
    """
    if prune is None:
        return None
    if isinstance(prune, (list, tuple)):
        made = [pruner for one in prune if (pruner := pruner_of(one)) is not None]
        return pruners.AnyOf(tuple(made)) if made else None
    found = _made(pruners, prune, "prune")
    if not callable(found):
        raise StudyError(f"prune={prune!r} cannot be called. Pass a pruner, or one of {_listed(pruners)}.")
    return found  # type: ignore[no-any-return]  # what can be called with a history and a trial is one


def names(package: ModuleType) -> list[str]:
    """The names of a package's algorithms.

    >>> from tuneful import schedulers
    >>> names(schedulers)
    ['asha', 'auto', 'freeze_thaw', 'full', 'hyperband', 'one_epoch', 'successive_halving']
    """
    return [_snake(name) for name in package.__all__]


def _made(package: ModuleType, wanted: Any, argument: str, *args: Any) -> Any:
    if isinstance(wanted, type):
        raise StudyError(f"{argument}={wanted.__name__} is a class. Build one: {wanted.__name__}(...).")
    if not isinstance(wanted, str):
        return wanted
    known = {_snake(name): name for name in package.__all__}
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise StudyError(f"There is no {argument}={wanted!r}.{hint} There are {', '.join(known)}.")
    try:
        return getattr(package, known[wanted])(*args)
    except TypeError:
        raise StudyError(
            f"{argument}={wanted!r} needs settings. Build it: tuneful.{package.__name__.rpartition('.')[2]}."
            f"{known[wanted]}(...)."
        ) from None


def _listed(package: ModuleType) -> str:
    return ", ".join(names(package))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
