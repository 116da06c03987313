"""Trials that pause at rungs and go on: in this process, in workers, after a kill; and where nothing can be saved."""

import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
import pytest

import tuneful as tn

SPACE = {"x": tn.Float(0, 1), "y": tn.Float(0, 1)}
STEPS = 9
RUNGS = ["asha", "freeze_thaw", "hyperband", "successive_halving", "one_epoch"]


def curve(x, y, step):
    return abs(x - 0.3) + 0.5 * step ** -(0.3 + y)


class Training:
    """Trains, saves each step, and writes down which it trained and where it was entered."""

    def __init__(self, path, saves=True):
        self.path, self.saves = path, saves

    def __call__(self, trial, x, y):
        state = trial.load()
        self.write(f"in {trial.number}")
        done = 0 if state is None else state["step"]
        for step in trial.steps(STEPS):
            assert step == done + 1, "it goes on where it was"
            done = step
            self.write(f"step {trial.number} {step}")
            trial.report(curve(x, y, step))
            if self.saves:
                trial.save({"step": step})
        return -1.0 if done < STEPS else curve(x, y, done)

    def write(self, line):
        with self.path.open("a") as file:
            file.write(line + "\n")

    def lines(self, what):
        return [line for line in self.path.read_text().splitlines() if line.startswith(what)]


@pytest.fixture
def training(tmp_path):
    return Training(tmp_path / "log")


def check(study, training):
    """Each step of each trial was trained once, and only once, and its curve says so; nothing is left open."""
    study.sync()
    trained = Counter(training.lines("step"))
    assert {line: n for line, n in trained.items() if n > 1} == {}
    for record in study.trials:
        steps, values = record.curve()
        assert steps.tolist() == list(range(1, len(steps) + 1))
        assert values.tolist() == [curve(record.params["x"], record.params["y"], s) for s in steps.tolist()]
        assert len(steps) == sum(line.startswith(f"step {record.number} ") for line in trained)
        assert str(record.state) == ("done" if len(steps) == STEPS else "pruned")
        assert record.value == values[-1]


@pytest.mark.parametrize("place", [None, "runs.db"])
@pytest.mark.parametrize("schedule", RUNGS)
def test_in_one_process_trials_pause_and_the_best_go_on(tmp_path, training, schedule, place):
    path = None if place is None else tmp_path / place
    where = {} if place else {"checkpoints": tmp_path / "states"}
    study = tn.Study(SPACE, search="random", schedule=schedule, study=path, seed=1, **where)
    study.run(training, trials=30, quiet=True)
    check(study, training)
    done = [record for record in study.trials if record.state == tn.State.DONE]
    assert 1 <= len(done) < 15
    assert study.status == "complete"
    first = [record.curve()[1][0] for record in study.trials]
    assert np.mean([record.curve()[1][0] for record in done]) < np.mean(first)


@pytest.mark.parametrize("schedule", ["asha", "freeze_thaw", "hyperband"])
def test_workers_pause_trials_and_go_on_with_them(tmp_path, training, schedule):
    study = tn.Study(SPACE, search="random", schedule=schedule, study=tmp_path / "runs.db", seed=1)
    study.run(training, trials=25, workers=2, quiet=True)
    check(study, training)
    assert any(record.state == tn.State.DONE for record in study.trials)


def test_a_trial_that_is_to_go_on_at_once_goes_on_in_place(training):
    study = tn.Study(SPACE, search="random", schedule=Straight(), seed=1, checkpoints=training.path.parent / "states")
    study.run(training, trials=3, quiet=True)
    assert training.lines("in") == ["in 0", "in 1", "in 2"]
    assert [record.attempt for record in study.trials] == [STEPS] * 3
    check(study, training)


class Straight:
    """Each trial step by step to its end."""

    def plan(self, history, n):
        for trial in history.of_state(tn.State.PAUSED) + history.of_state(tn.State.QUEUED):
            return [tn.history.Job.resume(history, trial, int(history.reached[trial]) + 1)]
        room = 0 if history.started >= history.limits.trials else 1
        return [tn.history.Job.new(p, 1) for p in tn.searchers.Random().propose(history, room)]


@pytest.mark.parametrize("workers", [None, 2])
def test_where_nothing_is_saved_the_worse_end_at_rungs_and_nothing_is_trained_twice(tmp_path, workers):
    training = Training(tmp_path / "log", saves=False)
    study = tn.Study(SPACE, search="random", schedule="asha", study=tmp_path / "runs.db", seed=1)
    study.run(training, trials=25, workers=workers, quiet=True)
    check(study, training)
    ended = Counter(len(record.curve()[0]) for record in study.trials)
    assert set(ended) <= {1, 3, STEPS}
    assert ended[1] > 5


def test_by_hand_a_trial_pauses_and_is_asked_for_again(tmp_path, training):
    study = tn.Study(SPACE, search="random", schedule="successive_halving", seed=1, checkpoints=tmp_path, trials=9)
    while trial := study.ask():
        study.tell(trial, training(trial, **trial.params))
    assert Counter(len(record.curve()[0]) for record in study.trials) == {1: 6, 3: 2, 9: 1}


SCRIPT = """
    import sys, time
    import tuneful as tn

    def train(trial, x, y):
        state = trial.load()
        w = 0.0 if state is None else state["w"]
        for step in trial.steps(9):
            w = abs(x - 0.3) + 0.5 * step ** -(0.3 + y) + 1e-6 * w
            trial.report(w)
            trial.save({"w": w})
            print(trial.number, step, flush=True)
            time.sleep(PAUSE)
        return w

    study = tn.Study({"x": tn.Float(0, 1), "y": tn.Float(0, 1)}, study=sys.argv[1], seed=7, search="random", schedule=sys.argv[2])
    study.run(train, trials=12, quiet=True)
    print("end", study.status, flush=True)
"""


def start(folder, schedule, pause=0.005):
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("PAUSE", str(pause)))
    command = [sys.executable, str(script), str(folder / "runs.db"), schedule]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)


def facts(folder):
    study = tn.open_study(folder / "runs.db")
    found = [(t.number, str(t.state), t.config, t.value, *[part.tolist() for part in t.curve()]) for t in study.trials]
    study.close()
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("schedule", ["asha", "hyperband"])
def test_killed_again_and_again_it_becomes_the_study_in_one_go(tmp_path, schedule, how):
    (tmp_path / "straight").mkdir()
    assert "end complete" in start(tmp_path / "straight", schedule, 0).communicate(timeout=60)[0]
    draw, lines = random.Random(f"{schedule} {how}"), []
    for _ in range(6):
        process = start(tmp_path, schedule)
        lines += [process.stdout.readline().strip() for _ in range(draw.randrange(1, 9))]
        process.send_signal(how)
        lines += process.communicate(timeout=60)[0].split("\n")
    lines += start(tmp_path, schedule, 0).communicate(timeout=60)[0].split("\n")
    assert facts(tmp_path) == facts(tmp_path / "straight")
    steps = Counter(line for line in lines if line and not line.startswith("end"))
    assert sum(steps.values()) - len(steps) <= 6, "at most the step that was not yet saved, at each kill"
