"""Workers and their parents are killed, stopped, interrupted, too slow or too large; and several parents share a study."""

import itertools
import os
import signal
import time
from pathlib import Path

import pytest
from telling import check_curve, eventually, running, script, states, watched, whys

import tuneful as tn

SPACE = {"x": tn.Float(0, 1)}


def study_of(path=None):
    return tn.Study(SPACE, study=path, seed=0, search="random")


# What happens to processes

TRAIN = """
def wait():
    while not os.path.exists(GATE):
        time.sleep(0.01)

def train(trial):
    state = trial.load() or {"w": 0.0}
    for step in trial.steps(4):
        say("step", os.getpid(), trial.number, step, trial.row.attempt)
        if (trial.number, step, trial.row.attempt) == (1, 3, 1):
            wait()
        state = {"w": state["w"] + trial.params["x"] / step}
        trial.report(state["w"])
        trial.save(state)

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
try:
    study.run(train, trials=4, workers=2, quiet=True)
finally:
    say("end", study.status, [(str(r.state), r.attempt) for r in study.trials])
    assert childless()
"""


def at_the_gate(other):
    """The process that has come to step 3 of trial 1."""
    while True:
        word, *rest = other.heard()
        if word == "step" and rest[1:] == [1, 3, 1]:
            return rest[0]


def expected(trials=4):
    """The curves of the script's study in one process."""

    def train(trial):
        total = 0.0
        for step in trial.steps(4):
            total += trial.params["x"] / step
            trial.report(total)

    return [r.curve()[1].tolist() for r in study_of().run(train, trials=trials, quiet=True).trials]


def check_trained(path):
    found = tn.open_study(path)
    assert states(found) == ["done"] * 4, [record.error for record in found.trials]
    for record in found.trials:
        check_curve(record, 4)
    assert [r.curve()[1].tolist() for r in found.trials] == expected()
    found.close()


@pytest.mark.parametrize(("how", "why"), [(signal.SIGKILL, "lost"), (signal.SIGTERM, "interrupted")])
def test_a_worker_that_is_ended_is_replaced_and_its_trial_goes_on(tmp_path, how, why):
    with watched(tmp_path, TRAIN) as other:
        os.kill(at_the_gate(other), how)
        *steps, end = other.rest()
    assert end == ("end", "complete", [("done", 1), ("done", 2), ("done", 1), ("done", 1)])
    assert [step for word, _, number, step, attempt in steps if (number, attempt) == (1, 2)] == [3, 4]
    assert whys(tmp_path / "a.db") == [(1, 1, why)]
    check_trained(tmp_path / "a.db")


def test_a_parent_that_is_killed_leaves_nothing_running(tmp_path):
    with watched(tmp_path, TRAIN) as other:
        at_the_gate(other)
        assert other.end(signal.SIGKILL) == -signal.SIGKILL
        eventually(lambda: (1, 1, "interrupted") in whys(tmp_path / "a.db"))
    found = tn.open_study(tmp_path / "a.db")
    assert not running(found)
    assert found.trials[1].saved == 2
    with script(TRAIN, path=str(tmp_path / "a.db"), gate=str(tmp_path)) as again:
        again.rest()
    check_trained(tmp_path / "a.db")


