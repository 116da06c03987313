"""The pipe between a worker and its parent, from the worker's end.

Each runs in a process of its own: a worker whose parent is gone ends itself.
"""

import subprocess
import sys
import textwrap

PRELUDE = """
import os, signal, sys, time
from multiprocessing import Pipe
from tuneful.engine.link import Link

ours, theirs = Pipe()
ours.send_bytes(b"work")
"""


def ran(code):
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_first_thing_is_the_work_and_then_come_words():
    assert ran("""
        link = Link(theirs)
        print(link.work(), link.heard(0.0), link.heard(0.01))
        ours.send("go")
        print(link.heard(60))
        link.say("busy", 3)
        link.say("idle")
        print(ours.recv(), ours.recv())
        ours.send("end")
        print(link.heard(60))
    """) == ["b'work' None None", "go", "('busy', 3) ('idle', None)", "end"]  # fmt: skip


def test_of_several_words_the_last_is_heard_and_none_behind_the_end():
    assert ran("""
        link = Link(theirs)
        link.work()
        for word in ("go", "go", "end", "go"):
            ours.send(word)
        while link._words.qsize() < 4:
            time.sleep(0.001)
        print(link.heard(60))
    """) == ["end"]  # fmt: skip


def test_a_parent_that_dies_before_it_has_sent_the_work_leaves_none():
    assert ran("ours, theirs = Pipe(); ours.close(); print(Link(theirs).work())") == ["None"]


def test_what_is_said_to_nobody_is_lost():
    assert ran("link = Link(theirs); ours.close(); link.say('idle'); print('said')") == ["said"]


LOST = """
ready, go = os.pipe()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (print("interrupted", flush=True), os._exit(0)))
    CLOSE
    link = Link(theirs)
    link.work()
    os.write(go, b"1")
    while True:
        time.sleep(1)
theirs.close()
os.read(ready, 1)
FAULT
"""


def lost(close, fault):
    return ran(LOST.replace("CLOSE", close).replace("FAULT", fault))


def test_without_its_parent_a_worker_is_interrupted():
    assert lost("ours.close()", "os.kill(os.getpid(), signal.SIGKILL)") == ["interrupted"]


def test_so_it_is_where_a_fork_keeps_the_pipe_open():
    assert lost("pass", "os.kill(os.getpid(), signal.SIGKILL)") == ["interrupted"]


def test_so_it_is_when_told_to_end_now():
    assert lost("pass", "ours.send('now'); os.wait()") == ["interrupted"]
