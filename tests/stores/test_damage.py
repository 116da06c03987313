"""Files that are broken, foreign, or in the wrong place: a clear StoreError, and never a wrong value."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest
from contract import begun, claim_next, done, everything, known, queued, reported, started

from tuneful import Study, TunefulError
from tuneful.errors import StoreError
from tuneful.stores import SqliteStore
from tuneful.stores.copying import back_up_file, copy_studies


def written(path, forget=True):
    """A file with a story of some length: (its bytes, those of its journal, all that was ever true of it)."""
    store = begun(SqliteStore(path))
    truths = [everything(store)]
    if forget:  # what follows is in the journal alone
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(12):
        made, claim = started(store, number, note={"text": "n" * 500})
        truths.append(everything(store))
        store.report("s", claim, made, [reported(number, 1, value=number / 7)])
        truths.append(everything(store))
        ended = done(made, number / 3, curve={"value": ([1], [number / 7])}, reported=True)
        store.finish("s", claim, queued(made) if number % 4 == 3 else ended)
        truths.append(everything(store))
    journal = path.with_name(f"{path.name}-wal").read_bytes()
    raw = path.read_bytes()
    store.close()
    return raw, journal, truths


def placed(folder, raw, journal=b""):
    """A file with such bytes, and nothing else around it."""
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    path = folder / "copy.db"
    path.write_bytes(raw)
    if journal:
        path.with_name("copy.db-wal").write_bytes(journal)
    return path


def read(path):
    """All that a file tells of study `s`, which then goes on; None if it is told to hold nothing."""
    with closing(SqliteStore(path)) as store:
        if not store.studies():
            return None
        found = everything(store)
        assert store.check() == []
        made, claim = started(store, len(found[0]))
        assert store.finish("s", claim, done(made, 0.5)) is not None
        assert known(store, made.number).values == {"value": 0.5}
        return found


def test_a_journal_cut_anywhere_loses_only_its_end(tmp_path, tmp_path_factory):
    raw, journal, truths = written(tmp_path_factory.mktemp("source") / "s.db")
    rng = random.Random(0)
    cuts = sorted({0, len(journal), *(rng.randrange(len(journal)) for _ in range(100))})
    found = [truths.index(read(placed(tmp_path, raw, journal[:cut]))) for cut in cuts]
    assert found == sorted(found), "the more is left, the more is known"
    assert (found[0], found[-1]) == (0, len(truths) - 1)
    assert len(set(found)) > 10


def test_a_flipped_bit_in_the_journal_loses_only_what_follows_it(tmp_path, tmp_path_factory):
    raw, journal, truths = written(tmp_path_factory.mktemp("source") / "s.db")
    rng = random.Random(0)
    found = set()
    for _ in range(100):
        found.add(truths.index(read(placed(tmp_path, raw, flipped(journal, rng, 1)))))
    assert len(found) > 10


@pytest.fixture
def whole(tmp_path_factory):
    """(The bytes of a file without a journal, what it holds.)"""
    path = tmp_path_factory.mktemp("source") / "s.db"
    truth = written(path, forget=False)[2][-1]
    return path.read_bytes(), truth


def test_a_truncated_file_is_refused_or_right(tmp_path, whole):
    raw, truth = whole
    rng = random.Random(0)
    pages = range(0, len(raw), 4096)
    refused = 0
    for cut in sorted(
        {2, 15, 16, 99, 100, 511, len(raw) - 1, *pages[1:], *(rng.randrange(2, len(raw)) for _ in range(40))}
    ):
        try:
            assert read(placed(tmp_path, raw[:cut])) == truth
        except StoreError as error:
            assert "copy.db" in str(error)
            refused += 1
    assert refused > 40
    assert read(placed(tmp_path, raw)) == truth


@pytest.mark.parametrize("rest", [b"", b"S"])  # SQLite itself takes one byte for nothing
def test_a_file_cut_to_nothing_is_a_new_one(tmp_path, rest):
    assert read(placed(tmp_path, rest)) is None


def flipped(raw, rng, count):
    """Bytes with some bits turned over."""
    other = bytearray(raw)
    for _ in range(count):
        other[rng.randrange(len(other))] ^= 1 << rng.randrange(8)
    return bytes(other)


def test_a_file_with_flipped_bits_opens_or_is_refused(tmp_path, whole):
    raw, _ = whole
    rng = random.Random(0)
    refused = 0
    for _ in range(150):
        try:
            Study(study=f"{placed(tmp_path, flipped(raw, rng, rng.choice([1, 4, 16])))}#s").close()
        except TunefulError:
            refused += 1
    assert 20 < refused < 150


def test_what_a_flipped_bit_changes_in_a_file_is_found_or_is_in_a_value(tmp_path, whole):
    """SQLite keeps no sums of its pages; but what holds them together is checked, and all JSON is read."""
    raw, truth = whole
    rng = random.Random(0)
    named = right = 0
    for _ in range(150):
        path = placed(tmp_path, flipped(raw, rng, 1))
        try:
            with closing(SqliteStore(path)) as store:
                found = store.check()
                named += bool(found)
                right += not found and everything(store) == truth
        except StoreError as error:
            assert "copy.db" in str(error)
            named += 1
    assert named > 5
    assert right > 20


@pytest.mark.parametrize("count", [1, 4, 64])
def test_no_command_breaks_on_a_damaged_file(tmp_path, whole, count):
    raw, _ = whole
    rng = random.Random(count)
    for _ in range(40):
        path = placed(tmp_path, flipped(raw, rng, count))
        for use in (
            lambda: back_up_file(path, tmp_path / "kept.db"),
            lambda: tell_all(path),
            lambda: list(copied(path, tmp_path / "copied.db")),
        ):
            with contextlib.suppress(TunefulError):
                use()


def tell_all(path):
    with closing(SqliteStore(path)) as store:
        for name in store.studies():
            store.sync(name, 0)
            claim_next(store, name, "w")
            store.cancel(name, None)
            store.orders(name, "w")
        store.members()


def copied(path, target):
    with closing(SqliteStore(path)) as store, closing(SqliteStore(target)) as other:
        yield from copy_studies(store, other, {name: name for name in store.studies()})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (b"this is no database at all, but it is long enough to be one" * 10, "is not a database"),
        (b"short", "is not a database"),
        (b"\0" * 5000, "is not a database"),
        (b"PK\x03\x04" + os.urandom(3000), "is not a database"),
    ],
    ids=["text", "short", "zeros", "archive"],
)
def test_what_is_no_database_is_refused_and_left_alone(tmp_path, what, message):
    path = placed(tmp_path, what)
    with pytest.raises(StoreError, match=rf"copy\.db {message}.*(pass another file|Pass another file)"):
        SqliteStore(path)
    assert path.read_bytes() == what


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE studies (study_id INTEGER PRIMARY KEY)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"other\.db is a database of another program. Pass another file"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"no folder .*nowhere to put runs\.db in. Create it first"):
        SqliteStore(tmp_path / "nowhere" / "runs.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "runs.db").mkdir()
    with pytest.raises(StoreError, match=r"runs\.db cannot be written"):
        SqliteStore(tmp_path / "runs.db")


def test_a_name_that_the_system_refuses_is_named(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        SqliteStore(tmp_path / ("n" * 300))


@contextmanager
def read_only(folder):
    """`folder` so that nobody can write in it: by its rights, or for root, who may write anywhere, as a mount."""
    if os.geteuid():
        for each in [*folder.iterdir(), folder]:
            each.chmod(each.stat().st_mode & ~0o222)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    held = folder.with_name("held")
    folder.rename(held)
    folder.mkdir()
    if subprocess.run(["mount", "--bind", held, folder], capture_output=True, check=False).returncode:
        pytest.skip("root may write anywhere, and cannot mount anything here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_file_is_refused_with_advice(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    with closing(SqliteStore(folder / "runs.db")) as store:
        begun(store)
    with read_only(folder), pytest.raises(StoreError, match=r"runs\.db is read-only. Make it writable, or copy it"):
        SqliteStore(folder / "runs.db")


def test_a_read_only_folder_is_refused_with_advice(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    with read_only(folder), pytest.raises(StoreError, match=r"runs\.db cannot be written.*rights"):
        SqliteStore(folder / "runs.db")


def test_a_file_whose_rights_are_gone_while_it_is_open_says_so(tmp_path):
    with closing(SqliteStore(tmp_path / "runs.db")) as store:
        begun(store)
        for db in (store._connection._db,):
            db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match=r"runs\.db cannot be written .*Check the rights"):
            started(store)
