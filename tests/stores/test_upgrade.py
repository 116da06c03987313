"""Files of every earlier version are read and go on; what they were is kept; a newer file is refused."""

import json
import sqlite3
import subprocess
from contextlib import closing

import pytest
from contract import FORM, SPACE, claim_next, done, everything, known, reported, running
from older import WHY, older

import tuneful as tn
from tuneful.errors import StoreError, StoreFull
from tuneful.history import Moment, Report, State
from tuneful.stores import SqliteStore, schema

OLDER = range(1, schema.VERSION)


@pytest.fixture(params=OLDER, ids="version {}".format)
def version(request):
    return request.param


@pytest.fixture
def path(tmp_path, version):
    older(tmp_path / "old.db", version)
    return tmp_path / "old.db"


def version_of(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def test_all_of_an_older_file_is_read(path, version):
    with closing(SqliteStore(path)) as store:
        assert store.study("s").form == FORM
        assert store.spaces("s") == [(0, SPACE)]
        rows, reports = everything(store)
        assert reports == [(8, Report(1, 1, {"value": 0.75}))]
        assert [(r.number, r.state, r.config, r.rev) for r in rows.values()] == [
            (0, State.DONE, {"x": 0.1}, 6),
            (1, State.RUNNING, {"x": 0.2}, 8),
            (2, State.QUEUED, {"x": 0.3}, 9),
        ]
        assert (rows[0].values, rows[0].curve) == ({"value": 0.25}, {"value": ([1, 2], [0.5, 0.25])})
        assert (rows[0].why, rows[0].cost, rows[0].started, rows[0].finished) == (json.loads(WHY), 0.5, 1.0, 2.0)
        assert (rows[1].until, rows[1].step, rows[1].attempt, rows[1].saved, rows[1].seen) == (27, 1, 2, (1, 1), 3)
        assert {(found.wish, found.ready) for found in rows.values()} == {(None, False)}
        if version == 1:
            assert {(tuple(r.revs), r.past, r.proposed, r.limits) for r in rows.values()} == {
                ((), (), None, (None, None))
            }
        else:
            assert (rows[0].revs, rows[0].proposed, rows[0].limits) == ([3], (0, {"x": 0.5}), (50, None))
            assert rows[1].limits == (50, 900)
            assert rows[1].past[1] == Moment(6, State.PAUSED, 9, 1, 1, 0.25, 3)
            assert [moment.rev for moment in rows[1].past] == [4, 6, 7]
        assert store.sync("s", 0).wish is store.sync("s", 0).leader is None
        [member] = store.members()
        assert (member.worker, member.version, member.running) == ("w", "", [("s", 1)])


def test_an_older_file_goes_on(path):
    with closing(SqliteStore(path)) as store:
        assert store.beat("w2", 60.0)
        rev, claim = store.claim("s", known(store, 2), "w2")
        made = known(store, 2)
        assert store.finish("s", claim, done(made, curve={"value": ([1], [1.0])}, revs=[rev])) == rev + 1
        assert known(store, 2).revs == [rev]
        assert store.reap() == 1
        _, second, again = claim_next(store, "s", "w2")
        assert (second.number, second.attempt, again.until) == (1, 3, 27)
        assert store.report("s", second, again, [reported(1, 2)]) is not None
        assert store.create("s", [running(3)], "w2") is not None
        assert store.lead("s", "w2")
        assert store.cancel("s", None) == 2
    with closing(SqliteStore(path)) as store:
        assert [found.state for _, found in sorted(everything(store)[0].items())] == [
            *(State.DONE, State.CANCELLED, State.DONE, State.CANCELLED)
        ]
    assert version_of(path) == schema.VERSION


def test_the_points_of_an_older_file_became_known_when_it_says(path, version):
    with closing(tn.open_study(f"{path}#s")) as study:
        curve = study.history.curves["value"]
        first = 6 if version == 1 else 3
        points = zip(curve.trial.tolist(), curve.step.tolist(), curve.rev.tolist(), strict=True)
        assert sorted(points) == [(0, 1, first), (0, 2, 6), (1, 1, 8)]
        assert len(study.history.as_of(5).curve(0)[0]) == min(version, 2) - 1


def test_the_file_as_it_was_is_kept_beside_it(path, version):
    SqliteStore(path).close()
    kept = path.with_name(f"old.db.v{version}.bak")
    assert sorted(each.name for each in path.parent.iterdir() if "lock" not in each.name) == ["old.db", kept.name]
    assert (version_of(kept), version_of(path)) == (version, schema.VERSION)
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT rev FROM trial ORDER BY number").fetchall() == [(6,), (8,), (9,)]
    before = kept.read_bytes()
    SqliteStore(path).close()
    assert kept.read_bytes() == before
    with closing(SqliteStore(kept)) as store:
        assert len(everything(store)[0]) == 3


def test_what_is_left_of_an_upgrade_that_broke_off_is_in_nobodys_way(path, version):
    for name in (f"old.db.v{version}.bak", f"old.db.v{version}.bak.part"):
        path.with_name(name).write_text("half a copy")
    with closing(SqliteStore(path)) as store:
        assert len(everything(store)[0]) == 3
    assert version_of(path.with_name(f"old.db.v{version}.bak")) == version


def test_a_file_of_which_no_copy_can_be_kept_is_not_upgraded(path, version):
    path.with_name(f"old.db.v{version}.bak").mkdir()
    with pytest.raises(
        StoreError, match=rf"old\.db was not upgraded: no copy could be kept as old\.db\.v{version}\.bak"
    ):
        SqliteStore(path)
    assert version_of(path) == version


def test_without_room_for_a_copy_a_file_is_not_upgraded(small, version):
    path = small / "old.db"
    older(path, version)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE study SET form = json_set(form, '$.note', ?)", ("n" * 300_000,))
        db.commit()
    with pytest.raises(StoreFull, match="Free some space"):
        SqliteStore(path)
    assert version_of(path) == version
    assert not list(small.glob("*.bak*"))
    subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
    with closing(SqliteStore(path)) as store:
        assert len(everything(store)[0]) == 3
    assert version_of(small / f"old.db.v{version}.bak") == version


def test_a_new_file_keeps_no_copy(tmp_path):
    SqliteStore(tmp_path / "new.db").close()
    (tmp_path / "empty.db").touch()
    SqliteStore(tmp_path / "empty.db").close()
    assert not list(tmp_path.glob("*.bak*"))


@pytest.mark.parametrize("code", schema.MIGRATIONS[1:])
def test_a_client_of_an_older_version_refuses_todays_file(tmp_path, monkeypatch, code):
    """As that client sees it: with the tables that it knows, and its own number."""
    number, newest = schema.MIGRATIONS.index(code), schema.VERSION
    SqliteStore(tmp_path / "new.db").close()
    before = (tmp_path / "new.db").read_bytes()
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:number])
    monkeypatch.setattr(schema, "VERSION", number)
    with pytest.raises(
        StoreError, match=rf"newer Tuneful \(format {newest}; this one reads up to {number}\). Install a newer"
    ):
        SqliteStore(tmp_path / "new.db")
    assert (tmp_path / "new.db").read_bytes() == before
