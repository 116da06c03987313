"""`tuneful db`: what it does, what it says, how it exits."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from contract import FORM, PLACES, everything, row, started
from older import older
from storied import storied

import tuneful
from tuneful.cli.main import main
from tuneful.history import State
from tuneful.stores import SqliteStore


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(folder):
    """A file `runs.db` of two studies; trial 1 of `s` runs."""
    with closing(SqliteStore(folder / "runs.db")) as store:
        storied(store)
        store.open("digits", FORM, {}, {"x": 0.5})
        store._slots.clear()  # so that closing leaves trial 1 running
    return folder / "runs.db"


@pytest.fixture
def said(capsys):
    """What a command says: (exit code, lines on stdout, lines on stderr)."""

    def run(*argv):
        capsys.readouterr()
        try:
            code = main(list(map(str, argv)))
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def python(*argv, **options):
    command = [sys.executable, "-m", "tuneful", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


# The command itself


def test_the_package_runs_as_a_command(runs, folder):
    found = python("db", "check", "runs.db", cwd=folder)
    assert (found.returncode, found.stdout, found.stderr) == (0, "runs.db: 2 studies, all is well.\n", "")
    found = python("db", "check", "missing.db", cwd=folder)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "There is no file missing.db.\n")
    found = python("db", "fly", cwd=folder)
    assert (found.returncode, found.stdout) == (2, "")
    assert "invalid choice: 'fly'" in found.stderr


def test_the_version_is_told(said):
    assert said("--version") == (0, [f"tuneful {tuneful.__version__}"], [])


@pytest.mark.parametrize("argv", [[], ["db"], ["db", "check"], ["db", "copy", "a.db"], ["db", "backup", "a.db"]])
def test_half_a_command_is_refused(said, argv):
    code, out, err = said(*argv)
    assert (code, out) == (2, [])
    assert err[0].startswith("usage: tuneful")


@pytest.mark.parametrize("argv", [["--help"], ["db", "--help"], ["db", "copy", "--help"]])
def test_help_is_given(said, argv):
    code, out, _ = said(*argv)
    assert code == 0
    assert out[0].startswith("usage: tuneful")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://me:hunter2@host/db", "a study lives in a file"),
        (":memory:", "names no file"),
        ("runs.db#s", "runs.db#s is one study of a store; leave out #s"),
        ("runs.db#runs", "leave out #runs"),
    ],
)
@pytest.mark.parametrize("command", [["check"], ["upgrade"], ["backup", "to.db"]])
def test_what_is_no_store_is_refused(said, runs, command, address, message):
    code, out, err = said("db", command[0], address, *command[1:])
    assert (code, out) == (2, [])
    assert message in err[-1]
    assert "hunter2" not in "".join(err)


@pytest.mark.parametrize("command", [["check"], ["upgrade"], ["backup", "to.db"], ["copy", "to.db"]])
def test_a_file_that_is_not_there_is_named_and_not_made(said, folder, command):
    found = said("db", command[0], "missing.db", *command[1:])
    assert found == (1, [], ["There is no file missing.db."])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [["check"], ["upgrade"], ["backup", "to.db"], ["copy", "to.db"]])
def test_what_is_no_database_is_named_and_left_alone(said, folder, command):
    (folder / "notes.db").write_text("nothing but text" * 99)
    code, out, [message] = said("db", command[0], "notes.db", *command[1:])
    assert (code, out) == (1, [])
    assert "notes.db is not a database, or is damaged" in message
    assert (folder / "notes.db").read_text() == "nothing but text" * 99
    assert not (folder / "to.db").exists()


# Check


def test_a_store_in_order_is_well(said, runs):
    assert said("db", "check", "runs.db") == (0, ["runs.db: 2 studies, all is well."], [])


def test_findings_are_listed_and_are_an_exit_code(said, runs):
    with closing(sqlite3.connect(runs)) as db:
        db.execute("UPDATE head SET next = 9 WHERE study = 1")
        db.execute("UPDATE trial SET token = NULL")
        db.commit()
    assert said("db", "check", "runs.db") == (
        1,
        [
            "Study 's': trial 1 runs, but nobody holds it.",
            "Study 's': the next trial is to be 9, but there are 7.",
            "runs.db: 2 studies, 2 findings.",
        ],
        [],
    )


def test_a_damaged_file_is_told(said, runs):
    raw = bytearray(runs.read_bytes())
    raw[100:300] = b"\xff" * 200
    runs.write_bytes(raw)
    code, out, err = said("db", "check", "runs.db")
    assert code == 1
    assert "damaged" in "".join(out + err)


# Backup


def test_a_file_is_kept_while_it_is_in_use(said, runs, folder):
    (folder / "runs.db.checkpoints").mkdir()
    with closing(SqliteStore(runs)) as store:
        before = [list(store.dump(name)) for name in ("s", "digits")]
        assert said("db", "backup", "runs.db", "kept.db") == (
            0,
            ["runs.db is kept as kept.db.", "What trials saved is not in it, and stays in runs.db.checkpoints."],
            [],
        )
        started(store, 7)
    with closing(SqliteStore(folder / "kept.db")) as kept:
        assert [list(kept.dump(name)) for name in ("s", "digits")] == before


def test_a_backup_overwrites_nothing(said, runs, folder):
    (folder / "kept.db").write_text("dear to me")
    found = said("db", "backup", "runs.db", "kept.db")
    assert found == (1, [], ["kept.db is there already, and was not touched. Name a new file."])
    assert (folder / "kept.db").read_text() == "dear to me"


# Upgrade


def test_an_older_file_is_brought_up_to_date(said, folder):
    older(folder / "old.db", 2)
    line = "old.db is up to date now; as it was, it is kept as old.db.v2.bak."
    assert said("db", "upgrade", "old.db") == (0, [line], [])
    assert said("db", "upgrade", "old.db") == (0, ["old.db is up to date."], [])
    assert (folder / "old.db.v2.bak").exists()


def test_a_newer_file_is_refused(said, runs):
    with closing(sqlite3.connect(runs)) as db:
        db.execute("PRAGMA user_version = 99")
    code, out, [message] = said("db", "upgrade", "runs.db")
    assert (code, out) == (1, [])
    assert "written by a newer Tuneful (format 99" in message


# Copy


def test_all_studies_are_copied(said, runs, folder):
    assert said("db", "copy", "runs.db", "other.db") == (
        0,
        [
            "s: 7 trials copied; 1 of them ran, and are queued in the copy.",
            "digits: 1 trials copied.",
        ],
        [],
    )
    with closing(SqliteStore(folder / "other.db")) as other:
        assert other.check() == []
        assert other.studies() == ["s", "digits"]
        assert everything(other)[0][1].state == State.QUEUED


def test_one_study_is_copied_under_its_name_or_another(said, runs, folder):
    assert said("db", "copy", "runs.db#digits", "other.db") == (0, ["digits: 1 trials copied."], [])
    assert said("db", "copy", "runs.db#digits", "other.db#数字") == (0, ["数字: 1 trials copied."], [])
    assert said("db", "copy", "runs.db#digits", "runs.db#again") == (0, ["again: 1 trials copied."], [])
    with closing(SqliteStore(folder / "other.db")) as other:
        assert sorted(other.studies()) == ["digits", "数字"]


def test_a_name_that_is_taken_is_refused(said, runs, folder):
    said("db", "copy", "runs.db#s", "other.db")
    code, out, [message] = said("db", "copy", "runs.db", "other.db")
    assert (code, out) == (1, [])
    assert message == "There is a study 's' there already. Nothing was copied; give it another name."
    with closing(SqliteStore(folder / "other.db")) as other:
        assert other.studies() == ["s"]


def test_a_study_that_is_not_there_is_named(said, runs, folder):
    code, out, [message] = said("db", "copy", "runs.db#missing", "other.db")
    assert (code, out) == (1, [])
    assert message == "There is no study 'missing'. There are: s, digits."
    assert not (folder / "other.db").exists()


def test_several_studies_cannot_have_one_name(said, runs, folder):
    code, out, err = said("db", "copy", "runs.db", "other.db#one")
    assert (code, out) == (2, [])
    assert "runs.db holds 2 studies, which cannot all be called 'one'" in err[-1]


def test_a_target_that_cannot_be_written_is_named(said, runs, folder):
    code, out, [message] = said("db", "copy", "runs.db", "nowhere/other.db")
    assert (code, out) == (1, [])
    assert "nowhere to put other.db in. Create it first." in message


def test_a_copy_goes_on_where_the_study_was(said, runs, folder):
    said("db", "copy", "runs.db#digits", "other.db")
    with closing(SqliteStore(folder / "other.db")) as other:
        assert other.create("digits", [row(1)], None) is not None


# Databases


@pytest.fixture
def database(folder):
    """The URL of a database, with two studies; trial 1 of `s` runs."""
    with PLACES["postgres"](folder) as place:
        store = storied(place.store())
        store.open("digits", FORM, {}, {"x": 0.5})
        yield place.url


def test_a_database_in_order_is_well(said, database):
    code, [line], err = said("db", "check", database)
    assert (code, err) == (0, [])
    assert line.endswith(": 2 studies, all is well.")


def test_a_database_is_kept_in_a_file(said, database, folder):
    code, [line], err = said("db", "backup", database, "kept.db")
    assert (code, err) == (0, [])
    assert line.startswith("2 studies of postgresql://")
    assert line.endswith(" are kept in kept.db.")
    assert said("db", "check", "kept.db") == (0, ["kept.db: 2 studies, all is well."], [])
    code, out, _ = said("db", "backup", database, "kept.db")
    assert (code, out) == (1, [])


def test_a_database_is_upgraded(said, database):
    code, [line], err = said("db", "upgrade", database)
    assert (code, err) == (0, [])
    assert line.endswith(" is up to date.")


def test_studies_go_from_a_file_to_a_database_and_back(said, runs, database, folder):
    assert said("db", "copy", "runs.db#digits", f"{database}#numbers") == (0, ["numbers: 1 trials copied."], [])
    assert said("db", "copy", f"{database}#numbers", "runs.db#back") == (0, ["back: 1 trials copied."], [])
    with closing(SqliteStore(runs)) as store:
        assert list(store.dump("back")) == list(store.dump("digits"))
    code, out, [message] = said("db", "copy", "runs.db", database)
    assert (code, out) == (1, [])
    assert "Nothing was copied" in message


def test_a_database_that_cannot_be_reached_is_named_without_its_password(said, folder):
    code, out, [message] = said("db", "check", "postgresql://me:hunter2@127.0.0.1:1/nothing")
    assert (code, out) == (1, [])
    assert "127.0.0.1:1/nothing" in message
    assert "hunter2" not in message
