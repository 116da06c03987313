"""When a study ends: limits over all goes, goals, callbacks, failures, and nothing left to try."""

import time

import pytest
from telling import running, states

import tuneful as tn
from tuneful.errors import ObjectiveError, StudyError
from tuneful.history import State

SPACE = {"x": tn.Float(0, 1)}


def go(path=None, objective=lambda x: x, **options):
    settings = {name: options.pop(name) for name in ("minimize", "maximize", "of", "prune") if name in options}
    study = tn.Study(SPACE, study=path, seed=0, search="random", **settings)
    return study.run(objective, quiet=True, **options)


def test_trials_count_over_all_goes_whatever_their_end(tmp_path):
    def mixed(trial, x):
        if trial.number % 3 == 1:
            raise ValueError
        return x

    for trials, total in ((4, 4), (2, 4), (4, 4), (7, 7)):
        study = go(tmp_path / "a.db", mixed, trials=trials)
        assert (len(study.trials), study.status) == (total, "complete")
        study.close()


def test_an_interrupted_trial_counts_once_and_is_finished_beyond_the_limit(tmp_path):
    def objective(trial, x):
        if trial.number == 2 and trial.row.attempt == 1:
            raise KeyboardInterrupt
        return x

    study = go(tmp_path / "a.db", objective, trials=3)
    assert (study.status, states(study)) == ("interrupted", ["done", "done", "queued"])
    study.run(objective, trials=3, quiet=True)
    assert (study.status, states(study)) == ("complete", ["done"] * 3)


def test_a_limit_of_the_study_holds_for_ask_and_for_every_run(tmp_path):
    study = tn.Study(SPACE, seed=0, trials=3)
    study.run(lambda x: x, quiet=True)
    assert (len(study.trials), study.ask()) == (3, None)
    study.run(lambda x: x, trials=5, quiet=True)
    assert len(study.trials) == 5
    assert study.ask() is None
    study = tn.Study(SPACE, seed=0).run(lambda x: x, trials=3, quiet=True)
    assert study.ask().number == 3, "the limit of a run is over with it"


def test_a_finite_space_is_exhausted_and_says_so(tmp_path, capsys):
    study = tn.Study({"x": [1, 2, 3], "y": tn.Bool()}, study=tmp_path / "a.db", seed=0)
    study.run(lambda x, y: x, trials=100)
    assert (len(study.trials), study.status) == (6, "exhausted")
    assert "nothing left to try: 6 done" in capsys.readouterr().err
    assert study.ask() is None
    study.close()
    study = tn.open_study(tmp_path / "a.db").run(lambda x, y: x, quiet=True)
    assert (len(study.trials), study.status) == (6, "exhausted")


@pytest.mark.parametrize("text", [0.05, "0.05", "0.05s"])
def test_after_the_timeout_nothing_new_is_started(text):
    def slow(x):
        time.sleep(0.02)
        return x

    study = go(objective=slow, timeout=text)
    assert study.status == "timeout"
    assert 1 <= len(study.trials) <= 3
    assert not running(study)


@pytest.mark.parametrize(
    ("goal", "target", "good"), [("minimize", 0.1, lambda v: v <= 0.1), ("maximize", 0.9, lambda v: v >= 0.9)]
)
def test_a_study_stops_at_its_target(goal, target, good):
    study = go(**{goal: "value"}, target=target)
    assert study.status == "target"
    assert [good(r.value) for r in study.trials] == [False] * (len(study.trials) - 1) + [True]
    assert study.run(lambda x: x, target=target, quiet=True).status == "target"


def test_a_study_stops_when_nothing_is_gained_for_a_while():
    values = iter([5, 4, 6, 3, 3, 7, 8, 9, 1])
    study = go(objective=lambda x: next(values), patience=4)
    assert study.status == "converged"
    assert [r.value for r in study.trials] == [5, 4, 6, 3, 3, 7, 8, 9]


def test_failures_count_as_no_gain():
    def objective(trial, x):
        if trial.number:
            raise ValueError
        return x

    study = go(objective=objective, patience=5)
    assert (study.status, len(study.trials)) == ("converged", 6)


def test_total_steps_are_counted_over_trials_and_goes(tmp_path):
    def objective(trial, x):
        for step in trial.steps(4):
            trial.report(x / step)

    study = go(tmp_path / "a.db", objective, total_steps=10)
    assert (study.status, len(study.trials)) == ("complete", 3)
    study.close()
    study = go(tmp_path / "a.db", objective, total_steps=10)
    assert len(study.trials) == 3
    assert len(study.run(objective, total_steps=13, quiet=True).trials) == 4


def test_callbacks_see_the_study_and_the_finished_trial_in_order():
    seen = []

    def first(study, record):
        seen.append(("first", record.number, str(record.state), record.value, len(study.trials)))

    def second(study, record):
        seen.append(("second", study.best.number))

    def objective(trial, x):
        if trial.number == 1:
            raise ValueError
        return 10.0 - trial.number

    go(objective=objective, trials=3, callbacks=[first, second])
    assert seen == [
        ("first", 0, "done", 10.0, 1),
        ("second", 0),
        ("first", 1, "failed", None, 2),
        ("second", 0),
        ("first", 2, "done", 8.0, 3),
        ("second", 2),
    ]


def test_a_callback_that_answers_true_stops_the_study_and_the_others_are_still_called():
    called = []
    callbacks = [lambda study, r: r.number == 2, lambda study, r: called.append(r.number), lambda study, r: "yes"]
    study = go(callbacks=callbacks)
    assert (study.status, called, len(study.trials)) == ("stopped", [0, 1, 2], 3)


