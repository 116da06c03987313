"""A study is killed at any moment and started again: nothing finished is lost or repeated, the rest goes on."""

import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import tuneful as tn

SCRIPT = """
    import sys, time
    import numpy as np
    import tuneful as tn

    def train(trial, lr, units):
        state = trial.load()
        w = 0.0 if state is None else float(state["w"])
        for step in trial.steps(5):
            w += lr * np.random.default_rng([trial.seed, step]).random() + units / 1000
            trial.report(w, twice=2 * w)
            trial.save({"w": np.array(w), "step": step})
            print(trial.number, step, flush=True)
            time.sleep(PAUSE)
        return w

    space = {"lr": tn.Log(1e-4, 1.0, default=0.1), "units": tn.Int(1, 64, default=8)}
    study = tn.Study(space, study=sys.argv[1], seed=7, search=sys.argv[2])
    study.run(train, trials=int(sys.argv[3]), quiet=True)
    print("end", study.status, flush=True)
"""


def start(folder, search="random", trials=8, pause=0.02):
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("PAUSE", str(pause)))
    command = [sys.executable, str(script), str(folder / "runs.db"), search, str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)


def stop_after(process, lines, how):
    """Send a signal once the process has printed so many lines; what it printed."""
    printed = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(how)
    rest, _ = process.communicate(timeout=60)
    return printed + rest.split("\n")


def facts(study):
    """What must be the same however often a study was interrupted."""
    return [
        (t.number, str(t.state), t.config, t.value, t.curve()[0].tolist(), t.curve("twice")[1].tolist())
        for t in study.trials
    ]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The study in one go, for each searcher."""

    def run(search):
        folder = tmp_path_factory.mktemp(search)
        process = start(folder, search, pause=0)
        assert process.communicate(timeout=60)[0].strip().endswith("end complete")
        return facts(tn.open_study(folder / "runs.db"))

    return {search: run(search) for search in ("random", "sobol")}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("lines", [1, 5, 13, 22])
def test_interrupted_at_any_step_it_becomes_the_study_in_one_go(tmp_path, straight, how, lines):
    first = start(tmp_path)
    printed = stop_after(first, lines, how)
    assert first.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 0}[how]
    before = tn.open_study(tmp_path / "runs.db")
    finished = {t.number: t.value for t in before.trials if t.state == tn.State.DONE}
    assert not before.history.of_state(tn.State.RUNNING)  # opening it gave back what the dead process ran
    before.close()
    second = start(tmp_path, pause=0)
    again = second.communicate(timeout=60)[0].split("\n")
    assert "end complete" in again
    steps = [line for line in printed + again if line and not line.startswith("end")]
    assert not {line for line in again if line.split(" ")[0] in map(str, finished)}, "a finished trial ran again"
    assert len(steps) - len(set(steps)) <= 1  # at most the step that was printed and not yet saved runs twice
    study = tn.open_study(tmp_path / "runs.db")
    assert {number: study.trials[number].value for number in finished} == finished
    assert facts(study) == straight["random"]


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_killed_again_and_again_at_random_moments_it_becomes_the_study_in_one_go(tmp_path, straight, search):
    rng = random.Random(search)
    for _ in range(6):
        process = start(tmp_path, search)
        for _ in range(rng.randrange(1, 7)):
            process.stdout.readline()
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.communicate()
    process = start(tmp_path, search, pause=0)
    assert process.communicate(timeout=60)[0].strip().endswith("end complete")
    assert facts(tn.open_study(tmp_path / "runs.db")) == straight[search]


def test_two_goes_and_ask_and_tell_give_the_same_trials_as_one_go(tmp_path):
    space = {"x": tn.Float(0, 1, default=0.5), "c": ["a", "b"], "n": tn.Int(1, 9)}

    def value(params):
        return params["x"] + params["n"] * (params["c"] == "a")

    whole = tn.minimize(lambda **params: value(params), space, trials=12, seed=3, quiet=True)
    for goes in ([5, 12], [1, 2, 12]):
        path = tmp_path / f"{len(goes)}.db"
        for trials in goes:
            study = tn.minimize(lambda **params: value(params), space, trials=trials, seed=3, study=path, quiet=True)
            study.close()
        assert [t.config for t in tn.open_study(path).trials] == [t.config for t in whole.trials]
    asked = tn.Study(space, seed=3, trials=12)
    while trial := asked.ask():
        asked.tell(trial, value(trial.params))
    assert [t.config for t in asked.trials] == [t.config for t in whole.trials]
    assert asked.best.config == whole.best.config


def test_two_processes_share_a_study_without_losing_or_doubling_a_trial(tmp_path):
    script = tmp_path / "share.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import tuneful as tn
            space = {"x": tn.Float(0, 1), "n": tn.Int(1, 100)}
            ran = []
            def f(trial):
                ran.append(trial.number)
                return trial.params["x"] * trial.params["n"]
            tn.Study(space, study=sys.argv[1], search="random", seed=5).run(f, trials=500, quiet=True)
            print(*ran)
            """
        )
    )
    path = tmp_path / "runs.db"
    both = [
        subprocess.Popen([sys.executable, str(script), str(path)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ran = [[int(n) for n in process.communicate(timeout=120)[0].split()] for process in both]
    assert all(process.returncode == 0 for process in both)
    assert sorted(ran[0] + ran[1]) == list(range(500))
    assert min(len(ran[0]), len(ran[1])) > 0
    study = tn.open_study(path)
    assert [t.number for t in study.trials] == list(range(500))
    assert all(t.state == tn.State.DONE and t.value == t.params["x"] * t.params["n"] for t in study.trials)
    assert len({str(t.config) for t in study.trials}) == 500
    alone = tn.Study({"x": tn.Float(0, 1), "n": tn.Int(1, 100)}, search="random", seed=5)
    alone.run(lambda x, n: x * n, trials=500, quiet=True)
    assert [t.config for t in alone.trials] == [t.config for t in study.trials]


def test_what_one_of_two_processes_was_running_when_it_died_the_other_finishes(tmp_path):
    first = start(tmp_path, trials=10, pause=0.3)
    first.stdout.readline()  # it runs a trial now
    second = start(tmp_path, trials=10, pause=0.02)
    time.sleep(0.5)
    first.kill()
    out = second.communicate(timeout=90)[0]
    first.communicate()
    assert "end complete" in out
    study = tn.open_study(tmp_path / "runs.db")
    assert [t.number for t in study.trials] == list(range(10))
    assert all(t.state == tn.State.DONE and t.curve()[0].tolist() == [1, 2, 3, 4, 5] for t in study.trials)
