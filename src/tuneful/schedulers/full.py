"""Every trial to its end."""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.history import History, Job, State
from tuneful.protocols import Searcher


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
        waiting = history.of_state(State.QUEUED) + history.of_state(State.PAUSED)
        waiting = [trial for trial in waiting if history.text("wish", trial) is None]
        limits, room = history.limits, n
        if limits.trials is not None:
            room = max(0, limits.trials - history.started)
        if limits.total_steps is not None and int(history.reached.sum()) >= limits.total_steps:
            room = 0
        counted = [trial for trial in waiting if history.distinct[trial] and history.begun[trial] == 0]
        if len(counted) > room:
            waiting = [trial for trial in waiting if trial not in counted[room:]]
        jobs = [Job.resume(history, trial) for trial in waiting[:n]]
        new = min(n - len(jobs), room - len(set(counted) & set(waiting[:n])))
        if new <= 0:
            return jobs
        return jobs + [Job.new(proposal) for proposal in self.searcher.propose(history, new)]
