"""Which checkpoints stay: told by what is known of the study."""

import os
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.checkpoints import Checkpoints, kept
from tuneful.errors import CheckpointError
from tuneful.history import Checkpoint, History, Objective, State
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

FIVE = [(step, 1) for step in range(1, 6)]


@pytest.fixture
def history():
    return History(Space({"x": Float(0, 1)}))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "kept")


def trial_of(history, state=State.RUNNING, *, values=(), saved=(5, 1), attempt=1, **facts):
    """A trial that reported these values, and whose last checkpoint is known to be `saved`."""
    started = State.RUNNING if state.final else state
    trial = begin(history, {"x": len(history) / 100}, started, saved=saved, attempt=attempt, **facts)
    for step, value in enumerate(values, 1):
        history.report(trial, step, {"value": value})
    if state.final:
        end(history, trial, 1.0, state)
    return trial


def fork_of(history, trial, step, **facts):
    return begin(
        history, {"x": len(history) / 100}, facts.pop("state", State.QUEUED), parent=Checkpoint(trial, step), **facts
    )


# The last


@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED])
def test_of_a_trial_that_waits_the_last_stays(history, state):
    assert kept(history, trial_of(history, state), FIVE) == {(5, 1)}


def test_of_a_running_trial_the_one_before_stays_too(history):
    assert kept(history, trial_of(history), FIVE) == {(4, 1), (5, 1)}
    assert kept(history, trial_of(history), [(5, 1)]) == {(5, 1)}
    assert kept(history, trial_of(history), [(1, 1), (5, 1)]) == {(1, 1), (5, 1)}


@pytest.mark.parametrize("state", [State.DONE, State.PRUNED, State.FAILED, State.CANCELLED])
def test_of_a_trial_that_is_over_the_last_stays(history, state):
    assert kept(history, trial_of(history, state), FIVE) == {(5, 1)}


def test_what_is_newer_than_known_stays_while_the_trial_is_not_over(history):
    there = [(4, 1), (5, 1), (6, 1), (2, 2)]
    for state in (State.RUNNING, State.QUEUED, State.PAUSED):
        assert kept(history, trial_of(history, state), there) >= {(5, 1), (6, 1), (2, 2)}
    assert kept(history, trial_of(history, State.DONE), there) == {(5, 1)}


def test_a_later_attempt_is_newer_also_at_an_earlier_step(history):
    trial = trial_of(history, State.PAUSED, saved=(3, 2), attempt=2)
    assert kept(history, trial, [(8, 1), (9, 1), (3, 2)]) == {(3, 2)}


def test_of_a_trial_of_which_no_checkpoint_is_known_all_stay_until_it_is_over(history):
    assert kept(history, trial_of(history, saved=None), FIVE) == set(FIVE)
    assert kept(history, trial_of(history, State.DONE, saved=None), FIVE) == set()


def test_of_a_trial_that_is_not_known_all_stay(history):
    assert kept(history, 0, FIVE) == set(FIVE)


def test_nothing_is_there_to_keep(history):
    assert kept(history, trial_of(history), []) == set()


# Forks


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
@pytest.mark.parametrize("over", [True, False])
def test_where_a_fork_begins_stays_while_it_may_begin(history, state, over):
    trial = trial_of(history, State.DONE if over else State.RUNNING)
    assert (2, 1) not in kept(history, trial, FIVE)
    fork = fork_of(history, trial, 2, state=state)
    assert (2, 1) in kept(history, trial, FIVE)
    assert (1, 1) not in kept(history, trial, FIVE)
    end(history, fork, 1.0, State.FAILED)
    assert (2, 1) not in kept(history, trial, FIVE)


def test_a_fork_with_a_state_of_its_own_needs_no_other(history):
    trial = trial_of(history, State.DONE)
    fork_of(history, trial, 2, state=State.RUNNING, saved=(3, 1))
    assert kept(history, trial, FIVE) == {(5, 1)}


def test_forks_of_other_trials_pin_nothing(history):
    trial, other = trial_of(history, State.DONE), trial_of(history, State.DONE)
    fork_of(history, other, 2)
    assert kept(history, trial, FIVE) == {(5, 1)}
    assert kept(history, other, FIVE) == {(2, 1), (5, 1)}


def test_of_the_step_of_a_fork_every_attempt_stays(history):
    trial = trial_of(history, State.DONE, saved=(5, 2), attempt=2)
    fork_of(history, trial, 2)
    assert kept(history, trial, [(2, 1), (3, 1), (2, 2), (5, 2)]) == {(2, 1), (2, 2), (5, 2)}


# The best

VALUES = [0.5, 0.2, 0.9, 0.3, 0.4]


