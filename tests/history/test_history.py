"""The table of trials: facts in and out, order, results, the best."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.history import Bound, Checkpoint, History, Limits, Objective, Row, State
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end, rebuilt

SPACE = Space({"x": Float(0, 1)})
TWO = (Objective("loss"), Objective("accuracy", maximize=True))


def ended(*values, state=State.DONE, **settings):
    """A history of trials that ended with these values."""
    history = History(SPACE, **settings)
    for trial, value in enumerate(values):
        end(history, begin(history, {"x": trial / 100}), value, state)
    return history


def same(a, b):
    return np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True)


# Facts

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(max_size=5)
counts = st.integers(0, 2**40)
notes = st.dictionaries(names, st.one_of(st.integers(), finite, names, st.none()), max_size=2)
facts = st.fixed_dictionaries(
    {
        "space": st.integers(0, 9),
        "state": st.sampled_from(State),
        **dict.fromkeys(("rev", "born", "begun", "ended", "attempt", "began", "step", "seen"), counts),
        "until": st.none() | st.integers(1, 2**50),
        "saved": st.none() | st.tuples(counts, counts),
        "cost": st.floats(0, 1e9),
        "parent": st.none() | st.builds(Checkpoint, st.integers(0, 2), counts),
        "repeat_of": st.none() | st.integers(0, 0),
        "imported": st.booleans(),
        **dict.fromkeys(("note", "why", "settings"), notes),
        "error": st.none() | st.fixed_dictionaries({"type": names, "message": names, "traceback": names}),
        "started": st.none() | finite,
        "finished": st.none() | finite,
    }
)
results = st.dictionaries(st.sampled_from(["value", "other"]), st.floats(allow_nan=False), max_size=2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(facts, results), min_size=1, max_size=3), st.booleans())
def test_the_facts_of_a_trial_come_out_as_they_went_in_whatever_was_known_before(versions, pickled):
    history = History(SPACE)
    for known, metrics in versions:
        row = Row(0, {"x": 0.25}, **known, values=metrics if known["state"].final else {})
        history.apply(row)
    history = pickle.loads(pickle.dumps(history)) if pickled else history
    assert history.row(0) == row
    assert len(history) == 1
    assert history.started == (row.begun > 0 and row.distinct)
    assert history.unfinished == ([] if row.state.final else [0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), facts, results), max_size=40), st.integers(1, 9))
def test_many_trials_taken_in_together_are_those_taken_in_one_by_one(found, size):
    rows = [
        Row(number, {"x": number / 100}, **known, values=metrics if known["state"].final else {})
        for number, known, metrics in found
    ]
    one, together = History(SPACE), History(SPACE)
    for start in range(0, len(rows), size):
        part = list({row.number: row for row in rows[start : start + size]}.values())
        for row in part:
            one.apply(row)
        together.apply_all(part)
    assert [one.row(t) for t in range(len(one))] == [together.row(t) for t in range(len(together))]
    for name in ("y", "x", "inside", "state", "means"):
        assert same(getattr(one, name), getattr(together, name))
    assert (one.started, one.unfinished) == (together.started, together.unfinished)
    assert [one.find({"x": n / 100}) for n in range(21)] == [together.find({"x": n / 100}) for n in range(21)]


def test_trials_may_become_known_in_any_order():
    rows = [Row(k, {"x": k / 10}, state=State.RUNNING, rev=k + 1, born=k + 1, begun=k + 1) for k in range(3)]
    history = History(SPACE)
    for row in (rows[2], rows[0], rows[1]):
        history.apply(row)
    assert [history.config(trial)["x"] for trial in range(3)] == [0.0, 0.1, 0.2]
    assert history.started == 3
    assert [history.find({"x": x}) for x in (0.0, 0.1, 0.2)] == [0, 1, 2]


def test_the_first_trial_of_a_config_is_found_in_whatever_order_they_became_known():
    for together in (False, True):
        history = History(SPACE)
        begin(history, {"x": 0.1})
        assert history.find({"x": 0.5}) is None
        for number, root in ((2, 1), (1, None)):
            row = Row(number, {"x": 0.5}, repeat_of=root)
            history.apply_all([row]) if together else history.apply(row)
        assert history.find({"x": 0.5}) == 1


def test_many_trials_with_a_parameter_that_no_space_has_are_refused():
    with pytest.raises(KeyError, match="a parameter that no space of the study has"):
        History(SPACE).apply_all([Row(0, {"x": 0.5, "y": 1.0})])


def test_columns_hold_only_trials_and_grow_with_them():
    history = History(SPACE)
    for trial in range(40):
        begin(history, {"x": trial / 100})
    for name in (
        "state",
        "reached",
        "until",
        "attempt",
        "born",
        "begun",
        "ended",
        "cost",
        "started_at",
        "parent",
    ):
        assert len(getattr(history, name)) == 40
    assert history.x.shape == (40, 1)
    assert history.y.shape == (40, 1)
    assert np.allclose(history.x[:, 0], np.arange(40) / 100)


def test_what_it_does_not_have_is_an_attribute_error_by_name():
    with pytest.raises(AttributeError, match="A History has no 'trials'"):
        _ = History(SPACE).trials


def test_every_change_is_a_new_version():
    history = History(SPACE)
    seen = {history.version}
    begin(history, {"x": 0.5})
    seen.add(history.version)
    history.report(0, 1, {"value": 1.0})
    seen.add(history.version)
    history.restart(0, 0)
    seen.add(history.version)
    end(history, 0, 1.0)
    seen.add(history.version)
    history.move_to(Space({"x": Float(0, 2)}), 1)
    seen.add(history.version)
    history.apply_all([Row(1, {"x": 0.1})])
    assert len(seen | {history.version}) == 7


# Order


def test_the_orders_of_starting_and_of_finishing_are_kept():
    history = History(SPACE)
    begin(history, {"x": 0.1}, State.QUEUED)
    begin(history, {"x": 0.2})
    begin(history, {"x": 0.3})
    history.rev += 1
    history.apply(replace(history.row(0), state=State.RUNNING, begun=history.rev))
    for trial in (2, 0, 1):
        end(history, trial, 1.0)
    assert history.born.tolist() == [1, 2, 3]
    assert np.argsort(history.begun).tolist() == [1, 2, 0]
    assert np.argsort(history.ended).tolist() == [2, 0, 1]


def test_only_distinct_trials_that_have_begun_count_as_started():
    history = History(SPACE)
    begin(history, {"x": 0.1}, State.QUEUED)
    begin(history, {"x": 0.2})
    begin(history, {"x": 0.2}, repeat_of=1)
    begin(history, {"x": 0.3}, parent=Checkpoint(1, 2))
    begin(history, {"x": 0.4}, imported=True)
    assert history.started == 1
    history.apply(replace(history.row(0), state=State.RUNNING, begun=9))
    history.apply(replace(history.row(0), state=State.QUEUED))
    assert history.started == 2


def test_unfinished_trials_are_listed_by_number_and_by_state():
    history = History(SPACE)
    for k, state in enumerate([State.PAUSED, State.RUNNING, State.QUEUED, State.RUNNING]):
        begin(history, {"x": k / 10}, state)
    assert history.unfinished == [0, 1, 2, 3]
    assert history.of_state(State.RUNNING) == [1, 3]
    end(history, 1, 1.0, State.PRUNED)
    assert history.unfinished == [0, 2, 3]
    assert history.of_state(State.RUNNING) == [3]


# Results


def test_lower_is_better_unknown_is_nan_and_failed_is_infinite():
    history = History(SPACE, TWO)
    for k, state in enumerate([State.DONE, State.PRUNED, State.FAILED, State.CANCELLED]):
        end(history, begin(history, {"x": k / 10}), {"loss": 2.0, "accuracy": 0.75, "other": 1.0}, state)
    begin(history, {"x": 0.9})
    nan, inf = math.nan, math.inf
    assert same(history.y, [[2.0, -0.75], [nan, nan], [inf, inf], [nan, nan], [nan, nan]])
    assert same(history.metrics["accuracy"][:5], [0.75, 0.75, 0.75, 0.75, nan])
    assert same(history.metrics["other"][:5], [1, 1, 1, 1, nan])


def test_a_result_that_is_taken_back_is_forgotten():
    history = ended(1.0)
    history.apply(replace(history.row(0), state=State.QUEUED, values={}, ended=0))
    assert np.isnan(history.y[0, 0])
    assert history.row(0).values == {}
    assert history.best is None
    assert history.unfinished == [0]


def test_constraints_are_broken_by_what_is_beyond_them_and_not_by_what_is_unknown():
    bounds = (Bound("memory", 4.0), Bound("recall", 0.9, at_least=True))
    history = History(SPACE, (Objective("loss"),), bounds)
    for k, metrics in enumerate([{"memory": 3, "recall": 0.95}, {"memory": 5, "recall": 0.95}, {"recall": 0.5}, {}]):
        end(history, begin(history, {"x": k / 10}), {"loss": 1.0, **metrics})
    assert np.allclose(history.violations[:2], [[-1, -0.05], [1, -0.05]])
    assert np.isnan(history.violations[2:, 0]).all()
    assert history.feasible.tolist() == [True, False, False, True]


def test_a_constrained_metric_that_is_nan_breaks_the_constraint_once_the_trial_is_done():
    history = History(SPACE, (Objective("loss"),), [Bound("memory", 4.0), Bound("recall", 0.9, at_least=True)])
    for k, state in enumerate([State.DONE, State.PRUNED, State.FAILED]):
        end(history, begin(history, {"x": k / 10}), {"loss": k, "memory": math.nan, "recall": math.nan}, state)
    end(history, begin(history, {"x": 0.9}), {"loss": 5.0, "memory": 1.0, "recall": 1.0})
    assert history.violations[0].tolist() == rebuilt(history).violations[0].tolist() == [math.inf, math.inf]
    assert history.feasible.tolist() == [False, True, True, True]
    assert history.best == 3


# The best


def test_the_best_has_the_lowest_value_and_among_equals_is_the_first():
    history = ended(3.0, 1.0, 1.0, 2.0)
    assert history.best == 1
    assert history.front.tolist() == [1]


def test_the_best_of_what_is_maximized_has_the_highest_value():
    assert ended(3.0, 1.0, 5.0, objectives=(Objective(maximize=True),)).best == 2


@pytest.mark.parametrize("state", [State.FAILED, State.PRUNED, State.CANCELLED])
def test_only_what_is_done_can_be_best(state):
    history = ended(5.0)
    end(history, begin(history, {"x": 0.9}), 0.0, state)
    assert history.best == 0
    assert ended(0.0, state=state).best is None
    assert ended(0.0, state=state).front.tolist() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_cannot_be_best(value):
    assert ended(value).best is None
    assert ended(value, 7.0).best == 1


def test_nothing_is_best_of_nothing():
    assert History(SPACE).best is None
    assert History(SPACE, TWO).front.tolist() == []


def test_what_breaks_a_constraint_cannot_be_best():
    history = History(SPACE, (Objective("loss"),), (Bound("memory", 4.0),))
    for k, (loss, memory) in enumerate([(1.0, 9.0), (3.0, 2.0), (2.0, 4.0)]):
        end(history, begin(history, {"x": k / 10}), {"loss": loss, "memory": memory})
    assert history.best == 2
    end(history, begin(history, {"x": 0.9}), {"loss": 0.0})
    assert history.best == 3


def test_the_front_is_what_no_other_trial_beats_everywhere():
    history = History(SPACE, TWO, (Bound("memory", 4.0),))
    metrics = [
        (1, 0.5, 1),
        (2, 0.9, 1),
        (3, 0.8, 1),
        (2, 0.95, 9),
        (0.5, 0.1, 1),
        (2, 0.9, 1),
        (0, math.nan, 1),
    ]
    for k, (loss, accuracy, memory) in enumerate(metrics):
        end(history, begin(history, {"x": k / 10}), {"loss": loss, "accuracy": accuracy, "memory": memory})
    assert history.front.tolist() == [0, 1, 4, 5]
    assert history.best == 4


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([State.DONE, State.FAILED]))))
def test_the_front_equals_its_definition(found):
    history = History(SPACE, TWO)
    for k, (loss, accuracy, state) in enumerate(found):
        end(
            history,
            begin(history, {"x": k / 1000}),
            {"loss": float(loss), "accuracy": float(accuracy)},
            state,
        )
    done = [(k, loss, accuracy) for k, (loss, accuracy, state) in enumerate(found) if state == State.DONE]
    front = [
        k
        for k, loss, accuracy in done
        if not any(a <= loss and b >= accuracy and (a, b) != (loss, accuracy) for _, a, b in done)
    ]
    assert history.front.tolist() == front
    assert history.best == (min(front, key=lambda k: (found[k][0], k)) if front else None)


# Repeats


def repeated(*results):
    """Trials and repeats of them: (value, the trial it repeats or None, state)."""
    history = History(SPACE)
    for value, root, state in results:
        config = {"x": len(history) / 10} if root is None else history.config(root)
        end(history, begin(history, config, repeat_of=root), value, state)
    return history


def test_a_trial_and_its_repeats_stand_for_their_mean():
    done = State.DONE
    history = repeated((1.0, None, done), (2.0, None, done), (4.0, 0, done), (1.0, 0, done), (0.5, 1, done))
    assert same(history.means[:, 0], [2.0, 1.25, math.nan, math.nan, math.nan])
    assert history.best == 1
    assert history.y[:, 0].tolist() == [1.0, 2.0, 4.0, 1.0, 0.5]


def test_repeats_that_failed_or_still_run_do_not_change_the_mean():
    history = repeated((1.0, None, State.DONE), (9.0, 0, State.FAILED), (9.0, 0, State.PRUNED))
    begin(history, history.config(0), repeat_of=0)
    assert same(history.means[:, 0], [1.0] + 3 * [math.nan])
    assert history.best == 0


def test_the_repeats_of_a_trial_that_failed_stand_in_the_row_of_the_first_that_is_done():
    done = State.DONE
    history = repeated(
        (0.0, None, State.FAILED), (5.0, None, done), (1.0, 0, State.PRUNED), (2.0, 0, done), (4.0, 0, done)
    )
    assert same(history.means[:, 0], [math.inf, 5.0, math.nan, 3.0, math.nan])
    assert history.best == 3


def test_without_repeats_means_are_the_values():
    history = ended(1.0, 2.0)
    assert same(history.means, history.y)


# The memo


def test_the_memo_keeps_values_with_the_version_they_were_made_for():
    history = ended(1.0)
    assert history.recall("fit") is None
    history.remember("fit", "a")
    version = history.version
    assert history.recall("fit") == (version, "a")
    begin(history, {"x": 0.9})
    assert history.recall("fit") == (version, "a")
    assert history.version > version


def test_the_memo_is_gone_in_another_space_and_in_another_process():
    history = ended(1.0)
    history.remember("fit", "a")
    assert pickle.loads(pickle.dumps(history)).recall("fit") is None
    history.move_to(Space({"x": Float(0, 2)}), 1)
    assert history.recall("fit") is None


def test_a_pickled_history_goes_on_like_the_original():
    history = ended(1.0, 2.0, limits=Limits(9), seed=4, bounds=(Bound("memory", 1.0),))
    history.report(1, 3, {"memory": 2.0})
    again = pickle.loads(pickle.dumps(history))
    for one in (history, again):
        end(one, begin(one, {"x": 0.77}), {"value": 0.5, "memory": 0.5})
    assert again.best == history.best == 2
    assert again.find({"x": 0.77}) == 2
    assert (again.seed, again.limits, again.bounds) == (4, Limits(9), history.bounds)
    assert same(again.x, history.x)
    assert same(again.violations, history.violations)
    assert again.curve(1, "memory")[1].tolist() == [2.0]
