"""What is particular to a SQLite file: its journal, the gate, forks, formats."""

import ast
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from contract import FORM, SPACE, begun, done, everything, known, process, reported, row, running, started

from tuneful.errors import StoreBusy, StoreError, StoreFull
from tuneful.history import Moment, State
from tuneful.stores import SqliteStore, connection, locks, schema, sqlite, worker


@pytest.fixture
def path(tmp_path):
    return tmp_path / "studies.db"


@pytest.fixture
def store(path):
    with closing(SqliteStore(path)) as made:
        yield begun(made)


def pragma(path, name):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"PRAGMA {name}").fetchone()[0]


def heard(other):
    """What another process tells next."""
    line = other.stdout.readline()
    assert line, "it died"
    return ast.literal_eval(line)


# The file


def test_the_file_is_written_ahead_and_marked_as_ours(store, path):
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "application_id") == schema.APPLICATION
    assert pragma(path, "user_version") == schema.VERSION
    assert pragma(path, "integrity_check") == "ok"


@pytest.fixture
def traced(store, monkeypatch):
    """What a store's file is asked from now on, and when the disk is waited for."""
    seen = []
    flush = connection.flush

    def flushed(file):
        assert os.fstat(file).st_ino == Path(f"{store.path}-wal").stat().st_ino
        flush(file)
        seen.append("flush")

    monkeypatch.setattr(connection, "flush", flushed)
    store._connection._db.set_trace_callback(lambda text: seen.append(text.split()[0]))
    return seen


def test_a_disk_that_keeps_nothing_is_told_and_what_was_written_counts_when_it_is_told_again(store, monkeypatch):
    made, claim = started(store)
    with monkeypatch.context() as patched:

        def broken(file):
            raise OSError(5, "Input/output error")

        patched.setattr(connection, "flush", broken)
        with pytest.raises(
            StoreError, match=r"studies\.db: the disk does not keep what is written to it.*Input/output"
        ):
            store.finish("s", claim, done(made))
    assert store.finish("s", claim, done(made)) == known(store).ended


def test_a_file_behind_a_link_is_flushed_where_it_is(path, tmp_path, monkeypatch):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(link)) as store:
        begun(store)
        made, claim = started(store)
        assert store.finish("s", claim, done(made)) is not None
        assert os.fstat(store._connection._journal).st_ino == Path(f"{path}-wal").stat().st_ino


@pytest.mark.parametrize("again", [False, True], ids=["removed", "replaced"])
def test_a_file_that_is_removed_while_it_is_in_use_is_told(path, tmp_path, again):
    with closing(SqliteStore(path)) as store:
        begun(store)
        made, claim = started(store)
        for left in tmp_path.iterdir():
            left.unlink()
        with closing(SqliteStore(path)) if again else nullcontext() as other:
            if again:
                begun(other)
            with pytest.raises(StoreError, match=r"studies\.db was removed or replaced while it was in use"):
                store.finish("s", claim, done(made))


def test_a_trial_without_reports_costs_two_transactions_of_two_statements_and_its_result_waits_for_the_disk(
    store, traced
):
    started(store)
    traced.clear()
    made, claim = started(store, 1)
    store.finish("s", claim, done(made))
    assert traced == [*("BEGIN", "UPDATE", "INSERT", "COMMIT"), *("BEGIN", "UPDATE", "UPDATE", "COMMIT", "flush")]


def test_a_checkpoint_waits_for_the_disk_and_plain_reports_do_not(store, traced):
    made, claim = started(store)
    store.report("s", claim, made, [reported(0, 1)])
    assert "flush" not in traced
    made.saved = (1, 1)
    store.report("s", claim, made, [reported(0, 2)])
    assert traced[-1] == "flush"


def test_there_are_no_pickles_in_a_file(store, path):
    made, claim = started(store)
    store.report("s", claim, made, [reported(0, 1)])
    started(store, 1)
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = [cell for table in tables for found in db.execute(f"SELECT * FROM {table}") for cell in found]
    assert len(cells) > 50
    assert not any(isinstance(cell, bytes) for cell in cells)


