"""What a history says to a model: every state, repeats, constraints and several objectives."""

import math

import numpy as np
import pytest

from tuneful.history import Bound, History, Objective, State
from tuneful.searchers.evidence import Evidence
from tuneful.space import Float, Space, Switch
from tuneful.testing.histories import begin, end

LINE = Space({"x": Float(0, 1)})


def study(*goals, bounds=()):
    return History(LINE, goals or (Objective(),), bounds)


def tried(history, x, value=math.nan, state=State.DONE, curve=(), **facts):
    """A trial of `x` that reported a curve and came to a state."""
    trial = begin(history, {"x": x}, State.RUNNING if state.final else state, **facts)
    for step, reported in enumerate(curve, 1):
        history.report(trial, step, {"value": reported})
    if state.final:
        end(history, trial, value, state)
    return trial


def test_a_trial_teaches_by_its_state():
    history = study()
    tried(history, 0.0, 1.0)
    tried(history, 0.1, state=State.FAILED)
    tried(history, 0.2, state=State.RUNNING, curve=[3.0, 2.0])
    tried(history, 0.3, state=State.QUEUED)
    tried(history, 0.4, state=State.PAUSED, curve=[3.0])
    tried(history, 0.5, state=State.PRUNED, curve=[4.0, 5.0])
    tried(history, 0.6, state=State.CANCELLED)
    tried(history, 0.7, 0.5)
    evidence = Evidence.of(history)
    assert sorted(evidence.trials.tolist()) == [0, 4, 5, 7]
    assert evidence.x[:, 0].tolist() == history.x[evidence.trials, 0].tolist()
    assert np.isfinite(evidence.y).all()
    assert evidence.failures.tolist() == [1]
    assert evidence.failed.tolist() == [[0.1]]
    assert sorted(evidence.pending[:, 0].tolist()) == [0.2, 0.3]


def test_values_that_are_no_numbers_are_failures():
    history = study()
    for i, value in enumerate([1.0, math.nan, math.inf, 2.0]):
        tried(history, i / 10, value)
    evidence = Evidence.of(history)
    assert evidence.trials.tolist() == [0, 3]
    assert evidence.failures.tolist() == [1, 2]


def test_values_of_any_size_are_finite_and_so_are_their_differences():
    history = study()
    for i, value in enumerate([-1.7e308, 1.7e308, 1e-320, 0.0]):
        tried(history, i / 10, value)
    evidence = Evidence.of(history)
    assert len(evidence.y) == 4
    assert np.isfinite(np.ptp(evidence.y))


def test_lower_is_better_whatever_the_user_counts():
    history = study(Objective("accuracy", maximize=True))
    tried(history, 0.0, 0.9)
    tried(history, 0.1, 0.3)
    assert Evidence.of(history).y.tolist() == [-0.9, -0.3]


def test_trials_come_in_the_order_in_which_they_ended():
    history = study()
    for i in range(4):
        begin(history, {"x": i / 10})
    for i in (2, 0, 3):
        end(history, i, float(i))
    assert Evidence.of(history).trials.tolist() == [2, 0, 3]
    end(history, 1, 1.0)
    assert Evidence.of(history).trials.tolist() == [2, 0, 3, 1]


def test_those_that_are_paused_come_last():
    history = study()
    tried(history, 0.0, state=State.PAUSED, curve=[1.0])
    tried(history, 0.1, 2.0, curve=[2.0])
    assert Evidence.of(history).trials.tolist() == [1, 0]


def test_a_pruned_trial_would_have_come_to_what_such_trials_came_to():
    history = study()
    for i, end_value in enumerate([1.0, 2.0, 3.0]):
        tried(history, i / 10, end_value, curve=[10 * end_value, end_value])
    cut = [tried(history, 0.5 + i / 10, state=State.PRUNED, curve=[v]) for i, v in enumerate([15.0, 30.0, 5.0, 50.0])]
    evidence = Evidence.of(history)
    found = dict(zip(evidence.trials.tolist(), evidence.y.tolist(), strict=True))
    assert [found[trial] for trial in cut[:2]] == pytest.approx([1.5, 3.0])
    assert found[cut[2]] < 1.0
    assert found[cut[3]] > 3.0


def test_a_pruned_trial_without_a_report_teaches_nothing():
    history = study()
    tried(history, 0.0, 1.0, curve=[1.0])
    tried(history, 0.1, state=State.PRUNED)
    tried(history, 0.2, state=State.PRUNED, curve=[math.nan])
    evidence = Evidence.of(history)
    assert evidence.trials.tolist() == [0]
    assert not len(evidence.failed)


def test_pruned_trials_alone_count_by_their_last_value():
    history = study()
    for i, value in enumerate([3.0, 1.0, 2.0]):
        tried(history, i / 10, state=State.PRUNED, curve=[9.0, value])
    assert Evidence.of(history).y.tolist() == [3.0, 1.0, 2.0]