@pytest.mark.parametrize(
    ("best", "steps"), [(0, {5}), (1, {2, 5}), (2, {2, 4, 5}), (3, {2, 4, 5}), (4, {1, 2, 4, 5}), (9, {1, 2, 3, 4, 5})]
)
def test_the_best_stay(history, best, steps):
    trial = trial_of(history, State.DONE, values=VALUES)
    assert {step for step, _ in kept(history, trial, FIVE, best)} == steps


def test_the_best_of_a_running_trial_stays_so_that_it_is_there_at_the_end(history):
    assert kept(history, trial_of(history, values=VALUES), FIVE) == {(2, 1), (4, 1), (5, 1)}


def test_with_maximize_the_highest_is_the_best():
    history = History(Space({"x": Float(0, 1)}), (Objective(maximize=True),))
    assert kept(history, trial_of(history, State.DONE, values=VALUES), FIVE) == {(3, 1), (5, 1)}


def test_unknown_and_broken_values_are_not_the_best(history):
    trial = trial_of(history, State.DONE, values=[np.nan, -np.inf, np.inf, 0.3, 0.4])
    assert kept(history, trial, FIVE) == {(4, 1), (5, 1)}
    trial = trial_of(history, State.DONE, values=[np.nan] * 5)
    assert kept(history, trial, FIVE, best=3) == {(5, 1)}
    trial = trial_of(history, State.DONE, values=[0.1, 0.2])
    assert kept(history, trial, [(4, 1), (5, 1)], best=3) == {(5, 1)}


def test_the_best_of_several_attempts_at_a_step_is_the_newest(history):
    trial = trial_of(history, State.DONE, values=VALUES, saved=(5, 2), attempt=2)
    assert kept(history, trial, [(2, 1), (2, 2), (5, 2)]) == {(2, 2), (5, 2)}


def test_with_several_objectives_the_rank_says_which_is_best():
    history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("accuracy", maximize=True)))
    trial = begin(history, {"x": 0.1}, saved=(4, 1))
    for step, (loss, accuracy) in enumerate([(3, 0.5), (1, 0.9), (2, 0.8), (4, 0.1)], 1):
        history.report(trial, step, {"loss": loss, "accuracy": accuracy})
    end(history, trial, {"loss": 4, "accuracy": 0.1})
    assert kept(history, trial, FIVE[:4]) == {(2, 1), (4, 1)}
    assert kept(history, trial, FIVE[:4], best=2) == {(2, 1), (3, 1), (4, 1)}


# On the disk


def save_all(checkpoints, number, there):
    for step, attempt in there:
        checkpoints.save(number, step, attempt, {"step": step, "attempt": attempt})


def test_what_is_there_is_listed_as_it_was_saved(checkpoints):
    assert checkpoints.there(0) == []
    save_all(checkpoints, 0, [(10, 1), (2, 2), (9, 1), (10, 2)])
    (checkpoints.root / "0" / "notes.txt").touch()
    (checkpoints.root / "0" / "10" / "stray").touch()
    assert checkpoints.there(0) == [(9, 1), (10, 1), (2, 2), (10, 2)]
    assert checkpoints.there(1) == []
    (checkpoints.root / "0/2/2").rename(checkpoints.root / "0/.old-2-2")  # its replacement was cut short
    assert checkpoints.there(0) == [(9, 1), (10, 1), (2, 2), (10, 2)]


def test_the_last_attempt_at_a_step_is_loaded_by_default(checkpoints):
    save_all(checkpoints, 0, [(2, 1), (2, 10), (2, 9), (3, 11)])
    assert checkpoints.load(0, 2)["attempt"] == 10
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*kept/0/4: it was dropped, or never saved"):
        checkpoints.load(0, 4)
    with pytest.raises(CheckpointError, match=r"kept/7/2: it was dropped"):
        checkpoints.load(7, 2)


