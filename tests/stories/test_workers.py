"""Studies run by worker processes: the same trials as in one process."""

import os
import subprocess
import sys
import threading
import time
from asyncio import CancelledError

import pytest
from telling import running, same_trials, script, states, story, whys

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
    study.run(objective, trials=2, workers=1, quiet=True)
    print([abs(r.value - r.params["x"] * factor) < 1e-12 for r in study.trials])
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
    assert [number for _, number, _ in seen] == sorted(done(made), key=lambda t: ended[t])
    assert {pid for pid, _, _ in seen} == {os.getpid()}
    assert not running(made)


def done(study):
    return [r.number for r in study.trials if r.state == State.DONE]


def test_an_error_in_a_callback_ends_the_run_and_gives_back_what_runs(tmp_path):
    def objective(trial, x):
        while trial.number == 1:
            (tmp_path / "began").touch()
            time.sleep(0.01)
        return x

    def callback(study, record):
        if (tmp_path / "began").exists():
            raise RuntimeError("in the callback")

    made = study_of(path=tmp_path / "a.db")
    with pytest.raises(RuntimeError, match="in the callback"):
        made.run(objective, workers=2, callbacks=[callback], quiet=True)
    assert made.status == "error"
    assert states(made)[:2] == ["done", "queued"]
    assert (1, 1, "interrupted") in whys(tmp_path / "a.db")


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

    made = study_of().run(objective, total_steps=450, workers=2, quiet=True)
    assert made.status == "complete"
    assert 450 <= made.history.reached.sum() <= 450 + 2 * 3


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


def test_minimize_takes_the_same_options():
    made = tn.minimize(lambda x: x, SPACE, trials=3, workers=2, trial_timeout="1h", setup=lambda: None, quiet=True)
    assert (made.status, len(made.trials)) == ("complete", 3)


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


def raises(error):
    def objective(x):
        raise error

    return objective


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (NEEDS_LOCK, {}, r"needs_lock\(\) cannot be sent to worker processes: it uses `lock` \(a lock\)"),
        (HELD, {}, r"Held\(\) cannot be sent to worker processes: it uses `lock` \(a lock\)"),
        (lambda x: x, {"setup": NEEDS_LOCK}, r"The setup .*cannot be sent"),
        (lambda x, y: x, {}, r"needs `y`, which nothing gives"),
        (raises(KeyboardInterrupt), {}, r"The objective raised KeyboardInterrupt, which ends a worker"),
        (raises(CancelledError), {}, r"The objective raised CancelledError, which ends a worker"),
        (lambda x: x, {"setup": sys.exit}, r"setup\(\) failed in a worker: SystemExit"),
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

study = tn.Study({"x": [float(i) for i in range(20)]}).run(objective, workers=WORKERS, quiet=True)
say(sorted(r.value for r in study.trials))
"""
    with script(code, workers=workers) as other:
        assert other.rest() == [([5.0 * i * i for i in range(20)],)]
        assert not other._complaints


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
