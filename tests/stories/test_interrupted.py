"""Ctrl-C, SIGTERM and crashes in the middle of anything: nothing is left running, nothing is lost."""

import signal
import time

import pytest
from telling import check_curve, running, script, states, story

import tuneful as tn

TRAINING = """
def train(trial):
    w = trial.load() or 0.0
    for step in trial.steps(4):
        say("step", trial.number, step)
        if (trial.number, step) == (2, 3) and STOPS:
            sys.stdin.readline()
        w += trial.suggest_float("lr", 0, 1) / step
        trial.report(w, step=step)
        trial.save(w)
    return w

study = tn.Study(study=PATH, seed=0, search="random")
say(study.status)
study.run(train, trials=5, quiet=True)
say("end", study.status)
"""


def interrupted(path, how, code):
    """Train until trial 2 is about to do its third step, and stop it there; the steps that it did."""
    with script(TRAINING, path=str(path), stops=True) as other:
        other.until("step", 2, 3)
        assert other.end(how) == code
        return other.rest(code)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_an_interrupted_training_goes_on_at_its_checkpoint(tmp_path, how, code):
    said = interrupted(tmp_path / "a.db", how, code)
    assert said == ([("end", "interrupted")] if how == signal.SIGINT else [])
    with_, without = tn.open_study(tmp_path / "a.db"), tn.Study(seed=0, search="random")
    assert states(with_) == ["done", "done", "queued"]
    assert (with_.trials[2].saved, with_.trials[2].step) == (2, 2)
    assert with_.trials[2].curve()[0].tolist() == [1, 2]
    before = story(with_)[:2]
    with_.close()
    with script(TRAINING, path=str(tmp_path / "a.db"), stops=False) as other:
        assert other.heard() == ("open",)
        steps = [(n, step) for _, n, step in other.rest()[:-1]]
    assert steps == [(2, 3), (2, 4), *[(n, step) for n in (3, 4) for step in (1, 2, 3, 4)]]
    after = tn.open_study(tmp_path / "a.db")
    assert story(after)[:2] == before
    assert [record.attempt for record in after.trials] == [1, 1, 2, 1, 1]
    for record in after.trials:
        check_curve(record, 4)

    def train(trial):
        lr = trial.suggest_float("lr", 0, 1)
        for step in trial.steps(4):
            trial.report(sum(lr / s for s in range(1, step + 1)))

    assert story(after) == story(without.run(train, trials=5, quiet=True))


@pytest.mark.parametrize("objective", ["train", "unbound"])
def test_a_trial_killed_behind_its_last_step_counts_as_it_was_reported(tmp_path, objective):
    code = """
def train(trial):
    state = trial.load()
    loss = 0.0
    for step in trial.steps(3):
        loss = 10.0 - step
        trial.report(loss, other=step)
        trial.save(loss)
    if state is None and trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss

def unbound(trial):
    trial.load()
    for step in trial.steps(3):
        loss = 10.0 - step
        trial.report(loss)
        trial.save(loss)
    if trial.row.attempt == 1 and trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss

study = tn.Study({"x": [1, 2, 3]}, study=PATH, seed=0)
study.run(train if TRAIN else unbound, quiet=True)
"""
    with script(code, path=str(tmp_path / "a.db"), train=objective == "train") as other:
        other.rest(-signal.SIGKILL)
    with script(code, path=str(tmp_path / "a.db"), train=objective == "train") as other:
        other.rest()
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["done"] * 3
    assert [record.value for record in study.trials] == [7.0] * 3
    assert study.trials[1].attempt == 2


