"""The laws of schedulers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tuneful.history import History, Job, Limits, State
from tuneful.protocols import Scheduler
from tuneful.space import Space
from tuneful.testing.histories import begin, drawn, end, rebuilt, situations, small_spaces, value_of
from tuneful.testing.laws import check_config, check_pure, claim, told

_STEPS = 9  # after which a trial is done
_WORK = (State.QUEUED, State.PAUSED)


def check_scheduler(scheduler: Scheduler, *, spaces: Mapping[str, Space] | None = None) -> None:
    """Claim that a scheduler keeps the laws: jobs that can run, purely from the history, within the limits.

    Args:
        scheduler: To be checked, with its searcher.
        spaces: On which spaces, by name; `small_spaces` by default.

    Raises:
        AssertionError: it breaks a law; the message says which, on which space and in which situation.
    """
    for name, space in (small_spaces() if spaces is None else spaces).items():
        where = f"{scheduler} on the space {name!r}"
        for what, history in situations(space).items():
            history.limits = Limits(trials=20)
            for n in (0, 1, 4):
                here = f"{where}, when {what}, n={n}"
                check_pure(lambda who, known, n=n, here=here: _told(who, known, n, here), scheduler, history, here)
        _check_resumes(scheduler, space, where)
        _check_held(scheduler, space, f"{where}, when trials are held")
        for workers in (1, 4):
            _check_limits(scheduler, space, workers, f"{where}, {workers} workers")


def _told(scheduler: Scheduler, history: History, n: int, where: str) -> str:
    jobs = _plan(scheduler, history, n, where)
    return told([[j.config, j.until, j.trial, j.source, dict(j.why), dict(j.note)] for j in jobs], where)


def _plan(scheduler: Scheduler, history: History, n: int, where: str) -> list[Job]:
    """What it plans, once that has been checked."""
    jobs = scheduler.plan(history, n)
    claim(isinstance(jobs, list), where, f"it answered {jobs!r:.80}, and not a list.")
    claim(len(jobs) <= n, where, f"asked for {n} jobs, it gave {len(jobs)}.")
    for job in jobs:
        claim(isinstance(job, Job), where, f"it answered {job!r:.80}, which is no Job.")
    gone_on = [job.trial for job in jobs if job.trial is not None]
    claim(len(set(gone_on)) == len(gone_on), where, "it goes on with one trial twice at once.")
    for job in jobs:
        (_check_new if job.trial is None else _check_resumed)(history, job, where)
    new = [told(job.config) for job in jobs if job.trial is None and job.source is None]
    claim(len(set(new)) == len(new), where, "it starts one config twice in one answer.")
    left = {trial for trial in history.of_state(State.QUEUED) if history.text("wish", trial) is None} - set(gone_on)
    claim(not new or not left, where, f"it starts new trials while {sorted(left)} are queued; those go first.")
    return jobs


def _check_new(history: History, job: Job, where: str) -> None:
    check_config(history, job.config, where)
    begins = 0
    if job.source is None:
        twice = history.find(job.config)
        claim(twice is None, where, f"{job.config} is the config of trial {twice}; none may come twice.")
    else:
        saved = history.text("saved", job.source.trial)
        claim(saved and saved[0] == job.source.step, where, f"there is no checkpoint {job.source} to fork from.")
        begins = job.source.step
    claim(job.until is None or job.until > begins, where, f"a new trial until step {job.until} trains nothing.")


def _check_resumed(history: History, job: Job, where: str) -> None:
    assert job.trial is not None
    state = State(int(history.state[job.trial]))
    claim(state in _WORK, where, f"trial {job.trial} is {state}; only queued and paused ones go on.")
    wish = history.text("wish", job.trial)
    claim(wish is None, where, f"trial {job.trial} should go on, and somebody wants it to {wish}.")
    reached = int(history.reached[job.trial])
    ahead = job.until is None or job.until > reached
    claim(ahead, where, f"trial {job.trial} should go on until step {job.until}, and is at {reached}.")
    same = told(job.config) == told(history.config(job.trial))
    claim(same, where, f"trial {job.trial} should go on with another config than it has; that is a fork.")


def _check_resumes(scheduler: Scheduler, space: Space, where: str) -> None:
    one, several = (_played(scheduler, space, Limits(trials=6), 1, where, reopen=reopen) for reopen in (False, True))
    configs = [[history.config(trial) for trial in range(len(history))] for history in (one, several)]
    claim(told(configs[0]) == told(configs[1]), where, "a study that is opened again tries other configs.")


def _check_held(scheduler: Scheduler, space: Space, where: str) -> None:
    history = History(space, seed=1, limits=Limits(trials=20))
    wishes = [(State.QUEUED, "hold"), (State.PAUSED, "hold"), (State.QUEUED, "stop"), (State.QUEUED, None)]
    waiting = zip(drawn(space, len(wishes)), wishes, strict=False)
    trials = [begin(history, config, state, wish=wish) for config, (state, wish) in waiting]
    for n in (1, 4):
        jobs = _plan(scheduler, history, n, where)
        free = len(trials) < len(wishes) or trials[-1] in [job.trial for job in jobs]
        claim(free, where, f"asked for {n} jobs, it leaves out trial {trials[-1]}, which nobody wants held.")


def _check_limits(scheduler: Scheduler, space: Space, workers: int, where: str) -> None:
    history = _played(scheduler, space, Limits(trials=7), workers, where, queued=2)
    claim(not history.of_state(State.QUEUED), where, "it ended while trials were queued.")
    for trials in (1, 2):
        history = _played(scheduler, space, Limits(trials=trials), workers, where, queued=3)
        started = history.started
        claim(started <= trials, where, f"it started {started} trials, and the limit is {trials}.")
    _played(scheduler, space, Limits(total_steps=20), workers, where, queued=1)
    _played(scheduler, space, Limits(trials=5), workers, where, failing=True)


def _played(
    scheduler: Scheduler,
    space: Space,
    limits: Limits,
    workers: int,
    where: str,
    *,
    queued: int = 0,
    failing: bool = False,
    reopen: bool = False,
) -> History:
    """A study until nothing is left to do, in which the first trial is interrupted once."""
    history = History(space, seed=1, limits=limits)
    for config in drawn(space, queued):
        begin(history, config, State.QUEUED)
    while True:
        history = rebuilt(history) if reopen else history
        room = workers - len(history.of_state(State.RUNNING))
        jobs = _plan(scheduler, history, room, where)
        _check_within(history, jobs, where)
        for job in jobs:
            _start(history, job)
        if not (running := history.of_state(State.RUNNING)):
            return history
        _train(history, running[0], failing=failing)


def _check_within(history: History, jobs: Sequence[Job], where: str) -> None:
    limits = history.limits
    fresh = [job for job in jobs if job.source is None and (job.trial is None or not history.begun[job.trial])]
    if limits.trials is not None:
        started = history.started + len(fresh)
        claim(started <= limits.trials, where, f"it starts trial {started} of {limits.trials}.")
    if limits.total_steps is not None and int(history.reached.sum()) >= limits.total_steps:
        claim(not fresh, where, f"it starts a trial after {limits.total_steps} steps in all.")


def _start(history: History, job: Job) -> None:
    if job.trial is None:
        begin(history, job.config, until=job.until, why=job.why, note=job.note, parent=job.source)
        return
    history.rev += 1
    row = history.row(job.trial)
    row = replace(row, state=State.RUNNING, rev=history.rev, begun=row.begun or history.rev, until=job.until)
    history.apply(replace(row, attempt=row.attempt + 1))


def _train(history: History, trial: int, *, failing: bool) -> None:
    """Train a trial as far as it may go."""
    row = history.row(trial)
    if trial == 0 and row.attempt == 1:
        history.rev += 1
        history.apply(replace(row, state=State.QUEUED, rev=history.rev))
        return
    if failing:
        end(history, trial, state=State.FAILED)
        return
    last = _STEPS if row.until is None else min(_STEPS, row.until)
    value = value_of(history.space, row.config)
    for step in range(row.step + 1, last + 1):
        history.report(trial, step, {history.objectives[0].metric: value + 1 / step})
    if last == _STEPS:
        end(history, trial, value)
        return
    history.rev += 1
    saved = (last, row.attempt)
    history.apply(replace(history.row(trial), state=State.PAUSED, rev=history.rev, step=last, saved=saved))
