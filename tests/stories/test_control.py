"""Pause, resume, stop and cancel: studies and single trials, from this process and from others."""

import threading
import time

import pytest
from telling import check_curve, eventually, running, script, states

import tuneful as tn
from tuneful.errors import StudyError

SPACE = {"x": tn.Float(0, 1)}

TRAIN = """
def train(trial):
    begun = trial.load() or 0
    say("began", trial.number, begun)
    for step in trial.steps(100_000):
        trial.report(1 / step)
        SAVE
        if os.path.exists(GATE):
            break
        time.sleep(0.005)

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(train, trials=3, workers=WORKERS, quiet=True)
say("end", study.status)
"""
BOTH = pytest.mark.parametrize("workers", [None, 2])


def training(tmp_path, workers, *, saves=True):
    """A script whose trials train until the gate is there."""
    code = TRAIN.replace("SAVE", "trial.save(step)" if saves else "pass")
    return script(code, path=str(tmp_path / "a.db"), gate=str(tmp_path / "gate"), workers=workers)


def study_of(path=None, space=None, **options):
    return tn.Study(space or SPACE, study=path, **{"seed": 0, "search": "random", **options})


def began(said):
    return [(number, step) for word, number, *rest in said if word == "began" for step in rest]


def wait_for_save(study, number):
    eventually(lambda: len(study.sync().trials) > number and study.trials[number].saved)


# A study


@BOTH
def test_a_paused_study_starts_nothing_until_it_is_resumed(tmp_path, workers):
    with training(tmp_path, workers) as other:
        assert other.heard() == ("began", 0, 0)
        study = tn.open_study(tmp_path / "a.db")
        wait_for_save(study, 0)
        study.pause()
        eventually(lambda: not running(study))
        assert set(states(study)) == {"queued"}
        started = study.history.started
        time.sleep(0.3)
        assert study.sync().history.started == started
        assert study.ask() is None
        assert other.process.poll() is None
        (tmp_path / "gate").touch()
        study.resume()
        *said, end = other.rest()
    assert end == ("end", "complete")
    assert states(study) == ["done"] * 3
    assert all(step > 0 for number, step in began(said) if number < started and (number, step) != (1, 0))
    for record in study.trials:
        check_curve(record, record.step)
    assert study.trials[0].attempt == 2


@BOTH
def test_what_saves_nothing_runs_to_its_end_in_a_paused_study(tmp_path, workers):
    with training(tmp_path, workers, saves=False) as other:
        other.heard()
        study = tn.open_study(tmp_path / "a.db").pause()
        (tmp_path / "gate").touch()
        eventually(lambda: not running(study))
        assert "done" in states(study)
        study.resume()
        assert other.rest()[-1] == ("end", "complete")
    assert [record.attempt for record in study.sync().trials] == [1, 1, 1]


def test_stop_ends_all_runs_and_the_next_one_goes_on(tmp_path):
    with training(tmp_path, None) as a, training(tmp_path, 2) as b:
        a.heard(), b.heard()
        study = tn.open_study(tmp_path / "a.db")
        eventually(lambda: all(r.saved for r in study.sync().trials if r.state == tn.State.RUNNING))
        study.stop()
        assert [each.rest()[-1] for each in (a, b)] == [("end", "stopped")] * 2
    assert not running(study)
    assert "queued" in states(study)
    (tmp_path / "gate").touch()
    with training(tmp_path, 2) as again:
        assert again.rest()[-1] == ("end", "complete")
    assert states(study) == ["done"] * 3
    for record in study.trials:
        check_curve(record, record.step)


@BOTH
def test_a_study_that_is_stopped_before_a_run_begins_is_run(tmp_path, workers):
    for path in (None, tmp_path / "a.db"):
        study = study_of(path).stop()
        assert study.run(lambda x: x, trials=2, workers=workers, quiet=True).status == "complete"
        if path is not None:
            tn.open_study(path).stop()
            assert study.run(lambda x: x, trials=4, workers=workers, quiet=True).status == "complete"