def test_the_order_of_pruned_trials_of_one_step_stays():
    history = study()
    rng = np.random.default_rng(0)
    for value in rng.random(20):
        tried(history, rng.random(), float(value), curve=[value + 1.0, value])
    reports = np.sort(rng.uniform(0.5, 2.5, 15))
    cut = [tried(history, rng.random(), state=State.PRUNED, curve=[v]) for v in reports]
    y = dict(zip(Evidence.of(history).trials.tolist(), Evidence.of(history).y.tolist(), strict=True))
    assert np.all(np.diff([y[trial] for trial in cut]) >= 0)


def test_repeats_teach_by_their_mean_and_are_no_failures():
    history = study()
    tried(history, 0.0, 1.0)
    tried(history, 0.0, 3.0, repeat_of=0)
    tried(history, 0.5, 5.0)
    tried(history, 0.5, math.nan, state=State.RUNNING, repeat_of=2)
    evidence = Evidence.of(history)
    assert evidence.trials.tolist() == [0, 2]
    assert evidence.y.tolist() == [2.0, 5.0]
    assert not len(evidence.failed)


def test_those_that_break_a_constraint_come_after_all_others_by_how_much_they_do():
    history = study(Objective("loss"), bounds=[Bound("memory", 1.0)])
    for i, (loss, memory) in enumerate([(5.0, 0.5), (1.0, 2.0), (0.0, 9.0), (7.0, 1.0), (0.0, math.nan)]):
        tried(history, i / 10, {"loss": loss, "memory": memory})
    evidence = Evidence.of(history)
    y = evidence.y[np.argsort(evidence.trials)]
    assert np.isfinite(y).all()
    assert y[[0, 3]].tolist() == [5.0, 7.0]
    assert 7.0 <= y[1] < y[2] <= y[4]


def test_when_all_break_a_constraint_those_that_break_it_less_are_better():
    history = study(Objective("loss"), bounds=[Bound("memory", 1.0)])
    for i, memory in enumerate([4.0, 2.0, 3.0, 1e300]):
        tried(history, i / 10, {"loss": 1.0, "memory": memory})
    y = Evidence.of(history).y
    assert np.isfinite(y).all()
    assert y[1] <= y[2] <= y[0] < y[3]


def test_several_objectives_are_ranked():
    history = study(Objective("loss"), Objective("accuracy", maximize=True))
    for i, (loss, accuracy) in enumerate([(1.0, 0.9), (2.0, 0.8), (3.0, 0.7), (0.5, 0.5)]):
        tried(history, i / 10, {"loss": loss, "accuracy": accuracy})
    tried(history, 0.5, {"loss": 1.0})
    evidence = Evidence.of(history)
    assert evidence.trials.tolist() == [0, 1, 2, 3]
    assert max(evidence.y[[0, 3]]) < evidence.y[1] < evidence.y[2]
    assert evidence.failures.tolist() == [4]


def test_trials_outside_of_a_narrower_space_are_hidden():
    history = study()
    for i in range(5):
        tried(history, i / 5, float(i))
    tried(history, 0.9, state=State.FAILED)
    tried(history, 0.95, state=State.RUNNING)
    history.move_to(Space({"x": Float(0, 0.5)}), 1)
    evidence = Evidence.of(history)
    assert evidence.trials.tolist() == [0, 1, 2]
    assert not len(evidence.failed)
    assert not len(evidence.pending)


def test_what_does_not_exist_is_nan():
    space = Space({"s": Switch({"on": {"k": Float(0, 1)}, "off": {}})})
    history = History(space)
    end(history, begin(history, {"s": "off"}), 1.0)
    end(history, begin(history, {"s": "on", "s.on.k": 0.5}), 1.0)
    assert np.isnan(Evidence.of(history).x[:, 1]).tolist() == [True, False]


def test_it_is_remembered_until_something_changes():
    history = study()
    tried(history, 0.0, 1.0)
    before = Evidence.of(history)
    assert Evidence.of(history) is before
    tried(history, 0.1, 1.0)
    assert len(Evidence.of(history).y) == 2


def test_parts_of_it_and_one_more_pending():
    history = study()
    for i in range(5):
        tried(history, i / 10, float(i))
    evidence = Evidence.of(history)
    some = evidence.only(np.array([1, 3]))
    assert some.trials.tolist() == some.y.tolist() == [1, 3]
    assert evidence.only(np.arange(5)) is evidence
    more = evidence.and_pending(np.array([0.7]))
    assert more.pending.tolist() == [[0.7]]
    assert not len(evidence.pending)


def test_an_empty_study_says_nothing():
    evidence = Evidence.of(study())
    assert evidence.x.shape == evidence.failed.shape == evidence.pending.shape == (0, 1)
    assert evidence.y.shape == (0,)
