"""Whatever is lost between a store and its server, and whenever: each call is done once, or told to have failed."""

import re
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from contract import (
    FORM,
    SPACE,
    PostgresPlace,
    begun,
    claim_next,
    done,
    everything,
    queued,
    reported,
    row,
    running,
    started,
)
from line import Line

from tuneful.errors import StoreAway, StoreError
from tuneful.history import State
from tuneful.protocols import Claim, Outcome
from tuneful.stores import open_store, parse_address
from tuneful.stores.postgres import connection as postgres_connection
from tuneful.stores.tables import TABLES

TIMES = {"created", "started", "finished"}


@pytest.fixture
def place(tmp_path):
    with PostgresPlace(tmp_path) as made:
        yield made


@pytest.fixture
def line(place):
    with Line(place.server.socket) as made:
        yield made


@pytest.fixture
def far(place, line):
    """A store at the other end of the line, with a study."""
    with closing(open_store(parse_address(place.server.at(place.schema, line.port)))) as store:
        yield begun(store)


def planned(number):
    return row(number, begun=1, until=5)


def of_all_kinds(store):
    """A study with a trial in every state: (rows by number, claims by number)."""
    store.beat("w", 600.0)
    _, claims = store.create("s", [running(0, until=9), row(1), planned(2), row(3, state=State.PAUSED)], "w")
    store.create("s", [running(4), planned(5)], "w")
    claim = store.claim_of("s", 4)
    store.report("s", claim, running(4, step=2), [reported(4, 1), reported(4, 2)])
    return everything(store)[0], {0: claims[0], 4: claim}


FAILED = {"type": "ValueError", "message": "m", "traceback": ""}
CALLS = {
    "open": lambda s, rows, claims: s.open("t", FORM, SPACE, {"x": 0.5}),
    "study": lambda s, rows, claims: s.study("s"),
    "studies": lambda s, rows, claims: s.studies(),
    "spaces": lambda s, rows, claims: s.spaces("s"),
    "sync": lambda s, rows, claims: s.sync("s", 0),
    "sync the rest": lambda s, rows, claims: s.sync("s", rows[3].rev),
    "grow": lambda s, rows, claims: s.grow("s", 1, SPACE),
    "create": lambda s, rows, claims: s.create("s", [running(6)], "w"),
    "create ahead": lambda s, rows, claims: s.create("s", [planned(6)], None),
    "create many": lambda s, rows, claims: s.create("s", [running(6), planned(7), row(8)], "w"),
    "claim": lambda s, rows, claims: s.claim("s", replace(rows[3], until=7), "w"),
    "claim next": lambda s, rows, claims: claim_next(s, "s", "w"),
    "offer": lambda s, rows, claims: s.offer("s", replace(rows[3], until=7)),
    "report": lambda s, rows, claims: s.report("s", claims[0], running(0, step=1, cost=0.5), [reported(0, 1)]),
    "report a checkpoint": lambda s, rows, claims: s.report("s", claims[0], running(0, saved=(1, 1)), []),
    "report a config": lambda s, rows, claims: s.report(
        "s", claims[0], running(0, config={"y": 1}, space=1), [], config_changed=True
    ),
    "finish": lambda s, rows, claims: s.finish("s", claims[4], done(rows[4], curve={"value": ([1, 2], [1.0, 2.0])})),
    "give back": lambda s, rows, claims: s.finish("s", claims[0], queued(rows[0])),
    "fail": lambda s, rows, claims: s.finish(
        "s", claims[0], Outcome(replace(rows[0], state=State.FAILED, error=FAILED), "error")
    ),
    "finish late": lambda s, rows, claims: s.finish("s", Claim(0, 1, "f" * 32), done(rows[0])),
    "claim of": lambda s, rows, claims: s.claim_of("s", 0) == claims[0],
    "wish": lambda s, rows, claims: s.wish("s", 0, "hold"),
    "wish of all": lambda s, rows, claims: s.wish("s", None, "pause"),
    "cancel": lambda s, rows, claims: s.cancel("s", 4),
    "cancel all": lambda s, rows, claims: s.cancel("s", None),
    "lead": lambda s, rows, claims: s.lead("s", "w"),
    "resign": lambda s, rows, claims: s.resign("s", "w"),
    "orders": lambda s, rows, claims: s.orders("s", "w"),
    "members": lambda s, rows, claims: [(m.worker, m.running) for m in s.members()],
    "elsewhere": lambda s, rows, claims: s.runs_elsewhere("s", "v"),
    "beat": lambda s, rows, claims: s.beat("w", 60.0),
    "beat anew": lambda s, rows, claims: s.beat("v", 60.0),
    "delete": lambda s, rows, claims: s.delete("s"),
}


