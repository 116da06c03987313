"""Rungs: the steps at which trials are compared, and how they stand there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History, State
from tuneful.history.standing import standings

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def check_rungs(name: str, first: int, eta: int) -> None:
    """Raise if rungs cannot be laid out so.

    Raises:
        StudyError: with the name of the rule and the value that is wrong.
    """
    for setting, value, least in (("first", first, 1), ("eta", eta, 2)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise StudyError(f"{name}({setting}={value!r}): pass a whole number of at least {least}.")


def length(history: History, steps: int | None) -> int | None:
    """How many steps a trial has: as they say, else as told, else as the longest that is done has made; None: unknown.

    Args:
        history: What is known.
        steps: What the user says.
    """
    said = int(history.length.max(initial=0))
    if said:
        return said
    if steps is not None:
        return steps
    done = history.reached[history.state == State.DONE]
    return int(done.max(initial=0)) or None


def geometric(first: int, eta: int, last: int | None) -> list[int]:
    """The steps `first`, `first` x `eta` and so on below `last`, which may be unknown."""
    top = 2**40 if last is None else last
    levels = []
    while first < top:
        levels.append(first)
        first *= eta
    return levels


def order(standing: Array, trials: Ints) -> Ints:
    """Trials from the best to the worst as they stand, (n,) by trial; of equal ones the first before."""
    return trials[np.lexsort((trials, standing[trials]))]


def stops(history: History, trial: int, level: int, eta: int, among: Ints) -> bool:
    """Whether a trial that is at `level` is not among the best 1/`eta` of those that have got there.

    Args:
        history: What is known.
        trial: The trial; it counts itself.
        level: The rung.
        eta: One of so many goes on, and always one.
        among: The trials that it is compared with, by number.
    """
    standing = standings(history, level)
    there = among[~np.isnan(standing[among])]
    better = int(np.count_nonzero(standing[there] < standing[trial]))
    return better >= max(1, len(there) // eta)
