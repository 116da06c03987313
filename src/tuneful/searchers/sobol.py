"""Quasi-random search: the space filled evenly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, Proposal
from tuneful.searchers.draws import BLOCK, each_new

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sobol:
    """Fills the space evenly with a scrambled Sobol sequence.

    Better than random search for exploring: the same trials leave smaller holes. Its direction numbers end at
    21,201 parameters; `Halton` has no end.

    References:
        Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals", 1967.
        Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995 (the scrambling).
        Joe and Kuo, "Constructing Sobol sequences with better two-dimensional projections", 2008.
    """

    learns: ClassVar[bool] = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        return quasi_random(history, n, "sobol")


def quasi_random(history: History, n: int, kind: Literal["sobol", "halton"]) -> list[Proposal]:
    """The next `n` new points of a sequence: that of a trial's number, and if it is taken, those far behind."""
    why = {"searcher": kind}
    if not len(history.space):
        return [Proposal({}, why)] * n
    return each_new(history, n, lambda number: sequence(history, kind, number), why)


def sequence(history: History, kind: str, number: int) -> Iterator[Array]:
    """The point of trial `number`, then points from further on, for when that one is taken."""
    for index in chain([number], count(2**15 + BLOCK * number)):
        first = index - index % BLOCK
        key = (kind, "own" if index == number else "beyond")
        known = history.recall(key)
        if known is None or known[1][0] != first:
            block = history.space.draw(_points(kind, len(history.space), history.seed, first))
            history.remember(key, (first, block))
        else:
            block = known[1][1]
        yield block[index - first]


def _points(kind: str, d: int, seed: int, first: int) -> Array:
    from scipy.stats import qmc  # noqa: PLC0415 - half a second to import, for these searchers alone

    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[kind](d, scramble=True, rng=seed)
    if kind == "halton":
        engine.num_generated = first  # its own fast_forward would draw all the points before
    elif first:
        engine.fast_forward(first)
    return np.asarray(engine.random(BLOCK))
