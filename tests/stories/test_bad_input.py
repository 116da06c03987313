"""What goes wrong is told with its name, its value and the remedy; nothing is lost, nothing left running."""

import decimal
import fractions
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from telling import script, states

import tuneful as tn
from tuneful.errors import CheckpointError, ObjectiveError, StoreError, StudyError, StudyNotFound
from tuneful.history import State

SPACE = {"x": tn.Float(0, 1)}


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "a.db"


@pytest.fixture
def study(place):
    made = tn.Study(SPACE, study=place, seed=0, search="random")
    yield made
    made.sync()
    assert not [record.number for record in made.trials if record.state == State.RUNNING], "left running"
    assert not made._session.live
    made.close()


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("it cannot even be printed")

    __repr__ = __str__


class Odd:
    def __repr__(self):
        raise RuntimeError("no words for it")


class Broken(float):
    def __float__(self):
        raise RuntimeError("broken number")


def deep():
    return deep()


def raised(error):
    raise error


FAULTS = {
    "error": (lambda: raised(ValueError("bad learning rate")), "ValueError", "bad learning rate"),
    "no message": (lambda: raised(ValueError()), "ValueError", ""),
    "broken __str__": (lambda: raised(Unspeakable()), "Unspeakable", ""),
    "huge message": (lambda: raised(ValueError("n" * 10**6)), "ValueError", "nnnn"),
    "odd message": (lambda: raised(ValueError("\ud800 \0 数 🧪")), "ValueError", "数 🧪"),
    "message of bytes": (lambda: raised(ValueError(b"\xff", 3)), "ValueError", "xff"),
    "recursion": (deep, "RecursionError", "recursion"),
    "memory": (lambda: raised(MemoryError("12 GB")), "MemoryError", "12 GB"),
    "SystemExit": (lambda: sys.exit(3), "SystemExit", "3"),
    "SystemExit with words": (lambda: sys.exit("no data"), "SystemExit", "no data"),
    "StopIteration": (lambda: next(iter([])), "StopIteration", ""),
    "assertion": (lambda: raised(AssertionError("shape")), "AssertionError", "shape"),
    "group": (lambda: raised(ExceptionGroup("two", [ValueError("a"), KeyError("b")])), "ExceptionGroup", "two"),
    "chained": (lambda: raised(ValueError("outer")) if 1 else None, "ValueError", "outer"),
    "str": (lambda: "0.5", "ObjectiveError", r"must be a number, and is '0\.5' \(str\).*float\(\.\.\.\)"),
    "word": (lambda: "low", "ObjectiveError", r"'low' \(str\)"),
    "bytes": (lambda: b"0.5", "ObjectiveError", r"b'0\.5' \(bytes\)"),
    "complex": (lambda: 1 + 2j, "ObjectiveError", r"\(1\+2j\) \(complex\).*real part"),
    "numpy complex": (lambda: np.complex128(1 + 2j), "ObjectiveError", "complex128.*real part"),
    "array": (lambda: np.ones((2, 3)), "ObjectiveError", r"ndarray.*shape \(2, 3\).*mean"),
    "array of one": (lambda: np.ones(1), "ObjectiveError", r"shape \(1,\)"),
    "list": (lambda: [0.5], "ObjectiveError", r"\[0\.5\] \(list\)"),
    "set": (lambda: {0.5}, "ObjectiveError", r"\(set\)"),
    "object": (lambda: object(), "ObjectiveError", r"\(object\)"),
    "class": (lambda: float, "ObjectiveError", r"\(type\)"),
    "function": (lambda: deep, "ObjectiveError", r"\(function\)"),
    "generator": (lambda: (x for x in []), "ObjectiveError", r"\(generator\)"),
    "unprintable": (Odd, "ObjectiveError", r"\(Odd\)"),
    "broken number": (lambda: Broken(1), "ObjectiveError", r"\(Broken\).*broken number"),
    "huge": (lambda: 10**400, "ObjectiveError", "no float"),
    "nan": (lambda: float("nan"), "Diverged", "'value' is nan"),
    "inf": (lambda: float("inf"), "Diverged", "'value' is inf"),
    "-inf": (lambda: -np.inf, "Diverged", "'value' is -inf"),
    "dict with odd name": (lambda: {1: 0.5}, "ObjectiveError", "A metric is called 1"),
    "dict with empty name": (lambda: {"": 0.5}, "ObjectiveError", "1 to 255 printable"),
    "dict with bad value": (lambda: {"value": "x"}, "ObjectiveError", "'value' must be a number, and is 'x'"),
    "dict of dicts": (lambda: {"value": {"a": 1}}, "ObjectiveError", r"'value' must be a number.*\(dict\)"),
}


