"""What was known earlier: a history looked at in the past is the history of the rows known then."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.history import Bound, History, Limits, Objective, Row, State
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end, rebuilt

OBJECTIVES, BOUNDS = (Objective("loss"), Objective("accuracy", maximize=True)), (Bound("memory", 1.0),)
SPACE = Space({"x": Float(0, 1), "act": ["relu", None, 1, True]})
ENDS = [State.DONE, State.DONE, State.PRUNED, State.FAILED, State.CANCELLED]
values = st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf])
metrics = st.fixed_dictionaries({"loss": values, "accuracy": values, "memory": values})

# An event: what happens, to which of the trials that it can happen to, and what is reported.
events = st.lists(
    st.tuples(
        st.sampled_from(["queue", "start", "begin", "report", "report", "end", "repeat"]),
        st.integers(0),
        metrics,
    ),
    max_size=30,
)


def new_history():
    return History(SPACE, OBJECTIVES, BOUNDS, seed=5, limits=Limits(trials=99))


def happen(history, what, which, found):
    """One event; each raises the revision by one."""
    number, unfinished = len(history), history.unfinished
    able = {
        "begin": history.of_state(State.QUEUED),
        "report": history.of_state(State.RUNNING),
        "end": unfinished,
        "repeat": [trial for trial in range(number) if history.repeat_of[trial] < 0],
    }
    if what in able and not able[what]:
        return
    chosen = able[what][which % len(able[what])] if what in able else None
    config = {"x": number / 100, "act": SPACE["act"].labels[which % 4]}
    if what in ("queue", "start"):
        state, started = (State.QUEUED, None) if what == "queue" else (State.RUNNING, 1e9 + which)
        begin(history, config, state, why={"n": number}, started=started)
    elif what == "repeat":
        begin(history, history.config(chosen), repeat_of=chosen)
    elif what == "begin":
        history.rev += 1
        row = history.row(chosen)
        begun = replace(row, state=State.RUNNING, rev=history.rev, begun=history.rev, attempt=1)
        history.apply(replace(begun, started=1e9 + which, cost=1.0))
    elif what == "report":
        history.rev += 1
        history.report(chosen, int(history.reached[chosen]) + 1, found)
    else:
        history.rev += 1
        state = ENDS[which % len(ENDS)] if history.begun[chosen] else State.CANCELLED
        error = {"type": "E", "message": "m", "traceback": ""} if state == State.FAILED else None
        ended = replace(history.row(chosen), state=state, rev=history.rev, ended=history.rev, finished=1e9 + which)
        history.apply(replace(ended, values=found, error=error))


def public(history):
    n = len(history)
    names = [
        "state",
        "reached",
        "attempt",
        "born",
        "begun",
        "ended",
        "repeat_of",
        "distinct",
        "cost",
        "started_at",
        "finished_at",
    ]
    names += ["y", "violations", "feasible", "means", "front", "x", "inside"]
    known = {name: getattr(history, name).tolist() for name in names}
    known |= {"length": n, "rev": history.rev, "started": history.started, "best": history.best}
    known |= {"unfinished": history.unfinished, "configs": [history.config(trial) for trial in range(n)]}
    known |= {"errors": [history.text("error", trial) for trial in range(n)]}
    known |= {"why": [history.text("why", trial) for trial in range(n)]}
    known |= {"values": [history.row(trial).values for trial in range(n)]}
    points = ((name, curve) for name, curve in sorted(history.curves.items()) if len(curve))
    known |= {f"curve of {name}": [c.tolist() for c in (v.trial, v.step, v.value, v.rev)] for name, v in points}
    known |= {"at 1": [history.value_at(1, name).tolist() for name in ("loss", "accuracy", "memory")]}
    return known | {"ranks": history.rank_at(1).tolist()}


@settings(max_examples=60, deadline=None)
@given(events)
def test_the_past_is_the_history_of_what_was_known_then(happened):
    history, known = new_history(), []
    known.append(public(history))
    for event in happened:
        rev = history.rev
        happen(history, *event)
        if history.rev > rev:
            known.append(public(history))
    for rev, then in enumerate(known):
        found = public(history.as_of(rev))
        for name, value in then.items():
            np.testing.assert_equal(found.get(name), value, err_msg=f"{name} as of {rev}")
        assert found.keys() == then.keys()


@settings(max_examples=30, deadline=None)
@given(events)
def test_opened_again_it_is_the_same_but_for_when_unfinished_curves_became_known(happened):
    history = new_history()
    for event in happened:
        happen(history, *event)
    again, here = public(rebuilt(history)), public(history)
    for name in here:
        if not name.startswith("curve of"):
            np.testing.assert_equal(again[name], here[name], err_msg=name)


def test_what_was_found_then_does_not_see_later_trials_and_what_is_found_now_does():
    history = new_history()
    configs = [{"x": k / 10, "act": "relu"} for k in range(4)]
    for config in configs:
        begin(history, config)
    past = history.as_of(2)
    assert [past.find(config) for config in configs] == [0, 1, None, None]
    assert [history.find(config) for config in configs] == [0, 1, 2, 3]
    assert [past.contains(config) for config in configs] == [True, True, False, False]


def test_a_trial_that_was_cancelled_in_the_queue_was_queued_before():
    history = new_history()
    begin(history, {"x": 0.5, "act": None}, State.QUEUED)
    end(history, 0, {}, State.CANCELLED)
    assert history.unfinished == []
    assert history.as_of(1).of_state(State.QUEUED) == [0]
    assert len(history.as_of(0)) == 0


def test_a_fork_keeps_the_step_that_it_had_reached_when_it_is_over():
    history = new_history()
    row = Row(0, {"x": 0.5, "act": None}, state=State.DONE, rev=2, born=1, begun=1, ended=2, step=7)
    history.apply(row)
    history.rev = 2
    begin(history, {"x": 0.6, "act": None})
    assert history.as_of(2).reached.tolist() == [7]


def test_the_past_keeps_space_goals_seed_and_limits_and_has_a_memo_of_its_own():
    history = new_history()
    begin(history, {"x": 0.5, "act": None})
    history.remember("fit", 1)
    past = history.as_of(1)
    past.remember("other", 2)
    kept = (past.space, past.objectives, past.bounds, past.seed, past.limits)
    assert kept == (history.space, history.objectives, history.bounds, history.seed, history.limits)
    assert past.recall("fit") is None
    assert history.recall("other") is None
