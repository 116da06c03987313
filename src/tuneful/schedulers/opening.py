"""What a scheduler may do next, whatever its rule: what waits, and how many new trials the limits allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneful.history import History, Job, State
from tuneful.history.standing import standings


@dataclass(frozen=True)
class Opening:
    """What may be done next.

    Attributes:
        begun: Trials whose attempt was interrupted, to be taken up again first.
        enqueued: Trials that somebody has asked for and that have not begun, as many as may.
        room: How many trials more may be started.
    """

    begun: Sequence[int]
    enqueued: Sequence[int]
    room: int

    @classmethod
    def of(cls, history: History, n: int) -> Opening:
        """The opening for `n` jobs."""
        limits, room = history.limits, n
        if limits.trials is not None:
            room = max(0, limits.trials - history.started)
        if limits.total_steps is not None and int(history.reached.sum()) >= limits.total_steps:
            room = 0
        queued = free(history, State.QUEUED)
        begun = [trial for trial in queued if history.begun[trial]]
        counted = [trial for trial in queued if not history.begun[trial] and history.distinct[trial]]
        beyond = set(counted[room:])
        enqueued = [trial for trial in queued if not history.begun[trial] and trial not in beyond]
        return cls(begun, enqueued, room - min(len(counted), room))

    def again(self, history: History, n: int) -> list[Job]:
        """The jobs that take up interrupted attempts, as far as they were to go."""
        return [Job.resume(history, trial, goal(history, trial)) for trial in self.begun[:n]]


def free(history: History, state: State) -> list[int]:
    """The trials of a state that nobody wants held or stopped, by number."""
    return [trial for trial in history.of_state(state) if history.text("wish", trial) is None]


def finishing(history: History) -> list[Job]:
    """Where nothing is left to do and no trial got to its end, the job of the best of those that got furthest."""
    going = [int(state) for state in (State.QUEUED, State.RUNNING, State.DONE)]
    paused = np.array(free(history, State.PAUSED), dtype=np.int64)
    if not len(paused) or np.isin(history.state, going).any():
        return []
    furthest = int(history.reached[paused].max())
    standing = standings(history, furthest)
    best = paused[(history.reached[paused] == furthest) & np.isfinite(standing[paused])]
    return [Job.resume(history, int(best[np.argmin(standing[best])]))] if len(best) else []


def goal(history: History, trial: int) -> int | None:
    """The step up to which a trial was to go, if it is not there yet; None for the end."""
    until = float(history.until[trial])
    return int(until) if history.reached[trial] < until < float("inf") else None