@pytest.mark.parametrize(("fault", "kind", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_objective_fails_its_trial_and_the_others_go_on(study, fault, kind, message):
    import re

    study.run(lambda trial, x: fault() if trial.number == 1 else x, trials=4, quiet=True)
    assert states(study) == ["done", "failed", "done", "done"]
    error = study.trials[1].error
    assert error["type"] == kind
    assert re.search(message, error["message"], re.DOTALL)
    assert len(error["message"]) <= 4_000
    assert len(error["traceback"]) <= 16_000
    assert study.trials[1].value is None or not np.isfinite(study.trials[1].value)
    assert study.best.number != 1
    assert kind in str(study)
    if study.address.path:
        assert tn.open_study(study.address.path).trials[1].error == error


@pytest.mark.parametrize(("fault", "kind", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_every_trial_stops_the_study_with_it(study, fault, kind, message):
    with pytest.raises(ObjectiveError) as stopped:
        study.run(lambda x: fault(), quiet=True, max_failures=2)
    assert states(study) == ["failed", "failed"]
    assert study.status == "error"
    import re

    assert re.search(message, str(stopped.value), re.DOTALL)
    assert "2 trials have failed and none has succeeded" in str(stopped.value)


GOOD = {
    "int": (3, 3.0),
    "bool": (True, 1.0),
    "numpy": (np.float32(0.5), 0.5),
    "numpy int": (np.int64(3), 3.0),
    "numpy bool": (np.bool_(True), 1.0),
    "array without dimensions": (np.array(0.25), 0.25),
    "fraction": (fractions.Fraction(1, 4), 0.25),
    "decimal": (decimal.Decimal("0.1"), 0.1),
    "dict": ({"value": 2, "other": 3.0}, 2.0),
    "negative zero": (-0.0, -0.0),
    "tiny": (5e-324, 5e-324),
    "large": (-1.7e308, -1.7e308),
}


@pytest.mark.parametrize(("returned", "value"), GOOD.values(), ids=GOOD)
def test_what_is_a_number_is_taken_as_one(study, returned, value):
    study.run(lambda x: returned, trials=2, quiet=True)
    assert states(study) == ["done"] * 2
    assert repr(study.trials[0].value) == repr(value)


def test_the_first_line_of_a_failure_is_shown(study, capsys):
    study.run(lambda trial, x: raised(ValueError("first\nsecond")) if trial.number else x, trials=2)
    shown = capsys.readouterr().err
    assert "ValueError: first" in shown
    assert "second" not in shown


# The studied metric


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda x: None, "ended with None and reported nothing. Return .*its value, or trial.report"),
        (lambda x: {}, "reported nothing. Return"),
        (lambda x: {"accuracy": 0.5, "time": 3}, r"never gave 'loss'.*It gave 'accuracy', 'time'.*minimize='accuracy'"),
        (lambda trial: trial.report(accuracy=0.5, step=1), "never gave 'loss'.*'accuracy'"),
        (lambda trial: trial.report({"val/loss": 0.5}), "never gave 'loss'.*'val/loss'"),
    ],
)
def test_a_first_trial_that_never_gives_the_studied_metric_stops_the_study(tmp_path, objective, message):
    study = tn.Study(SPACE, study=tmp_path / "a.db", minimize="loss")
    with pytest.raises(ObjectiveError, match=message):
        study.run(objective, trials=10, quiet=True)
    assert (states(study), study.status) == (["failed"], "error")
    study.run(lambda x: {"loss": x}, trials=3, quiet=True)
    assert states(study) == ["failed", "done", "done"]


def test_a_later_trial_without_it_only_fails(study):
    study.run(lambda trial, x: {"other": x} if trial.number == 1 else x, trials=3, quiet=True)
    assert states(study) == ["done", "failed", "done"]
    assert "'other'" in study.trials[1].error["message"]


def test_minimize_names_the_metric_of_a_dict():
    with pytest.raises(ObjectiveError, match=r"never gave 'value'.*metric='loss'"):
        tn.minimize(lambda x: {"loss": x}, SPACE, trials=3, quiet=True)
    assert tn.minimize(lambda x: {"loss": x}, SPACE, metric="loss", trials=3, quiet=True).best.value >= 0


# Reports, steps, checkpoints


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (lambda t: t.report(), r"trial\.report\(\) got no metric"),
        (lambda t: t.report({}), r"trial\.report\(\) got no metric"),
        (lambda t: t.report("0.5"), "What the objective reported must be a number, and is '0.5'"),
        (lambda t: t.report(None, loss="x"), "'loss' must be a number, and is 'x'"),
        (lambda t: t.report([1, 2]), r"\(list\)"),
        (lambda t: t.report(0.5, step=0), r"trial\.report\(step=0\): steps are whole numbers, counted from 1"),
        (lambda t: t.report(0.5, step=-3), r"step=-3"),
        (lambda t: t.report(0.5, step=1.5), r"step=1\.5"),
        (lambda t: t.report(0.5, step="one"), r"step='one'"),
        (lambda t: t.report(0.5, step=True), r"step=True"),
        (lambda t: t.report(0.5, step=float("nan")), r"step=nan"),
        (lambda t: t.report({3: 0.5}), "A metric is called 3"),
        (lambda t: t.report({"n" * 300: 0.5}), "1 to 255"),
        (lambda t: t.report({"a\nb": 0.5}), "1 to 255"),
        (lambda t: list(t.steps(0)), r"trial\.steps\(0\): pass the number of steps"),
        (lambda t: list(t.steps(-1)), r"trial\.steps\(-1\)"),
        (lambda t: list(t.steps(2.5)), r"trial\.steps\(2\.5\)"),
        (lambda t: list(t.steps("ten")), r"trial\.steps\('ten'\)"),
        (lambda t: t.suggest_float("y", 1, 0), "low is above high"),
        (lambda t: t.suggest_float("y", 0, 1, log=True), "above 0"),
        (lambda t: t.suggest_categorical("y", []), "Choice"),
        (lambda t: t.suggest_int("x", 0, 1), "`x`.*another kind"),
        (lambda t: t.suggest_float("", 0, 1), "1 to 255"),
        (lambda t: t.save(object()), r"Cannot save `state`, an object"),
        (lambda t: t.save({"model": {"w": [1, {2}]}}), r"Cannot save `state\['model'\]\['w'\]\[1\]`, a set.*list"),
        (lambda t: t.save({"f": deep}), r"state\['f'\]"),
    ],
)
def test_a_wrong_call_on_a_trial_is_named_and_fails_it(study, report, message):
    import re

    study.run(lambda trial, x: report(trial) or x if trial.number == 1 else x, trials=3, quiet=True)
    assert states(study) == ["done", "failed", "done"]
    assert re.search(message, study.trials[1].error["message"])


