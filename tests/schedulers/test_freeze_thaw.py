"""FreezeThaw: goes on with those that may win, keeps the laws, and survives whatever trials report."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import History, Limits, State
from tuneful.schedulers.freeze_thaw import FreezeThaw
from tuneful.searchers import Random
from tuneful.space import Float, Space
from tuneful.testing import check_scheduler
from tuneful.testing.histories import begin, drawn, end

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})
LAST = 27


def pause(history, trial):
    row = history.row(trial)
    history.rev += 1
    history.apply(
        replace(row, state=State.PAUSED, rev=history.rev, cost=float(row.step), saved=(row.step, row.attempt))
    )


def curve(config, step):
    return (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2 + step**-0.7


def history_of(lengths, value=curve, limits=None):
    """One trial for each length: done if it came to the end, else paused."""
    history = History(SPACE, limits=limits, seed=1)
    for config, length in zip(drawn(SPACE, len(lengths)), lengths, strict=True):
        trial = begin(history, config, length=LAST)
        for step in range(1, length + 1):
            history.report(trial, step, {"value": value(config, step)})
        if length == LAST:
            end(history, trial, value(config, LAST))
        else:
            pause(history, trial)
    return history


def played(scheduler, n, workers=1):
    """The history after `n` jobs."""
    history = History(SPACE, seed=3)
    for _ in range(n):
        for job in scheduler.plan(history, workers):
            if job.trial is None:
                trial = begin(history, job.config, until=job.until, length=LAST)
            else:
                trial = job.trial
                history.apply(replace(history.row(trial), state=State.RUNNING, attempt=history.row(trial).attempt + 1))
            last = job.until or LAST
            for step in range(int(history.reached[trial]) + 1, last + 1):
                history.report(trial, step, {"value": curve(history.config(trial), step)})
            if last == LAST:
                end(history, trial, curve(history.config(trial), LAST))
            else:
                pause(history, trial)
    return history


def told(jobs):
    return [(dict(job.config), job.until, job.trial) for job in jobs]


MANY = [3] * 10 + [9] * 8 + [LAST] * 4


@pytest.mark.parametrize("scheduler", [FreezeThaw(), FreezeThaw(Random(), steps=9, start=2)])
def test_it_keeps_the_laws(scheduler):
    check_scheduler(scheduler)


def test_nothing_depends_on_the_memo():
    history = history_of(MANY)
    first = told(FreezeThaw().plan(history, 4))
    assert told(FreezeThaw().plan(pickle.loads(pickle.dumps(history)), 4)) == first
    history._memo.clear()
    assert told(FreezeThaw().plan(history, 4)) == first


def test_it_trains_many_a_little_and_few_to_their_end():
    history = played(FreezeThaw(), 60)
    done = history.state == State.DONE
    assert 2 <= done.sum() < len(history) / 2
    best = min(history.config(trial)["x"] for trial in np.flatnonzero(done))
    assert abs(best - 0.3) < 0.3
    assert history.y[done, 0].min() < 0.02 + LAST**-0.7


def test_the_first_trial_pauses_when_it_has_said_how_long_it_is():
    assert FreezeThaw().plan(History(SPACE), 2)[1].until == 1
    assert FreezeThaw(steps=27).plan(History(SPACE), 1)[0].until == 1
    assert FreezeThaw(steps=270).plan(History(SPACE), 1)[0].until == 10


def test_the_queued_go_first_with_where_they_were_to_go():
    history = history_of(MANY)
    trial = begin(history, {"x": 0.5, "y": 0.5}, State.QUEUED, until=5, begun=1)
    job = FreezeThaw().plan(history, 2)[0]
    assert (job.trial, job.until) == (trial, 5)


def test_those_that_somebody_holds_stay():
    history = history_of([3] * 12)
    for trial in range(12):
        history.apply(replace(history.row(trial), wish="hold"))
    assert all(job.trial is None for job in FreezeThaw().plan(history, 3))


def test_it_starts_no_more_than_the_limit_and_goes_on_with_the_others():
    ended = drawn(SPACE, len(MANY))[-4:]
    history = history_of(MANY, lambda c, step: curve(c, step) + (c in ended), Limits(trials=len(MANY)))
    jobs = FreezeThaw().plan(history, 3)
    assert jobs
    assert all(job.trial is not None for job in jobs)
    assert FreezeThaw().plan(history_of(MANY, limits=Limits(total_steps=50)), 3) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_it_survives_values_that_are_not_numbers(bad):
    def value(config, step):
        return bad if config["x"] > 0.5 and step > 2 else curve(config, step)

    assert len(FreezeThaw().plan(history_of(MANY, value), 3)) == 3


def test_it_survives_constant_and_rising_curves_gaps_and_silence():
    for value in (lambda *_: 1.0, lambda config, step: config["x"] + abs(step - 5)):
        assert len(FreezeThaw().plan(history_of(MANY, value), 3)) == 3
    history = history_of(MANY)
    for config in drawn(SPACE, len(MANY) + 6)[len(MANY) :]:
        trial = begin(history, config)
        for step in (5, 5, 20) if trial % 2 else ():
            history.report(trial, step, {"value": 1.0})
    assert len(FreezeThaw().plan(history, 3)) == 3


def test_where_trials_cannot_pause_it_ends_those_that_cannot_win():
    history = history_of([LAST] * 8)
    good, bad = (begin(history, {"x": x, "y": 0.6}, length=LAST) for x in (0.3, 1.0))
    for trial in (good, bad):
        for step in range(1, 10):
            history.report(trial, step, {"value": curve(history.config(trial), step)})
    assert not history.resumable
    assert FreezeThaw()(history, bad)
    assert not FreezeThaw()(history, good)


def test_settings_are_checked():
    with pytest.raises(StudyError, match="steps is 0"):
        FreezeThaw(steps=0)
    with pytest.raises(StudyError, match=r"eta is 1\.0"):
        FreezeThaw(eta=1.0)
    with pytest.raises(StudyError, match=r"share is 1\.0"):
        FreezeThaw(share=1.0)
