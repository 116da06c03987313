"""Studies run by worker processes: the same trials as in one process, whatever happens to the workers."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from telling import check_curve, running, same_trials, script, states, story

import tuneful as tn
from tuneful.errors import ObjectiveError, StudyError, StudyNotFound
from tuneful.history import State

SPACE = {"x": tn.Float(0, 1)}


def study_of(space=None, path=None, **options):
    return tn.Study(SPACE if space is None else space, study=path, **{"seed": 0, "search": "random", **options})


def alike(objective, *, space=SPACE, trials=6, workers=2, max_failures=3, **options):
    """A study by workers, which must be the one that a single process makes."""
    limits = {"trials": trials, "max_failures": max_failures, "quiet": True}
    by_workers = study_of(space, **options).run(objective, workers=workers, **limits)
    alone = study_of(space, **options).run(objective, **limits)
    same_trials(by_workers, alone)
    assert by_workers.status == alone.status
    return by_workers


# What is run


def test_everything_that_a_script_defines_can_be_an_objective(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train.py").write_text("FACTOR = 3\ndef objective(x):\n    return FACTOR * x\n")
    (tmp_path / "elsewhere" / "hidden.py").write_text(
        "FACTOR = 2\ndef helper(x):\n    return FACTOR * x\ndef objective(x):\n    return helper(x)\n"
        "def bound(k, x):\n    return k * helper(x)\n"
    )
    (tmp_path / "script.py").write_text("""
import functools, importlib.util, sys
import tuneful as tn

FACTOR = 3

def plain(x):
    return FACTOR * x

class Callable:
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return self.k * x
    def method(self, x):
        return self.k * x

def closure(k):
    def inner(x):
        return k * plain(x)
    return inner

