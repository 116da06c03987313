"""Jobs, objectives, bounds, states: the words of decisions."""

import math
from dataclasses import replace

import pytest

from tuneful.errors import StudyError
from tuneful.history import Bound, Checkpoint, History, Job, Objective, Proposal, Row, State
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end


def trial_in(state, step=0):
    history = History(Space({"x": Float(0, 1)}))
    begin(history, {"x": 0.5}, State.RUNNING if state.final else state)
    if state.final:
        end(history, 0, 1.0, state)
    history.apply(replace(history.row(0), step=step))
    return history


def test_a_new_job_trains_a_proposal_from_scratch_with_a_note():
    job = Job.new(Proposal({"x": 0.1}, {"searcher": "me"}), 9, bracket=2)
    assert job == Job({"x": 0.1}, 9, None, None, {"searcher": "me"}, {"bracket": 2})


def test_a_fork_trains_a_proposal_from_a_checkpoint():
    job = Job.fork(Checkpoint(3, 5), Proposal({"x": 0.1}), 9, generation=1)
    assert job == Job({"x": 0.1}, 9, None, Checkpoint(3, 5), {}, {"generation": 1})


@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED])
def test_what_waits_can_go_on_beyond_its_step(state):
    history = trial_in(state, step=3)
    assert Job.resume(history, 0) == Job({"x": 0.5}, None, 0)
    assert Job.resume(history, 0, until=4).until == 4
    for until in (3, 1):
        with pytest.raises(StudyError, match=rf"trial 0 until step {until}: it is at step 3. Pass `until` above 3"):
            Job.resume(history, 0, until)


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.PRUNED, State.FAILED, State.CANCELLED])
def test_what_runs_or_is_over_cannot_be_resumed(state):
    with pytest.raises(StudyError, match=f"it is {state}. Only queued and paused trials go on"):
        Job.resume(trial_in(state), 0)


def test_states_from_done_on_are_final_and_print_in_lower_case():
    assert [str(state) for state in State if state.final] == ["done", "pruned", "failed", "cancelled"]


def test_an_objective_that_is_maximized_has_its_sign_turned():
    assert (Objective().sign, Objective("accuracy", maximize=True).sign) == (1.0, -1.0)


@pytest.mark.parametrize(
    ("at_least", "value", "violation"),
    [(False, 5.0, 1.0), (False, 3.0, -1.0), (True, 5.0, -1.0), (True, 3.0, 1.0)],
)
def test_a_bound_is_broken_by_what_lies_beyond_it(at_least, value, violation):
    assert Bound("memory", 4.0, at_least).violation(value) == violation
    assert Bound("memory", 4.0, at_least).violation(math.nan) == math.inf


def test_repeats_forks_and_imports_are_no_distinct_trials():
    row = Row(0, {})
    assert row.distinct
    assert not replace(row, repeat_of=0).distinct
    assert not replace(row, parent=Checkpoint(0, 1)).distinct
    assert not replace(row, imported=True).distinct