def test_a_callback_may_queue_and_read():
    def follow(study, record):
        if record.number == 0:
            study.enqueue({"x": 0.125})

    study = go(callbacks=[follow], trials=3)
    assert study.trials[1].params == {"x": 0.125}


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_a_callback_leaves_nothing_running(tmp_path, error):
    def broken(study, record):
        if record.number == 1:
            raise error

    if isinstance(error, KeyboardInterrupt):
        assert go(tmp_path / "a.db", callbacks=[broken]).status == "interrupted"
    else:
        with pytest.raises(type(error)):
            go(tmp_path / "a.db", callbacks=[broken])
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["done", "done"]


def test_a_study_in_which_everything_fails_stops_and_says_why(tmp_path):
    def objective(x):
        raise ValueError("no such file: data.csv")

    message = r"3 trials have failed and none has succeeded.*ValueError: no such file: data\.csv"
    with pytest.raises(ObjectiveError, match=message) as caught:
        go(tmp_path / "a.db", objective)
    assert isinstance(caught.value.__cause__, ValueError)
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["failed"] * 3
    assert study.run(lambda x: x, trials=5, quiet=True).status == "complete"


@pytest.mark.parametrize("most", [1, 2, 5])
def test_how_many_failures_are_too_many_may_be_said(most):
    with pytest.raises(ObjectiveError, match=f"{most} trial"):
        go(objective=lambda x: 1 / 0, max_failures=most)


def test_once_a_trial_has_succeeded_failures_do_not_stop_a_study():
    def objective(trial, x):
        return 1.0 if trial.number == 2 else 1 / 0

    study = go(objective=objective, trials=20)
    assert [r.state for r in study.trials].count(State.FAILED) == 19
    assert study.best.number == 2


def test_the_value_is_that_of_the_last_step_or_of_the_best(tmp_path):
    curve = [3.0, 1.0, 2.0]

    def objective(trial):
        for step in trial.steps(3):
            trial.report(curve[step - 1], other=step)

    values = [
        go(objective=objective, trials=1, of=of, **{goal: "value"}).trials[0].value
        for of in ("last", "best")
        for goal in ("minimize", "maximize")
    ]
    assert values == [2.0, 2.0, 1.0, 3.0]
    go(tmp_path / "a.db", objective, trials=1, of="best").close()
    study = tn.open_study(tmp_path / "a.db").run(objective, trials=2, quiet=True)
    assert [r.value for r in study.trials] == [1.0, 1.0], "as it was made"


def test_a_pruned_trial_ends_early_and_keeps_its_curve(tmp_path):
    def objective(trial):
        for step in trial.steps(5):
            trial.report(float(trial.number if trial.number < 5 else 100 + step))
            trial.save({"step": step})
        return -1.0

    study = go(tmp_path / "a.db", objective, trials=7, prune="median")
    assert states(study)[-1] == "pruned"
    assert study.trials[6].step < 5
    assert study.trials[6].value == 100.0 + study.trials[6].step
    study.close()
    again = tn.open_study(tmp_path / "a.db")
    assert again.trials[6].curve()[0].tolist() == list(range(1, again.trials[6].step + 1))


def test_a_training_that_diverges_is_ended_and_failed():
    def objective(trial):
        for step in trial.steps(9):
            trial.report(float("nan") if trial.number == 1 and step == 3 else 1.0 / step)

    study = go(objective=objective, trials=3)
    assert states(study) == ["done", "failed", "done"]
    assert study.trials[1].step == 3
    assert "'value' was nan at step 3" in study.trials[1].error["message"]


@pytest.mark.parametrize("name", ["trials", "patience", "total_steps", "max_failures"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True])
def test_an_impossible_count_is_refused_before_anything_starts(tmp_path, name, value):
    study = tn.Study(SPACE, study=tmp_path / "a.db")
    with pytest.raises(StudyError, match=rf"{name}=.*pass a whole number, 1 or more"):
        study.run(lambda x: x, quiet=True, **{name: value})
    assert (len(study.trials), study.status) == (0, "new")


@pytest.mark.parametrize("value", ["soon", "", "-5s", "5 parsecs", "1.2.3s", 0, -1, float("nan"), True, [5]])
def test_an_impossible_timeout_is_refused(value):
    study = tn.Study(SPACE)
    with pytest.raises(StudyError, match=r"timeout=.*pass seconds, or a text like '90s'"):
        study.run(lambda x: x, quiet=True, timeout=value)


@pytest.mark.parametrize("value", ["low", float("nan"), [0.5], True])
def test_an_impossible_target_is_refused(value):
    study = tn.Study(SPACE)
    with pytest.raises(StudyError, match="target=.*pass a number"):
        study.run(lambda x: x, quiet=True, trials=2, target=value)
    assert len(study.trials) == 0


@pytest.mark.parametrize("value", ["print", 5, [print, 5]])
def test_impossible_callbacks_are_refused(value):
    study = tn.Study(SPACE)
    with pytest.raises(StudyError, match="callbacks=.*pass a list of functions"):
        study.run(lambda x: x, quiet=True, trials=2, callbacks=value)
    assert len(study.trials) == 0


def test_one_callback_may_be_given_bare():
    seen = []
    go(trials=2, callbacks=lambda study, record: seen.append(record.number))
    assert seen == [0, 1]
