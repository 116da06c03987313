"""Asynchronous successive halving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuneful.history import History, Job, State
from tuneful.history.standing import standings
from tuneful.protocols import Searcher
from tuneful.schedulers.opening import Opening, finishing
from tuneful.schedulers.rungs import check_rungs, geometric, length, order, stops


@dataclass(frozen=True)
class Asha:
    """Goes on with the best of each rung as soon as they are known, else starts a new trial; nobody waits.

    Rungs lie at `first`, `first` x `eta` and so on. A trial pauses at each. When a worker is free, the highest rung is
    looked at first: of the trials there the best 1/`eta` go on, unless they have already.

    In the end, if no trial has got to its end, the best one does; the paper leaves that to the user.

    Where trials cannot be paused, since they save no state, one ends at a rung if it is not among the best 1/`eta` of
    those that have got there so far.

    Attributes:
        searcher: Proposes the new trials.
        first: The first rung.
        eta: One of so many goes on; the paper's experiments use 4, its text 3 and 4.
        steps: How many a trial has, if trials do not say so by `trial.steps(n)`.

    Raises:
        StudyError: `first` is below 1, or `eta` below 2.

    References:
        Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, algorithm 2.
    """

    searcher: Searcher
    first: int = 1
    eta: int = 3
    steps: int | None = None

    def __post_init__(self) -> None:
        check_rungs("Asha", self.first, self.eta)

    def plan(self, history: History, n: int) -> list[Job]:
        opening = Opening.of(history, n)
        levels = geometric(self.first, self.eta, length(history, self.steps))
        until = levels[0] if levels else None
        jobs = opening.again(history, n)
        jobs += [Job.resume(history, trial, until) for trial in opening.enqueued[: n - len(jobs)]]
        jobs += self._promoted(history, levels, n - len(jobs))
        if (new := min(n - len(jobs), opening.room)) > 0:
            jobs += [Job.new(proposal, until) for proposal in self.searcher.propose(history, new)]
        return jobs or finishing(history)[:n]

    def _promoted(self, history: History, levels: list[int], n: int) -> list[Job]:
        """The jobs of up to `n` trials that go on to their next rungs, from the highest rung down."""
        jobs = list[Job]()
        paused = history.state == int(State.PAUSED)
        for k in range(len(levels) - 1, -1, -1):
            here = paused & (history.until <= levels[k]) & (history.reached >= levels[k])
            if len(jobs) >= n or not here.any():
                continue
            there = np.flatnonzero(_entered(history, levels, k))
            best = order(standings(history, levels[k]), there)[: len(there) // self.eta]
            until = levels[k + 1] if k + 1 < len(levels) else None
            waiting = [trial for trial in best[here[best]].tolist() if history.text("wish", trial) is None]
            jobs += [Job.resume(history, trial, until) for trial in waiting[: n - len(jobs)]]
            paused &= ~here  # those that stay behind here go on from no other rung
        return jobs

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end a trial at the step that it has reached; only where trials cannot be paused."""
        step = int(history.reached[trial])
        if history.resumable or step not in geometric(self.first, self.eta, length(history, self.steps)):
            return False
        return stops(history, trial, step, self.eta, np.arange(len(history)))


def _entered(history: History, levels: list[int], k: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which trials have been compared at rung `k`, (n,): all that have got there, and those that failed on the way."""
    below = levels[k - 1] if k else 0
    entered: np.ndarray[tuple[int], np.dtype[np.bool_]] = (history.reached >= levels[k]) | (
        (history.state == State.FAILED) & (history.reached >= below)
    )
    return entered