def test_a_closed_store_says_so(path):
    store = SqliteStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"studies\.db was closed. Open the study again"):
        store.studies()


def test_threads_may_share_a_store(store):
    def work(k):
        for _ in range(20):
            created = None
            while created is None:
                created = store.create("s", [running(len(everything(store)[0]))], "w")
            [claim] = created[1]
            store.finish("s", claim, done(known(store, claim.number), float(k)))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows, _ = everything(store)
    assert sorted(rows) == list(range(80))
    assert [sum(found.values["value"] == k for found in rows.values()) for k in range(4)] == [20] * 4


# Opening


OPENER = """
sys.stdin.readline()
store = SqliteStore(Path({path!r}))
created = store.open("s", {form!r}, {space!r}, {{"x": 0.5}})
tell(created=created, studies=store.studies(), rows=len(store.sync("s", 0).rows))
store.close()
"""


def test_eight_processes_open_a_new_file_at_once_and_make_one_study(path):
    code = OPENER.format(path=str(path), form=FORM, space=SPACE)
    for round_ in range(2):
        with ExitStack() as stack:
            others = [stack.enter_context(process(code.replace("studies.db", f"{round_}.db"))) for _ in range(8)]
            for other in others:
                other.stdin.write("go\n")
                other.stdin.flush()
            said = [heard(other) for other in others]
        assert sorted(each["created"] for each in said) == [False] * 7 + [True]
        assert all(each["studies"] == ["s"] and each["rows"] == 1 for each in said)


def test_a_study_begun_anew_in_the_same_place_has_locks_of_its_own(path, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    with closing(SqliteStore(path)) as old:
        for left in tmp_path.iterdir():
            left.unlink()
        with closing(SqliteStore(path)) as new, process(HOLDER.format(path=str(path))) as other:
            assert new._connection.locks is not old._connection.locks
            heard(other)
            other.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreBusy, match=f"Process {other.pid} "):
                new.open("s", FORM, SPACE, None)


# The gate


HOLDER = """
store = SqliteStore(Path({path!r}))
with store._connection.locks.gate():
    tell(inside=True)
    sys.stdin.readline()
tell(inside=False)
sys.stdin.readline()
"""


