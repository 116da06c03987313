"""Workers as processes: started, heard, replaced, ended, killed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import tuneful as tn
from tuneful.engine.work import Work
from tuneful.errors import StudyError
from tuneful.executors import Processes
from tuneful.executors.machine import cores
from tuneful.history import State


def objective(x):
    return x


def waits():
    def forever(trial):
        trial.report(trial.params["x"])
        while True:
            time.sleep(0.01)

    return forever


@pytest.fixture
def study(tmp_path):
    made = tn.Study({"x": [1, 2, 3]}, study=tmp_path / "a.db", seed=0)
    yield made
    made.close()


class Listener:
    """A team, and what its workers have said and nobody has asked for yet."""

    def __init__(self, team):
        self.team, self._said = team, []

    def hear(self, what, count=1):
        """Listen until so many have said this."""
        deadline = time.monotonic() + 60  # only against a hang
        while len(found := [said for said in self._said if said.what == what]) < count:
            assert time.monotonic() < deadline
            self._said += self.team.wait(0.1)
        for said in found[:count]:
            self._said.remove(said)
        return found[:count]


@contextmanager
def team_of(study, *, n=1, function=objective, gpus=(), environment=(), **work):
    team = Processes(n, gpus).start(Work(str(study.address), function, **work).packed(), dict(environment))
    try:
        yield team, Listener(team).hear
    finally:
        team.kill()
    assert team.living == 0


def prepare(study, n):
    """Trials that any worker may run."""
    for trial in [study.ask() for _ in range(n)]:
        study.tell(trial, state="queued")


def ended(pid):
    """Whether a process is over; one whose parent has died may stay as a name for a while."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not found.strip() or found.startswith("Z")


def pids(team):
    return [worker._process.pid for worker in team._workers.values()]


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "2", np.float64(2)])
def test_an_impossible_number_is_refused(n):
    with pytest.raises(StudyError, match=r"workers=.*: pass a whole number of processes, 1 or more"):
        Processes(n)


def test_any_whole_number_is_one():
    assert Processes(np.int64(2)).n == 2
    assert Processes().n is None


def test_workers_say_how_it_goes_and_end_when_told(study):
    prepare(study, 2)
    with team_of(study, n=2) as (team, hear):
        ready = hear("ready", 2)
        assert len({said.worker for said in ready}) == 2
        assert [said.worker for said in ready] == [said.about for said in ready]
        hear("idle", 2)
        assert (team.idle, team.living) == (2, 2)
        assert [r.state for r in study.sync().trials] == [State.DONE, State.DONE]
        team.end(now=False)
        gone = hear("gone", 2)
        assert [said.about for said in gone] == [0, 0]
    assert [member.worker for member in study._session.store.members()] == [study._session.worker]


def test_who_waits_is_woken_and_takes_what_is_ready(study):
    with team_of(study) as (team, hear):
        hear("idle")
        prepare(study, 1)
        team.wake()
        assert hear("busy")[0].about == 0
        assert hear("ended")[0].about == 0


def test_ended_at_once_they_give_back_what_they_run(study):
    prepare(study, 1)
    with team_of(study, function=waits()) as (team, hear):
        hear("busy")
        assert team.idle == 0
        team.end(now=True)
        assert team.living == 0
    assert [(r.state, r.attempt) for r in study.sync().trials] == [(State.QUEUED, 2)]


def test_one_that_dies_or_is_ended_is_replaced(study):
    with team_of(study, n=2) as (team, hear):
        hear("idle", 2)
        first, second = pids(team)
        os.kill(first, signal.SIGKILL)
        assert hear("gone")[0].about == -signal.SIGKILL
        os.kill(second, signal.SIGTERM)
        assert hear("gone")[0].about == 128 + signal.SIGTERM
        hear("idle", 2)
        assert team.living == 2
        assert not {first, second} & set(pids(team))
        assert ended(first)
        assert ended(second)


def test_one_is_killed_by_its_name(study):
    with team_of(study, n=2) as (team, hear):
        ready = hear("ready", 2)
        hear("idle", 1)
        team.kill(ready[1].worker)
        assert hear("gone")[0].worker == ready[1].worker
        team.kill("nobody")
        assert team.living == 2


def test_what_they_have_started_ends_with_them(study):
    def with_children(trial, x):
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        trial.report(x, child=child)

    prepare(study, 1)
    with team_of(study, function=with_children) as (team, hear):
        hear("idle")
        [pid] = pids(team)
        child = int(study.sync().trials[0].metrics["child"])
        assert not ended(child)
        team.kill()
        assert ended(pid)
        while not ended(child):  # as soon as the system has time for it
            time.sleep(0.01)


def test_those_that_never_get_ready_are_not_replaced_for_ever(study):
    with team_of(study, setup=lambda: os._exit(9)) as (team, hear):
        [refused] = hear("refused")
    assert refused.about == (
        "WorkerLost",
        "3 workers in a row ended before they were ready, the last one with exit code 9.",
    )


def test_gpus_and_threads_are_in_their_environment(study, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)

    def tell(trial, x):
        named = [
            os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MORE")
        ]
        trial.report(x, **{f"is {named!r}": 1.0})

    prepare(study, 1)
    with team_of(study, function=tell, gpus=["3", "5"], environment={"MORE": "yes"}) as (_, hear):
        hear("ended")
        hear("idle")
    threads = str(cores())
    assert f"is ['3', '7', '{threads}', 'yes']" in study.sync().trials[0].metrics


PRINTS = """
import os, signal, sys
import tuneful as tn

def objective(trial, x):
    print("attempt", trial.row.attempt, sys.flags.optimize, sys.warnoptions)
    if trial.row.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

tn.Study({"x": [1]}).run(objective, workers=1, quiet=True)
"""


def test_python_is_called_as_here_and_no_printed_line_is_lost():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-O", "-W", "error::FutureWarning", "-c", PRINTS]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "".join(f"attempt {n} 1 ['error::FutureWarning']\n" for n in (1, 2))


TALKS = """
import tuneful as tn

def objective(trial, x):
    for k in range(200):
        print("trial", trial.number, "line", k, "of many")
    return x

tn.Study({"x": list(range(12))}).run(objective, workers=3, quiet=True)
"""


@pytest.mark.parametrize("flags", [[], ["-u"]])
def test_the_lines_of_several_workers_stay_whole(flags):
    command = [sys.executable, *flags, "-c", TALKS]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = [f"trial {number} line {k} of many" for number in range(12) for k in range(200)]
    assert sorted(said.split("\n")[:-1]) == sorted(expected)
