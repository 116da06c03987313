"""One worker and one seed: the same trials in one go, in several, after any crash, and through ask and tell."""

import pytest
from telling import script, story

import tuneful as tn

SPACE = {
    "lr": tn.Log(1e-5, 1e-1, default=1e-3),
    "layers": tn.Repeat(1, 3, {"units": tn.Int(8, 64, log=True)}, default=1),
    "opt": tn.Switch({"adam": {}, "sgd": {"momentum": tn.Float(0, 0.99)}}, default="adam"),
}
SEARCHERS = ["auto", "random", "sobol", "halton", "grid", "one_at_a_time"]


def space(search):
    return {"x": [1, 2, 3, 4, 5], "opt": ["adam", "sgd"]} if search == "grid" else SPACE


def value(params):
    return len(str(params)) / 10 + (params.get("x") or 0)


def in_one_go(search, trials, place=None):
    study = tn.Study(space(search), search=search, seed=7, study=place)
    return study.run(lambda trial, **params: value(params), trials=trials, quiet=True)


@pytest.fixture(params=SEARCHERS)
def search(request):
    return request.param


def trials_of(search):
    return 10 if search == "grid" else 14


def test_memory_and_file_bring_the_same_trials(search, tmp_path):
    n = trials_of(search)
    assert story(in_one_go(search, n)) == story(in_one_go(search, n, tmp_path / "a.db"))


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_several_goes_bring_the_same_trials(search, tmp_path, cut):
    n = trials_of(search)
    in_one_go(search, cut, tmp_path / "a.db").close()
    in_one_go(search, cut, tmp_path / "a.db").close()
    assert story(in_one_go(search, n, tmp_path / "a.db")) == story(in_one_go(search, n))


def test_ask_and_tell_bring_the_same_trials(search, tmp_path):
    n = trials_of(search)
    study = tn.Study(space(search), search=search, seed=7, study=tmp_path / "a.db", trials=n)
    while trial := study.ask():
        study.tell(trial, value(trial.params))
    assert story(study) == story(in_one_go(search, n))


def test_ask_and_tell_may_take_over_from_run_and_give_back(search, tmp_path):
    n = trials_of(search)
    in_one_go(search, 4, tmp_path / "a.db").close()
    study = tn.Study(space(search), search=search, seed=7, study=tmp_path / "a.db")
    for _ in range(3):
        trial = study.ask()
        study.tell(trial.number, value(trial.params))
    study.close()
    assert story(in_one_go(search, n, tmp_path / "a.db")) == story(in_one_go(search, n))


def test_define_by_run_brings_the_same_trials_again(tmp_path):
    def wild(trial):
        depth = trial.suggest_int("depth", 1, 3)
        units = [trial.suggest_int(f"units{k}", 8, 64, log=True) for k in range(depth)]
        if trial.suggest_categorical("opt", ["adam", "sgd"]) == "sgd":
            return sum(units) + trial.suggest_float("momentum", 0, 0.99)
        return sum(units) - trial.suggest_float("beta", 0.8, 0.999)

    def go(trials, place):
        return tn.Study(seed=3, study=place).run(wild, trials=trials, quiet=True)

    whole = go(20, None)
    for trials in (1, 2, 7, 20):
        go(trials, tmp_path / "a.db").close()
    assert story(tn.open_study(tmp_path / "a.db")) == story(whole)


def test_another_seed_brings_other_trials():
    a, b = (tn.Study(SPACE, seed=seed).run(lambda **p: 0.0, trials=5, quiet=True) for seed in (1, 2))
    assert [r.config for r in a.trials][1:] != [r.config for r in b.trials][1:]


def test_a_seed_that_was_drawn_is_kept_and_repeats(tmp_path):
    first = tn.Study(SPACE, study=tmp_path / "a.db").run(lambda **p: 0.0, trials=4, quiet=True)
    first.close()
    again = tn.Study(SPACE, study=tmp_path / "a.db").run(lambda **p: 0.0, trials=8, quiet=True)
    assert again.seed == first.seed
    assert story(again) == story(tn.Study(SPACE, seed=first.seed).run(lambda **p: 0.0, trials=8, quiet=True))


# Crashes

TRAINING = """
import tuneful as tn
SPACE = {"x": tn.Float(0, 1, default=0.5), "opt": tn.Switch({"adam": {}, "sgd": {"momentum": tn.Float(0, 0.99)}})}

def train(trial, x, opt):
    state = trial.load()
    total = state["total"] if state else 0.0
    for step in trial.steps(2):
        total += x * step + len(opt)
        trial.report(total, step=step, half=total / 2)
        if trial.number % 2:
            trial.save({"total": total})
    return total

def go(path, trials=3):
    return tn.Study(SPACE, study=path, seed=7, search="random").run(train, trials=trials, quiet=True)
"""

DEADLY = """
from pathlib import Path

def deadly(n):
    # Dies before its nth statement to SQLite, wherever that is.
    from tuneful.stores import connection
    opened, left = connection._opened, [n]
    def count(text):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def traced(*args):
        db = opened(*args)
        db.set_trace_callback(count)
        return db
    connection._opened = traced

def child(call):
    pid = os.fork()
    if pid == 0:
        try:
            call()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def tried(path, n):
    deadly(n)
    go(path)

def told(path):
    study = go(path)
    say(n, [(r.number, str(r.state), r.config, r.metrics, [[float(v) for v in p] for p in r.curve()]) for r in study.trials])
    study.close()

for n in range(1, 10_000, 3):  # statements come in fours
    path = Path(FOLDER) / f"{n}.db"
    code = child(lambda: tried(path, n))
    assert child(lambda: told(path)) == 0
    for left in Path(FOLDER).glob(f"{n}.db*"):
        if left.is_file():
            left.unlink()
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
say("all")
"""


@pytest.fixture
def training():
    names = {}
    exec(TRAINING, names)
    return names["go"]


def test_a_kill_before_any_statement_changes_nothing(tmp_path, training):
    whole = story(training(None))
    with script(TRAINING + DEADLY, folder=str(tmp_path)) as other:
        said = other.until("all")
        other.rest()
    assert len(said) > 20
    for n, found in said:
        assert found == whole, f"killed before statement {n}"