@BOTH
def test_cancel_ends_all_that_is_not_over_and_the_runs(tmp_path, workers):
    with training(tmp_path, workers) as other:
        other.heard()
        study = tn.open_study(tmp_path / "a.db")
        study.enqueue({"x": 0.25})
        wait_for_save(study, 0)
        study.cancel()
        assert set(states(study)) == {"cancelled"}
        assert other.rest()[-1] == ("end", "stopped")
    assert set(states(study)) == {"cancelled"}
    check_curve(study.trials[0], study.trials[0].step)
    assert study.trials[0].step >= 1
    assert study.run(lambda x: x, trials=5, quiet=True).status == "complete"


# A trial


@BOTH
def test_a_trial_is_held_and_goes_on_later(tmp_path, workers):
    with training(tmp_path, workers) as other:
        other.heard()
        study = tn.Study(study=tmp_path / "a.db", trials=3)
        wait_for_save(study, 0)
        study.pause(0)
        eventually(lambda: states(study)[0] == "queued")
        (tmp_path / "gate").touch()
        assert other.rest()[-1] == ("end", "complete")
        assert states(study) == ["queued", "done", "done"]
        assert study.ask() is None
    saved = study.trials[0].saved
    study.resume(0)
    with training(tmp_path, workers) as other:
        *said, end = other.rest()
    assert began(said) == [(0, saved)]
    assert end == ("end", "complete")
    assert states(study) == ["done"] * 3
    check_curve(study.trials[0], study.trials[0].step)


@BOTH
def test_a_trial_is_stopped_with_what_it_has_reached(tmp_path, workers):
    with training(tmp_path, workers) as other:
        other.heard()
        study = tn.open_study(tmp_path / "a.db")
        wait_for_save(study, 0)
        study.stop(0)
        eventually(lambda: states(study)[0] == "pruned")
        (tmp_path / "gate").touch()
        assert other.rest()[-1] == ("end", "complete")
    assert states(study) == ["pruned", "done", "done"]
    record = study.trials[0]
    check_curve(record, record.step)
    assert record.metrics["value"] == 1 / record.step


@BOTH
def test_a_cancelled_trial_keeps_its_curve_and_what_it_still_returns_is_set_aside(tmp_path, workers):
    with training(tmp_path, workers, saves=False) as other:
        other.heard()
        study = tn.open_study(tmp_path / "a.db")
        eventually(lambda: study.sync().trials[0].step > 1)
        study.cancel(0)
        assert states(study)[0] == "cancelled"
        steps = study.trials[0].step
        assert steps > 1
        (tmp_path / "gate").touch()
        assert other.rest()[-1] == ("end", "complete")
    assert states(study) == ["cancelled", "done", "done"]
    check_curve(study.trials[0], steps)
    assert study.trials[0].metrics == {"value": 1 / steps}
    again = tn.open_study(tmp_path / "a.db")
    assert states(again) == ["cancelled", "done", "done"]
    check_curve(again.trials[0], steps)


@pytest.mark.parametrize("path", [None, "a.db"])
def test_what_waits_can_be_held_released_and_cancelled(tmp_path, path):
    study = study_of(path and tmp_path / path, {"x": [1, 2, 3, 4]})
    held, cancelled, stopped = (study.enqueue({"x": x}) for x in (1, 2, 3))
    study.pause(held).cancel(cancelled).stop(stopped)
    assert states(study) == ["queued", "cancelled", "cancelled"]
    study.run(lambda x: x, quiet=True)
    assert states(study) == ["queued", "cancelled", "cancelled", "done"]
    assert study.ask() is None
    study.resume(held)
    assert study.run(lambda x: x, quiet=True).trials[0].value == 1
    assert states(study) == ["done", "cancelled", "cancelled", "done"]


