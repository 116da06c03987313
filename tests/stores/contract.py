"""What the tests of all stores share: places to keep studies at, and short words for what a session does."""

import contextlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from server import server

from tuneful.history import Report, Row, State
from tuneful.protocols import Outcome
from tuneful.stores import MemoryStore, SqliteStore, open_store, parse_address

FORM = {"objectives": [["value", False]], "constraints": [], "seed": 1, "of": "last"}
SPACE = {"parameters": {"x": {"type": "float", "low": 0.0, "high": 1.0}}}


class MemoryPlace:
    """Memory: every handle is the same store."""

    shared = False

    def __init__(self, folder):
        self._store = MemoryStore()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._store.close()

    def store(self):
        return self._store


class FilePlace:
    """A SQLite file: every handle opens it anew."""

    shared = True

    def __init__(self, folder):
        self.path = Path(folder) / "studies.db"
        self.code = f"SqliteStore(Path({str(self.path)!r}))"  # a handle, in another process
        self._open = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def store(self):
        store = SqliteStore(self.path)
        self._open.callback(store.close)
        return store


class PostgresPlace:
    """A schema of a PostgreSQL database: every handle connects anew."""

    shared = True

    def __init__(self, folder):
        self.server = server()
        self.schema = self.server.schema()
        self.url = self.server.at(self.schema)
        self.code = f"open_store(parse_address({self.url!r}))"
        self._open = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()
        self.server.take_back(self.schema)

    def store(self):
        store = open_store(parse_address(self.url))
        self._open.callback(store.close)
        return store


PLACES = {"memory": MemoryPlace, "file": FilePlace, "postgres": PostgresPlace}

PRELUDE = """
import os, sys, time
from pathlib import Path
from tuneful.history import Report, Row, State
from tuneful.protocols import Claim, Outcome
from tuneful.stores import SqliteStore, open_store, parse_address

def tell(**what):
    print(repr(what), flush=True)
"""


@contextlib.contextmanager
def process(code, **popen):
    """Another process that runs `code` after the prelude; ended at the end, whatever happens."""
    started = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **popen,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def begun(store, first=None):
    """`store`, with a new study `s`."""
    assert store.open("s", FORM, SPACE, first)
    return store


def row(number, **fields):
    """A queued trial; its config tells its number."""
    return Row(number, fields.pop("config", {"x": number / 1000}), **fields)


def running(number, **fields):
    """A trial that starts when it is recorded."""
    return row(number, state=State.RUNNING, attempt=1, **{"started": 1.0, **fields})


def started(store, number=0, worker="w", **fields):
    """The (row, claim) of a new running trial."""
    made = running(number, **fields)
    _, [claim] = store.create("s", [made], worker)
    return made, claim


def claim_next(store, name, worker):
    """The (revision, claim, row) of the first ready trial, which runs now; None if there is none."""
    return next(((row.rev, claim, row) for claim, row in store.claim_ready(name, worker)), None)


def known(store, number=0):
    """A trial as the store has it."""
    return everything(store)[0][number]


def everything(store, name="s"):
    """All that a new reader gets: (rows by number, [(revision, report)])."""
    rows, reports, rev, more = {}, [], 0, True
    while more:
        changes = store.sync(name, rev)
        rows |= {found.number: found for found in changes.rows}
        reports += changes.reports
        rev, more = changes.rev, changes.more
    return rows, reports


def done(made, value=0.5, *, config_changed=False, reported=False, **fields):
    """The outcome of a trial that ended well."""
    ended = replace(made, state=State.DONE, values={"value": value}, finished=9.0)
    return Outcome(replace(ended, **fields), None, config_changed, reported)


def queued(made):
    """The outcome of a trial that was interrupted."""
    return Outcome(replace(made, state=State.QUEUED), "interrupted")


def reported(number, step, **metrics):
    return Report(number, step, metrics or {"value": float(step)})


def at_once(*calls):
    """The answers of calls that run at the same time in threads."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def answer(place, call):
        barrier.wait()
        answers[place] = call()

    threads = [threading.Thread(target=answer, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