def test_a_state_that_cannot_be_saved_leaves_the_one_before(tmp_path):
    study = tn.Study(SPACE, study=tmp_path / "a.db")
    trial = study.ask()
    trial.report(0.5)
    trial.save({"w": 1})
    trial.report(0.4)
    with pytest.raises(CheckpointError, match="state"):
        trial.save({"w": object()})
    assert trial.row.saved == (1, 1)
    study.tell(trial, state="queued")
    again = study.ask()
    assert (again.load(), again.row.saved) == ({"w": 1}, (1, 1))
    study.tell(again, 0.0)


def test_a_checkpoint_that_is_gone_is_named(tmp_path):
    import shutil

    study = tn.Study(SPACE, study=tmp_path / "a.db", checkpoints=tmp_path / "states")
    trial = study.ask()
    trial.report(0.5)
    trial.save({"w": 1})
    study.tell(trial, state="queued")
    shutil.rmtree(tmp_path / "states")
    with pytest.raises(ObjectiveError, match="There is no checkpoint .*states"):
        study.run(lambda trial: trial.load() or 1.0, trials=1, quiet=True, max_failures=1)
    assert states(study) == ["failed"]


# Ask and tell


def test_telling_twice_is_refused(study):
    trial = study.ask()
    assert study.tell(trial, 0.5)
    with pytest.raises(StudyError, match=r"Trial 0 does not run any more; it was told before"):
        study.tell(trial, 0.6)
    with pytest.raises(StudyError, match=r"Trial 0 is done, not running"):
        study.tell(0, 0.6)
    assert study.trials[0].value == 0.5


