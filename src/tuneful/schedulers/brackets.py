"""Brackets: groups of trials of which fewer and fewer go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, Job, State
from tuneful.history.standing import standings
from tuneful.protocols import Searcher
from tuneful.schedulers.opening import Opening
from tuneful.schedulers.rungs import order, stops

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Bracket:
    """How many trials get how far.

    Attributes:
        sizes: How many trials each rung has.
        levels: The step of each rung; the last is None for the end of a trial.
    """

    sizes: tuple[int, ...]
    levels: tuple[int | None, ...]


Shape = Callable[[int], Bracket]  # the bracket of each number, from 0


def unknown(first: int) -> Bracket:
    """The bracket of all trials until one has said how many steps it has: they go `first` steps."""
    return Bracket((2**40,), (first,))


def plan(history: History, n: int, searcher: Searcher, shape: Shape) -> list[Job]:
    """Up to `n` jobs of a row of brackets, each filled with trials in the order in which they start.

    A rung of a bracket is decided when all of its trials have got there; those that are certain to be among the best
    whatever comes of the others go on at once. Where a bracket has nothing to do, the next begins.
    """
    opening = Opening.of(history, n)
    jobs = opening.again(history, n)
    jobs += _promoted(history, shape, n - len(jobs), closed=False)
    members = len(_members(history))
    for trial in opening.enqueued[: n - len(jobs)]:
        jobs.append(Job.resume(history, trial, _first(shape, members)))
        members += 1
    new = min(n - len(jobs), opening.room)
    if new > 0:
        for proposal in searcher.propose(history, new):
            jobs.append(Job.new(proposal, _first(shape, members)))
            members += 1
    if not jobs and n > 0:  # nothing can be started: the last bracket is as large as it will be
        jobs = _promoted(history, shape, n, closed=True)
    return jobs


def ends(history: History, trial: int, shape: Shape, eta: int) -> bool:
    """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
    if history.resumable:
        return False
    step = int(history.reached[trial])
    for bracket, there in _filled(history, shape):
        if trial in there:
            return step in bracket.levels[:-1] and stops(history, trial, step, eta, there)
    return False


def _members(history: History) -> Ints:
    """The trials that have begun, in the order in which they did."""
    begun = np.flatnonzero((history.begun > 0) & history.distinct)
    return begun[np.argsort(history.begun[begun], kind="stable")]


def _filled(history: History, shape: Shape) -> Iterator[tuple[Bracket, Ints]]:
    """The brackets that have trials, with these."""
    members, number = _members(history), 0
    while len(members):
        bracket = shape(number)
        yield bracket, members[: bracket.sizes[0]]
        members, number = members[bracket.sizes[0] :], number + 1


def _first(shape: Shape, place: int) -> int | None:
    """The first rung of the trial that is the `place`-th to start, from 0."""
    number = 0
    while place >= (bracket := shape(number)).sizes[0]:
        place, number = place - bracket.sizes[0], number + 1
    return bracket.levels[0]


def _promoted(history: History, shape: Shape, n: int, *, closed: bool) -> list[Job]:
    jobs = list[Job]()
    if not history.of_state(State.PAUSED):
        return jobs
    standing = dict[int, NDArray[np.float64]]()
    for bracket, members in _filled(history, shape):
        sizes = _shrunk(bracket.sizes, len(members)) if closed else bracket.sizes
        there = members
        jobs += _entering(history, members, bracket.levels[0], n - len(jobs))
        for k, level in enumerate(bracket.levels[:-1]):
            assert level is not None
            if level not in standing:
                standing[level] = standings(history, level)
            there = _best(standing[level], there, sizes[k], sizes[k + 1])
            for trial in there.tolist():
                goes_on = history.state[trial] == State.PAUSED and history.until[trial] <= level
                if goes_on and history.text("wish", trial) is None and len(jobs) < n:
                    jobs.append(Job.resume(history, trial, _beyond(history, trial, bracket.levels[k + 1 :])))
    return jobs


def _entering(history: History, members: Ints, level: int | None, n: int) -> list[Job]:
    """The jobs of trials that were paused below their first rung: it was not known then where it is."""
    short = members[history.state[members] == int(State.PAUSED)]
    short = short[history.reached[short] < (np.inf if level is None else level)]
    waiting = [trial for trial in short.tolist() if history.text("wish", trial) is None]
    return [Job.resume(history, trial, level) for trial in waiting[:n]]


def _beyond(history: History, trial: int, levels: Sequence[int | None]) -> int | None:
    """The first of the rungs that a trial has not passed."""
    return next((level for level in levels if level is None or level > history.reached[trial]), None)


def _best(standing: NDArray[np.float64], trials: Ints, size: int, kept: int) -> Ints:
    """Those of a rung's trials that are among the best `kept` of `size`, however the others will stand."""
    known = trials[~np.isnan(standing[trials])]
    return order(standing, known)[: max(0, kept - (size - len(known)))]


def _shrunk(sizes: Sequence[int], n: int) -> list[int]:
    """The sizes of a bracket that got only `n` trials."""
    return [max(1, size * n // sizes[0]) for size in sizes]
