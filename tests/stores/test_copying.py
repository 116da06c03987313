"""Studies go from any store to any other and lose nothing; a file that is in use is kept whole."""

import sqlite3
from contextlib import closing

import pytest
from contract import FORM, PLACES, begun, claim_next, done, everything, known, process, row, running, started
from storied import planned, storied

from tuneful.errors import StoreError, StoreFull, StudyError, StudyNotFound
from tuneful.history import State
from tuneful.stores import SqliteStore
from tuneful.stores.copying import Copied, back_up_file, back_up_studies, copy_studies
from tuneful.stores.tables import TABLES


@pytest.fixture
def there(tmp_path):
    with closing(SqliteStore(tmp_path / "there.db")) as made:
        yield made


@pytest.fixture
def path(tmp_path):
    """A file that is in use."""
    with closing(SqliteStore(tmp_path / "runs.db")) as store:
        storied(store)
        yield tmp_path / "runs.db"


def copied(source, target, **names):
    return list(copy_studies(source, target, names))


def test_a_copy_differs_only_in_that_nothing_runs(place, there):
    store = storied(place.store())
    assert copied(store, there, s="t") == [Copied("t", 7, 1)]
    state = TABLES["trial"].index("state")
    expected = [
        (table, [(*r[:state], 0, *r[state + 1 :]) if table == "trial" and r[0] == 1 else r for r in rows])
        for table, rows in store.dump("s")
    ]
    assert list(there.dump("t")) == expected
    assert there.check() == []
    assert known(store, 1).state == State.RUNNING


def test_what_ran_goes_on_in_the_copy(place, there):
    store = begun(place.store())
    _, claim = started(store, until=9)
    store.create("s", [row(1), planned(2)], None)
    copied(store, there, s="s")
    assert [found.ready for _, found in sorted(everything(there)[0].items())] == [True, False, True]
    _, again, found = claim_next(there, "s", "w")
    assert (again.number, again.attempt, found.until) == (0, 2, 9)
    assert there.finish("s", claim, done(found)) is None
    assert there.finish("s", again, done(found)) is not None
    assert store.finish("s", claim, done(running(0))) is not None


@pytest.mark.parametrize("kind", PLACES)
def test_a_study_goes_to_any_place_and_back(path, tmp_path, there, kind):
    with PLACES[kind](tmp_path) as place, closing(SqliteStore(path)) as store:
        middle = place.store()
        copied(store, middle, s="m")
        copied(middle, there, m="s")
        copied(store, there, s="direct")
        assert list(there.dump("s")) == list(there.dump("direct"))


def test_studies_are_copied_under_their_names_or_others(place, there):
    store = place.store()
    for name in "abc":
        store.open(name, FORM, {}, {"x": name})
    assert [each.name for each in copied(store, there, a="a", c="d")] == ["a", "d"]
    assert sorted(there.studies()) == ["a", "d"]
    assert known_config(there, "d") == {"x": "c"}


def known_config(store, name):
    return everything(store, name)[0][0].config


def test_a_copy_within_one_store_is_another_study(place):
    store = storied(place.store())
    copied(store, store, s="t")
    store.cancel("t", None)
    assert known(store, 1).state == State.RUNNING
    assert store.study("t").form == FORM


def test_before_anything_is_copied_all_names_are_checked(place, there):
    store = storied(place.store())
    store.open("t", FORM, {}, None)
    there.open("t", FORM, {}, None)
    with pytest.raises(StudyError, match="'t' there already. Nothing was copied"):
        copied(store, there, s="s", t="t")
    with pytest.raises(StudyNotFound, match="no study 'missing'. There are: s, t"):
        copied(store, there, s="s", missing="m")
    assert there.studies() == ["t"]


def test_a_live_file_is_backed_up_as_it_is(path, tmp_path):
    target = tmp_path / "kept.db"
    with closing(SqliteStore(path)) as store:
        before = list(store.dump("s"))
        back_up_file(path, target)
        store.cancel("s", None)
    with closing(SqliteStore(target)) as kept:
        assert list(kept.dump("s")) == before
        assert kept.check() == []
    assert not list(tmp_path.glob("*.part"))


WRITER = """
store = SqliteStore(Path({path!r}))
tell(ready=True)
for number in range({first}, 100_000):
    made = Row(number, {{"x": number}}, state=State.RUNNING, attempt=1)
    _, [claim] = store.create("t", [made], None)
    made.state, made.values = State.DONE, {{"value": float(number)}}
    store.finish("t", claim, Outcome(made))
"""


