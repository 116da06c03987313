"""Ctrl-C and SIGTERM while a study runs."""

import signal
import subprocess
import sys
import threading

import pytest

from tuneful.engine.signals import Signals, Terminated


@pytest.fixture
def signals():
    made = Signals()
    with made.held():
        yield made


def test_a_signal_waits_until_user_code_runs(signals):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals.let_through():
        raise AssertionError("not reached")
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Terminated):
        signals.check()
    signals.check()


def test_a_signal_breaks_into_user_code_and_waits_for_the_engine_in_it(signals):
    done = []
    with pytest.raises(KeyboardInterrupt), signals.let_through():
        with signals.kept_out():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("not reached")
    assert done == ["whole"]
    with pytest.raises(Terminated), signals.let_through():
        signal.raise_signal(signal.SIGTERM)
        done.append("not reached")
    assert done == ["whole"]


def test_a_second_signal_breaks_in_anywhere(signals):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signals.check()


def test_a_signal_that_comes_at_the_very_end_is_not_swallowed():
    made = Signals()
    with pytest.raises(KeyboardInterrupt), made.held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_leave_the_signals_to_the_main_one(signals):
    seen = []

    def other():
        with signals.kept_out():
            seen.append(signals._open)

    with signals.let_through():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [True]


FORKED = """
import os, signal, sys
from tuneful.engine.signals import Signals

signals, how = Signals(), int(sys.argv[1])
with signals.held():
    with signals.let_through():
        ready, ours = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(ours, b"1")
                while True:
                    signal.pause()
            except KeyboardInterrupt:
                os._exit(7)
        os.read(ready, 1)
        os.kill(pid, how)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(signal.getsignal(how) == signals._take)
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 7)])
def test_a_forked_child_ends_as_it_would_without_us(how, code):
    ran = subprocess.run([sys.executable, "-c", FORKED, str(int(how))], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{code}\nTrue\n"
    assert not ran.stderr
