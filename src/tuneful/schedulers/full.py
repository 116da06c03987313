"""Every trial to its end."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Job, State
from tuneful.protocols import Searcher
from tuneful.schedulers.opening import Opening, free


@dataclass(frozen=True)
class Full:
    """Runs every trial to its end: first those that wait, then new ones, up to the limits.

    Attributes:
        searcher: Proposes the new trials.
    """

    searcher: Searcher

    @property
    def learns(self) -> bool:
        """Whether results change what it runs next: if they change what is proposed."""
        return getattr(self.searcher, "learns", True)

    def plan(self, history: History, n: int) -> list[Job]:
        opening = Opening.of(history, n)
        queued = sorted([*opening.begun, *opening.enqueued])
        jobs = [Job.resume(history, trial) for trial in [*queued, *free(history, State.PAUSED)][:n]]
        new = min(n - len(jobs), opening.room)
        if new <= 0:
            return jobs
        return jobs + [Job.new(proposal) for proposal in self.searcher.propose(history, new)]
