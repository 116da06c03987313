"""A full disk: what was acknowledged is kept, and the same process goes on when there is space."""

import os
import subprocess
from contextlib import closing, contextmanager

import pytest
from contract import FORM, begun, done, everything, known, queued, reported, row, running, started

from tuneful.errors import StoreError, StoreFull
from tuneful.history import State
from tuneful.stores import SqliteStore


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "runs.db")) as made:
        yield begun(made)


@contextmanager
def full(store):
    """No more room for `store`, as SQLite is told it."""
    pair = store._connection._pair
    for db in pair:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        for db in pair:
            db.execute("PRAGMA max_page_count = 1073741823")


LONG = {"text": "n" * 20_000}


def test_what_cannot_be_written_is_told_and_leaves_no_trace(store):
    made, claim = started(store)
    store.create("s", [row(1)], None)
    before = everything(store)
    waiting = before[0][1]
    calls = {
        "open": lambda: store.open("t", FORM, LONG, None),
        "create": lambda: store.create("s", [running(2, note=LONG), running(3)], "w"),
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
    for call in calls.values():
        assert call() is not None
    assert known(store).state == State.DONE
    assert sorted(everything(store)[0]) == [0, 1, 2, 3]


@pytest.fixture
def small(tmp_path):
    """A disk of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only who may mount can have a disk that is really full")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


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
        assert again._connection._pair[0].execute("PRAGMA integrity_check").fetchone() == ("ok",)


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
