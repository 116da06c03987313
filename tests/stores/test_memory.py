"""What is true of memory only; the rest is in the laws of every store."""

import os
import threading
import warnings

import pytest
from contract import begun, done, everything, known, reported, running, started

from tuneful.errors import StoreError
from tuneful.history import State
from tuneful.stores import MemoryStore


@pytest.fixture
def store():
    return begun(MemoryStore())


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"memory was closed"):
        store.studies()


def test_a_worker_that_closes_gives_back_what_it_runs(store):
    store.beat("w", 60.0)
    started(store, 0, "w")
    started(store, 1, "v")
    store.close("w")
    kept = store._studies["s"].trials
    assert [trial.row.state for trial in kept] == [State.QUEUED, State.RUNNING]
    assert kept[0].row.rev == store._studies["s"].rev


def test_others_are_known_to_run_trials(store):
    made, claim = started(store, 0, "w")
    started(store, 1, None)
    assert store.runs_elsewhere("s", "mine")
    assert not store.runs_elsewhere("s", "w")
    store.finish("s", claim, done(made))
    assert not store.runs_elsewhere("s", "mine")


def test_what_is_read_cannot_be_changed_by_who_reads_or_wrote_it(store):
    made, claim = started(store)
    made.state, made.step = State.DONE, 7
    known(store).state = State.FAILED
    store.report("s", claim, running(0, step=1), [metrics := reported(0, 1)])
    metrics.metrics["value"] = 9.0
    rows, [(_, report)] = everything(store)
    assert (rows[0].state, rows[0].step) == (State.RUNNING, 1)
    assert report.metrics == {"value": 1.0}


def test_a_fork_in_the_midst_of_a_call_of_another_thread_leaves_the_child_free(store):
    held, over = threading.Event(), threading.Event()

    def call():
        with store._lock:
            held.set()
            over.wait()

    other = threading.Thread(target=call)
    other.start()
    held.wait()
    with warnings.catch_warnings():  # Python 3.12 warns of any fork beside a thread
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        os._exit(0 if store._lock.acquire(timeout=5) else 1)
    over.set()
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
