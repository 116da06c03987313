"""Finding configs that no trial has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.space import Config, Scalar, Space

Array = NDArray[np.float64]

BLOCK = 64  # rows decoded together: 64 cost about as much as two
_LISTED = 1_000_000  # configs of a finite space that are listed to find those left
_TRIED = {True: 256, False: 100_000}  # rows passed over before a space that can, cannot be listed is given up


def combinations(space: Space) -> float:
    """How many configs a space has, constraints apart; inf if a parameter is continuous."""
    if any(parameter.domain.size == math.inf for parameter in space.parameters):
        return math.inf
    return space.enumeration().size


class Taken:
    """The configs that are proposed already in the answer under way; the options 1, 1.0 and True are three."""

    def __init__(self, configs: Iterable[Config] = ()) -> None:
        self._new = list(configs)  # told when that is first asked for: mostly there is one, and nobody asks
        self._told: set[frozenset[tuple[str, type, Scalar]]] = set()

    def add(self, config: Config) -> None:
        """Take `config`."""
        self._new.append(config)

    def __contains__(self, config: Config) -> bool:
        self._told.update(map(_told, self._new))
        self._new.clear()
        return bool(self._told) and _told(config) in self._told

    def __bool__(self) -> bool:
        return bool(self._new or self._told)


def _told(config: Config) -> frozenset[tuple[str, type, Scalar]]:
    return frozenset((path, type(value), value) for path, value in config.items())


def is_new(history: History, config: Config, taken: Taken) -> bool:
    """Whether `config` is feasible, none of `taken`, and no trial's."""
    return config not in taken and history.space.satisfies(config) and not history.contains(config)


def random_rows(history: History, number: int, purpose: str) -> Iterator[Array]:
    """Raw rows (d,) drawn for trial `number`, without end; the first is part of a block shared with its neighbours."""
    space = history.space
    first = number - number % BLOCK
    known = history.recall(purpose)
    if known is None or known[1][0] != first:
        block = space.draw(rng(history.seed, first, purpose).random((BLOCK, len(space))))
        history.remember(purpose, (first, block))
    else:
        block = known[1][1]
    yield block[number - first]
    for k in count(1):
        yield from space.draw(rng(history.seed, number, f"{purpose} {k}").random((BLOCK, len(space))))


def each_new(
    history: History, n: int, rows: Callable[[int], Iterable[Array]], why: Mapping[str, Any]
) -> list[Proposal]:
    """Proposals for the next `n` trials: for each, the first of `rows(number)` that is new.

    A number gets the same config whoever asks for it, since the trials before it are known by then.
    """
    proposals: list[Proposal] = []
    taken = Taken()
    for number in range(len(history), len(history) + n):
        config = first_new(history, number, taken, rows(number))
        if config is None:
            break
        taken.add(config)
        proposals.append(Proposal(config, why))
    return proposals


def first_new(history: History, number: int, taken: Taken, rows: Iterable[Array]) -> Config | None:
    """The first config of raw `rows` that is new, else another that is left; None if the space is exhausted."""
    tries = _TRIED[combinations(history.space) <= _LISTED]
    configs = map(history.space.config, islice(rows, tries))
    return next((c for c in configs if is_new(history, c, taken)), None) or _left(history, number, taken)


def next_of(
    history: History, n: int, key: str, row: Callable[[int], Array | None], why: Mapping[str, Any]
) -> list[Proposal]:
    """The first `n` new configs of a sequence of raw rows; `row(i)` is None past its end.

    Trials never vanish, so what was passed over once is passed over for ever; `key` remembers where to begin.
    """
    space, proposals = history.space, list[Proposal]()
    known = history.recall(key)
    start = index = known[1] if known else 0
    taken = Taken()
    while len(proposals) < n and (found := row(index)) is not None:
        config = space.config(found)
        if is_new(history, config, taken):
            taken.add(config)
            proposals.append(Proposal(config, {**why, "index": index}))
        elif not taken:
            start = index + 1
        index += 1
    history.remember(key, start)
    return proposals


def _left(history: History, number: int, taken: Taken) -> Config | None:
    """A new config of a finite space in which hardly any are left; None if none is, or they cannot be listed."""
    space = history.space
    if combinations(space) > _LISTED:
        return None
    every = space.enumeration()
    left = [c for c in map(space.config, map(every.row, range(every.size))) if is_new(history, c, taken)]
    return left[int(rng(history.seed, number, "left").integers(len(left)))] if left else None