def load(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

import train
hidden = load("hidden", sys.argv[1] + "/elsewhere/hidden.py")
objectives = [
    (plain, 3), (lambda x: FACTOR * x, 3), (closure(2), 6), (Callable(4), 4), (Callable(5).method, 5),
    (functools.partial(lambda k, x: k * x, 7), 7), (train.objective, 3), (hidden.objective, 2),
    (functools.partial(hidden.bound, 3), 6),
]
for k, (objective, factor) in enumerate(objectives):
    path = f"{sys.argv[1]}/a.db#{k}" if k % 2 else None
    study = tn.Study({"x": tn.Float(0, 1)}, study=path, seed=0, search="random")
    study.run(objective, trials=2, workers=1, setup=plain if k == 0 and False else None, quiet=True)
    print([r.value == r.params["x"] * factor or abs(r.value - r.params["x"] * factor) < 1e-12 for r in study.trials])
    study.close()

shadow = load("colorsys", sys.argv[1] + "/elsewhere/hidden.py")  # a worker would find another of this name
study = tn.Study({"x": tn.Float(0, 1)}).run(shadow.objective, trials=1, workers=1, setup=shadow.helper.__get__(0), quiet=True)
print(study.trials[0].value == 2 * study.trials[0].params["x"])
""")
    ran = subprocess.run(
        [sys.executable, "script.py", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:-1] == ["[True, True]"] * 9 + ["True"]
    assert not ran.stderr


class Thing:
    """An option that is no JSON value."""

    def __init__(self, size):
        self.size = size


def conditional(optimizer, layers):
    return optimizer["lr"] * len(layers) + sum(layer["units"] for layer in layers)


def by_run(trial):
    x = trial.suggest_float("x", 0, 1)
    thing = trial.suggest_categorical("thing", {"small": Thing(1), "large": Thing(9)})
    return x * thing.size + (trial.suggest_int("n", 1, 9) if x > 0.5 else 0)


def test_conditional_spaces():
    space = {
        "optimizer": tn.Switch({"sgd": {"lr": tn.Log(1e-3, 1), "m": tn.Float(0, 1)}, "adam": {"lr": tn.Log(1e-5, 1)}}),
        "layers": tn.Repeat(1, 3, {"units": tn.Int(16, 512, log=True)}),
    }
    alike(conditional, space=space)


def test_options_that_are_objects():
    made = alike(lambda thing: thing.size, space={"thing": tn.Choice({"a": Thing(1), "b": Thing(2)})}, trials=2)
    assert made.best.params["thing"].size == 1


def test_define_by_run():
    made = study_of(tn.Space({}, open=True)).run(by_run, trials=6, workers=2, quiet=True)
    assert set(made.space.paths) == {"x", "thing", "n"}
    for record in made.trials:
        config = record.config  # the objects of options exist only where the objective runs
        assert record.value == config["x"] * {"small": 1, "large": 9}[config["thing"]] + config.get("n", 0)
        assert ("n" in config) == (config["x"] > 0.5)


def test_goals_settings_and_steps():
    def objective(trial, x, loaders):
        for step in trial.steps(4):
            trial.report(a=abs(x - step / 4), b=x * loaders, memory=x)

    alike(
        objective,
        minimize="a",
        maximize=None,
        constraints=["memory <= 0.7"],
        settings={"loaders": 3},
        of="best",
    )
    made = alike(lambda x: {"a": x, "b": 1 - x}, minimize=["a", "b"])
    assert len(made.front) == 6


def test_values_that_are_no_results_are_failures_as_in_one_process():
    def objective(x):
        return float("nan") if x > 0.9 else "text" if x < 0.3 else x

    made = alike(objective, max_failures=6)
    assert {str(r.state) for r in made.trials} == {"done", "failed"}


@pytest.mark.parametrize("search", ["random", "sobol", "halton", tn.searchers.Grid(levels=3)], ids=str)
def test_a_number_has_one_config_for_any_number_of_workers(search):
    space = {"x": tn.Float(0, 1), "n": tn.Int(1, 4), "c": ["a", "b"]}
    found = [
        [r.config for r in study_of(space, search=search).run(total, trials=12, workers=n, quiet=True).trials]
        for n in (None, 1, 3)
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 12


def total(x, n, c):
    return x + n + len(c)


def test_one_worker_with_a_searcher_that_learns_makes_the_study_of_one_process():
    alike(lambda x: (x - 0.3) ** 2, search="auto", trials=14, workers=1)


# Judging and stopping


def test_a_pruner_in_a_worker_knows_the_trials_of_the_others():
    def objective(trial, x):
        for step in trial.steps(6):
            trial.report(x + step / 100)

    made = study_of(prune="median").run(objective, trials=16, workers=1, quiet=True)
    alone = study_of(prune="median").run(objective, trials=16, quiet=True)
    same_trials(made, alone)
    assert {str(r.state) for r in made.trials} == {"done", "pruned"}
    both = study_of(prune="median").run(objective, trials=24, workers=2, quiet=True)
    pruned = [r.params["x"] for r in both.trials if r.state == State.PRUNED]
    assert pruned
    assert min(pruned) > both.best.params["x"]


def test_pruners_that_look_at_one_trial():
    def objective(trial, x):
        for step in trial.steps(20):
            trial.report(max(x, 1 - step / 10) if x < 0.9 else float("inf"))

    made = alike(objective, prune=["diverged", "patience"], trials=8)
    assert {len(r.curve()[0]) for r in made.trials} != {20}


def test_callbacks_run_here_in_the_order_of_the_ends_and_may_stop_it():
    seen = []

    def callback(study, record):
        seen.append((os.getpid(), record.number, record.state))
        return len(seen) == 5

    made = study_of().run(lambda x: x, trials=100_000, workers=2, callbacks=[callback], quiet=True)
    assert made.status == "stopped"
    ended = made.history.ended
    assert [number for _, number, _ in seen] == sorted(np_done(made), key=lambda t: ended[t])
    assert {pid for pid, _, _ in seen} == {os.getpid()}
    assert not running(made)


def np_done(study):
    return [r.number for r in study.trials if r.state == State.DONE]


def test_an_error_in_a_callback_ends_the_run_and_gives_back_what_runs(tmp_path):
    def objective(trial, x):
        while trial.number == 1:
            (tmp_path / "began").touch()
            time.sleep(0.01)
        return x

    def callback(study, record):
        eventually((tmp_path / "began").exists)
        raise RuntimeError("in the callback")

    made = study_of(path=tmp_path / "a.db")
    with pytest.raises(RuntimeError, match="in the callback"):
        made.run(objective, workers=2, callbacks=[callback], quiet=True)
    assert made.status == "error"
    assert states(made)[:2] == ["done", "queued"]
    assert whys(tmp_path / "a.db") == [(1, 1, "interrupted")]


@pytest.mark.parametrize(
    ("limit", "status"),
    [({"target": 0.2}, "target"), ({"patience": 4}, "converged"), ({"timeout": 0.001}, "timeout")],
)
def test_limits(limit, status):
    made = study_of().run(lambda x: x, workers=2, quiet=True, **limit)
    assert made.status == status
    assert not running(made)


def test_a_limit_of_steps_is_kept_as_by_one_process_but_for_what_runs():
    def objective(trial, x):
        for _ in trial.steps(3):
            trial.report(x)
            time.sleep(0.002)

    made = study_of().run(objective, total_steps=600, workers=2, quiet=True)
    assert made.status == "complete"
    assert 600 <= made.history.reached.sum() <= 600 + 2 * 3


def test_an_objective_that_always_fails_ends_the_run_with_its_error():
    made = study_of()
    with pytest.raises(ObjectiveError, match="4 trials have failed.*ZeroDivisionError: division by zero"):
        made.run(lambda x: 1 / 0, workers=1, max_failures=4, quiet=True)
    assert "1 / 0" in made.trials[0].error["traceback"]


def test_a_study_goes_on_here_and_there(tmp_path):
    made = study_of(path=tmp_path / "a.db")
    for trials, workers in [(2, None), (5, 2), (7, None), (9, 1)]:
        made.run(lambda x: x, trials=trials, workers=workers, quiet=True)
        assert (len(made.trials), made.status) == (trials, "complete")
    alone = study_of().run(lambda x: x, trials=9, quiet=True)
    assert story(made) == story(alone)


def test_a_study_in_memory_goes_on_too():
    made = study_of()
    made.run(lambda x: x, trials=2, quiet=True)
    made.enqueue({"x": 0.25})
    made.run(lambda x: x, trials=5, workers=2, quiet=True)
    made.tell(made.ask(), 0.5)
    made.run(lambda x: x, trials=8, workers=1, quiet=True)
    assert states(made) == ["done"] * 8
    assert made.trials[2].params == {"x": 0.25}


def test_what_is_asked_for_here_cannot_move_to_workers():
    made = study_of()
    trial = made.ask()
    with pytest.raises(StudyError, match=r"trials are asked for in this process: 0. Tell them first"):
        made.run(lambda x: x, workers=1, quiet=True)
    made.tell(trial, 1.0)
    assert made.run(lambda x: x, trials=3, workers=1, quiet=True).status == "complete"


# What a worker is given


def test_setup_is_called_once_in_each_worker_and_shares_globals():
    with script("""
def setup():
    global MODEL
    MODEL = os.getpid()
    say("setup", os.getpid())

def objective(trial, x):
    say("trial", os.getpid(), MODEL)
    return x

study = tn.Study({"x": tn.Float(0, 1)}, search="random").run(objective, trials=20, workers=2, setup=setup, quiet=True)
say("end", study.status)
""") as other:
        *said, end = other.rest()
    assert end == ("end", "complete")
    made = [pid for what, pid, *_ in said if what == "setup"]
    assert len(set(made)) == len(made) == 2
    assert {(pid, model) for what, pid, *rest in said for model in rest} <= {(pid, pid) for pid in made}


def with_lock():
    lock = threading.Lock()

    def needs_lock(x=None):
        return lock and x

    class Held:
        def __init__(self):
            self.lock = lock

        def __call__(self, x):
            return x

    return needs_lock, Held()


NEEDS_LOCK, HELD = with_lock()


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (NEEDS_LOCK, {}, r"needs_lock\(\) cannot be sent to worker processes: it uses `lock` \(a lock\)"),
        (HELD, {}, r"Held\(\) cannot be sent to worker processes: it uses `lock` \(a lock\)"),
        (lambda x: x, {"setup": NEEDS_LOCK}, r"The setup .*cannot be sent"),
        (lambda x, y: x, {}, r"needs `y`, which nothing gives"),
        (lambda x: x, {"setup": lambda: 1 / 0}, r"setup\(\) failed in a worker: ZeroDivisionError: division by zero"),
        (lambda x: x, {"setup": lambda: os._exit(7)}, r"3 workers in a row ended before .*the last one with exit code 7"),
        (lambda x: x, {"setup": lambda: os.kill(os.getpid(), 9)}, r"3 workers in a row .*by SIGKILL \(perhaps"),
        ("train", {}, r"'train', which cannot be called"),
    ],
)  # fmt: skip
def test_what_workers_cannot_do_is_said_at_once(objective, options, message, capfd):
    made = study_of()
    with pytest.raises(ObjectiveError, match=message):
        made.run(objective, trials=4, workers=1, quiet=True, **options)
    assert not running(made)
    assert made.run(lambda x: x, trials=1, quiet=True).status == "complete"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers=0: pass a whole number"),
        ({"workers": True}, "workers=True"),
        ({"workers": "2"}, "workers='2'"),
        ({"workers": 1.5}, "workers=1.5"),
        ({"workers": 1, "trial_timeout": 0}, "trial_timeout=0: pass seconds"),
        ({"workers": 1, "trial_timeout": "soon"}, "trial_timeout='soon'"),
        ({"workers": 1, "trial_memory": -1}, "trial_memory=-1: pass bytes"),
        ({"workers": 1, "trial_memory": "8XB"}, "trial_memory='8XB'"),
        ({"trial_timeout": 1}, "need workers: workers=1"),
        ({"trial_memory": 1}, "need workers: workers=1"),
        ({"setup": print}, "need workers: workers=1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    made = study_of()
    with pytest.raises(StudyError, match=message):
        made.run(lambda x: x, quiet=True, **options)
    assert not len(made.trials)


def test_an_objective_that_the_worker_cannot_import_is_named(tmp_path):
    code = """
import importlib.util, sys
spec = importlib.util.spec_from_loader("nowhere", loader=None)
nowhere = importlib.util.module_from_spec(spec)
sys.modules["nowhere"] = nowhere
exec("def helper(x): return x", vars(nowhere))
helper = nowhere.helper
try:
    tn.Study({"x": [1, 2]}).run(lambda x: helper(x), workers=1, quiet=True)
except tn.ObjectiveError as error:
    say(str(error))
"""
    with script(code) as other:
        [(message,)] = other.rest()
    assert "The worker cannot load the objective: ModuleNotFoundError: No module named 'nowhere'" in message


def test_a_worker_finds_the_arguments_and_the_path_of_the_script_and_nothing_of_ours(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "parsed.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--lr', type=float)\n"
        "lr = parser.parse_args().lr\ndef objective(x):\n    return x + lr\n"
    )
    code = """
import pathlib, subprocess
sys.argv[1:] = ["--lr", "0.5"]
sys.path.insert(0, FOLDER)
sys.path.append(pathlib.Path("/no/text"))
os.environ.pop("PYTHONPATH", None)

def objective(trial, x):
    import parsed
    say("in the worker", sys.argv[1:], os.environ.get("PYTHONPATH"), [n for n in vars(sys.modules["__main__"]) if n in ("serve", "main", "Link")])
    return parsed.objective(x)

study = tn.Study({"x": [1.0]}).run(objective, workers=1, quiet=True)
say(study.trials[0].value)
"""
    with script(code, folder=str(tmp_path / "mine")) as other:
        assert other.rest() == [("in the worker", ["--lr", "0.5"], None, []), (1.5,)]


@pytest.mark.parametrize("workers", [None, 1])
def test_what_the_script_defines_can_be_pickled_and_mapped_in_forks(workers):
    code = """
import multiprocessing, pickle

class Net:
    def __init__(self, x):
        self.x = x

def square(x):
    return x * x

def objective(x):
    net = pickle.loads(pickle.dumps(Net(x)))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, [net.x, 2 * net.x]))

