"""Records of trials, to be read."""

import copy

import numpy as np
import pytest

import tuneful as tn
from tuneful.history import Checkpoint, History, Objective, State
from tuneful.record import Record, Records
from tuneful.space import Choice, Float, Int, Repeat, Space, Switch
from tuneful.testing.histories import begin, end


class Adam: ...


SPEC = {"opt": Switch({"sgd": {"m": Float(0, 1)}, "adam": {}}), "layers": Repeat(1, 2, {"units": Int(1, 9)})}
CONFIG = {"opt": "sgd", "opt.sgd.m": 0.5, "layers": 2, "layers.0.units": 3, "layers.1.units": 4}


@pytest.fixture
def history():
    history = History(Space(SPEC), (Objective("accuracy", maximize=True), Objective("size")))
    begin(history, CONFIG, why={"searcher": "me"}, settings={"num_workers": 2}, started=100.0)
    history.report(0, 1, {"accuracy": 0.5, "loss": 2.0})
    history.report(0, 2, {"accuracy": 0.75})
    return history


def record_of(history, number=0):
    return Record(number, history, {0: history.space})


def test_a_running_trial_is_read_as_far_as_it_is_known(history):
    record = record_of(history)
    assert (record.state, record.step, record.attempt) == (State.RUNNING, 2, 1)
    assert record.config == CONFIG
    assert record.params == {"opt": {"name": "sgd", "m": 0.5}, "layers": [{"units": 3}, {"units": 4}]}
    assert (record.value, record.mean, record.values, record.metrics) == (None, None, {}, {})
    assert (record.started, record.finished, record.saved, record.parent, record.repeat_of) == (
        100.0,
        *4 * [None],
    )
    assert (record.why, record.settings, record.error) == ({"searcher": "me"}, {"num_workers": 2}, None)
    assert repr(record) == "<trial 0 running>"


def test_it_is_always_up_to_date(history):
    record = record_of(history)
    end(history, 0, {"accuracy": 0.75, "size": 3.0, "loss": float("inf")})
    assert (record.state, record.value, record.mean) == (State.DONE, 0.75, 0.75)
    assert record.values == {"accuracy": 0.75, "size": 3.0}
    assert record.metrics == {"accuracy": 0.75, "size": 3.0, "loss": float("inf")}
    assert repr(record) == "<trial 0 done 0.75>"


def test_a_curve_is_read_as_it_was_reported(history):
    steps, values = record_of(history).curve()
    assert (steps.tolist(), values.tolist()) == ([1, 2], [0.5, 0.75])
    assert record_of(history).curve("loss")[1].tolist() == [2.0]
    assert [len(part) for part in record_of(history).curve("nothing")] == [0, 0]


def test_the_mean_is_over_a_trial_and_its_repeats(history):
    end(history, 0, {"accuracy": 0.5, "size": 1.0})
    end(history, begin(history, CONFIG, repeat_of=0), {"accuracy": 1.0, "size": 1.0})
    first, repeat = record_of(history), record_of(history, 1)
    assert (first.value, first.mean) == (0.5, 0.75)
    assert (repeat.value, repeat.mean, repeat.repeat_of) == (1.0, None, 0)


def test_a_fork_knows_where_it_came_from(history):
    begin(history, CONFIG, parent=Checkpoint(0, 2), saved=(3, 1))
    assert record_of(history, 1).parent == Checkpoint(0, 2)
    assert record_of(history, 1).saved == 3


def test_params_have_the_shape_of_the_space_that_they_were_made_for(history):
    old = history.space
    history.move_to(Space({"opt": ["sgd", "adam"]}), 1)
    assert Record(0, history, {0: old, 1: history.space}).params["opt"] == {"name": "sgd", "m": 0.5}


def test_options_that_exist_in_code_only_are_read_by_their_labels():
    space = Space({"opt": Choice({"adam": Adam()})})
    history = History(Space.from_json(space.to_json()))
    begin(history, {"opt": "adam"})
    assert record_of(history).params == {"opt": "adam"}
    assert isinstance(Record(0, history, {0: space}).params["opt"], Adam)


def test_records_are_a_sequence_of_trials_by_number(history):
    for _ in range(9):
        begin(history, CONFIG)
    records = Records(range(10), history, {0: history.space})
    assert len(records) == 10
    assert [record.number for record in records] == list(range(10))
    assert (records[3].number, records[-1].number) == (3, 9)
    assert [record.number for record in records[2:8:3]] == [2, 5]
    assert records[4] in records
    assert [record.number for record in reversed(records)] == list(range(9, -1, -1))
    assert repr(records).startswith("[<trial 0 running>, <trial 1")
    assert repr(records).endswith("<trial 7 running>, …]")
    assert repr(records[:1]) == "[<trial 0 running>]"


@pytest.mark.parametrize("index", [1, 5, -2])
def test_a_trial_that_is_not_there_is_an_index_error_that_says_how_many_there_are(history, index):
    with pytest.raises(IndexError, match=f"There is no trial {index} here; there are 1"):
        Records(range(1), history, {})[index]


def test_a_list_of_trials_does_not_grow_by_itself_and_its_trials_stay_up_to_date():
    study = tn.Study({"x": [1, 2, 3]}, seed=0)
    trial = study.ask()
    before = study.trials
    study.tell(trial, 1.0)
    study.ask()
    assert len(before) == 1
    assert before[0].state == State.DONE
    assert len(study.trials) == 2


def test_feasible_is_a_bool_and_numbers_are_plain(history):
    end(history, 0, {"accuracy": 0.5, "size": 1.0})
    record = record_of(history)
    kinds = [type(v) for v in (record.feasible, record.value, record.mean, record.step, record.seconds, record.attempt)]
    assert kinds == [bool, float, float, int, float, int]
    assert isinstance(record.curve()[0], np.ndarray)


def test_records_of_one_trial_are_equal_and_may_be_kept_in_sets(history):
    begin(history, CONFIG, repeat_of=0)
    assert record_of(history) == copy.copy(record_of(history)) != record_of(history, 1)
    assert len({record_of(history), record_of(history), record_of(history, 1)}) == 2