def test_who_stands_in_the_gate_for_too_long_is_named(store, path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    with process(HOLDER.format(path=str(path))) as other:
        heard(other)
        other.send_signal(signal.SIGSTOP)
        with pytest.raises(
            StoreBusy, match=f"Process {other.pid} has been writing to .*studies.db-lock.*nothing is lost"
        ):
            store.create("s", [row(0)], None)
        assert everything(store) == ({}, [])
        other.send_signal(signal.SIGCONT)
        other.stdin.write("\n")
        other.stdin.flush()
        heard(other)
        assert store.create("s", [row(0)], None) is not None


def test_a_writer_waits_for_the_gate(store, path):
    with process(HOLDER.format(path=str(path))) as other:
        heard(other)
        threading.Timer(0.2, lambda: (other.stdin.write("\n"), other.stdin.flush())).start()
        assert store.create("s", [row(0)], None) is not None


def test_a_killed_process_leaves_the_gate_open(store, path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    with process(HOLDER.format(path=str(path))) as other:
        heard(other)
        other.kill()
        other.wait()
        assert store.create("s", [row(0)], None) is not None


def test_a_stopped_process_in_the_gate_is_named_and_readers_go_on(store, path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    with process(HOLDER.format(path=str(path))) as other:
        heard(other)
        other.send_signal(signal.SIGSTOP)
        assert store.studies() == ["s"]
        with pytest.raises(StoreBusy, match=str(other.pid)):
            store.create("s", [row(0)], None)
        other.kill()


def test_another_programs_lock_is_waited_for_and_then_told(path, monkeypatch):
    monkeypatch.setattr(connection, "_BUSY", 0.1)
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        begun(store)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match=r"studies\.db has been locked by another program"):
            store.create("s", [row(0)], None)
        other.execute("COMMIT")
        assert store.create("s", [row(0)], None) is not None


def test_a_transaction_that_was_broken_off_does_not_block_the_next(store):
    """As Ctrl-C may do in a notebook, between two lines of ours."""
    for durable in (False, True):
        broken = store._connection.write(durable=durable)
        broken.__enter__().execute("INSERT INTO meta VALUES ('half', 'done')")
        assert store.studies() == ["s"]
        made, claim = started(store, len(everything(store)[0]))
        with store._connection.write(durable=durable) as db:
            db.execute("UPDATE trial SET cost = 7.0 WHERE number = ?", (made.number,))
            broken.gen.close()  # as the collector does, whenever it comes to it
        assert known(store, made.number).cost == 7.0
        assert store.finish("s", claim, done(made, cost=8.0)) is not None
        with closing(sqlite3.connect(store.path)) as other:
            assert other.execute("SELECT count(*) FROM meta WHERE key = 'half'").fetchone() == (0,)


# Workers and their slots


def test_a_trial_that_was_given_up_remembers_when(store):
    made, claim = started(store, worker="lost", until=5)
    store.report("s", claim, replace(made, step=2, cost=1.5), [reported(0, 1), reported(0, 2)])
    store.beat("lost", -1.0)
    assert SqliteStore(store.path).reap() == 1
    found = known(store)
    assert found.past[-1] == Moment(found.rev, State.QUEUED, 5, 2, 1, 1.5, 0)
    assert [moment.state for moment in found.past] == [State.RUNNING, State.QUEUED]


def test_a_trial_that_is_lost_for_good_keeps_when_its_reports_became_known(store):
    made, claim = started(store, worker="lost")
    revs = []
    for attempt in (1, 2, 3):
        if attempt > 1:
            _, claim = store.claim("s", known(store), "lost")
        told = [reported(0, step) for step in (2 * attempt - 1, 2 * attempt)]
        revs.append(store.report("s", claim, replace(made, step=2 * attempt, began=2 * attempt - 2), told))
        store.beat("lost", -1.0)
        with closing(SqliteStore(store.path)) as other:
            other.reap()
    found = known(store)
    assert (found.state, found.curve["value"][0]) == (State.FAILED, [1, 2, 3, 4, 5, 6])
    assert found.revs == [rev for rev in revs for _ in range(2)]


def test_a_worker_whose_start_could_not_be_written_holds_nothing(store, path, monkeypatch):
    write = connection.Connection.write

    @contextmanager
    def failing(self, *, durable):
        with write(self, durable=durable) as db:
            yield db
            raise StoreFull("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(connection.Connection, "write", failing)
        with pytest.raises(StoreFull):
            store.beat("w", 60.0)
    assert not store._connection.locks._held
    assert store.beat("w", 60.0)
    assert len(store._connection.locks._held) == 1
    store.close("w")
    assert not store._connection.locks._held


def test_a_worker_that_beats_just_in_time_is_not_given_up(store, path, monkeypatch):
    with closing(SqliteStore(path)) as other:
        other.beat("w", -1.0)
        started(other)

        def looked(self, worker, *_):
            other.beat("w", 60.0)
            return True

        monkeypatch.setattr(SqliteStore, "_is_dead", looked)
        assert store.reap() == 0
    assert known(store).state == State.RUNNING


def test_where_kernels_cannot_be_told_apart_a_worker_of_another_host_is_judged_by_its_lease_alone(
    store, path, monkeypatch
):
    monkeypatch.setattr(sqlite, "boot", lambda: "")
    with closing(SqliteStore(path)) as other:
        with monkeypatch.context() as patched:
            patched.setattr(sqlite, "here", lambda: "elsewhere")
            other.beat("far", 60.0)
        other.beat("near", 60.0)
        other.create("s", [running(0)], "far")
        other.create("s", [running(1)], "near")
        for slot in other._slots.values():
            other._connection.locks.drop(slot)
        assert store.reap() == 1
    assert [known(store, n).state for n in (0, 1)] == [State.RUNNING, State.QUEUED]


def test_what_ran_before_the_machine_was_started_again_is_queued_again(store, path, monkeypatch):
    with closing(SqliteStore(path)) as other:
        with monkeypatch.context() as patched:
            patched.setattr(sqlite, "boot", lambda: "before")
            other.beat("w", 1e9)
        other.create("s", [running(0)], "w")
        assert store.reap() == 1
    assert known(store).state == State.QUEUED


def test_a_clock_that_is_set_ends_no_lease(store, path, monkeypatch):
    with closing(SqliteStore(path)) as other:
        other.beat("w", 60.0)
        other.create("s", [running(0)], "w")
        for hours in (5, -5):
            now = time.time()
            monkeypatch.setattr(time, "time", lambda now=now, hours=hours: now + 3600 * hours)
            assert store.reap() == 0
            assert other.beat("w", 60.0)
    assert known(store).state == State.RUNNING


def test_a_host_without_process_namespaces_goes_by_its_name(monkeypatch):
    def missing(_):
        raise OSError

    monkeypatch.setattr(os, "readlink", missing)
    assert worker.host() == socket.gethostname()


def test_a_store_that_cannot_give_back_at_the_end_lets_go_of_the_file(path):
    with closing(SqliteStore(path)) as other:
        store = begun(SqliteStore(path))
        store.beat("w", 60.0)
        started(store)
        store._connection._db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError):
            store.close("w")
        with pytest.raises(StoreError, match="closed"):
            store.studies()
        assert other.reap() == 1


# Forks


FORKED = """
import gc, threading
from tuneful.stores import MemoryStore
store = {place}
store.open("s", {form!r}, {space!r}, None)
store.beat("parent", 3600.0)
store.create("s", [Row(0, {{"x": 1}}, state=State.RUNNING, attempt=1)], "parent")

def child():
    for number in (1, 2, 3):
        made = Row(number, {{"x": number}}, state=State.RUNNING, attempt=1)
        _, [claim] = store.create("s", [made], None)
        made.state, made.values = State.DONE, {{"value": 1.0}}
        store.finish("s", claim, Outcome(made))
    gc.collect()
    return len(store.sync("s", 0).rows)
"""


def forked(place, code):
    return process(FORKED.format(place=place, form=FORM, space=SPACE) + code)


def test_a_forked_child_uses_the_store_without_harm(path):
    code = """
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(child() if len(store.sync("s", 0).rows) == 1 else 9)
        finally:
            os._exit(8)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    tell(child=code)
made = Row(4, {"x": 4}, state=State.RUNNING, attempt=1)
tell(created=store.create("s", [made], "parent") is not None)
sys.stdin.readline()
"""
    with forked(f"SqliteStore(Path({str(path)!r}))", code) as other, closing(SqliteStore(path)) as store:
        assert [heard(other)["child"] for _ in range(3)] == [4, 9, 9]
        assert heard(other) == {"created": True}
        assert store.reap() == 0, "the parent lives, and holds its slot"
        assert [known(store, n).state for n in range(5)] == [1, 3, 3, 3, 1]
    assert pragma(path, "integrity_check") == "ok"


def test_forks_pass_while_another_thread_writes(path):
    code = """
stop = threading.Event()
def busy():
    while not stop.is_set():
        store.beat("parent", 3600.0)
thread = threading.Thread(target=busy)
thread.start()
codes = []
for number in range(1, 9):
    pid = os.fork()
    if pid == 0:
        made = Row(number, {"x": number}, state=State.RUNNING, attempt=1)
        _, [claim] = store.create("s", [made], None)
        made.state, made.values = State.DONE, {"value": 1.0}
        os._exit(0 if store.finish("s", claim, Outcome(made)) else 7)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
thread.join()
tell(codes=codes, rows=len(store.sync("s", 0).rows))
"""
    with forked(f"SqliteStore(Path({str(path)!r}))", code) as other:
        watchdog = threading.Timer(60, other.kill)
        watchdog.start()
        assert heard(other) == {"codes": [0] * 8, "rows": 9}
        watchdog.cancel()
    assert pragma(path, "integrity_check") == "ok"


def test_a_child_that_outlives_its_parent_loses_nothing(path):
    code = """
if os.fork() == 0:
    store.sync("s", 0)
    tell(ready=True)
    sys.stdin.readline()
    tell(rows=child())
    os._exit(0)
store.close("parent")
os._exit(0)
"""
    with forked(f"SqliteStore(Path({str(path)!r}))", code) as other:
        assert heard(other) == {"ready": True}
        other.wait()
        SqliteStore(path).close()  # the last one out, as it seems, would tidy the journal away
        other.stdin.write("\n")
        other.stdin.flush()
        assert heard(other) == {"rows": 4}
    with closing(SqliteStore(path)) as store:
        assert [known(store, n).state for n in range(4)] == [State.QUEUED, *[State.DONE] * 3]


def test_a_store_closed_before_a_fork_stays_closed(path):
    code = """
store.close()
pid = os.fork()
if pid == 0:
    try:
        store.studies()
    except Exception as error:
        os._exit(3 if "closed" in str(error) else 4)
    os._exit(5)
tell(child=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    with forked(f"SqliteStore(Path({str(path)!r}))", code) as other:
        assert heard(other) == {"child": 3}


def test_a_forked_child_of_a_study_in_memory_has_a_copy(path):
    code = """
pid = os.fork()
if pid == 0:
    os._exit(child())
tell(child=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), mine=len(store.sync("s", 0).rows))
"""
    with forked("MemoryStore()", code) as other:
        assert heard(other) == {"child": 4, "mine": 1}


# Formats


NEWER = ("ALTER TABLE trial ADD COLUMN colour TEXT; CREATE TABLE extra (id INTEGER PRIMARY KEY)",)


def newer(monkeypatch, step=NEWER):
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS + step)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + len(step))


def columns(path):
    with closing(sqlite3.connect(path)) as db:
        return [name for _, name, *_ in db.execute("PRAGMA table_info(trial)")]


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    with closing(SqliteStore(path)) as store:
        begun(store)
        assert store.studies() == ["s"]
    assert pragma(path, "user_version") == schema.VERSION


def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(store, path, monkeypatch):
    made, claim = started(store)
    store.finish("s", claim, done(made))
    before = everything(store)
    store.close()
    newer(monkeypatch)
    with closing(SqliteStore(path)) as after:
        assert everything(after) == before
        assert "colour" in columns(path)
    assert pragma(path, "user_version") == schema.VERSION
    with closing(SqliteStore(path)) as again:
        assert everything(again) == before


def test_a_newer_file_is_refused_and_left_alone(store, path):
    store.close()
    with pytest.MonkeyPatch.context() as patched:
        newer(patched)
        SqliteStore(path).close()
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=rf"newer Tuneful \(format {schema.VERSION + 1}; .* up to {schema.VERSION}\). Install"
    ):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(store, path, monkeypatch):
    started(store)
    before = everything(store)
    store.close()
    with monkeypatch.context() as patched:
        newer(patched, ("ALTER TABLE trial ADD COLUMN colour TEXT; CREATE NONSENSE",))
        with pytest.raises(StoreError, match="studies.db"):
            SqliteStore(path)
    assert "colour" not in columns(path)
    with closing(SqliteStore(path)) as after:
        assert everything(after) == before


MIGRATING = """
from tuneful.stores import schema
schema.MIGRATIONS += {step!r}
schema.VERSION += 1
sys.stdin.readline()
SqliteStore(Path({path!r})).close()
tell(done=True)
"""


def test_processes_that_upgrade_a_file_at_once_do_it_once(store, path):
    store.close()
    with ExitStack() as stack:
        code = MIGRATING.format(path=str(path), step=NEWER)
        others = [stack.enter_context(process(code)) for _ in range(4)]
        for other in others:
            other.stdin.write("\n")
            other.stdin.flush()
        assert [heard(other) for other in others] == [{"done": True}] * 4
    assert pragma(path, "user_version") == schema.VERSION + 1
