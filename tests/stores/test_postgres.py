"""What is particular to a PostgreSQL database: its crashes, its tables, its users, what stands in between."""

import ast
import contextlib
import copy
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import ExitStack, closing

import pytest
from contract import (
    FORM,
    SPACE,
    PostgresPlace,
    at_once,
    begun,
    claim_next,
    done,
    everything,
    known,
    process,
    reported,
    row,
    running,
    started,
)
from line import Line

from tuneful.errors import StoreAway, StoreBusy, StoreError, StoreFull, StudyError
from tuneful.history import State
from tuneful.stores import open_store, parse_address
from tuneful.stores.postgres import connection as postgres_connection
from tuneful.stores.postgres import control as postgres_control
from tuneful.stores.postgres import schema as postgres_schema
from tuneful.stores.postgres import undone as postgres_undone
from tuneful.stores.postgres.schema import refuse_old
from tuneful.stores.postgres.store import PostgresStore

SECRET = "hunter2 is+secret"
QUOTED = "hunter2%20is%2Bsecret"


@pytest.fixture
def place(tmp_path):
    with PostgresPlace(tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    return begun(place.store())


def heard(other):
    """What another process tells next."""
    line = other.stdout.readline()
    assert line, "it died"
    return ast.literal_eval(line)


def until(holds):
    while not holds():
        time.sleep(0.01)


def planned(number, **fields):
    return row(number, begun=1, **fields)


# Crashes of the server


def crash(server):
    """Kill a process of the server, so that it throws away what is not on its disk, and wait until it is back."""
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as db:
        os.kill(db.info.backend_pid, signal.SIGKILL)
        with contextlib.suppress(psycopg.Error):
            db.execute("SELECT pg_sleep(60)")
    with contextlib.suppress(psycopg.Error):
        until(lambda: is_up(server))


def is_up(server):
    import psycopg

    try:
        server.ask("SELECT 1")
    except psycopg.Error:
        return False
    return True


@contextlib.contextmanager
def nothing_written(server):
    """Keep the server from writing on its own what nobody has waited for."""
    [(writer,)] = server.ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    os.kill(writer, signal.SIGSTOP)
    try:
        yield lambda: os.kill(writer, signal.SIGCONT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(writer, signal.SIGCONT)


def crash_before_it_is_written(server, act):
    """What `act` returns, done just before a crash."""
    import psycopg

    with nothing_written(server) as go_on, psycopg.connect(server.url, autocommit=True) as db:
        answer = act()
        os.kill(db.info.backend_pid, signal.SIGKILL)
        go_on()
        with contextlib.suppress(psycopg.Error):
            db.execute("SELECT pg_sleep(60)")
    until(lambda: is_up(server))
    return answer


def there(place):
    """The numbers of the trials that the server has."""
    return [n for (n,) in place.server.ask(f"SELECT number FROM {place.schema}.trial ORDER BY number")]


def test_a_trial_that_a_crash_has_undone_is_recorded_again(place, store, monkeypatch):
    monkeypatch.setattr(postgres_undone, "_CALM", 0.0)  # nobody else comes back
    lost = 0
    for number in range(0, 20, 2):
        made, claim = crash_before_it_is_written(place.server, lambda number=number: started(store, number))
        lost += number not in there(place)
        assert store.finish("s", claim, done(made, number / 7)) is not None
        assert known(store, number).values == {"value": number / 7}
        made, claim = started(store, number + 1)
        assert store.finish("s", claim, done(made)) is not None
        if lost == 2:
            break
    assert lost == 2, "the server wrote everything at once; then there is nothing to show"
    assert store.check() == []


def test_what_another_process_knows_of_and_a_crash_has_undone_comes_back(place, store):
    """In the order of the numbers, whoever is back first."""
    other, reader = place.store(), place.store()
    started(store, 0)
    store.wish("s", 0, None)  # is on the disk, and so is all before it

    def act():
        first = store.create("s", [running(1), planned(2)], "a")[1][0]
        second = other.create("s", [running(3)], "b")[1][0]
        return first, second, claim_next(other, "s", "b"), reader.sync("s", 0)

    first, second, (_, third, _), before = crash_before_it_is_written(place.server, act)
    assert len(before.rows) == 4
    ends = at_once(  # the other's trial rests on the first's
        lambda: other.finish("s", second, done(running(3), 3.0)),
        lambda: time.sleep(0.3) or store.finish("s", first, done(running(1), 1.0)),
    )
    assert None not in ends
    assert other.finish("s", third, done(running(2), 2.0)) is not None
    rows = {found.number: found for found in before.rows} | {f.number: f for f in reader.sync("s", before.rev).rows}
    assert rows == everything(place.store())[0]
    assert [rows[n].values.get("value") for n in range(4)] == [None, 1.0, 2.0, 3.0]
    assert store.check() == []


def test_what_nobody_records_again_is_told_instead_of_waiting_forever(place, store):
    other = place.store()
    started(store, 0)
    store.wish("s", 0, None)
    for _ in range(10):
        crash_before_it_is_written(place.server, lambda: other.create("s", [row(1), row(2)], None))
        other.close()  # and is gone with what it knows
        if there(place) == [0]:
            break
        place.server.ask(f"DELETE FROM {place.schema}.trial WHERE number > 0")
        place.server.ask(f"UPDATE {place.schema}.head SET next = 1")
        other = place.store()
    assert there(place) == [0]
    with pytest.raises(StoreError, match=r"has lost trials 1 to 2 of study 's' in a crash.*Open the study again"):
        store.create("s", [row(3)], None)
    assert store.create("s", [row(1)], None) is not None


def test_revisions_go_on_behind_all_that_was_known_before_a_crash(place, store):
    started(store)
    before = store.sync("s", 0)
    crash(place.server)
    after = store.sync("s", before.rev)
    assert after.rev > before.rev + 1000
    started(store, 1)
    assert [found.number for found in store.sync("s", after.rev).rows] == [1]


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_of_the_server_is_not_noticed(place, store, how):
    store.beat("w", 600.0)
    made, claim = started(store)
    waiting = place.store()
    place.server.restart(how)
    assert store.finish("s", claim, done(made, 0.5)) is not None
    assert known(waiting).values == {"value": 0.5}
    assert store.beat("w", 600.0)
    assert started(waiting, 1)[1].number == 1


def work(place, k, stop, told, refused):
    """Run trials until it is enough; note each whose end was acknowledged, and each that is another's now."""
    with closing(place.store()) as store:
        rev, rows, n = 0, {}, 0
        while not stop.is_set() or n < 5:
            changes = store.sync("s", rev)
            rev = changes.rev
            rows |= {found.number: found for found in changes.rows}
            value = float(f"{k}.{n}1")
            made = running(len(rows), config={"x": value})
            created = store.create("s", [made], f"w{k}")
            if created is None:
                continue
            [claim] = created[1]
            rows[made.number] = made
            if store.finish("s", claim, done(made, value)) is None:
                refused[made.number] = value
                continue
            assert made.number not in told
            told[made.number] = value
            n += 1


def test_a_run_through_restarts_crashes_and_ended_sessions_loses_nothing(place, store):
    told, refused, stop, failed = {}, {}, threading.Event(), []

    def one(k):
        try:
            work(place, k, stop, told, refused)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=one, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    try:
        for how in ("fast", "immediate", None, "terminate", "terminate"):
            before = len(told)
            until(lambda: len(told) > before + 5 or failed)
            if how == "terminate":
                place.server.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'tuneful' AND pid <> pg_backend_pid()"
                )
            elif how is None:
                crash(place.server)
            else:
                place.server.restart(how)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    rows, _ = everything(place.store())
    assert sorted(rows) == list(range(len(rows)))
    assert {n: found.values.get("value") for n, found in rows.items()} == told
    assert all(found.config == {"x": told[n]} for n, found in rows.items())
    # Only a crash may undo that a trial was begun, if then another process takes its number first.
    assert all(told[n] != value for n, value in refused.items())
    assert store.check() == []


# Many at once


def test_openings_at_once_of_an_empty_database_all_succeed(tmp_path):
    for _ in range(20):
        with ExitStack() as stack:
            place = stack.enter_context(PostgresPlace(tmp_path))
            place.server.ask(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")
            made = at_once(*[lambda: place.store().open("s", FORM, SPACE, {"x": 0.5})] * 8)
            assert sorted(made) == [False] * 7 + [True]


OPENER = """
sys.stdin.readline()
store = {place}
tell(created=store.open("s", {form!r}, {space!r}, {{"x": 0.5}}), rows=len(store.sync("s", 0).rows))
store.close()
"""


def test_eight_processes_open_an_empty_database_at_once_and_make_one_study(place):
    place.server.ask(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")
    with ExitStack() as stack:
        code = OPENER.format(place=place.code, form=FORM, space=SPACE)
        others = [stack.enter_context(process(code)) for _ in range(8)]
        for other in others:
            other.stdin.write("go\n")
            other.stdin.flush()
        said = [heard(other) for other in others]
    assert sorted(each["created"] for each in said) == [False] * 7 + [True]
    assert all(each["rows"] == 1 for each in said)


def test_each_of_a_thousand_ready_trials_is_claimed_once_by_eight_threads(place, store):
    store.create("s", [planned(n) for n in range(1000)], None)
    taken = [[] for _ in range(8)]

    def take(k):
        with closing(place.store()) as mine:
            while claimed := claim_next(mine, "s", f"w{k}"):
                taken[k].append(claimed[1].number)

    at_once(*[lambda k=k: take(k) for k in range(8)])
    assert sorted(n for each in taken for n in each) == list(range(1000))
    assert all(each == sorted(each) for each in taken)
    assert {found.attempt for found in everything(store)[0].values()} == {1}


def test_what_another_is_about_to_claim_is_passed_over(place, store):
    import psycopg

    store.create("s", [planned(n) for n in range(3)], None)
    with psycopg.connect(place.server.url) as other:
        other.execute(f"SELECT 1 FROM {place.schema}.trial WHERE number = 0 FOR UPDATE")
        assert [claim_next(store, "s", "w")[1].number for _ in range(2)] == [1, 2]
        assert claim_next(store, "s", "w") is None
    assert claim_next(store, "s", "w")[1].number == 0


def test_a_reader_misses_nothing_that_six_write(place, store):
    stop = threading.Event()
    told = {}
    writers = [threading.Thread(target=work, args=(place, k, stop, told, {})) for k in range(6)]
    for writer in writers:
        writer.start()
    rows, rev = {}, 0
    while any(writer.is_alive() for writer in writers):
        changes = store.sync("s", rev)
        rows |= {found.number: found for found in changes.rows}
        rev = changes.rev
        assert sorted(rows) == list(range(len(rows)))
        if len(rows) > 200:
            stop.set()
    rows |= {found.number: found for found in store.sync("s", rev).rows}
    assert rows == everything(place.store())[0]
    assert {n: found.values["value"] for n, found in rows.items()} == told


def test_threads_may_share_a_store(store):
    def ends(k):
        for _ in range(20):
            created = None
            while created is None:
                created = store.create("s", [running(len(everything(store)[0]))], "w")
            [claim] = created[1]
            store.finish("s", claim, done(known(store, claim.number), float(k)))

    at_once(*[lambda k=k: ends(k) for k in range(4)])
    rows, _ = everything(store)
    assert [sum(found.values["value"] == k for found in rows.values()) for k in range(4)] == [20] * 4


def test_a_deadlock_is_resolved_by_trying_again(place, store):
    import psycopg

    made, claim = started(store)
    with psycopg.connect(place.server.url, options=f"-c deadlock_timeout=60s -c search_path={place.schema}") as other:
        other.execute("UPDATE head SET leader = leader")
        ended = []
        thread = threading.Thread(target=lambda: ended.append(store.finish("s", claim, done(made))))
        thread.start()
        until(lambda: waiting(place))
        other.execute("UPDATE trial SET seen = 7")  # which the other has locked: one of both must give way
        other.commit()
        thread.join()
    assert ended[0] is not None
    assert (known(store).state, known(store).seen) == (State.DONE, 7)


def waiting(place):
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    return place.server.ask(asked, f"%{place.schema}.%")[0][0]


def test_who_decides_is_one_at_a_time_and_nobody_waits_forever(place, store, monkeypatch):
    other = place.store()
    other.open("s", FORM, SPACE, None)
    inside, order = threading.Event(), []

    def second():
        inside.wait()
        with other.deciding("s"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.deciding("s"):
        inside.set()
        until(lambda: waiting_for_turn(place))
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    monkeypatch.setattr("tuneful.stores.postgres.store._TURN", "10ms")
    with store.deciding("s"), other.deciding("s"):
        assert other.create("s", [row(0)], None) is not None
    with other.deciding("s"):
        assert store.studies() == ["s"]


def waiting_for_turn(place):
    return place.server.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0][0]


# What a call costs, and what it waits for


def test_a_result_is_on_the_disk_when_it_is_told(place, store):
    def act():
        made, claim = started(store)
        return store.finish("s", claim, done(made))

    rev = crash_before_it_is_written(place.server, act)
    assert there(place) == [0]
    assert (known(store).state, known(store).rev) == (State.DONE, rev)


def test_another_programs_lock_is_waited_for_and_then_told(place):
    import psycopg

    with closing(open_store(parse_address(f"{place.url}&options=-c%20lock_timeout%3D100ms"))) as store:
        begun(store)
        with psycopg.connect(place.server.url) as other:
            other.execute(f"SELECT 1 FROM {place.schema}.head FOR UPDATE")
            with pytest.raises(StoreBusy, match=r"Another program has held .*lock timeout.*End it, and try again"):
                store.create("s", [row(0)], None)
        assert store.create("s", [row(0)], None) is not None


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("53100", StoreFull, "disk of .* is full: .*Free some space and go on; nothing acknowledged is lost"),
        ("42501", StoreError, "may not do this"),
        ("XX001", StoreError, r"\(XX001\)"),
    ],
)
def test_what_the_server_refuses_is_told_and_leaves_no_trace(place, store, code, kind, message):
    made, claim = started(store)
    before = everything(store)
    place.server.ask(
        f"CREATE FUNCTION {place.schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
    )
    place.server.ask(
        f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {place.schema}.trial "
        f"FOR EACH ROW EXECUTE FUNCTION {place.schema}.refuse()"
    )
    try:
        for call in (
            lambda: store.create("s", [row(1)], None),
            lambda: store.create("s", [row(1), row(2)], None),
            lambda: store.finish("s", claim, done(made)),
            lambda: store.report("s", claim, made, [reported(0, 1)]),
            lambda: store.open("t", FORM, SPACE, {"x": 1}),
            lambda: store.cancel("s", None),
        ):
            with pytest.raises(kind, match=message) as refused:
                call()
            assert refused.value.__cause__ is refused.value.__context__ is None
            assert (everything(store), store.studies()) == (before, ["s"])
    finally:
        place.server.ask(f"DROP FUNCTION {place.schema}.refuse CASCADE")
    assert store.finish("s", claim, done(made)) is not None


# Tables


def test_the_tables_are_in_a_schema_of_their_own(place, store):
    tables = {name for (name,) in place.server.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert tables == set()
    assert repr(store) == f"PostgresStore('{place.url.replace(':@', '@')}')"


NEWER = (
    """
    ALTER TABLE tuneful.trial ADD COLUMN colour TEXT;
    CREATE TABLE tuneful.extra (id BIGINT);
    INSERT INTO tuneful.extra VALUES (1);
    """,
)


def newer(monkeypatch, step=NEWER, reader=None):
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", postgres_schema.MIGRATIONS + step)
    monkeypatch.setattr(postgres_schema, "VERSION", postgres_schema.VERSION + len(step))
    monkeypatch.setattr(postgres_schema, "MIN_READER", reader or postgres_schema.VERSION)


def meta(place):
    return dict(place.server.ask(f"SELECT key, value FROM {place.schema}.meta"))


def fresh(tmp_path):
    """A place whose tables may be changed."""
    place = PostgresPlace(tmp_path)
    place.schema = f"{place.schema}_fresh"
    place.url = place.server.at(place.schema)
    place.server.ask(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")
    return place


@pytest.fixture
def own(tmp_path):
    made = fresh(tmp_path)
    yield made
    made._open.close()
    made.server.ask(f"DROP SCHEMA IF EXISTS {made.schema} CASCADE")


def test_older_tables_are_upgraded_only_when_that_is_asked_for(own, monkeypatch):
    store = begun(own.store())
    made, claim = started(store)
    before = everything(store)
    newer(monkeypatch)
    with pytest.raises(StoreError, match=r"older Tuneful \(format 2; this one needs 3\). Run `tuneful db upgrade post"):
        own.store()
    assert everything(store) == before, "who has them open goes on"
    for _ in range(2):
        with closing(PostgresStore(own.url, upgrade=True)) as upgraded:
            assert everything(upgraded) == before
    assert (meta(own)["version"], meta(own)["min_reader"]) == ("3", "3")
    assert own.server.ask(f"SELECT count(*) FROM {own.schema}.extra") == [(1,)]
    assert everything(own.store()) == before


def test_newer_tables_are_refused_and_left_alone(own):
    with pytest.MonkeyPatch.context() as patched:
        newer(patched)
        PostgresStore(own.url).close()
    before = meta(own)
    for upgrade in (False, True):
        with pytest.raises(
            StoreError, match=r"was written by a newer Tuneful \(format 3; this one reads up to 2\). Install"
        ):
            PostgresStore(own.url, upgrade=upgrade)
    assert meta(own) == before


def test_newer_tables_that_this_version_can_use_are_used(own):
    with pytest.MonkeyPatch.context() as patched:
        newer(patched, reader=1)
        PostgresStore(own.url).close()
    store = begun(own.store())
    started(store)
    assert meta(own)["version"] == "3"
    PostgresStore(own.url, upgrade=True).close()
    assert meta(own)["version"] == "3"


def test_an_upgrade_that_fails_leaves_the_tables_as_they_were(own, monkeypatch):
    begun(own.store())
    before = meta(own)
    with monkeypatch.context() as patched:
        newer(patched, ("ALTER TABLE tuneful.trial ADD COLUMN colour TEXT; CREATE NONSENSE",))
        with pytest.raises(StoreError, match="syntax error"):
            PostgresStore(own.url, upgrade=True)
    assert meta(own) == before
    own.store()


def test_upgrades_at_once_are_done_once(own, monkeypatch):
    begun(own.store())
    newer(monkeypatch)
    at_once(*[lambda: PostgresStore(own.url, upgrade=True).close()] * 6)
    assert own.server.ask(f"SELECT count(*) FROM {own.schema}.extra") == [(1,)]


@pytest.mark.parametrize(
    "table", ["meta (key TEXT, value TEXT)", "meta (other INTEGER)", "trial (id INTEGER)", "something (id INTEGER)"]
)
def test_tables_of_another_program_are_refused_and_left_alone(own, table):
    own.server.ask(f"CREATE SCHEMA {own.schema}")
    own.server.ask(f"CREATE TABLE {own.schema}.{table}")
    with pytest.raises(StoreError, match=r"another program.*\?schema=other#name"):
        own.store()
    assert own.server.ask("SELECT count(*) FROM pg_tables WHERE schemaname = %s", own.schema) == [(1,)]


def test_an_empty_schema_that_is_there_is_used(own):
    own.server.ask(f"CREATE SCHEMA {own.schema}")
    begun(own.store())


def test_tables_that_are_gone_are_missed(own):
    store = begun(own.store())
    own.server.ask(f"DROP SCHEMA {own.schema} CASCADE")
    with pytest.raises(StoreError, match="no longer holds the tables of a store"):
        store.sync("s", 1)


def test_there_are_no_pickles_in_a_database(place, store):
    made, claim = started(store)
    store.report("s", claim, made, [reported(0, 1)])
    asked = "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = %s"
    types = {kind for (kind,) in place.server.ask(asked, place.schema)}
    assert types == {"bigint", "smallint", "double precision", "text", "uuid"}


@pytest.mark.parametrize(("version", "name"), [(130_022, "13.22"), (90_624, "9.24"), (139_999, "13.99")])
def test_a_server_that_is_too_old_is_refused_by_name(version, name):
    with pytest.raises(StoreError, match=rf"^postgresql://h/d is PostgreSQL {name}, and Tuneful needs 14 or newer"):
        refuse_old(version, "postgresql://h/d")
    refuse_old(140_000, "postgresql://h/d")


# Passwords, users, and places that are not there


@pytest.fixture
def guarded(place):
    """The server, for a user with a password who may do everything with the schema of the place."""
    server, rules = place.server, place.server.folder / "pg_hba.conf"
    before = rules.read_text()
    server.ask("DROP ROLE IF EXISTS guarded")
    server.ask(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    server.ask("SELECT pg_reload_conf()")
    socket = server.socket.parent
    server.ask(f"CREATE SCHEMA IF NOT EXISTS {place.schema}_mine AUTHORIZATION guarded")
    try:
        yield lambda login: f"postgresql://{login}@/postgres?host={socket}&schema={place.schema}_mine"
    finally:
        rules.write_text(before)
        server.ask("SELECT pg_reload_conf()")
        server.ask(f"DROP SCHEMA {place.schema}_mine CASCADE")
        server.ask("DROP ROLE guarded")


def shows(what):
    return "hunter2" in what or "is+secret" in what


def test_a_password_in_an_address_is_used_and_shown_nowhere(guarded, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    address = parse_address(guarded(f"guarded:{QUOTED}") + "#digits")
    with closing(open_store(address)) as store:
        begun(store)
        kept = [address, store, store._connection, vars(store), vars(store._connection), vars(address)]
        store._connection._link.close()
        assert store.studies() == ["s"]
        for shown in (*map(repr, kept), *map(str, kept), pickle.dumps(address).decode("latin-1"), caplog.text):
            assert not shows(shown)
        assert not shows("".join(capfd.readouterr()))
    for copied in (pickle.loads(pickle.dumps(address)), copy.deepcopy(address)):
        assert (copied, str(copied), copied.environment) == (address, str(address), {})
    assert address.environment == {"PGPASSWORD": SECRET}


def test_a_pickled_address_takes_the_password_from_the_environment(guarded, monkeypatch):
    address = parse_address(guarded(f"guarded:{QUOTED}"))
    sent = pickle.loads(pickle.dumps(address))
    with pytest.raises(StoreError, match="no password supplied.*PGPASSWORD"):
        open_store(sent)
    for name, value in address.environment.items():
        monkeypatch.setenv(name, value)
    open_store(sent).close()


def fully_told(error):
    """All that a traceback may tell of an error, with the values of our own frames."""
    frames = [frame for frame in traceback.walk_tb(error.__traceback__) if "tuneful" in frame[0].f_code.co_filename]
    told = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "".join(told.format()) + repr([frame.f_locals for frame, _ in frames]) + repr(vars(error)) + repr(error.args)


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (f"guarded:{QUOTED}x", "password authentication failed.*the password"),
        (f"nobody:{QUOTED}", r'role "nobody" does not exist'),
    ],
)
def test_who_is_refused_is_told_at_once_and_without_the_password(guarded, login, message, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 1e9)
    address = parse_address(guarded(login))
    with pytest.raises(StoreError, match=message) as refused:
        open_store(address)
    assert not isinstance(refused.value, StoreAway)
    error = refused.value
    assert error.__cause__ is error.__context__ is None
    assert not shows(fully_told(error))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:{secret}@127.0.0.1:1/db", r"^postgresql://u@127\.0\.0\.1:1/db cannot be reached: .*refused"),
        ("postgresql://u:{secret}@127.0.0.1:1,127.0.0.1:2/db", "cannot be reached"),
        ("postgresql://u@127.0.0.1:1/db?password={secret}", "cannot be reached"),
        ("postgresql://u:{secret}@no-such-host.invalid/db", "cannot be reached"),
        ("postgresql:///db?host=/nowhere/at/all&password={secret}", "cannot be reached: .*No such file"),
    ],
)
def test_a_server_that_is_not_there_is_told_at_once_and_without_the_password(url, message, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 1e9)
    address = parse_address(url.format(secret=QUOTED))
    with pytest.raises(StoreAway, match=message) as refused:
        open_store(address)
    assert not shows(fully_told(refused.value))


def test_a_database_that_is_not_there_is_told_at_once(place, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 1e9)
    with pytest.raises(StoreError, match=r'database "missing" does not exist. Check the name of the database'):
        PostgresStore(place.url.replace("/postgres?", "/missing?"))


@pytest.mark.parametrize("query", ["colour=blue", "connect_timeout=soon", "port=%zz"])
def test_an_address_that_libpq_does_not_understand_is_refused(query):
    with pytest.raises((StudyError, StoreError), match=r"postgresql://u@127\.0\.0\.1:1/db\?") as refused:
        PostgresStore(f"postgresql://u:{QUOTED}@127.0.0.1:1/db?{query}")
    assert not shows(fully_told(refused.value).replace(QUOTED, ""))


def test_who_may_not_make_a_schema_is_told(guarded, place):
    url = guarded(f"guarded:{QUOTED}").replace("_mine", "_yours")
    with pytest.raises(StoreError, match=r"may not do this: permission denied for database.*Let the owner"):
        PostgresStore(url)


def test_a_plain_user_can_do_everything(guarded):
    """So that no call needs a right that only the owner of a server has."""
    from test_postgres_lost import CALLS, of_all_kinds

    with closing(PostgresStore(guarded(f"guarded:{QUOTED}"))) as store:
        for call in CALLS.values():
            rows, claims = of_all_kinds(begun(store))
            store._connection._drop()
            call(store, rows, claims)
            for name in store.studies():
                store.delete(name)
            for worker in ("v", "w"):
                store._slots.pop(worker, None)


def test_without_its_driver_a_database_is_refused_with_what_to_install():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from tuneful.errors import StudyError\nfrom tuneful.stores import open_store, parse_address\n"
        "try: open_store(parse_address('postgresql://u:hunter2@h/d'))\n"
        "except StudyError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "study='postgresql://u@h/d' needs psycopg" in said
    assert "pip install 'tuneful[postgres]'" in said


def test_only_who_has_a_database_loads_its_driver():
    code = "import sys, tuneful; tuneful.Study({'x': tuneful.Float(0, 1)}, minimize='value'); print('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# Forks


FORKED = """
store = {place}
store.open("s", {form!r}, {space!r}, None)
store.beat("parent", 3600.0)

def child(number):
    made = Row(number, {{"x": number}}, state=State.RUNNING, attempt=1)
    _, [claim] = store.create("s", [made], None)
    made.state, made.values = State.DONE, {{"value": 1.0}}
    return store.finish("s", claim, Outcome(made)) is not None

def forked(number):
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            code = 0 if child(number) else 8
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_forked_children_have_connections_of_their_own(place, store):
    code = FORKED.format(place=place.code, form=FORM, space=SPACE)
    code += """
before = store._connection._link.session
codes = [forked(number) for number in range(3)]
mine = child(3)
tell(codes=codes, mine=mine, same=store._connection._link.session == before)
sys.stdin.readline()
"""
    with process(code) as other:
        assert heard(other) == {"codes": [0, 0, 0], "mine": True, "same": True}
        assert [found.state for found in everything(store)[0].values()] == [State.DONE] * 4
        assert store.reap() == 0


def test_forks_pass_while_another_thread_writes(place, store):
    code = FORKED.format(place=place.code, form=FORM, space=SPACE)
    code += """
import threading
stop = threading.Event()
def busy():
    while not stop.is_set():
        store.beat("parent", 3600.0)
thread = threading.Thread(target=busy)
thread.start()
codes = [forked(number) for number in range(8)]
stop.set()
thread.join()
tell(codes=codes, rows=len(store.sync("s", 0).rows))
"""
    with process(code) as other:
        assert heard(other) == {"codes": [0] * 8, "rows": 8}


def test_a_child_that_ends_as_programs_do_leaves_its_parents_connection_alone(place, store):
    code = FORKED.format(place=place.code, form=FORM, space=SPACE)
    code += """
if os.fork() == 0:
    sys.exit()
os.wait()
tell(mine=child(0))
"""
    with process(code) as other:
        assert heard(other) == {"mine": True}


# Calls in the midst of calls


def test_a_signal_handler_may_use_the_store_in_the_midst_of_a_call(place, store):
    seen = []

    def handler(signum, frame):
        seen.append(store.studies())

    def work(link):
        while not seen:
            link.ask("SELECT pg_sleep(0.1)")

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.15, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        store._run(work)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert seen == [["s"]]


def test_a_call_that_is_broken_off_leaves_the_store_usable(place, store):
    class BreakOffError(BaseException):
        pass

    def handler(signum, frame):
        raise BreakOffError

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for ask in ("SELECT pg_sleep(60)", "BEGIN"):
            timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1))
            timer.start()
            with pytest.raises(BreakOffError):
                store._run(lambda link, ask=ask: (link.ask(ask), link.ask("SELECT pg_sleep(60)")))
            timer.join()
            assert started(store, len(everything(store)[0])) is not None
    finally:
        signal.signal(signal.SIGUSR1, before)
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)' AND state = 'active'"
    assert place.server.ask(asked) == [(0,)]


# Poolers


def test_behind_a_pooler_nothing_is_left_in_a_session(place):
    from test_postgres_lost import CALLS, held, of_all_kinds, told

    url = place.server.at(place.schema)
    with Line(place.server.socket, pooled=True) as line:
        far = place.server.at(place.schema, line.port)
        for name in ("create", "create many", "claim next", "finish", "fail", "report", "sync", "cancel all", "lead"):
            answers = []
            for at in (url, far):
                place.server.empty(place.schema)
                with closing(open_store(parse_address(at))) as store, closing(place.store()) as near:
                    rows, claims = of_all_kinds(begun(store))
                    answers.append((told(CALLS[name](store, rows, claims)), held(near)))
            assert answers[0] == answers[1]
        with closing(open_store(parse_address(far))) as store, store.deciding("s"):
            link = store._connection._link
            assert link.session is None
            assert link.ask("SELECT count(*) FROM pg_prepared_statements") == [(0,)]
            kept = "lock_timeout", "enable_seqscan", "synchronous_commit"
            assert [link.ask(f"SELECT current_setting('{name}')")[0][0] for name in kept] == ["0", "on", "on"]


def test_behind_a_pooler_a_crash_is_noticed_before_the_next_call(place):
    with ExitStack() as stack:
        line = stack.enter_context(Line(place.server.socket, pooled=True))
        far = stack.enter_context(closing(open_store(parse_address(place.server.at(place.schema, line.port)))))
        started(begun(far))
        rev = far.sync("s", 0).rev
        place.server.ask(f"DELETE FROM {place.schema}.alive")  # as a crash does
        assert far.sync("s", rev).rev > rev + 1000


# Workers of this host


def test_a_process_of_this_host_is_known_to_have_ended():
    over = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: postgres_control.has_ended(postgres_control.host(), over.pid))  # though nobody has asked how
    over.wait()
    here = postgres_control.host()
    assert postgres_control.has_ended(here, over.pid)
    assert not postgres_control.has_ended(here, os.getpid())
    assert not postgres_control.has_ended(f"{here}x", over.pid), "another boot, or another machine of that name"
    assert not postgres_control.has_ended(here.rpartition(" ")[0], over.pid)
    assert not postgres_control.has_ended(here, 1)


def test_time_is_the_servers(place, store, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    store.beat("w", 100.0)
    [member] = store.members()
    assert 0 < member.lease <= 100.0
    other = place.store()
    started(store)
    assert other.reap() == 0


def test_a_connection_that_fails_as_it_is_made_is_closed(place):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tuneful.stores.postgres.link._HELLO", "SELECT nonsense")
        with pytest.raises(StoreError, match="nonsense"):  # and no warning of what was left open
            place.store()
