"""Full: every trial to its end, what waits first, within the limits."""

from dataclasses import replace

import pytest

from tuneful.history import History, Limits, State
from tuneful.schedulers import Full
from tuneful.searchers import Grid, Random
from tuneful.space import Float, Int, Space
from tuneful.testing.histories import begin, end

SPACE = Space({"x": Float(0, 1)})
FULL = Full(Random())


def history_of(*states, limits=None):
    """One trial in each state; those that are queued have never begun."""
    history = History(SPACE, limits=limits)
    for trial, state in enumerate(states):
        begin(history, {"x": trial / 100}, State.RUNNING if state.final else state)
        if state.final:
            end(history, trial, 1.0, state)
    return history


def interrupt(history, trial, step=0):
    history.apply(replace(history.row(trial), state=State.QUEUED, step=step))


def trials(jobs):
    return [job.trial for job in jobs]


def test_every_trial_runs_to_its_end():
    jobs = FULL.plan(history_of(State.QUEUED, State.PAUSED), 4)
    assert [job.until for job in jobs] == [None] * 4
    assert all(job.source is None for job in jobs)


def test_the_queued_go_first_then_the_paused_then_new_ones():
    history = history_of(State.PAUSED, State.QUEUED, State.RUNNING, State.DONE, State.QUEUED, State.PAUSED)
    assert trials(FULL.plan(history, 6)) == [1, 4, 0, 5, None, None]
    assert trials(FULL.plan(history, 2)) == [1, 4]


def test_new_trials_are_what_the_searcher_proposes():
    history = history_of(State.DONE, State.RUNNING)
    jobs = FULL.plan(history, 3)
    assert [job.config for job in jobs] == [proposal.config for proposal in Random().propose(history, 3)]
    assert [job.why for job in jobs] == [{"searcher": "random"}] * 3


@pytest.mark.parametrize(("trials_in_all", "new"), [(2, 0), (3, 1), (4, 2), (9, 4)])
def test_no_more_new_trials_than_the_limit_leaves(trials_in_all, new):
    history = history_of(State.FAILED, State.RUNNING, limits=Limits(trials_in_all))
    assert len(FULL.plan(history, 4)) == new


def test_trials_that_were_queued_by_hand_count_when_they_start():
    history = history_of(*3 * [State.QUEUED], limits=Limits(trials=2))
    assert trials(FULL.plan(history, 5)) == [0, 1]
    history.limits = Limits(trials=4)
    assert trials(FULL.plan(history, 5)) == [0, 1, 2, None]


def test_when_the_limit_is_reached_interrupted_trials_still_go_on():
    history = history_of(State.DONE, State.RUNNING, State.QUEUED, limits=Limits(trials=2))
    interrupt(history, 1, step=3)
    assert trials(FULL.plan(history, 5)) == [1]


def test_a_limit_below_what_was_started_starts_nothing_and_breaks_nothing():
    history = history_of(*4 * [State.DONE], State.QUEUED, limits=Limits(trials=2))
    assert FULL.plan(history, 3) == []


@pytest.mark.parametrize(("reached", "planned"), [(4, [0, 2, None, None]), (5, [0]), (6, [0])])
def test_after_the_last_of_all_steps_nothing_is_started_and_the_interrupted_go_on(reached, planned):
    history = history_of(State.RUNNING, State.DONE, State.QUEUED, limits=Limits(total_steps=7))
    history.report(0, 2, {"value": 1.0})
    history.report(1, reached, {"value": 1.0})
    interrupt(history, 0, step=2)
    assert trials(FULL.plan(history, 4)) == planned


def test_repeats_do_not_count():
    history = history_of(State.DONE, State.DONE, limits=Limits(trials=3))
    end(history, begin(history, {"x": 0.0}, repeat_of=0), 2.0)
    assert history.started == 2
    assert len(FULL.plan(history, 4)) == 1


def test_a_searcher_that_has_nothing_left_ends_it():
    history = History(Space({"a": Int(1, 3)}))
    assert len(Full(Grid()).plan(history, 9)) == 3
    for config in ({"a": 1}, {"a": 2}, {"a": 3}):
        begin(history, config)
    assert Full(Grid()).plan(history, 9) == []