@pytest.mark.parametrize(
    ("how", "code", "status"), [(signal.SIGINT, 0, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_parent_has_its_workers_give_back(tmp_path, how, code, status):
    with watched(tmp_path, TRAIN) as other:
        at_the_gate(other)
        os.killpg(other.process.pid, how)
        *_, end = other.rest(code)
    assert end[:2] == ("end", status)
    assert not [state for state, _ in end[2] if state == "running"]
    found = tn.open_study(tmp_path / "a.db")
    assert (str(found.trials[1].state), found.trials[1].saved, found.trials[1].attempt) == ("queued", 2, 1)
    assert (1, 1, "interrupted") in whys(tmp_path / "a.db")
    with script(TRAIN, path=str(tmp_path / "a.db"), gate=str(tmp_path)) as again:
        again.rest()
    check_trained(tmp_path / "a.db")


def test_a_second_ctrl_c_kills_workers_that_do_not_end(tmp_path):
    code = """
def stubborn(x):
    say("began")
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException as error:
            say(type(error).__name__)

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(stubborn, workers=1, quiet=True)
say("end", study.status, [str(r.state) for r in study.trials])
assert childless()
"""
    with watched(tmp_path, code) as other:
        other.until("began")
        os.killpg(other.process.pid, signal.SIGINT)
        other.until("Terminated")
        os.killpg(other.process.pid, signal.SIGINT)
        assert other.rest() == [("end", "interrupted", ["queued"])]


def test_what_a_worker_has_forked_does_not_outlive_it_nor_hide_its_death(tmp_path):
    code = """
def objective(trial, x):
    if trial.row.attempt < 3 and trial.number == 0:
        if os.fork() == 0:
            time.sleep(1000)
        if trial.row.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(9)
    if os.fork() == 0:
        time.sleep(1000)
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=3, workers=1, quiet=True)
say(study.status, [r.attempt for r in study.trials])
assert childless()
"""
    with watched(tmp_path, code) as other:
        assert other.rest() == [("complete", [3, 1, 1])]


def test_a_worker_hears_of_the_death_of_its_parent_though_a_fork_of_it_lives(tmp_path):
    code = """
def objective(x):
    say("began", os.getpid())
    time.sleep(1000)

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
def beside():
    sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        time.sleep(1000)
    say("forked", pid)
threading.Thread(target=beside, daemon=True).start()
study.run(objective, workers=1, quiet=True)
"""
    with script(code, path=str(tmp_path / "a.db")) as other:
        _, worker = other.heard()
        other.go()
        _, fork = other.heard()
        other.end(signal.SIGKILL)
        try:
            eventually(lambda: not Path(f"/proc/{worker}").exists())
        finally:
            os.kill(fork, signal.SIGKILL)
    assert whys(tmp_path / "a.db") == [(0, 1, "interrupted")]


def test_an_objective_that_takes_its_workers_down_is_given_up_after_three(tmp_path):
    code = """
def objective(trial, x):
    if trial.number in (1, 2):
        os._exit(3) if trial.number == 1 else os.kill(os.getpid(), signal.SIGSEGV)
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=5, workers=2, quiet=True)
say(study.status, [(str(r.state), r.attempt) for r in study.trials])
say([r.error["type"] for r in study.trials if r.error])
"""
    with watched(tmp_path, code) as other:
        assert other.rest() == [
            ("complete", [("done", 1), ("failed", 3), ("failed", 3), ("done", 1), ("done", 1)]),
            (["WorkerLost", "WorkerLost"],),
        ]


SHORT = """
from dataclasses import replace
from tuneful.engine.work import unpacked
from tuneful.executors import Processes

class Short:
    "Workers that are given up after a second."
    def start(self, work, *rest):
        return Processes(2).start(replace(unpacked(work), lease=1.0).packed(), *rest)
"""


def test_a_worker_that_was_stopped_beyond_its_lease_goes_on_and_its_result_is_set_aside(tmp_path):
    with watched(tmp_path, SHORT + TRAIN.replace("workers=2", "workers=Short()")) as other:
        stopped = at_the_gate(other)
        os.kill(stopped, signal.SIGSTOP)
        while other.heard()[2:] != (1, 4, 2):  # another worker has taken its trial over, and trains the last step
            pass
        (tmp_path / "gate").touch()
        os.kill(stopped, signal.SIGCONT)
        *_, end = other.rest()
    assert end[1:] == ("complete", [("done", 1), ("done", 2), ("done", 1), ("done", 1)])
    assert (1, 1, "lost") in whys(tmp_path / "a.db")
    check_trained(tmp_path / "a.db")


def test_clocks_that_jump_take_nothing_from_anybody(tmp_path):
    code = (
        SHORT
        + """
clock, hours = time.time, {"past": 0}
time.time = lambda: clock() + 3600 * hours["past"]

def setup():
    hours["past"] = -9 if os.getpid() % 2 else 9

def objective(trial, x):
    for step in trial.steps(30):
        trial.report(x)
        hours["past"] *= -1
        time.sleep(0.01)
    return x

def jump(study, record):
    hours["past"] = 30 if hours["past"] == 0 else -hours["past"]

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=8, workers=Short(), setup=setup, callbacks=[jump], quiet=True)
say(study.status, [(str(r.state), r.attempt) for r in study.trials])
"""
    )
    with watched(tmp_path, code) as other:
        assert other.rest() == [("complete", [("done", 1)] * 8)]
    assert whys(tmp_path / "a.db") == []


# The limits of a single trial


@pytest.mark.parametrize("body", ["time.sleep(1000)", "while True: pass", "threading.Event().wait()"])
def test_a_trial_that_takes_too_long_fails_and_the_others_go_on(tmp_path, body):
    code = f"""
def objective(trial, x):
    if trial.number == 1:
        trial.report(0.5)
        {body}
    return x

study = tn.Study({{"x": tn.Float(0, 1)}}, study=PATH, seed=0, search="random")
study.run(objective, trials=3, workers=1, trial_timeout=0.3, quiet=True)
error = study.trials[1].error
say(study.status, [(str(r.state), r.attempt) for r in study.trials], error["type"], error["message"])
"""
    with watched(tmp_path, code) as other:
        [(status, found, kind, message)] = other.rest()
    assert (status, found, kind) == ("complete", [("done", 1), ("failed", 1), ("done", 1)], "TimedOut")
    assert "a trial may take 0.3 s" in message


def test_a_trial_that_nothing_in_its_process_can_end_is_killed_and_fails(tmp_path):
    code = """
from tuneful.engine import crew
crew._SLACK = 0.3

def objective(trial, x):
    if trial.number == 1:
        sum(range(10**12))  # nobody else gets a turn
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=3, workers=1, trial_timeout=0.3, quiet=True)
error = study.trials[1].error
say(study.status, [(str(r.state), r.attempt) for r in study.trials], error["type"])
"""
    with watched(tmp_path, code) as other:
        assert other.rest() == [("complete", [("done", 1), ("failed", 1), ("done", 1)], "TimedOut")]


def test_a_trial_whose_children_take_too_much_memory_fails(tmp_path):
    code = """
import subprocess
GREEDY = "import time; held = bytearray(10**6 * 400); time.sleep(1000)"

def objective(trial, x):
    if trial.number == 1:
        subprocess.run([sys.executable, "-c", GREEDY])
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=3, workers=1, trial_memory="350MB", quiet=True)
error = study.trials[1].error
say(study.status, [(str(r.state), r.attempt) for r in study.trials], error["type"], error["message"])
"""
    with watched(tmp_path, code) as other:
        [(status, found, kind, message)] = other.rest()
    assert (status, found, kind) == ("complete", [("done", 1), ("failed", 1), ("done", 1)], "OutOfMemory")
    assert "and may hold 350 MiB" in message


def test_what_takes_less_than_it_may_is_left_alone():
    made = study_of().run(
        lambda x: (time.sleep(0.5), x)[1], trials=2, workers=2, trial_timeout="20m", trial_memory="64GB", quiet=True
    )
    assert states(made) == ["done", "done"]


def test_a_study_is_found_and_kept_whatever_its_parent_does(tmp_path):
    """It changes its folder, and forks a child that ends."""
    code = """
os.chdir(FOLDER)
for path in ("a.db", None):
    study = tn.Study({"x": tn.Float(0, 1)}, study=path, seed=0, search="random")
    os.makedirs("inner", exist_ok=True)
    os.chdir("inner")
    study.run(lambda x: x, trials=2, workers=1, quiet=True)
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    os.waitpid(pid, 0)
    study.run(lambda x: x, trials=4, workers=1, quiet=True)
    say(study.status, len(study.trials), os.listdir("."))
    study.close()
"""
    with watched(tmp_path, code, folder=str(tmp_path)) as other:
        assert other.rest() == [("complete", 4, [])] * 2


# Several at one study


PARENT = """
def objective(trial, x):
    say("trial", trial.number, os.getpid())
    time.sleep(0.01)
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
say("open", os.getpid())
sys.stdin.readline()
study.run(objective, trials=TRIALS, workers=2, quiet=True)
say("end", study.status)
"""


def test_two_parents_share_the_work_of_one_study(tmp_path):
    path = str(tmp_path / "a.db")
    code = "import glob\n" + PARENT.replace(
        "    time.sleep(0.01)",
        '    open(f"{PATH}-ran-by-{os.getppid()}", "w").close()\n'
        '    while len(glob.glob(f"{PATH}-ran-by-*")) < 2: time.sleep(0.01)  # until each parent has had one to run',
    )
    with script(code, path=path, trials=90) as a, script(code, path=path, trials=90) as b:
        for each in (a, b):
            each.heard()
            each.go()
        said = [each.rest() for each in (a, b)]
    assert all(each[-1] == ("end", "complete") for each in said)
    ran = [[number for word, number, *_ in each[:-1]] for each in said]
    assert sorted(ran[0] + ran[1]) == list(range(90))
    assert all(ran)
    made = tn.open_study(path)
    assert [r.config for r in made.trials] == [
        r.config for r in study_of().run(lambda x: x, trials=90, quiet=True).trials
    ]


def test_when_the_parent_that_decides_is_killed_the_other_takes_over(tmp_path):
    path = str(tmp_path / "a.db")
    code = PARENT.replace(
        "time.sleep(0.01)",
        "time.sleep(0.01)\n    while trial.number == 30 and not os.path.exists(GATE): time.sleep(0.01)",
    )
    gate = tmp_path / "gate"
    with (
        script(code, path=path, trials=80, gate=str(gate)) as a,
        script(code, path=path, trials=80, gate=str(gate)) as b,
    ):
        for each in (a, b):
            each.heard()
        a.go()
        a.heard()  # it decides
        b.go()
        b.heard()
        assert a.end(signal.SIGKILL) == -signal.SIGKILL
        gate.touch()
        assert b.rest()[-1] == ("end", "complete")
    made = tn.open_study(path)
    assert states(made) == ["done"] * 80
    assert [r.value for r in made.trials] == [r.params["x"] for r in made.trials]


def test_a_notebook_asks_while_workers_run(tmp_path):
    with script(PARENT, path=str(tmp_path / "a.db"), trials=60) as other:
        other.heard()
        study = tn.open_study(tmp_path / "a.db", trials=60)
        other.go()
        other.heard()
        mine = []
        while len(mine) < 5 and other.process.poll() is None:
            trial = study.ask()
            if trial is not None:
                mine.append(trial.number)
                assert study.tell(trial, trial.params["x"])
            time.sleep(0.01)
        *said, end = other.rest()
    assert end == ("end", "complete")
    study.sync()
    assert states(study) == ["done"] * 60
    assert [r.value for r in study.trials] == [r.params["x"] for r in study.trials]
    assert len(mine) + len([1 for word, *_ in said if word == "trial"]) <= 60
    study.close()


def test_three_processes_without_workers_run_each_trial_once(tmp_path):
    code = """
ran = []
study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random", trials=300)
say("open")
sys.stdin.readline()
study.run(lambda trial, x: ran.append(trial.number) or x, quiet=True)
say(study.status, ran)
say([len(study.trials), [r.number for r in study.sync().trials if r.state != State.DONE]])
"""
    path = str(tmp_path / "a.db")
    with script(code, path=path) as a, script(code, path=path) as b, script(code, path=path) as c:
        for each in (a, b, c):
            each.heard()
        for each in (a, b, c):
            each.go()
        said = [each.rest() for each in (a, b, c)]
    assert sorted(itertools.chain(*(ran for (_, ran), _ in said))) == list(range(300))
    assert all(status == "complete" for (status, _), _ in said)
    assert said[-1][1] == ([300, []],)


def test_the_cost_of_a_trial_is_that_of_all_its_attempts(tmp_path):
    with watched(tmp_path, TRAIN) as other:
        at_the_gate(other)
        time.sleep(0.3)
        os.kill(other.process.pid, signal.SIGINT)
        other.rest()
    before = tn.open_study(tmp_path / "a.db").trials[1].seconds
    assert 0.3 <= before < 30
    with script(TRAIN, path=str(tmp_path / "a.db"), gate=str(tmp_path)) as again:
        again.rest()
    assert before < tn.open_study(tmp_path / "a.db").trials[1].seconds < before + 30
