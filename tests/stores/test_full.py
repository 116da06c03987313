"""A full disk: what was acknowledged is kept, and the same process goes on when there is space."""

import subprocess
from contextlib import closing, contextmanager

import pytest
from contract import FORM, begun, claim_next, done, everything, known, queued, reported, row, running, started
from storied import planned

from tuneful.errors import StoreError, StoreFull
from tuneful.history import State
from tuneful.stores import SqliteStore
from tuneful.stores.codec import dumps


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "runs.db")) as made:
        yield begun(made)


@contextmanager
def full(store):
    """No more room for `store`, as SQLite is told it."""
    db = store._connection._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        db.execute("PRAGMA max_page_count = 1073741823")


LONG = {"text": "n" * 20_000}


def test_what_cannot_be_written_is_told_and_leaves_no_trace(store):
    made, claim = started(store)
    store.create("s", [row(1), planned(2)], None)
    store.wish("s", 2, "hold")
    dump = list(store.dump("s"))
    longer = [*dump[:2], ("space", [(0, 1, dumps(LONG))]), *dump[3:]]
    before = everything(store)
    waiting = before[0][1]
    calls = {
        "open": lambda: store.open("t", FORM, LONG, None),
        "load": lambda: store.load("loaded", longer) or True,
        "create": lambda: store.create("s", [running(3, note=LONG), running(4)], "w"),
        "report": lambda: store.report("s", claim, made, [reported(0, s, **{f"m{s}": 0.1}) for s in range(500)]),
        "finish": lambda: store.finish("s", claim, done(made, curve={"value": (list(range(9000)), [0.1] * 9000)})),
        "grow": lambda: store.grow("s", 1, LONG),
    }
    with full(store):
        for call in calls.values():
            with pytest.raises(StoreFull, match=r"disk is full: .*runs\.db cannot grow. Free some space"):
                call()
            assert everything(store) == before
            assert store.studies() == ["s"]
        assert store.claim("s", waiting, "w") is not None, "what fits is written"
        assert store.wish("s", 2, None)
        assert claim_next(store, "s", "w")[1].number == 2
        assert store.cancel("s", 2) == 1
        assert store.check() == []
    for call in calls.values():
        assert call() is not None
    assert known(store).state == State.DONE
    assert sorted(everything(store)[0]) == [0, 1, 2, 3, 4]
    assert sorted(store.studies()) == ["loaded", "s", "t"]
    assert store.check() == ["Study 'loaded': trial 0 runs, but nobody holds it."]


def test_on_a_disk_that_is_full_nothing_acknowledged_is_lost(small):
    with closing(SqliteStore(small / "runs.db")) as store:
        begun(store)
        told = fill(store)
        with closing(SqliteStore(small / "runs.db")) as other:
            assert values(other) == told
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        fill(store, told, len(everything(store)[0]) + 40)
        assert values(store) == told
        for number, found in everything(store)[0].items():
            if found.state == State.RUNNING:
                store.finish("s", store.claim_of("s", number), queued(found))
        assert len(told) >= 40
    with closing(SqliteStore(small / "runs.db")) as again:
        assert values(again) == told
        assert again.check() == []


def values(store):
    return {number: found.values["value"] for number, found in everything(store)[0].items() if found.state.final}


def fill(store, told=None, upto=100_000):
    """Run trials until nothing more can be written, or until so many; what was acknowledged."""
    told = {} if told is None else told
    number = len(everything(store)[0])
    try:
        while number < upto:
            made, claim = started(store, number, note={"text": "n" * 3000})
            number += 1
            assert store.finish("s", claim, done(made, number / 7)) is not None
            told[claim.number] = number / 7
    except StoreFull as error:
        assert "Free some space" in str(error)
    return told


def test_a_new_file_on_a_full_disk_is_refused_and_possible_later(small):
    (small / "other").write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="No space"), (small / "other").open("ab", buffering=0) as other:
        while True:
            other.write(b"x" * 4096)
    with pytest.raises(StoreError, match=r"runs\.db"):
        SqliteStore(small / "runs.db")
    (small / "other").unlink()
    with closing(SqliteStore(small / "runs.db")) as store:
        begun(store)
        assert store.studies() == ["s"]