@pytest.mark.parametrize("path", [None, "a.db"])
@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "cancel"])
def test_what_is_over_or_was_never_there_cannot_be_controlled(tmp_path, path, verb):
    study = study_of(path and tmp_path / path)
    study.run(lambda x: x, trials=1, quiet=True)
    study.ask().report(2.0)
    study.tell(1, state="pruned")
    study.tell(study.ask(), error="broken")
    study.cancel(study.enqueue({"x": 0.5}))
    act = getattr(study, verb)
    for number, state in enumerate(["done", "pruned", "failed", "cancelled"]):
        with pytest.raises(StudyError, match=rf"^Trial {number} is {state}: it is over, and nothing can be changed\.$"):
            act(number)
    for number in (4, -1, 10**6):
        with pytest.raises(StudyError, match=rf"^There is no trial {number}; the study has 4, counted from 0\.$"):
            act(number)


def test_a_trial_that_was_asked_for_here_hears_what_is_wanted_elsewhere(tmp_path):
    study = study_of(tmp_path / "a.db")
    other = tn.open_study(tmp_path / "a.db")
    held, stopped, cancelled, kept = (study.ask() for _ in range(4))
    held.report(0.5)
    held.save({"w": 1})
    for trial in (stopped, cancelled):
        trial.report(0.25)
        trial.save({"w": 1})
    other.pause(held.number).stop(stopped.number).cancel(cancelled.number)
    eventually(lambda: all(trial.should_stop() for trial in (held, stopped, cancelled)))
    assert not kept.should_stop()
    assert not study.tell(held, 9.0)  # it goes on later, so that is no result
    assert study.tell(stopped, state="pruned")
    assert not study.tell(cancelled, 9.0)
    assert study.tell(kept, 1.0)
    assert states(other) == ["queued", "pruned", "cancelled", "done"]
    assert [record.value for record in other.trials] == [None, 0.25, 0.25, 1.0]


def test_nobodys_trial_can_be_cancelled(tmp_path):
    study = study_of(tmp_path / "a.db")
    study.ask(lease=None)
    study.close()
    study = tn.open_study(tmp_path / "a.db").cancel(0)
    with pytest.raises(StudyError, match="Trial 0 is cancelled, not running"):
        study.tell(0, 1.0)


@BOTH
def test_callbacks_control_the_study_they_belong_to(tmp_path, workers):
    for path in (None, tmp_path / "a.db"):
        study = study_of(path, {"x": [1, 2, 3, 4, 5, 6]})

        def callback(study, record):
            if record.number == 0:
                study.cancel(study.enqueue({"x": 6}, repeat=True))
            if record.number == 2:
                study.stop()

        study.run(lambda x: x, callbacks=[callback], workers=workers, quiet=True)
        assert study.status == "stopped"
        assert "cancelled" in states(study)
        study.run(lambda x: x, workers=workers, quiet=True)
        assert study.status == "exhausted"
        assert sorted(states(study)) == ["cancelled"] + ["done"] * 6


@pytest.mark.parametrize("path", [None, "a.db"])
def test_an_objective_may_cancel_its_own_trial(tmp_path, path):
    study = study_of(path and tmp_path / path)

    def objective(trial, x):
        for step in trial.steps(3):
            trial.report(x / step)
            if trial.number == 1 and step == 2:
                study.cancel(1)
        return x

    study.run(objective, trials=3, quiet=True)
    assert states(study) == ["done", "cancelled", "done"]
    check_curve(study.trials[1], 2)


@pytest.mark.parametrize("path", [None, "a.db"])
def test_a_thread_controls_a_study_that_runs_here(tmp_path, path):
    study = study_of(path and tmp_path / path)
    told = threading.Event()

    def control():
        told.wait()
        study.stop(0)

    def objective(trial, x):
        for step in trial.steps(4_000):  # else it goes on for 20 s
            trial.report(x / step)
            told.set()
            if trial.number:
                return x
            time.sleep(0.005)
        return x

    thread = threading.Thread(target=control)
    thread.start()
    study.run(objective, trials=2, quiet=True)
    thread.join()
    assert states(study) == ["pruned", "done"]