def test_a_file_is_backed_up_while_another_process_writes_to_it(path, tmp_path):
    with closing(SqliteStore(path)) as store:
        store.open("t", {}, {}, None)
        with process(WRITER.format(path=str(path), first=0)) as other:
            assert other.stdout.readline()
            found = 0
            for round_ in range(5):
                while len(everything(store, "t")[0]) <= found:
                    assert other.poll() is None
                target = tmp_path / f"{round_}.db"
                back_up_file(path, target)
                with closing(SqliteStore(target)) as kept:
                    assert kept.check() == []
                    rows, _ = everything(kept, "t")
                    assert all(r.state != State.DONE or r.values == {"value": float(n)} for n, r in rows.items())
                    assert len(rows) > found
                    found = len(rows)


def test_an_older_file_is_backed_up_without_being_upgraded(path, tmp_path):
    with closing(SqliteStore(path)):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    back_up_file(path, tmp_path / "kept.db")
    for each in (path, tmp_path / "kept.db"):
        with closing(sqlite3.connect(each)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_studies_of_any_store_are_backed_up_to_a_file(place, tmp_path):
    store = storied(place.store())
    store.open("t", FORM, {}, {"x": 0.5})
    target = tmp_path / "kept.sqlite"
    assert back_up_studies(store, target) == [Copied("s", 7, 1), Copied("t", 1, 0)]
    with closing(SqliteStore(target)) as kept:
        assert kept.studies() == ["s", "t"]
        assert kept.check() == []
        assert [table for table, _ in kept.dump("s")] == [table for table, _ in store.dump("s")]
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_overwrites_nothing(path, tmp_path):
    target = tmp_path / "kept.db"
    target.write_text("dear to me")
    with pytest.raises(StoreError, match=r"kept\.db is there already, and was not touched. Name a new file"):
        back_up_file(path, target)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError, match="there already"):
        back_up_studies(store, target)
    assert target.read_text() == "dear to me"


class BrokenOffError(Exception):
    """Raised in the midst of a copy."""


def test_a_backup_that_breaks_off_leaves_nothing_behind(path, tmp_path, monkeypatch):
    with closing(SqliteStore(path)) as store:
        store.open("t", FORM, {}, None)
        dump = store.dump

        def broken(name):
            if name == "t":
                raise BrokenOffError
            return dump(name)

        monkeypatch.setattr(store, "dump", broken)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(BrokenOffError):
            back_up_studies(store, tmp_path / "kept.db")
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("what", [b"this is no database at all" * 50, b""])
def test_what_is_no_store_is_not_backed_up(tmp_path, what):
    (tmp_path / "other").write_bytes(what)
    with pytest.raises(StoreError, match="other is (not a database|no store)"):
        back_up_file(tmp_path / "other", tmp_path / "kept.db")
    assert [each.name for each in tmp_path.iterdir()] == ["other"]


def test_another_programs_database_is_not_backed_up(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        db.execute("CREATE TABLE studies (id INTEGER)")
    with pytest.raises(StoreError, match="other is no store of Tuneful's"):
        back_up_file(tmp_path / "other", tmp_path / "kept.db")


def test_a_file_that_is_not_there_is_not_made_by_backing_it_up(tmp_path):
    with pytest.raises(StoreError, match="missing"):
        back_up_file(tmp_path / "missing.db", tmp_path / "kept.db")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_into_a_missing_folder_is_refused(path, tmp_path):
    with pytest.raises(StoreError, match=r"cannot be written|nowhere"):
        back_up_file(path, tmp_path / "nowhere" / "kept.db")
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError, match="no folder .*nowhere"):
        back_up_studies(store, tmp_path / "nowhere" / "kept.db")


def test_a_backup_on_a_full_disk_says_so_and_leaves_nothing(path, small):
    with closing(SqliteStore(path)) as store:
        store.open("big", {}, {}, None)
        store.create("big", [row(n, note={"text": "n" * 3000}) for n in range(300)], None)
        with pytest.raises(StoreFull, match=r"kept\.db cannot grow. Free some space"):
            back_up_file(path, small / "kept.db")
        assert list(small.iterdir()) == []
        with pytest.raises(StoreFull, match="Free some space"):
            back_up_studies(store, small / "kept.db")
    assert list(small.iterdir()) == []
