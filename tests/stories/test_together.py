"""Several processes at one study: a script and a notebook, forked children, trials told from elsewhere."""

import signal
import time

import pytest
from telling import check_curve, running, script, states

import tuneful as tn
from tuneful.engine.pulse import LEASE
from tuneful.errors import StudyError
from tuneful.history import State
from tuneful.schedulers import Full
from tuneful.searchers import Random

SPACE = {"x": tn.Float(0, 1), "n": tn.Int(1, 100)}


def value(params):
    return params["x"] * params["n"]


def test_a_notebook_asks_while_a_script_runs(tmp_path):
    code = """
ran = []
def objective(trial):
    ran.append(trial.number)
    if len(ran) == 1:
        say("began")
        sys.stdin.readline()
    return trial.params["x"] * trial.params["n"]

study = tn.Study({"x": tn.Float(0, 1), "n": tn.Int(1, 100)}, search="sobol", study=PATH, seed=5)
study.run(objective, trials=120, quiet=True)
say(study.status, ran)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        other.until("began")
        study = tn.Study(SPACE, search="sobol", study=tmp_path / "a.db", trials=120)
        mine = []
        while trial := study.ask():
            mine.append(trial.number)
            assert study.tell(trial, value(trial.params))
            if len(mine) == 4:
                other.go()
        [(status, theirs)] = other.rest()
    assert status == "complete"
    assert theirs
    assert sorted(mine + theirs) == list(range(120))
    study.sync()
    assert all(record.state == State.DONE and record.value == value(record.params) for record in study.trials)
    alone = tn.Study(SPACE, search="sobol", seed=5).run(lambda **params: value(params), trials=120, quiet=True)
    assert [r.config for r in alone.trials] == [r.config for r in study.trials]


def test_a_script_waits_for_what_another_process_runs_and_takes_over_when_it_dies(tmp_path):
    code = """
study = tn.Study({"x": [1, 2, 3]}, study=PATH)
trial = study.ask()
say("asked", trial.number)
trial.report(1.0, step=1)
trial.save({"w": 7})
say("saved")
sys.stdin.readline()
"""
    found = []

    def objective(trial, x):
        found.append((trial.number, trial.load(), list(trial.steps(2))))
        return x

    with script(code, path=str(tmp_path / "a.db")) as other:
        other.until("saved")
        study = tn.Study({"x": [1, 2, 3]}, study=tmp_path / "a.db")
        killed = []

        def kill(study, record):
            if record.number == 2:
                killed.append(other.end(signal.SIGKILL))

        study.run(objective, quiet=True, callbacks=[kill])
    assert killed == [-signal.SIGKILL]
    assert study.status == "exhausted"
    assert states(study) == ["done"] * 3
    assert found[-1] == (0, {"w": 7}, [2])
    assert study.trials[0].curve()[0].tolist() == [1]
    assert study.trials[0].attempt == 2


def test_forked_children_work_on_the_study_of_their_parent(tmp_path):
    code = """
study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
mine = study.ask()
mine.report(0.5)

def child():
    ran = []
    def objective(trial, x):
        ran.append(trial.number)
        return x
    study.run(objective, trials=60, quiet=True)
    return ran

pids = []
for k in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            ran = child()
            os._exit(0 if mine.number not in ran else 1)
        finally:
            os._exit(2)
    pids.append(pid)