@pytest.mark.parametrize("number", [-1, 1, 99])
def test_telling_a_number_that_is_not_there_is_refused(study, number):
    study.tell(study.ask(), 0.5)
    with pytest.raises(StudyError, match=rf"There is no trial {number}; the study has 1"):
        study.tell(number, 0.5)


@pytest.mark.parametrize("trial", ["0", None, 0.0, True])
def test_telling_something_else_than_a_trial_is_refused(study, trial):
    with pytest.raises(StudyError, match="tell.*a trial, or its number"):
        study.tell(trial, 0.5)


def test_a_queued_trial_cannot_be_told(study):
    study.enqueue({"x": 0.5})
    with pytest.raises(StudyError, match="Trial 0 is queued, not running"):
        study.tell(0, 1.0)


@pytest.mark.parametrize("value", ["0.5", None, float, {"other": 1}, [1]])
def test_a_value_that_cannot_be_read_leaves_the_trial_running(study, value):
    trial = study.ask()
    with pytest.raises(ObjectiveError):
        study.tell(trial, value)
    assert states(study) == ["running"]
    assert study.tell(trial, 0.5)
    assert study.trials[0].value == 0.5


@pytest.mark.parametrize("state", ["running", "cancelled", "DONE", "", None, 3])
def test_an_unknown_end_is_refused_and_leaves_the_trial_running(study, state):
    trial = study.ask()
    with pytest.raises(StudyError, match="a trial ends as done, pruned, failed, queued or paused"):
        study.tell(trial, 0.5, state=state)
    assert study.tell(trial, 0.5)


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"of": "x"}, StudyError, "of='x': the value of a trial is its 'last' or its 'best'"),
        ({"of": None}, StudyError, "of=None"),
        ({"seed": "x"}, StudyError, r"seed='x': pass a whole number from 0 to 2\*\*63 - 1"),
        ({"seed": -1}, StudyError, "seed=-1"),
        ({"seed": 2**63}, StudyError, "seed="),
        ({"seed": 1.5}, StudyError, "seed=1.5"),
        ({"seed": True}, StudyError, "seed=True"),
        ({"search": "randm"}, StudyError, "There is no search='randm'. Did you mean 'random'"),
        ({"search": object()}, StudyError, "has no `propose`"),
        ({"schedule": "fulll"}, StudyError, "schedule='fulll'.*'full'"),
        ({"schedule": 3}, StudyError, "has no `plan`"),
        ({"prune": "medium"}, StudyError, "prune='medium'.*'median'"),
        ({"prune": 3}, StudyError, "prune=3 cannot be called"),
        ({"minimize": ""}, StudyError, "A metric"),
        ({"minimize": "a", "maximize": "a"}, StudyError, "'a' is named twice"),
        ({"minimize": 3}, (StudyError, TypeError), "3|int"),
        ({"constraints": "memory < 4"}, StudyError, "'memory < 4' is not of the form"),
        ({"constraints": "memory <= four"}, StudyError, "'memory <= four'"),
        ({"trials": 0}, StudyError, "trials=0: pass a whole number, 1 or more"),
        ({"settings": [1]}, StudyError, r"settings=\[1\].*dict"),
    ],
)
def test_an_impossible_argument_is_refused_before_anything_is_made(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        tn.Study(SPACE, study=tmp_path / "a.db", **options)
    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize("do", [tn.minimize, tn.maximize])
@pytest.mark.parametrize("name", ["trails", "minimize", "maximize", "n_trials", "direction"])
def test_an_unknown_option_is_named_with_those_there_are(do, name):
    with pytest.raises(StudyError, match=f"There is no option '{name}'. The options are callbacks, .*trials"):
        do(lambda x: x, SPACE, **{name: 3})


@pytest.mark.parametrize("objective", [None, 3, "train", [len]])
def test_an_objective_that_cannot_be_called_is_refused(study, objective):
    with pytest.raises(ObjectiveError, match="cannot be called"):
        study.run(objective, trials=2, quiet=True)
    assert len(study.trials) == 0


def test_another_direction_or_seed_on_opening_is_refused(tmp_path):
    place = tmp_path / "a.db"
    tn.maximize(lambda x: x, SPACE, study=place, seed=3, trials=2, quiet=True).close()
    with pytest.raises(StudyError, match=r"a\.db maximizes 'value', and not minimizes 'value'. Open it as it is"):
        tn.minimize(lambda x: x, SPACE, study=place, trials=2, quiet=True)
    with pytest.raises(StudyError, match=r"a\.db has the seed 3, and not 4"):
        tn.Study(SPACE, study=place, seed=4)
    with pytest.raises(StudyError, match=r"last step of a trial as its value, not the best"):
        tn.Study(SPACE, study=place, of="best")
    study = tn.Study(SPACE, study=place, seed=3)
    assert [str(r.state) for r in study.trials] == ["done", "done"]


def test_a_study_that_is_not_there_is_named_with_those_there_are(tmp_path):
    with pytest.raises(StudyNotFound, match=r"There is no file .*a\.db"):
        tn.open_study(tmp_path / "a.db")
    tn.Study(SPACE, study=f"{tmp_path / 'a.db'}#digits").close()
    with pytest.raises(StudyNotFound, match=r"There is no study 'a' in .*a\.db. It has digits"):
        tn.open_study(tmp_path / "a.db")
    assert tn.open_study(f"{tmp_path / 'a.db'}#digits").space == tn.Space(SPACE)


@pytest.mark.parametrize("study", [None, "", "s3://bucket/a.db"])
def test_only_a_file_can_be_opened(study):
    with pytest.raises((StudyError, StudyNotFound)):
        tn.open_study(study)


def test_nothing_is_best_while_nothing_is_done(study):
    with pytest.raises(StudyError, match="No trial is done yet: none has started"):
        _ = study.best
    with pytest.raises(ObjectiveError):
        study.run(lambda x: 1 / 0, quiet=True)
    with pytest.raises(StudyError, match="No trial is done yet: 3 failed"):
        _ = study.best


def test_a_closed_study_says_so(tmp_path):
    study = tn.Study(SPACE, study=tmp_path / "a.db").run(lambda x: x, trials=2, quiet=True)
    study.close()
    study.close()
    assert len(study.trials) == 2
    with pytest.raises(StoreError, match="closed"):
        study.ask()


@contextmanager
def deleted(study):
    """Somebody else deletes the study."""
    from tuneful.stores import SqliteStore

    other = SqliteStore(study.address.path)
    other.delete(study.address.name)
    yield
    other.close()


def test_a_study_that_is_deleted_while_it_runs_says_so(tmp_path):
    study = tn.Study(SPACE, study=tmp_path / "a.db")

    def objective(trial, x):
        if trial.number == 2:
            with deleted(study):
                pass
        return x

    with pytest.raises(StudyNotFound, match="'a'.*deleted"):
        study.run(objective, trials=5, quiet=True)
    again = tn.Study(SPACE, study=tmp_path / "a.db").run(lambda x: x, trials=2, quiet=True)
    assert (again.created, len(again.trials)) == (True, 2)


def test_a_script_with_a_bug_ends_with_the_error_and_a_whole_study(tmp_path):
    code = """
def objective(trial, x):
    trial.report(x, step=1)
    return lr
study = tn.Study({"x": [1, 2, 3, 4]}, study=PATH)
study.run(objective, quiet=True)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        assert other.rest(1) == []
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["failed"] * 3
    assert "name 'lr' is not defined" in study.trials[0].error["message"]
    assert "return lr" in study.trials[0].error["traceback"] or "objective" in study.trials[0].error["traceback"]
    assert study.trials[0].curve()[0].tolist() == [1]
