"""The limits of a single trial: what is counted, and when nobody is to be struck."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tuneful as tn
from tuneful.engine import guard as guards
from tuneful.engine.guard import Guard, memory_held

MIB = 2**20
linux = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the system does not say what is shared"
)


def grown(size):
    """Something that holds so many bytes, every page of it."""
    held = bytearray(size)
    held[:: mmap.PAGESIZE] = b"1" * len(held[:: mmap.PAGESIZE])
    return held


@linux
def test_what_this_process_holds_is_counted():
    before = memory_held()
    held = grown(50 * MIB)
    assert before + 45 * MIB < memory_held() < before + 55 * MIB
    del held
    assert memory_held() < before + 10 * MIB


@linux
def test_what_its_children_and_theirs_hold_is_counted_as_long_as_they_live():
    code = "import subprocess, sys; x = b'1' * (40 * 2**20); subprocess.run([sys.executable, '-c', sys.argv[1]], stdout=1, stdin=0) if sys.argv[1:] else (print('ready', flush=True), input())"
    before = memory_held()
    inner = code.replace("if sys.argv[1:] else", "if False else")
    with subprocess.Popen([sys.executable, "-c", code, inner], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        assert memory_held() > before + 78 * MIB
        child.communicate("\n")
    assert memory_held() < before + 30 * MIB


@linux
def test_what_a_fork_shares_is_counted_once_where_it_matters():
    held = grown(80 * MIB)
    alone = memory_held()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(ours, 1)
        os._exit(0)
    try:
        assert memory_held() < alone + 40 * MIB
        assert memory_held(alone + 60 * MIB) < alone + 60 * MIB
        assert memory_held(2**60) > alone + 60 * MIB  # not worth a closer look
    finally:
        os.write(theirs, b"1")
        os.waitpid(pid, 0)
        os.close(ours), os.close(theirs)
    assert len(held) == 80 * MIB


def test_a_process_that_has_just_ended_holds_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert guards._resident(child.pid) == guards._share(child.pid) == 0
    assert list(guards._family(child.pid)) == [child.pid]


def test_nobody_is_struck_before_or_after_the_objective(monkeypatch):
    struck = []
    study = tn.Study({"x": [1, 2]})
    trial = study.ask()
    guard = Guard(study._session, "last", 0.01, 1)
    monkeypatch.setattr(guard, "_fail", lambda trial, error: struck.append(str(error)))
    guard()
    with guard.over(trial):
        time.sleep(0.02)
        guard()
    guard()
    assert len(struck) == 2
    assert struck[0].startswith("It ran for 0.")
    assert "a trial may take 0.01 s" in struck[0]
    assert "may hold 0 MiB" in struck[1]
    with pytest.raises(ZeroDivisionError), guard.over(trial):
        raise ZeroDivisionError
    guard()
    assert len(struck) == 2


def test_a_trial_that_has_just_been_told_is_left_alone():
    study = tn.Study({"x": [1, 2]})
    trial = study.ask()
    guard = Guard(study._session, "last", 0.0, None)
    with guard.over(trial):
        study.tell(trial, 1.0)
        time.sleep(0.001)
        guard()
    assert study.trials[0].value == 1.0


def test_sizes_are_said_for_people():
    assert guards._readable(3 * 2**30) == "3.0 GiB"
    assert guards._readable(64 * MIB) == "64 MiB"