time.sleep(0.3)
say(study.tell(mine, 0.5))
say([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
study.sync()
say(len(study.trials), sorted({str(r.state) for r in study.trials}), study.trials[mine.number].value)
study.close()
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        assert other.rest() == [(True,), ([0, 0, 0],), (60, ["done"], 0.5)]
    study = tn.open_study(tmp_path / "a.db")
    assert [r.value for r in study.trials][1:] == [r.params["x"] for r in study.trials][1:]
    assert not running(study)


def test_a_killed_forked_child_does_not_keep_its_trial(tmp_path):
    code = """
study = tn.Study({"x": [1, 2]}, study=PATH)
study.tell(study.ask(), 1.0)
pid = os.fork()
if pid == 0:
    study.ask()
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
study.run(lambda x: x, quiet=True)
say([str(r.state) for r in study.trials], study.trials[1].attempt)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        assert other.rest() == [(["done", "done"], 2)]


# Trials that are nobody's

ASKER = """
study = tn.Study(SPACE, study=PATH, seed=0)
trial = study.ask(lease=None)
BODY
say(trial.number, trial.params)
"""


def asked(path, space=None, body=""):
    """A trial without a lease, asked for by a process that has ended: (number, params)."""
    with script(ASKER.replace("BODY", body), path=str(path), space=space) as other:
        [(number, params)] = other.rest()
    return number, params


def test_of_what_a_killed_process_had_claimed_only_what_it_had_started_counts_as_begun(tmp_path):
    code = """
study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0)
store, session = study._session.store, study._session
while (trial := study.ask()) and not session._held:
    study.tell(trial, trial.params["x"])
say(trial.number, list(session._held))
sys.stdin.readline()
"""
    study = tn.Study({"x": tn.Float(0, 1)}, study=tmp_path / "a.db", seed=0, search="random")
    study._session.alive(60.0)
    assert study._session.store.lead(study._session.name, study._session.worker)
    study._decider.provide(Full(Random()), 100, 1)
    with script(code, path=str(tmp_path / "a.db")) as other:
        begun, held = other.heard()
        assert {begun, *held} == set(running(study))
        other.end(signal.SIGKILL)
    study._session.store.reap()
    study.sync()
    assert study.trials[begun].attempt == 1
    assert {study.trials[number].attempt for number in held} == {0}
    assert study.history.ready[: len(held) + 1] == [begun, *held]
    taken = [study._decider.take() for _ in range(len(held) + 1)]
    assert [trial.row.attempt for trial in taken] == [2] + [1] * len(held)
    study.close()


def test_a_trial_without_a_lease_is_told_by_number_from_another_process(tmp_path):
    number, params = asked(tmp_path / "a.db", {"x": [1, 2, 3]})
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["running"]
    study.run(lambda x: x, quiet=True)
    assert (states(study), study.status) == (["running", "done", "done"], "exhausted")
    assert study.tell(number, 9.0)
    assert (study.trials[number].params, study.trials[number].value) == (params, 9.0)
    assert states(study) == ["done"] * 3
    with pytest.raises(StudyError, match=r"Trial 0 is done, not running, so it cannot be told"):
        study.tell(number, 8.0)


def test_what_it_asked_for_and_reported_goes_with_it(tmp_path):
    body = """
x = trial.suggest_float("x", 0, 1)
opt = trial.suggest_categorical("opt", ["sgd", "adam"])
depth = trial.suggest_int("depth", 1, 9)
for step in (1, 2, 3):
    trial.report(x / step, other=step)
trial.save({"step": 3})
trial.params.update(x=x, opt=opt, depth=depth)
"""
    number, params = asked(tmp_path / "a.db", body=body)
    assert params.keys() == {"x", "opt", "depth"}
    study = tn.open_study(tmp_path / "a.db")
    assert study.tell(number, state="pruned")
    found = study.trials[number]
    assert (found.state, found.config, found.saved) == (State.PRUNED, params, 3)
    check_curve(found, 3)
    assert found.metrics == {"value": params["x"] / 3, "other": 3.0}
    study.close()
    again = tn.open_study(tmp_path / "a.db").trials[number]
    assert (again.config, again.metrics) == (params, found.metrics)
    check_curve(again, 3)


def test_the_process_that_asked_learns_what_was_told_elsewhere(tmp_path):
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    trial = study.ask(lease=None)
    other = tn.open_study(tmp_path / "a.db")
    assert other.tell(trial.number, 5.0)
    study.sync()
    assert study.trials[0].value == 5.0
    assert trial.should_stop()
    assert not study.tell(trial, 6.0)
    assert study.trials[0].value == 5.0


def test_of_two_that_tell_a_trial_at_once_the_first_counts(tmp_path):
    a = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    trial = a.ask()
    b = tn.open_study(tmp_path / "a.db")
    assert b.tell(trial.number, 5.0)
    assert not a.tell(trial, 6.0)
    assert (a.sync().trials[0].value, b.sync().trials[0].value) == (5.0, 5.0)


# Workers that were given up, and come back


@pytest.fixture
def given_up(tmp_path):
    """A study, a trial of it that was taken for lost, and another process's view of it."""
    study = tn.Study({"x": [1, 2, 3]}, study=tmp_path / "a.db", seed=0)
    trial = study.ask()
    trial.report(1.0, step=1)
    trial.save({"w": 1})
    study._session.store.beat(study._session.worker, -1.0)
    other = tn.open_study(tmp_path / "a.db")
    other.sync()
    assert states(other) == ["queued"]
    yield study, trial, other
    study.close()
    other.close()


def test_its_result_counts_if_nobody_has_begun_again(given_up):
    study, trial, other = given_up
    assert study.tell(trial, 5.0)
    assert (states(other), other.trials[0].value) == (["done"], 5.0)


def test_its_result_is_set_aside_if_somebody_has(given_up):
    study, trial, other = given_up
    again = other.ask()
    assert (again.number, again.load()) == (0, {"w": 1})
    assert not study.tell(trial, 5.0)
    assert other.tell(again, 6.0)
    assert (study.sync().trials[0].value, other.trials[0].value) == (6.0, 6.0)


def test_it_learns_that_it_was_given_up_and_stops(given_up):
    study, trial, other = given_up
    assert not trial.should_stop()
    study._session.beat(60.0)
    assert trial.should_stop()


def test_its_checkpoints_do_not_push_out_those_of_the_next(given_up):
    study, trial, other = given_up
    again = other.ask()
    assert again.load() == {"w": 1}
    again.report(2.0, step=2)
    again.save({"w": 2})
    trial.save({"w": "late"})
    assert trial.should_stop()
    other._session.store.beat(other._session.worker, -1.0)
    study.sync()
    study.tell(trial, 1.0)
    study._session.store.reap()
    third = study.ask()
    assert (third.number, third.load()) == (0, {"w": 2})


def test_a_run_that_was_given_up_keeps_no_part_of_a_result(tmp_path):
    """It stops at the next step, and what it returns then is no result."""
    study = tn.Study({"x": [1]}, study=tmp_path / "a.db", seed=0)
    other = tn.open_study(tmp_path / "a.db")
    seen = []

    def objective(trial):
        for step in trial.steps(3):
            trial.report(float(step))
            if trial.row.attempt == 1 and step == 2:
                study._session.store.beat(study._session.worker, -1.0)
                other.ask()  # gives it up, and begins it again
                study._session.beat(60.0)
                other.close()
        return 100.0 + step

    study.run(objective, quiet=True, callbacks=[lambda study, record: seen.append((record.number, record.value))])
    assert seen == [(0, 103.0)]
    assert study.trials[0].attempt == 3
    check_curve(study.trials[0], 3)


def test_a_trial_without_a_lease_is_not_given_up_with_its_process(tmp_path):
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    kept, lost = study.ask(lease=None), study.ask()
    study._session.store.beat(study._session.worker, -1.0)
    tn.open_study(tmp_path / "a.db").close()
    study._session.beat(60.0)
    assert (kept.should_stop(), lost.should_stop()) == (False, True)
    assert study.tell(kept, 1.0)


def test_a_living_process_is_not_given_up_while_it_works(tmp_path, monkeypatch):
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    trial = study.ask(lease=0.6)
    other = tn.open_study(tmp_path / "a.db")
    time.sleep(1.0)
    assert other._session.store.reap() == 0
    assert study.tell(trial, 1.0)
    study.close()
    assert other.ask().number == 1


@pytest.mark.parametrize("lease", [0, -1, "long", True, float("nan")])
def test_an_impossible_lease_is_refused(tmp_path, lease):
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    with pytest.raises(StudyError, match=r"ask\(lease=.*pass seconds above 0, or None"):
        study.ask(lease=lease)
    assert len(study.trials) == 0
    assert LEASE == 60.0