study = tn.Study({"x": [1.0, 2.0]}).run(objective, workers=WORKERS, quiet=True)
say(sorted(r.value for r in study.trials))
"""
    with script(code, workers=workers) as other:
        assert other.rest() == [([5.0, 20.0],)]
        assert not other._complaints


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
"""


@contextmanager
def watched(tmp_path, code, **values):
    """A script of whose processes and temporary folders nothing may be left."""
    folder, mark = tmp_path / "tmp", f"TUNEFUL_MARK={tmp_path}"
    folder.mkdir()
    begin = f"os.environ.update(TMPDIR={str(folder)!r}, TUNEFUL_MARK={str(tmp_path)!r})\nos.setpgrp()\n"
    with script(begin + code, path=str(tmp_path / "a.db"), gate=str(tmp_path / "gate"), **values) as other:
        yield other
        other.process.wait()
    eventually(lambda: not marked(mark))
    assert not list(folder.iterdir()) or other.process.returncode == -signal.SIGKILL


def marked(mark):
    """The processes, dead ones that nobody has waited for among them, that were started with this in the environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def eventually(is_so):
    deadline = time.monotonic() + 60  # only against a hang
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def whys(path):
    """How the attempts ended that were no end of a trial: (trial, attempt, why)."""
    with closing(sqlite3.connect(path)) as db:
        asked = "SELECT t.number, a.attempt, a.why FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY 1, 2"
        return db.execute(asked).fetchall()


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
"""
    with watched(tmp_path, code) as other:
        assert other.rest() == [("complete", [3, 1, 1])]