def told(answer):
    """An answer without what differs from time to time: tokens, and the clock."""
    text = re.sub(r"'[0-9a-f]{32}'", "'token'", repr(answer))
    return re.sub(r"(started|finished)=\d+\.\d+", r"\1=then", text)


def held(store):
    """All that a store holds, without what differs from time to time."""
    kept = []
    for name in store.studies():
        for table, rows in store.dump(name):
            columns = TABLES[table]
            hidden = {*TIMES, "told_by", *(["ended"] if table == "attempt" else [])}
            kept += [
                (name, table, [v if c not in hidden or v is None else "…" for c, v in zip(columns, r, strict=True)])
                for r in rows
            ]
    claimed = [store.claim_of("s", n) is not None for n in range(9)] if "s" in store.studies() else []
    return kept, [(m.worker, m.running) for m in store.members()], claimed


def undisturbed(place, call):
    with closing(place.store()) as store:
        rows, claims = of_all_kinds(begun(store))
        found = told(call(store, rows, claims)), held(store)
    place.server.empty(place.schema)
    return found


@pytest.mark.parametrize("what", ["asked", "answered"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_which_something_is_lost_is_done_once(place, line, name, what):
    call = CALLS[name]
    expected = undisturbed(place, call)
    k = 0
    while line.lost == k:  # the k-th thing was lost; so there may be one more
        k += 1
        place.server.empty(place.schema)
        url = place.server.at(place.schema, line.port)
        with closing(open_store(parse_address(url))) as far, closing(place.store()) as near:
            rows, claims = of_all_kinds(begun(far))
            line.lose(what, k)
            answer = told(call(far, rows, claims))
            line.lose(None, 0)
            assert (answer, held(near)) == expected, f"{what} {k}"
            assert near.check() == []
    assert k > 1


CLAIMING = {"claim next": [], "claim": [3], "create": [6], "create many": [6, 7]}


@pytest.mark.parametrize("what", ["asked", "answered"])
@pytest.mark.parametrize("name", CLAIMING)
def test_what_is_claimed_without_an_answer_is_given_back(place, line, name, what, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 0.0)
    k, ready = 0, []
    while line.lost == k:
        k += 1
        place.server.empty(place.schema)
        url = place.server.at(place.schema, line.port)
        with closing(open_store(parse_address(url))) as far:
            rows, claims = of_all_kinds(begun(far))
            line.lose(what, k)
            line.blocked = True
            try:
                CALLS[name](far, rows, claims)
            except StoreAway:
                line.blocked = False
                far.studies()
                assert running_now(far) == [0, 4]
                ready.append(sorted(n for n, found in everything(far)[0].items() if found.ready))
                assert [claim_next(far, "s", "w")[1].number for _ in ready[-1]] == ready[-1]
                assert far.check() == []
            line.blocked = False
    assert ready[0] == [2, 5] or what == "answered"
    assert ready[-1] == sorted([2, 5, *CLAIMING[name]]) or what == "asked"


def running_now(store):
    return [n for n, found in everything(store)[0].items() if found.state == State.RUNNING]


def test_a_call_that_still_waits_in_the_server_when_the_line_is_cut_is_not_done_twice(far, place, line):
    import psycopg

    url = place.server.at(place.schema).replace(f"&schema={place.schema}", "")
    answers = []
    with psycopg.connect(url) as other:
        other.execute(f"SELECT 1 FROM {place.schema}.head FOR UPDATE")
        calls = [
            lambda: answers.append(far.create("s", [running(0)], "w")),
            lambda: answers.append(far.sync("s", 0).rev),
        ]
        thread = threading.Thread(target=lambda: [call() for call in calls])
        thread.start()
        _until(lambda: _waiting(place) == 1)
        before = _backends(place)
        line.cut()
        _until(lambda: _waiting(place) == 1 and not before & _backends(place))
    thread.join()
    (rev, [claim]), after = answers
    assert rev == after == 2
    assert [found.state for found in everything(far)[0].values()] == [State.RUNNING]
    assert far.claim_of("s", 0) == claim


def _waiting(place):
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    return place.server.ask(asked, f"%{place.schema}.head%")[0][0]


def _backends(place):
    asked = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    return {pid for (pid,) in place.server.ask(asked, f"%{place.schema}.head%")}


def _until(holds):
    while not holds():
        time.sleep(0.01)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_after_the_server_ended_the_session_goes_through(place, name):
    call = CALLS[name]
    expected, store = undisturbed(place, call), place.store()
    rows, claims = of_all_kinds(begun(store))
    end_session(place, store)
    assert (told(call(store, rows, claims)), held(store)) == expected


def end_session(place, store):
    pid = store._connection._link.session[0]
    assert place.server.ask("SELECT pg_terminate_backend(%s, 5000)", pid) == [(True,)]


def test_a_dump_that_is_cut_off_says_so_and_can_be_taken_again(far, line):
    of_all_kinds(far)
    expected = list(far.dump("s"))
    pages = far.dump("s")
    next(pages)
    line.cut()
    with pytest.raises(StoreAway, match="is away"):
        list(pages)
    assert list(far.dump("s")) == expected


@pytest.mark.parametrize("what", ["asked", "answered"])
def test_a_load_is_done_once_or_not_at_all(place, line, what):
    source = begun(place.store())
    of_all_kinds(source)
    pages = list(source.dump("s"))
    k, loaded = 0, []
    while line.lost == k:
        k += 1
        place.server.empty(place.schema)
        url = place.server.at(place.schema, line.port)
        with closing(open_store(parse_address(url))) as far, closing(place.store()) as near:
            line.lose(what, k)
            try:
                far.load("s", pages)
            except StoreAway:
                assert near.studies() == []
            else:
                assert list(near.dump("s")) == pages
                loaded.append(k)
            line.lose(None, 0)
            assert far.studies() == near.studies()
    assert k in loaded, "nothing was lost"
    assert len(loaded) > 1 or what == "asked"


def test_a_line_that_is_dead_is_told(far, line, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 0.1)
    line.blocked = True
    line.cut()
    with pytest.raises(StoreAway, match=r"postgresql://postgres@127\.0\.0\.1:\d+/postgres\?schema=t\d+ .*What was ack"):
        far.studies()
    line.blocked = False
    assert far.studies() == ["s"]


def test_a_store_that_was_away_for_a_while_goes_on(far, line):
    line.blocked = True
    line.cut()
    threading.Timer(0.5, lambda: setattr(line, "blocked", False)).start()
    assert started(far)[1].number == 0


def test_a_store_that_is_closed_without_its_server_says_so(far, place, line, monkeypatch):
    monkeypatch.setattr(postgres_connection, "PATIENCE", 0.1)
    far.beat("w", -1.0)
    started(far)
    line.blocked = True
    line.cut()
    with pytest.raises(StoreAway):
        far.close("w")
    with pytest.raises(StoreError, match="was closed"):
        far.studies()
    assert place.store().reap() == 1, "its lease is over"
    assert Path(place.server.socket).exists()
