"""Curves: reports, restarts, and what was known at a step."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.history import UNTOLD, Curves, History, Objective, State, curves
from tuneful.history.curves import metrics_of, revisions_of
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end, rebuilt

TRIALS, STEPS, METRICS = 3, 4, ("loss", "accuracy", "other")
TWO = (Objective("loss"), Objective("accuracy", maximize=True))
calm = settings(max_examples=100, deadline=None)
values = st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf, -math.inf])
reports = st.tuples(
    st.integers(0, TRIALS - 1),
    st.integers(1, STEPS),
    st.dictionaries(st.sampled_from(METRICS), values, min_size=1),
)
restarts = st.tuples(st.integers(0, TRIALS - 1), st.integers(0, STEPS), st.none())


def history_of(trials=TRIALS, objectives=TWO):
    history = History(Space({"x": Float(0, 1)}), objectives)
    for trial in range(trials):
        begin(history, {"x": trial / 10})
    return history


def same(a, b):
    return np.array_equal(np.asarray(a, dtype=float), np.asarray(b, dtype=float), equal_nan=True)


@calm
@given(st.lists(st.one_of(reports, reports, restarts), max_size=25), st.booleans())
def test_curves_hold_the_last_word_on_each_step_up_to_the_last_restart(events, pickled):
    history, told, reached = history_of(), {}, [0] * TRIALS
    for trial, step, metrics in events:
        if metrics is None:
            history.restart(trial, step)
            told = {key: value for key, value in told.items() if key[0] != trial or key[1] <= step}
            reached[trial] = min(reached[trial], step)
        else:
            history.report(trial, step, metrics)
            told = {key: value for key, value in told.items() if key[:2] != (trial, step)}
            told |= {(trial, step, name): value for name, value in metrics.items()}
            reached[trial] = max(reached[trial], step)
    if pickled:
        history = pickle.loads(pickle.dumps(history))
    assert history.reached.tolist() == reached
    for metric in METRICS:
        sign = -1.0 if metric == "accuracy" else 1.0
        for trial in range(TRIALS):
            steps = [step for step in range(1, STEPS + 1) if (trial, step, metric) in told]
            found = history.curve(trial, metric)
            assert found[0].tolist() == steps
            assert same(found[1], [sign * told[trial, step, metric] for step in steps])
        for step in range(1, STEPS + 1):
            known = [sign * told.get((trial, step, metric), math.nan) for trial in range(TRIALS)]
            assert same(history.value_at(step, metric), known)
            if metric in history.curves:
                assert same(
                    history.curves[metric].best_until(step, TRIALS, sign),
                    list(best(told, metric, step, sign)),
                )


def best(told, metric, step, sign):
    for trial in range(TRIALS):
        points = [sign * v for (t, s, m), v in told.items() if (t, m) == (trial, metric) and s <= step]
        finite = [point for point in points if not math.isnan(point)]
        lowest = min(finite, default=math.nan)
        yield math.nan if math.isinf(lowest) else lowest


@calm
@given(st.lists(reports, max_size=20))
def test_a_study_that_is_opened_again_has_the_same_curves(events):
    history = history_of()
    for event in events:
        history.report(*event)
    end(history, 1, {"loss": 1.0, "accuracy": 0.5})
    again = rebuilt(history)
    for metric in METRICS:
        for trial in range(TRIALS):
            assert all(map(same, history.curve(trial, metric), again.curve(trial, metric)))
    assert again.reached.tolist() == history.reached.tolist()


def test_many_points_are_kept_in_the_order_in_which_they_became_known():
    history = history_of(2)
    for step in range(1, 201):
        history.rev += 1
        history.report(step % 2, step, {"loss": float(step)})
    curve = history.curves["loss"]
    assert len(curve) == 200
    assert curve.step.tolist() == list(range(1, 201))
    assert curve.trial.tolist() == [1, 0] * 100
    assert (np.diff(curve.rev) == 1).all()
    assert history.curve(0)[1].tolist() == [float(step) for step in range(2, 201, 2)]


def test_a_finished_trial_may_bring_its_whole_curve_instead_of_what_was_known():
    history = history_of(2)
    history.report(0, 1, {"loss": 9.0, "other": 9.0})
    history.report(1, 1, {"loss": 5.0})
    row = history.row(0)
    steps, losses = list(range(1, 101)), [1 / step for step in range(1, 101)]
    row.state, row.ended, row.step, row.curve = State.DONE, 7, 100, {"loss": (steps, losses)}
    history.apply(row)
    assert history.curve(0)[0].tolist() == steps
    assert history.curve(0)[1].tolist() == losses
    assert set(history.curves["loss"].rev[history.curves["loss"].trial == 0]) == {7}
    assert len(history.curve(0, "other")[0]) == 0
    assert history.curve(1)[1].tolist() == [5.0]
    assert history.reached.tolist() == [100, 1]


def test_a_metric_that_nobody_reported_is_unknown_everywhere():
    history = history_of(2)
    assert np.isnan(history.value_at(1)).all()
    assert [len(part) for part in history.curve(0, "nothing")] == [0, 0]
    assert np.isnan(history.rank_at(1)).all()


def test_with_one_objective_the_rank_at_a_step_is_the_value_there():
    history = history_of(3, (Objective("accuracy", maximize=True),))
    for trial, accuracy in enumerate([0.5, 0.9]):
        history.report(trial, 2, {"accuracy": accuracy})
    assert same(history.rank_at(2), [-0.5, -0.9, math.nan])


def test_with_several_objectives_the_rank_at_a_step_is_the_front_then_the_crowding():
    history = history_of(4)
    for trial, (loss, accuracy) in enumerate([(1.0, 0.5), (2.0, 0.9), (3.0, 0.4)]):
        history.report(trial, 1, {"loss": loss, "accuracy": accuracy})
    history.report(3, 1, {"loss": 0.0})
    assert same(history.rank_at(1), [0.0, 0.5, 1.0, math.nan])


def test_a_copy_of_some_points_can_grow_by_itself():
    curve = Curves()
    for step in range(1, 6):
        curve.add(0, step, float(step), step)
    early = curve.copy(curve.rev <= 2)
    for step in range(3, 9):
        early.add(1, step, -1.0, step)
    assert curve.of(0)[1].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert early.of(0)[1].tolist() == [1.0, 2.0]
    assert len(early.of(1)[0]) == 6
    assert len(curve.copy(curve.rev > 99)) == 0


@calm
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "extend", "drop", "step", "tell", "untold"]), st.integers(0, 5)), max_size=60
    )
)
def test_points_are_found_by_trial_however_many_there_are(events):
    curve, known = Curves(), []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(curves, "_SCANNED", 3)  # sorts them all the time
        for at, (what, trial) in enumerate(events, 1):
            if what == "add":
                curve.add(trial, at, float(at), UNTOLD)
                known.append([trial, at, float(at), UNTOLD])
            elif what == "extend":
                curve.extend(trial, [at, at + 1], [0.5, 0.25], np.array([at, at + 9]))
                known += [[trial, at, 0.5, at], [trial, at + 1, 0.25, at + 9]]
            elif what == "drop":
                curve.drop(trial, at // 2)
                known = [point for point in known if point[0] != trial or point[1] <= at // 2]
            elif what == "step":
                curve.drop_step(trial, at - 1)
                known = [point for point in known if point[:2] != [trial, at - 1]]
            elif what == "tell":
                curve.tell(trial, at)
                known = [[*p[:3], at] if p[0] == trial and p[3] == UNTOLD else p for p in known]
            else:
                curve.drop_untold(trial)
                known = [point for point in known if point[0] != trial or point[3] != UNTOLD]
            columns = (curve.trial, curve.step, curve.value, curve.rev)
            assert [list(p) for p in zip(*(c.tolist() for c in columns), strict=True)] == known
            for one in range(7):
                mine = sorted((p[1:] for p in known if p[0] == one), key=lambda p: p[0])
                assert [list(p) for p in zip(*(c.tolist() for c in curve.points(one)), strict=True)] == mine


def test_a_finished_trial_may_tell_when_each_step_became_known():
    history = history_of(1)
    row = history.row(0)
    row.state, row.ended, row.revs = State.DONE, 9, [4, 0, 6]
    row.curve = {"loss": ([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]), "accuracy": ([3], [0.5])}
    history.apply(row)
    assert history.curves["loss"].rev.tolist() == [4, 9, 6, 9]
    assert history.curves["accuracy"].rev.tolist() == [6]
    assert revisions_of(history.curves, 0) == [4, 9, 6, 9]


def test_all_metrics_of_a_trial_can_be_taken_out():
    history = history_of(2)
    history.report(0, 1, {"loss": 1.0, "accuracy": 0.5})
    history.report(0, 2, {"loss": 0.5})
    assert metrics_of(history.curves, 0) == {"loss": ([1, 2], [1.0, 0.5]), "accuracy": ([1], [0.5])}
    assert metrics_of(history.curves, 1) == {}
