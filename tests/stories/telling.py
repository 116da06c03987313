"""What the stories share: real processes to run studies in, and ways to compare what came of it."""

import ast
import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from tuneful.history import State

PRELUDE = """
import os, signal, sys, threading, time
import tuneful as tn
from tuneful.history import State

def say(*what):
    print(repr(what), flush=True)

def childless():
    "Whether nothing is left of all child processes, not even what they are remembered by."
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
"""


class Script:
    """A Python script in a process of its own, which says things line by line."""

    def __init__(self, code):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._complaints = []
        threading.Thread(target=lambda: self._complaints.extend(self.process.stderr), daemon=True).start()

    def heard(self):
        """What it says next."""
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait()}: {''.join(self._complaints)[-3000:]}"
        return ast.literal_eval(line)

    def until(self, *words):
        """Listen until it says this; what it said before."""
        before = []
        while (found := self.heard()) != words:
            before.append(found)
        return before

    def rest(self, code=0):
        """Listen to its end, which must be with this code; what it still said."""
        said = [ast.literal_eval(line) for line in self.process.stdout]
        assert self.process.wait() == code, "".join(self._complaints)[-3000:]
        return said

    def go(self):
        """Let it pass `sys.stdin.readline()`."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, signum):
        """Send a signal and wait for its end; the code."""
        self.process.send_signal(signum)
        return self.process.wait()

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def script(code, **values):
    """A running script; `NAME` in it stands for the repr of values["name"]. Ended at the end, whatever happens."""
    for name, value in values.items():
        code = code.replace(name.upper(), repr(value))
    started = Script(code)
    try:
        yield started
    finally:
        started.close()


def story(study):
    """What happened in a study, as far as the same seed promises it."""
    study.sync()
    return [
        (r.number, str(r.state), r.config, r.metrics, [[float(v) for v in part] for part in r.curve()])
        for r in study.trials
    ]


def states(study):
    """The state of each trial, as text."""
    study.sync()
    return [str(record.state) for record in study.trials]


def running(study):
    """The trials that run, or are said to."""
    study.sync()
    return [record.number for record in study.trials if record.state == State.RUNNING]


def check_curve(record, steps):
    """A curve without gaps or doubles."""
    assert record.curve()[0].tolist() == list(range(1, steps + 1))


def same_trials(a, b):
    """Whether two studies tried the same settings with the same results."""
    assert story(a) == story(b)
    np.testing.assert_array_equal(a.history.x, b.history.x)


def eventually(is_so):
    """Wait until it is."""
    deadline = time.monotonic() + 60  # only against a hang
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
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
    """The processes that were started with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def whys(path):
    """How the attempts ended that were no end of a trial: (trial, attempt, why)."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        asked = "SELECT t.number, a.attempt, a.why FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY 1, 2"
        return db.execute(asked).fetchall()