def test_interrupting_again_and_again_leaves_nothing_running(tmp_path):
    code = """
import random
rng = random.Random(0)
for path in (None, PATH):
    study = tn.Study({"x": tn.Float(0, 1)}, study=path, seed=0, search="random")
    interrupted = 0
    while study.status != "complete":
        timer = threading.Timer(rng.uniform(0.0, 0.02), os.kill, (os.getpid(), signal.SIGINT))
        def begin(trial):  # the first trial says that the study has taken the signals
            timer.start() if not timer.ident else None
            return objective(trial)
        def objective(trial):
            for step in trial.steps(3):
                trial.report(trial.params["x"] * step)
            if trial.number % 5 == 0:
                trial.save({"step": 3})
        try:
            study.run(begin, trials=300, quiet=True)
            interrupted += study.status == "interrupted"
            if timer.ident:
                timer.join()
                time.sleep(0.001)
        except KeyboardInterrupt:  # it came when the study was over
            pass
        running = [r.number for r in study.trials if r.state == State.RUNNING]
        live = list(study._session.live)
        if running or live:
            say("left", path, running, live)
    say("all", interrupted, len(study.trials), [r.number for r in study.trials if r.state != State.DONE])
    study.close()
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        said = other.rest()
    assert [found[0] for found in said] == ["all", "all"], said
    for _, interrupted, trials, rest in said:
        assert interrupted > 3
        assert (trials, rest) == (300, [])


def test_a_second_ctrl_c_breaks_into_the_engine_and_the_end_is_written_later(tmp_path):
    code = """
from tuneful.stores import SqliteStore
finish, waits = SqliteStore.finish, []

def slow(self, *args):
    if not waits:
        waits.append(1)
        say("finishing")
        for _ in range(200):
            time.sleep(0.05)
    return finish(self, *args)

SqliteStore.finish = slow
ran = []

def objective(trial, x):
    ran.append(trial.number)
    return x

study = tn.Study({"x": [1, 2, 3]}, study=PATH, seed=0)
study.run(objective, quiet=True)
say(study.status, [str(r.state) for r in study.trials])
study.run(objective, quiet=True)
say(study.status, [str(r.state) for r in study.trials], ran)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        assert other.heard() == ("finishing",)
        other.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        other.process.send_signal(signal.SIGINT)
        assert other.heard() == ("interrupted", ["done"])
        assert other.heard() == ("exhausted", ["done"] * 3, [0, 1, 2])
        other.rest()


def test_sigterm_between_trials_ends_the_process_too(tmp_path):
    code = """
def last(study, record):
    if record.number == 2:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

study = tn.Study({"x": [1, 2, 3, 4]}, study=PATH, seed=0)
try:
    study.run(lambda x: x, quiet=True, callbacks=[last])
finally:
    say(study.status)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        assert other.rest(143) == [("terminated",)]
    assert states(tn.open_study(tmp_path / "a.db")) == ["done"] * 3


def test_the_handlers_of_others_are_left_alone_and_ours_do_not_stay(tmp_path):
    code = """
seen = []
def mine(signum, frame):
    seen.append(signum)
signal.signal(signal.SIGTERM, mine)
def objective(trial, x):
    if trial.number == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return x
study = tn.Study({"x": [1, 2, 3, 4]}).run(objective, quiet=True)
say(study.status, seen == [signal.SIGTERM], signal.getsignal(signal.SIGTERM) is mine)
say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    with script(code) as other:
        assert other.rest() == [("exhausted", True, True), (True,)]


def test_in_a_thread_that_gets_no_signals_a_study_runs(tmp_path):
    code = """
study = tn.Study({"x": [1, 2, 3, 4]})
thread = threading.Thread(target=lambda: study.run(lambda x: x, quiet=True))
thread.start(); thread.join()
say(study.status, len(study.trials))
"""
    with script(code) as other:
        assert other.rest() == [("exhausted", 4)]


def test_what_was_asked_for_by_a_process_that_ends_is_queued_again(tmp_path):
    code = """
study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0)
trial = study.ask()
trial.report(0.5, step=1)
trial.save({"w": 1})
say(trial.number)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        other.rest()
    study = tn.open_study(tmp_path / "a.db")
    assert states(study) == ["queued"]
    trial = study.ask()
    assert (trial.number, trial.load(), list(trial.steps(3))) == (0, {"w": 1}, [2, 3])
    assert study.tell(trial)
    assert not running(study)
