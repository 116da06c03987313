"""One running trial, as its objective sees it."""

import numpy as np
import pytest

import tuneful as tn
from tuneful.errors import CheckpointError, SpaceError
from tuneful.history import Checkpoint, Job, Row, State
from tuneful.protocols import rng

SPACE = {"x": tn.Float(0, 1), "opt": tn.Switch({"adam": {}, "sgd": {"momentum": tn.Float(0, 1)}}, default="sgd")}


@pytest.fixture
def trial():
    study = tn.Study(SPACE, seed=3)
    asked = study.ask()
    asked.study = study  # which would close when it is forgotten
    return asked


def test_it_shows_its_number_and_parameters_in_the_shape_of_the_space(trial):
    assert trial.number == 0
    assert trial.params.keys() == {"x", "opt"}
    assert trial.params["opt"]["name"] in ("adam", "sgd")
    assert repr(trial) == f"<trial 0 running {trial.params}>"


def test_its_seed_follows_from_the_study_and_its_number():
    seeds = [tn.Study(SPACE, seed=seed).ask().seed for seed in (3, 3, 4)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert 0 <= seeds[0] < 2**31


# Steps


@pytest.mark.parametrize("n", [1, 5, np.int64(3)])
def test_steps_are_counted_from_one(trial, n):
    assert list(trial.steps(n)) == list(range(1, n + 1))


def test_a_report_without_a_step_belongs_to_the_one_that_runs(trial):
    for step in trial.steps(3):
        trial.report(step / 10)
        trial.report({"late": step})
    assert trial.row.step == 3
    assert {name: curve.of(0)[0].tolist() for name, curve in trial.study.history.curves.items()} == {
        "value": [1, 2, 3],
        "late": [1, 2, 3],
    }


def test_without_a_loop_reports_are_counted(trial):
    for value in (0.3, 0.2, 0.1):
        trial.report(value)
    steps, values = trial.study.history.curve(0)
    assert (steps.tolist(), values.tolist()) == ([1, 2, 3], [0.3, 0.2, 0.1])


def test_without_a_loop_reports_are_counted_behind_the_loaded_checkpoint(trial):
    trial.report(0.3)
    trial.report(0.2)
    trial.save({"w": 1})
    trial.report(0.1)
    trial.study.tell(trial, state="queued")
    again = trial.study.ask()
    assert again.load() == {"w": 1}
    again.report(0.01)
    again.save({"w": 2})
    again.report(0.001)
    steps, values = trial.study.history.curve(0)
    assert (steps.tolist(), values.tolist()) == ([1, 2, 3, 4], [0.3, 0.2, 0.01, 0.001])
    assert again.row.saved == (3, 2)


def test_steps_may_be_given(trial):
    trial.report(0.5, step=10)
    trial.report(0.4, step=20)
    trial.report(0.3)
    assert trial.study.history.curve(0)[0].tolist() == [10, 20, 21]


def test_without_load_an_attempt_begins_at_the_first_step(trial):
    for step in trial.steps(2):
        trial.report(0.5)
        trial.save({"step": step})
    trial.study.tell(trial, state="queued")
    again = trial.study.ask()
    assert list(again.steps(3)) == [1, 2, 3]
    assert trial.study.history.curve(0)[0].tolist() == []


def test_a_loop_ends_after_the_step_at_which_it_is_told_to_stop(trial):
    seen = []
    for step in trial.steps(9):
        seen.append(step)
        if step == 2:
            trial.verdict = "cancelled"
    assert seen == [1, 2]
    assert trial.should_stop()


def test_a_scheduler_may_end_the_loop_earlier_where_its_state_is_saved(trial, tmp_path):
    trial.row.until = 4
    assert list(trial.steps(9)) == list(range(1, 10))


def test_the_pruner_is_asked_once_a_step_and_not_before_the_first(trial):
    asked = []
    trial.study._session.pruner = lambda history, number: asked.append(int(history.reached[number])) or False
    assert not trial.should_stop()
    for _ in trial.steps(3):
        trial.report(0.5)
        trial.should_stop()
    assert not trial.should_stop()
    assert asked == [1, 2], "at its last step there is nothing to end"


def test_seconds_of_training_are_counted_over_attempts(trial, monkeypatch):
    from tuneful import trial as module

    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    trial._clock = 100.0
    now[0] = 103.0
    trial.report(0.5)
    assert trial.row.cost == 3.0
    now[0] = 104.0
    trial.study.tell(trial, state="queued")
    now[0] = 200.0
    again = trial.study.ask()
    now[0] = 201.5
    trial.study.tell(again, 0.5)
    assert trial.study.trials[0].seconds == 5.5


# Checkpoints


def test_nothing_is_loaded_where_nothing_was_saved(trial):
    assert trial.load() is None
    assert list(trial.steps(2)) == [1, 2]


def test_a_saved_state_is_loaded_by_the_next_attempt_and_older_ones_are_dropped(trial, tmp_path):
    for step in trial.steps(5):
        trial.report(0.5)
        trial.save({"step": step, "w": np.arange(3)})
    checkpoints = trial.study._session.checkpoints
    assert checkpoints.there(0) == [(1, 1), (4, 1), (5, 1)], "the best, the last, and the one before while it runs"
    trial.study.tell(trial, state="queued")
    state = trial.study.ask().load()
    assert state["step"] == 5
    np.testing.assert_array_equal(state["w"], [0, 1, 2])


def forked(study, source, number):
    """A trial that goes on from another one's checkpoint, as a scheduler would have it."""
    row = Row(number, {"x": 0.5, "opt": "adam"}, state=State.RUNNING, attempt=1, parent=source)

    class Plan:
        def plan(self, history, n):
            return [Job(row.config, None, source=source)] if len(history) == number else []

    return study._decider.next(Plan(), 1)[0]


def test_a_fork_loads_the_checkpoint_of_its_parent_and_goes_on_behind_it(trial):
    for step in trial.steps(3):
        trial.report(0.5)
        trial.save({"step": step})
    fork = forked(trial.study, Checkpoint(0, 3), 1)
    assert fork.load() == {"step": 3}
    assert list(fork.steps(5)) == [4, 5]
    trial.study.tell(fork, 0.1)
    trial.study.tell(trial, 0.2)
    assert trial.study.trials[1].parent == Checkpoint(0, 3)
    assert trial.study.history.started == 1, "forks do not count"


def test_a_fork_from_a_checkpoint_that_is_gone_is_told(trial):
    trial.report(0.5)
    trial.save({"step": 1})
    with pytest.raises(CheckpointError, match="There is no checkpoint .*/0/7: it was dropped, or never saved"):
        forked(trial.study, Checkpoint(0, 7), 1).load()


# Define-by-run


@pytest.fixture
def wild():
    study = tn.Study(seed=3)
    asked = study.ask()
    asked.study = study
    return asked


def test_a_new_name_is_drawn_from_its_range_and_joins_the_space(wild):
    assert 0 <= wild.suggest_float("x", 0, 1) <= 1
    assert wild.suggest_float("log", 1e-5, 1e-1, log=True) >= 1e-5
    assert wild.suggest_float("step", 0, 1, step=0.25) in (0, 0.25, 0.5, 0.75, 1)
    assert wild.suggest_int("n", 1, 9) in range(1, 10)
    assert wild.suggest_int("even", 2, 8, step=2) in (2, 4, 6, 8)
    assert wild.suggest_int("power", 16, 256, log=True) in range(16, 257)
    assert wild.suggest_categorical("c", ["a", None, 3, True]) in ["a", None, 3, True]
    assert set(wild.study.space.paths) == {"x", "log", "step", "n", "even", "power", "c"}
    wild.study.tell(wild, 0.5)
    assert set(wild.study.trials[0].config) == set(wild.study.space.paths)


def test_what_is_drawn_follows_from_seed_number_and_name(wild):
    expected = rng(3, 0, "suggest x").random(1)[0]
    assert wild.suggest_float("x", 0, 1) == pytest.approx(expected, abs=1e-9)
    again = tn.Study(seed=3)
    trial = again.ask()
    trial.suggest_int("before", 1, 100)
    assert trial.suggest_float("x", 0, 1) == wild.suggest_float("x", 0, 1)


def test_any_objects_may_be_options(wild):
    options = {"relu": np.tanh, "list": [1, 2]}
    assert any(wild.suggest_categorical("act", options) is option for option in options.values())


def test_a_proposal_outside_the_range_of_this_trial_is_drawn_anew():
    study = tn.Study(seed=0, search="random")
    for k in range(8):
        trial = study.ask()
        low = 0.0 if k % 2 == 0 else 0.9
        assert low <= trial.suggest_float("x", low, 1) <= 1
        study.tell(trial, 0.5)
    assert all(r.config["x"] >= 0.9 for r in study.trials if r.number % 2)


def test_a_name_that_stands_for_another_kind_is_refused_by_name(wild):
    wild.suggest_float("x", 0, 1)
    for ask in (lambda: wild.suggest_int("x", 0, 1), lambda: wild.suggest_categorical("x", [0, 1])):
        with pytest.raises(SpaceError, match=r"`x` was Float\(0.*another kind"):
            ask()
    wild.suggest_categorical("c", ["a"])
    with pytest.raises(SpaceError, match="`c`.*another kind"):
        wild.suggest_float("c", 0, 1)


def test_what_a_trial_did_not_ask_for_is_not_in_its_config(wild):
    wild.suggest_float("x", 0, 1)
    wild.suggest_float("y", 0, 1)
    wild.study.tell(wild, 0.5)
    other = wild.study.ask()
    other.suggest_float("y", 0, 1)
    wild.study.tell(other, 0.5)
    assert wild.study.trials[1].config.keys() == {"y"}
