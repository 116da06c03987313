"""What was known earlier: a history looked at in the past is the history of the rows known then."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuneful.history import UNTOLD, Bound, History, Limits, Objective, Row, State
from tuneful.history.curves import metrics_of, revisions_of
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
        st.sampled_from(["queue", "start", "begin", "report", "report", "pause", "end", "repeat", "grow", "change"]),
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
        "begin": history.of_state(State.QUEUED) + history.of_state(State.PAUSED),
        "pause": history.of_state(State.RUNNING),
        "change": history.of_state(State.RUNNING),
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
        seen, limits = history.rev, (which % 9 or None, which % 4 or None)
        begin(history, config, state, why={"n": number}, started=started, seen=seen, limits=limits)
    elif what == "repeat":
        begin(history, history.config(chosen), repeat_of=chosen)
    elif what == "begin":
        seen, row = history.rev, history.row(chosen)
        history.rev += 1
        row.turn(history.rev, State.RUNNING, until=row.step + 1 + which % 3, attempt=row.attempt + 1, seen=seen)
        if not row.begun:
            row.begun, row.started = history.rev, 1e9 + which
        history.apply(row)
    elif what == "pause":
        history.rev += 1
        row = history.row(chosen)
        row.cost += 0.1 * which
        state = (State.PAUSED, State.QUEUED)[which % 2]
        row.turn(history.rev, state, until=row.until, attempt=row.attempt, seen=row.seen)
        history.apply(row)
    elif what == "grow":
        history.rev += 1
        version = history.space_number + 1
        history.move_to(history.space.grown(f"extra{version}", Float(0, 1)), version)
    elif what == "report":
        history.rev += 1
        history.report(chosen, int(history.reached[chosen]) + 1, found)
    else:
        history.rev += 1
        state = ENDS[which % len(ENDS)] if history.begun[chosen] else State.CANCELLED
        error = {"type": "E", "message": "m", "traceback": ""} if state == State.FAILED else None
        ended = replace(history.row(chosen), state=state, rev=history.rev, ended=history.rev, finished=1e9 + which)
        if what == "change":
            ended.change({**ended.config, **dict.fromkeys(history.space.paths[2:], 0.5)}, history.space_number)
        history.apply(replace(ended, values=found, error=error, cost=ended.cost + 1.0))


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
        "until",
        "space_version",
        "seen",
        "most_trials",
        "most_steps",
        "started_at",
        "finished_at",
    ]
    names += ["y", "violations", "feasible", "means", "front", "x", "inside"]
    known = {name: getattr(history, name).tolist() for name in names}
    known |= {"proposed": [history.row(trial).proposed for trial in range(n)]}
    known |= {"paths": history.space.paths, "space": history.space_number}
    pasts = [(history.born[trial], history.row(trial).past) for trial in range(n)]
    known |= {"past": [[moment for moment in past if moment.rev > born] for born, past in pasts]}
    known |= {"length": n, "rev": history.rev, "started": history.started, "best": history.best}
    known |= {"unfinished": history.unfinished, "configs": [history.config(trial) for trial in range(n)]}
    known |= {"errors": [history.text("error", trial) for trial in range(n)]}
    known |= {"why": [history.text("why", trial) for trial in range(n)]}
    known |= {"values": [history.row(trial).values for trial in range(n)]}
    points = ((name, curve) for name, curve in sorted(history.curves.items()) if len(curve))
    known |= {f"curve of {name}": [c.tolist() for c in (v.trial, v.step, v.value, v.rev)] for name, v in points}
    known |= {"at 1": [history.value_at(1, name).tolist() for name in ("loss", "accuracy", "memory")]}
    return known | {"ranks": history.rank_at(1).tolist()}


def reopened(history):
    """As a process has it that reads all of a store."""
    made = History(history.space, OBJECTIVES, BOUNDS, seed=5, limits=history.limits)
    made.space_number = history.space_number
    for version, (rev, space) in history._spaces.items():
        made.learn(space, version, rev)
    reports = []
    for trial in range(len(history)):
        row, curve = history.row(trial), metrics_of(history.curves, trial)
        revs = revisions_of(history.curves, trial)
        made.apply(replace(row, curve=curve, revs=[0 if r == row.ended else r for r in revs]) if row.ended else row)
        for step, rev in zip(sorted({s for steps, _ in curve.values() for s in steps}), revs, strict=True):
            found = {name: values[steps.index(step)] for name, (steps, values) in curve.items() if step in steps}
            reports += [] if row.ended else [(trial, step, found, rev)]
    for report in reports:
        made.report(*report)
    made.rev = history.rev
    return made


def in_order(known):
    """The same with the points of curves by trial: who opens a study gets them together."""
    curves = {name: value for name, value in known.items() if name.startswith("curve of")}
    return known | {
        name: [list(p) for p in sorted(zip(*columns, strict=True), key=repr)] for name, columns in curves.items()
    }


NOTHING = {"loss": 0.0, "accuracy": 0.0, "memory": 0.0}


@settings(max_examples=150, deadline=None)
@given(events)
@example([(what, 0, NOTHING) for what in ("start", "grow", "start", "change", "pause", "grow", "begin", "change")])
def test_the_past_is_the_history_of_what_was_known_then(happened):
    history, known = new_history(), []
    known.append(public(history))
    for event in happened:
        rev = history.rev
        happen(history, *event)
        if history.rev > rev:
            known.append(public(history))
    again = reopened(history)
    for rev, then in enumerate(known):
        found, anew = public(history.as_of(rev)), in_order(public(again.as_of(rev)))
        for name, value in then.items():
            np.testing.assert_equal(found.get(name), value, err_msg=f"{name} as of {rev}")
        for name, value in in_order(then).items():
            np.testing.assert_equal(anew.get(name), value, err_msg=f"{name} as of {rev}, opened again")
        assert found.keys() == anew.keys() == then.keys()


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


def test_what_only_one_process_knows_is_of_no_revision_until_it_is_told():
    history = new_history()
    begin(history, {"x": 0.5, "act": None})
    history.report(0, 1, {"loss": 1.0}, UNTOLD)
    assert history.curve(0)[1].tolist() == [1.0]
    assert history.as_of(99).curve(0)[1].tolist() == []
    history.tell(0, 7)
    assert [history.as_of(rev).reached.tolist() for rev in (6, 7)] == [[0], [1]]
    history.report(0, 2, {"loss": 2.0}, UNTOLD)
    history.take_back(0)
    assert history.curve(0)[1].tolist() == [1.0]


def test_a_trial_of_a_space_that_another_process_searches_can_be_seen_as_that_saw_it():
    history = new_history()
    history.learn(SPACE.grown("z", Float(0, 1)), 1, rev=2)
    begin(history, {"x": 0.5, "act": None, "z": 0.25}, space=1)
    assert history.as_of(9).space.paths == ("x", "act")
    assert not history.as_of(9).inside[0]
    other = history.as_of(9, space=1)
    assert (other.space.paths, other.inside.tolist(), other.x[0, 2]) == (("x", "act", "z"), [True], 0.25)


def test_a_checkpoint_that_was_saved_later_is_not_there():
    history = new_history()
    begin(history, {"x": 0.5, "act": None})
    for step in (1, 2):
        history.rev += 1
        history.report(0, step, {"loss": 1.0})
    history.apply(replace(history.row(0), saved=(2, 1)))
    assert history.as_of(history.rev).text("saved", 0) == (2, 1)
    assert history.as_of(history.rev - 1).text("saved", 0) is None


def test_a_trial_that_had_asked_for_nothing_yet_has_no_parameters():
    history = History(Space({}, open=True))
    begin(history, {})
    for version, name in enumerate("xy", 1):
        history.rev += 1
        history.move_to(history.space.grown(name, Float(0, 1)), version)
    row = history.row(0)
    row.change({"x": 0.5, "y": 0.25}, 2)
    row.state, row.ended, row.rev = State.DONE, 4, 4
    history.rev = 4
    history.apply(row)
    past = [history.as_of(rev) for rev in range(1, 5)]
    assert [then.config(0) for then in past] == [{}, {}, {}, {"x": 0.5, "y": 0.25}]
    assert [then.space.paths for then in past] == [(), ("x",), ("x", "y"), ("x", "y")]
    assert [then.space_version[0] for then in past] == [0, 0, 0, 2]
