"""The front doors: one call to search, one to open what was searched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneful.errors import StudyError, StudyNotFound
from tuneful.objective import bind, space_of
from tuneful.stores import open_store, parse_address
from tuneful.study import Study


def minimize(objective: Callable[..., Any], space: object = None, *, metric: str = "value", **options: Any) -> Study:
    """Search the setting with the lowest value.

    Args:
        objective: What to minimize: a function of the parameters, or of a trial.
        space: What can vary; by default what the objective's signature declares.
        metric: The metric to study, of an objective that returns a dict.
        options: Arguments of `Study` and of `Study.run`.

    Returns:
        The study: `study.best.params`, `study.best.value`.

    >>> from typing import Annotated
    >>> import tuneful as tn
    >>> def bowl(x: Annotated[float, tn.Float(-1, 1)] = 0.5) -> float:
    ...     return x**2
    >>> tn.minimize(bowl, trials=20, seed=1, quiet=True).best.value < 0.01
    True
    """
    return _searched(objective, space, {"minimize": metric}, options)


def maximize(objective: Callable[..., Any], space: object = None, *, metric: str = "value", **options: Any) -> Study:
    """Search the setting with the highest value; see `minimize`."""
    return _searched(objective, space, {"maximize": metric}, options)


def open_study(study: str | Path, **options: Any) -> Study:
    """A study that exists, to look at it or go on with it.

    Args:
        study: Where it lives.
        options: Arguments of `Study`: how to go on with it.

    Raises:
        StudyNotFound: there is none.
    """
    address = parse_address(study)
    if address.in_memory or (address.path is not None and not address.path.exists()):
        raise StudyNotFound(f"There is no file {address.path}.")
    store = open_store(address)
    try:
        if store.study(address.name) is None:
            names = store.studies()
            raise StudyNotFound(
                f"There is no study {address.name!r} in {address.place}. It has {', '.join(names) or 'none'}."
            )
    finally:
        store.close()
    return Study(study=study, **options)


_RUN = (
    *("timeout", "target", "patience", "total_steps", "max_failures", "callbacks", "quiet"),
    *("workers", "setup", "trial_timeout", "trial_memory"),
)


def _searched(objective: Callable[..., Any], space: object, goal: dict[str, Any], options: dict[str, Any]) -> Study:
    running = {name: options.pop(name) for name in _RUN if name in options}
    known = {*(Study.__init__.__kwdefaults__ or {}), *_RUN} - {"minimize", "maximize"}
    if unknown := sorted(options.keys() - known):
        raise StudyError(f"There is no option {unknown[0]!r}. The options are {', '.join(sorted(known))}.")
    varied = space_of(objective, space)
    bind(objective, varied, options.get("settings") or ())  # what cannot be called makes no study
    return Study(varied, **{**goal, **options}).run(objective, **running)
