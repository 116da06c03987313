"""What is damaged in a store is found and named, and nothing else is."""

import sqlite3
from contextlib import closing

import pytest
from contract import begun, done, queued, reported, row, running, started
from storied import planned, storied

from tuneful.errors import StoreError
from tuneful.stores import MemoryStore, SqliteStore, checking

# Trials of the story: 0 enqueued, 1 runs, 2 done, 3 failed, 4 ready, 5 paused, 6 cancelled.
DAMAGE = {
    "UPDATE head SET next = next + 1": "the next trial is to be 8, but there are 7",
    "UPDATE head SET rev = 3": "trial 1 has revision 8, but the study has had 3",
    "UPDATE head SET wish = 'fly'": "nobody can want 'fly' of it",
    "UPDATE study SET form = '{'": "what is kept of the study itself cannot be read: JSONDecodeError",
    "DELETE FROM space WHERE version = 0": "space 1 comes where 0 should be",
    "DELETE FROM space": "it has no space",
    "UPDATE space SET rev = 99 WHERE version = 1": "space 1 has revision 99",
    "UPDATE space SET body = 'x' WHERE version = 1": "space 1 cannot be read",
    "DELETE FROM trial WHERE number = 4": "trial 5 comes where 4 should be",
    "UPDATE trial SET rev = (SELECT rev FROM trial WHERE number = 2) WHERE number = 3": "trials 2 and 3 have one revision",
    "UPDATE trial SET rev = 0 WHERE number = 4": "trial 4 has revision 0",
    "UPDATE trial SET ended = 0 WHERE number = 2": "trial 2 is done, and has ended at revision 0",
    "UPDATE trial SET ended = 5 WHERE number = 4": "trial 4 is queued, and has ended at revision 5",
    "UPDATE trial SET ended = 99 WHERE number = 3": "trial 3 is failed, and has ended at revision 99",
    "UPDATE trial SET token = NULL WHERE number = 1": "trial 1 runs, but nobody holds it",
    "UPDATE trial SET token = 't' WHERE number = 2": "trial 2 is done, but somebody still holds it",
    "UPDATE trial SET state = 3, ended = rev WHERE number = 1": "trial 1 is done, but somebody still holds it",
    "UPDATE trial SET state = 9 WHERE number = 2": "trial 2 cannot be read: KeyError: 9",
    "UPDATE trial SET state = 'x' WHERE number = 2": "what it has in 'trial' is not what was written",
    "UPDATE trial SET config = '{\"x\":' WHERE number = 2": "trial 2 cannot be read: JSONDecodeError",
    "UPDATE trial SET metrics = 'x' WHERE number = 2": "trial 2 cannot be read: JSONDecodeError",
    "UPDATE trial SET curve = '{\"value\":1}' WHERE number = 2": "trial 2 cannot be read: TypeError",
    "UPDATE trial SET past = '[1,2]' WHERE number = 1": "trial 1 cannot be read: ValueError",
    "UPDATE trial SET proposed = '7' WHERE number = 3": "trial 3 cannot be read: TypeError",
    "UPDATE trial SET error = 'x' WHERE number = 3": "trial 3 cannot be read: JSONDecodeError",
    "UPDATE trial SET wish = 'fly' WHERE number = 5": "nobody can want 'fly' of trial 5",
    "UPDATE report SET trial = trial + 1": "there is a report of trial 2, which is done",
    "UPDATE report SET trial = trial + 50": "there is a report of trial 51, which is not there",
    "UPDATE report SET trial = trial + 51": "A row of 'report' belongs to nothing in 'trial'",
    "UPDATE report SET rev = 99 WHERE step = 2": "the report of trial 1 at step 2 has revision 99",
    "UPDATE report SET metrics = '{' WHERE step = 2": "the report of trial 1 at step 2 cannot be read",
    "UPDATE attempt SET error = '{' WHERE why = 'error'": "attempt 1 of trial 3 cannot be read",
    "UPDATE attempt SET trial = trial + 50": "there is an attempt of trial 51, which is not there",
    "UPDATE trial SET config = CAST(x'ff' AS TEXT) WHERE number = 2": "The file is damaged",
}