def test_a_worker_hears_of_the_death_of_its_parent_though_a_fork_of_it_lives(tmp_path):
    code = """
def objective(x):
    say("began", os.getpid())
    time.sleep(1000)

def fork():
    import threading
    time.sleep(0.0)

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
def beside():
    sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        os.environ["TUNEFUL_MARK"] = ""
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
    with script(PARENT, path=path, trials=150) as a, script(PARENT, path=path, trials=150) as b:
        for each in (a, b):
            each.heard()
            each.go()
        said = [each.rest() for each in (a, b)]
    assert all(each[-1] == ("end", "complete") for each in said)
    ran = [[number for word, number, *_ in each[:-1]] for each in said]
    assert sorted(ran[0] + ran[1]) == list(range(150))
    assert min(map(len, ran)) > 10
    made = tn.open_study(path)
    assert [r.config for r in made.trials] == [
        r.config for r in study_of().run(lambda x: x, trials=150, quiet=True).trials
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
        study = tn.open_study(tmp_path / "a.db")
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


# A study that is taken away


def test_a_study_that_is_deleted_ends_its_run_by_name(tmp_path):
    def delete(study, record):
        tn.stores.SqliteStore(tmp_path / "a.db").delete("a")

    made = study_of(path=tmp_path / "a.db")
    with pytest.raises(StudyNotFound, match="There is no study 'a' in .*: it was deleted"):
        made.run(lambda x: x, workers=2, callbacks=[delete], quiet=True)


def test_what_workers_print_is_passed_through_and_their_lines_too():
    code = """
def objective(trial, x):
    print(repr(("out", trial.number)), flush=True)
    print("err", trial.number, file=sys.stderr)
    return x

study = tn.Study({"x": [1, 2, 3]}, study=None, seed=0, search="grid").run(objective, workers=1)
"""
    with script(code) as other:
        assert other.rest() == [("out", 0), ("out", 1), ("out", 2)]
        other.close()
    text = "".join(other._complaints)
    assert [f"err {k}" in text for k in range(3)] == [True] * 3
    assert "3 done" in text


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