def test_a_fork_that_comes_too_late_or_finds_damage_is_told_by_name(checkpoints):
    save_all(checkpoints, 0, [(2, 1), (3, 1)])
    (checkpoints.root / "0/2/1/manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"Cannot read the checkpoint .*kept/0/2/1: .* It is damaged"):
        checkpoints.load(0, 2)
    checkpoints.prune(0, lambda there: [])
    with pytest.raises(CheckpointError, match=r"kept/0/2: it was dropped"):
        checkpoints.load(0, 2)


def test_pruning_leaves_what_is_kept_and_no_empty_folders(checkpoints, history):
    trial = trial_of(history, State.DONE, values=VALUES)
    fork = fork_of(history, trial, 1)
    save_all(checkpoints, trial, FIVE)
    (checkpoints.root / str(trial) / ".tmp-dead").mkdir()
    checkpoints.prune(trial, partial(kept, history, trial))
    assert checkpoints.there(trial) == [(1, 1), (2, 1), (5, 1)]
    assert sorted(path.name for path in (checkpoints.root / str(trial)).iterdir()) == ["1", "2", "5"]
    assert checkpoints.load(trial, 1) == {"step": 1, "attempt": 1}
    end(history, fork, 1.0)
    checkpoints.prune(trial, partial(kept, history, trial, best=0))
    assert checkpoints.there(trial) == [(5, 1)]
    checkpoints.prune(trial, lambda there: [])
    checkpoints.prune(trial, lambda there: [])
    assert list(checkpoints.root.iterdir()) == []


def test_what_is_saved_while_it_is_decided_stays(checkpoints):
    save_all(checkpoints, 0, FIVE)

    def keep(there):
        checkpoints.save(0, 6, 1, {"step": 6, "attempt": 1})
        return there[-1:]

    checkpoints.prune(0, keep)
    assert checkpoints.there(0) == [(5, 1), (6, 1)]


def test_a_replacement_cut_short_is_kept_or_dropped_like_others(checkpoints):
    save_all(checkpoints, 0, [(1, 1), (2, 1)])
    for step in (1, 2):
        (checkpoints.root / f"0/{step}/1").rename(checkpoints.root / f"0/.old-{step}-1")
    checkpoints.prune(0, lambda there: [(2, 1)])
    assert checkpoints.there(0) == [(2, 1)]
    assert checkpoints.load(0, 2, 1)["step"] == 2


class Donor:
    """A trial that is saved, pruned and forked from by three threads; `lock` guards what is known of it."""

    def __init__(self, checkpoints, history):
        self.checkpoints, self.history, self.trial = checkpoints, history, trial_of(history, saved=None)
        self.lock, self.done, self.failed = threading.Lock(), threading.Event(), []

    def keep(self, there):
        with self.lock:
            return kept(self.history, self.trial, there)

    def save(self):
        for step in range(1, 60):
            self.checkpoints.save(self.trial, step, 1, {"step": step, "attempt": 1})
            with self.lock:
                self.history.report(self.trial, step, {"value": 1.0 / step})
                self.history._texts["saved"][self.trial] = (step, 1)
            self.checkpoints.prune(self.trial, self.keep)

    def prune(self):
        self.checkpoints.prune(self.trial, self.keep)

    def fork(self):
        with self.lock:
            saved = self.history.text("saved", self.trial)
            number = fork_of(self.history, self.trial, saved[0]) if saved else None
        if number is not None:
            assert self.checkpoints.load(self.trial, saved[0]) == {"step": saved[0], "attempt": 1}
            with self.lock:
                end(self.history, number, 1.0)

    def until_done(self, act):
        try:
            while not self.done.is_set():
                act()
        except Exception as error:  # noqa: BLE001 - shown below
            self.failed.append(error)


def test_a_donor_goes_on_saving_while_others_prune_it_and_fork_from_it(checkpoints, history):
    """No state that a fork begins from, and none that the donor needs, is ever gone."""
    donor = Donor(checkpoints, history)
    threads = [threading.Thread(target=donor.until_done, args=(act,)) for act in (donor.prune, donor.fork)]
    for thread in threads:
        thread.start()
    try:
        donor.save()
    finally:
        donor.done.set()
    for thread in threads:
        thread.join()
    assert donor.failed == []
    donor.prune()
    assert checkpoints.there(donor.trial) == [(58, 1), (59, 1)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error(checkpoints):
    save_all(checkpoints, 0, FIVE)
    (checkpoints.root / "0").chmod(0o555)
    try:
        with pytest.raises(CheckpointError, match="Cannot drop the checkpoint"):
            checkpoints.prune(0, lambda there: [])
    finally:
        (checkpoints.root / "0").chmod(0o755)


@settings(deadline=None, max_examples=100)
@given(
    state=st.sampled_from(list(State)),
    there=st.sets(st.tuples(st.integers(1, 6), st.integers(1, 3))),
    saved=st.none() | st.tuples(st.integers(1, 6), st.integers(1, 3)),
    values=st.lists(st.floats(), max_size=6),
    forks=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(list(State)))),
    best=st.integers(0, 3),
)
def test_whatever_is_known_what_is_needed_stays(state, there, saved, values, forks, best):
    history = History(Space({"x": Float(0, 1)}))
    trial = trial_of(history, state, values=values, saved=saved)
    for step, state_of_fork in forks:
        fork = fork_of(history, trial, step)
        if state_of_fork.final:
            end(history, fork, 1.0, state_of_fork)
    stay = kept(history, trial, there, best)
    assert stay <= there
    assert saved is None or saved not in there or saved in stay
    begin_at = {step for step, state_of_fork in forks if not state_of_fork.final}
    assert {one for one in there if one[0] in begin_at} <= stay
    if state.final:
        assert len({step for step, _ in stay}) <= len(begin_at) + best + 1