def damaged(path, *statements):
    """What a check says of a file after such statements."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
    with closing(SqliteStore(path)) as store:
        return store.check()


@pytest.fixture
def path(tmp_path):
    with closing(SqliteStore(tmp_path / "runs.db")) as store:
        storied(store)
        store._slots.clear()  # so that closing leaves trial 1 running
    return tmp_path / "runs.db"


def test_nothing_is_wrong_with_a_store_in_which_all_has_happened(place):
    store = place.store()
    assert store.check() == []
    storied(store)
    store.open("t", {}, {}, None)
    assert store.check() == []
    store.load("copy", (page for page in store.dump("t")))
    store.delete("s")
    assert store.check() == []


def test_nothing_is_wrong_while_others_write(shared):
    store, other = begun(shared.store()), shared.store()
    for number in range(20):
        made, claim = started(other, number)
        assert store.check() == []
        other.report("s", claim, made, [reported(number, 1)])
        assert store.check() == []
        other.finish("s", claim, queued(made) if number % 3 else done(made))
    assert store.check() == []


def test_a_trial_that_was_loaded_running_is_found(place):
    store = begun(place.store())
    store.create("s", [running(0), planned(1)], "w")
    store.load("t", store.dump("s"))
    found = store.check()
    assert found == ["Study 't': trial 0 runs, but nobody holds it."]
    store.cancel("t", 0)
    assert store.check() == []


def test_what_somebody_reported_of_a_trial_that_another_ended_is_gone(place):
    store = begun(place.store())
    made, claim = started(store)
    store.report("s", claim, made, [reported(0, 1)])
    store.finish("s", claim, done(made, reported=False))
    assert store.check() == []
    assert "report" not in dict(store.dump("s"))


@pytest.mark.parametrize("statement", DAMAGE)
def test_what_is_damaged_is_named(path, statement):
    found = damaged(path, statement)
    assert any(DAMAGE[statement] in sentence for sentence in found), found
    assert all(sentence.startswith(("Study 's': ", "A row of ", "The file is damaged")) for sentence in found)


def test_everything_that_is_damaged_is_named(path):
    wrong = ["UPDATE head SET next = 3", "UPDATE trial SET token = NULL", "UPDATE space SET body = 'x'"]
    found = damaged(path, *wrong)
    assert len(found) == 4
    assert found[0] == "Study 's': trial 1 runs, but nobody holds it."


def test_a_damaged_study_is_told_from_others(path):
    with closing(SqliteStore(path)) as store:
        store.load("t", store.dump("s"))
        store.cancel("t", None)
    [found] = damaged(path, "UPDATE head SET next = 9 WHERE study = (SELECT id FROM study WHERE name = 't')")
    assert found.startswith("Study 't': ")


def test_a_damaged_page_is_named(path):
    assert damaged(path) == []
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trial_feed'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    raw = bytearray(path.read_bytes())
    raw[root * size - 4] ^= 1  # in the first entry of an index
    path.write_bytes(raw)
    found = damaged(path)
    assert any(sentence.startswith("The file is damaged: ") for sentence in found)


def test_a_file_that_cannot_be_read_to_its_end_says_so(path):
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 4096 // 2 * 4096])
    try:
        found = damaged(path)
    except (StoreError, sqlite3.DatabaseError):
        return  # so damaged that it does not open
    assert any("damaged" in sentence for sentence in found)


def test_of_very_many_findings_the_first_are_told(path):
    with closing(SqliteStore(path)) as store:
        store.open("t", {}, {}, None)
        store.create("t", [row(n) for n in range(500)], None)
    found = damaged(path, "UPDATE trial SET rev = 0")
    assert (len(found), found[-1]) == (checking._MOST + 1, "There is more.")


def test_what_is_wrong_in_memory_is_found_too():
    store = storied(MemoryStore())
    store._studies["s"].trials[2].row.ended = 0
    assert store.check() == ["Study 's': trial 2 is done, and has ended at revision 0 of 10."]


def test_checking_changes_nothing(path):
    with closing(SqliteStore(path)) as store:
        before = list(store.dump("s"))
        assert store.check() == []
        assert list(store.dump("s")) == before
