"""Every scheduler keeps the laws, whatever its searcher; and the laws catch those that do not."""

from dataclasses import dataclass, replace
from itertools import count

import pytest

from tuneful import schedulers
from tuneful.history import Checkpoint, Job, Limits, Proposal, State
from tuneful.protocols import Scheduler
from tuneful.schedulers import Full
from tuneful.searchers import Grid, OneAtATime, Random, Sobol
from tuneful.testing import check_scheduler, small_spaces


@pytest.mark.parametrize("searcher", [Random(), Sobol(), Grid(levels=3), OneAtATime()], ids=str)
@pytest.mark.parametrize("name", schedulers.__all__)
def test_every_scheduler_keeps_the_laws(name, searcher):
    scheduler = getattr(schedulers, name)(searcher)
    assert isinstance(scheduler, Scheduler)
    check_scheduler(scheduler)


class Faulty:
    """What Full plans, with a mistake."""

    def plan(self, history, n):
        return self.changed(history, n, Full(Random()).plan(history, n))


class TooMany(Faulty):
    def changed(self, history, n, jobs):
        return Full(Random()).plan(history, n + 1)


class NoList(Faulty):
    def changed(self, history, n, jobs):
        return iter(jobs)


class NoJobs(Faulty):
    def changed(self, history, n, jobs):
        return [job.config for job in jobs]


class OneTrialTwice(Faulty):
    def changed(self, history, n, jobs):
        return [*jobs[:1], *jobs[:-1]] if jobs and jobs[0].trial is not None else jobs


class OneConfigTwice(Faulty):
    def changed(self, history, n, jobs):
        new = [job for job in jobs if job.trial is None]
        return [*jobs[:-1], *new[:1]] if len(new) > 1 else jobs


class NewBeforeQueued(Faulty):
    def changed(self, history, n, jobs):
        return [Job.new(proposal) for proposal in Random().propose(history, n)]


class TrainsNothing(Faulty):
    def changed(self, history, n, jobs):
        return [replace(job, until=0) if job.trial is None else job for job in jobs]


class GoesOnWithFinished(Faulty):
    def changed(self, history, n, jobs):
        done = [t for t in range(len(history)) if history.state[t] == State.DONE]
        return [Job(history.config(t), None, t) for t in done][:n] or jobs


class GoesBack(Faulty):
    def changed(self, history, n, jobs):
        return [job if job.trial is None else replace(job, until=int(history.reached[job.trial])) for job in jobs]


class ChangesTheConfig(Faulty):
    def changed(self, history, n, jobs):
        return [job if job.trial is None else replace(job, config={**job.config, "x": 0.0}) for job in jobs]


class ForksFromNothing(Faulty):
    def changed(self, history, n, jobs):
        return [Job.fork(Checkpoint(0, 1), Proposal(j.config)) if j.trial is None and len(history) else j for j in jobs]


class KnownConfig(Faulty):
    def changed(self, history, n, jobs):
        return [j if j.trial is not None or not len(history) else replace(j, config=history.config(0)) for j in jobs]


class IgnoresLimits(Faulty):
    def changed(self, history, n, jobs):
        free = replace(history.limits, trials=None)
        kept, history.limits = history.limits, free
        try:
            return Full(Random()).plan(history, n)
        finally:
            history.limits = kept


class IgnoresSteps(Faulty):
    def changed(self, history, n, jobs):
        kept, history.limits = history.limits, Limits(trials=history.limits.trials)
        try:
            return Full(Random()).plan(history, n)
        finally:
            history.limits = kept


class RunsHeld(Faulty):
    def changed(self, history, n, jobs):
        held = [trial for trial in history.unfinished if history.text("wish", trial)]
        return [*(Job.resume(history, trial) for trial in held if history.state[trial] != State.RUNNING), *jobs][:n]


class WaitsForHeld(Faulty):
    def changed(self, history, n, jobs):
        return [] if any(history.text("wish", trial) for trial in history.unfinished) else jobs


class Counting(Faulty):
    ticks = count()

    def changed(self, history, n, jobs):
        return [replace(job, note={"tick": next(self.ticks)}) for job in jobs]


class LeavesQueued(Faulty):
    def changed(self, history, n, jobs):
        return [job for job in jobs if job.trial is None or history.begun[job.trial]]


@dataclass(frozen=True)
class Evolving:
    """A scheduler that uses all three verbs: trials pause at step 3, go on, and leave one child each."""

    def plan(self, history, n):
        limits, begun = history.limits, history.begun
        room = n if limits.trials is None else max(0, limits.trials - history.started)
        if limits.total_steps is not None and history.reached.sum() >= limits.total_steps:
            room = 0
        queued, paused = (
            [trial for trial in history.of_state(state) if history.text("wish", trial) is None]
            for state in (State.QUEUED, State.PAUSED)
        )
        waiting = [t for t in queued if begun[t]] + [t for t in queued if not begun[t]][:room]
        jobs = [Job.resume(history, t, until=3 if history.reached[t] < 3 else 9) for t in waiting]
        jobs += [Job.resume(history, trial, until=9) for trial in paused]
        jobs = jobs[:n]
        fresh = min(n - len(jobs), room - sum(not begun[job.trial] for job in jobs))
        if fresh > 0 and len(waiting) == len(queued):
            jobs += [Job.new(proposal, until=3) for proposal in Random().propose(history, fresh)]
        childless = [t for t in paused if history.parent[t] < 0 and t not in history.parent]
        return jobs + [self.fork(history, trial) for trial in childless][: n - len(jobs)]

    def fork(self, history, trial):
        return Job.fork(Checkpoint(trial, 3), Proposal(history.config(trial)), until=9, generation=1)


def test_a_scheduler_may_pause_go_on_and_fork():
    check_scheduler(Evolving())


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (TooMany, r"asked for \d jobs, it gave"),
        (NoList, "and not a list"),
        (NoJobs, "which is no Job"),
        (OneTrialTwice, "goes on with one trial twice"),
        (OneConfigTwice, "starts one config twice"),
        (NewBeforeQueued, "starts new trials while .* are queued"),
        (TrainsNothing, "trains nothing"),
        (GoesOnWithFinished, "is done; only queued and paused ones go on"),
        (GoesBack, r"should go on until step \d, and is at \d"),
        (ChangesTheConfig, "another config than it has"),
        (ForksFromNothing, "there is no checkpoint"),
        (KnownConfig, "is the config of trial 0"),
        (IgnoresLimits, r"starts trial \d+ of \d+"),
        (IgnoresSteps, "starts a trial after 20 steps in all"),
        (RunsHeld, "should go on, and somebody wants it to (hold|stop)"),
        (WaitsForHeld, r"it leaves out trial \d, which nobody wants held"),
        (Counting, "asked twice, it answered differently"),
        (LeavesQueued, "it ended while trials were queued|are queued; those go first"),
    ],
)
def test_the_laws_catch_a_scheduler_that(faulty, message):
    spaces = {name: space for name, space in small_spaces().items() if name in ("continuous", "finite")}
    with pytest.raises(AssertionError, match=message):
        check_scheduler(faulty(), spaces=spaces)
