"""Where a study may live: addresses, and the file systems that SQLite is safe on."""

from pathlib import Path

import pytest

from tuneful.errors import StoreError, StudyError
from tuneful.stores import SqliteStore, filesystem, parse_address
from tuneful.stores.filesystem import kind_of, refuse_network


@pytest.mark.parametrize(
    ("text", "path", "name", "shown"),
    [
        (None, None, "study", "memory"),
        ("runs.db", "runs.db", "runs", "runs.db"),
        ("runs.db#digits", "runs.db", "digits", "runs.db#digits"),
        ("runs.db#runs", "runs.db", "runs", "runs.db"),
        ("runs.db#", "runs.db", "runs", "runs.db"),
        ("folder/runs.db#a#b", "folder/runs.db", "a#b", "folder/runs.db#a#b"),
        (Path("x") / "runs.sqlite3", "x/runs.sqlite3", "runs", "x/runs.sqlite3"),
        ("two words.db#数字 🧪", "two words.db", "数字 🧪", "two words.db#数字 🧪"),
        ("runs", "runs", "runs", "runs"),
        ("~/runs.db", str(Path("~/runs.db").expanduser()), "runs", str(Path("~/runs.db").expanduser())),
        ("runs.db#e\u0301", "runs.db", "\u00e9", "runs.db#\u00e9"),
    ],
)
def test_an_address_gives_a_file_and_a_name(text, path, name, shown):
    address = parse_address(text)
    assert (address.path, address.name, str(address)) == (None if path is None else Path(path), name, shown)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no file"),
        ("  ", "names no file"),
        ("#digits", "names no file"),
        ("a\0b.db#x", "names no file"),
        (":memory:", "leave it out for a study in memory"),
        ("~nobody-of-that-name/runs.db", "Write the folder out"),
        ("runs.db#" + "n" * 256, "1 to 255 printable"),
        ("runs.db#a\nb", "1 to 255 printable"),
        ("runs.db#\ud800", "1 to 255 printable"),
        ("postgresql://host", "names neither a database nor a study. Write 'postgresql://host/database#name'"),
        ("postgresql://", "names neither a database nor a study"),
        ("postgresql://host/db#a\nb", "1 to 255 printable"),
        ("postgresql://host/db#\0", "1 to 255 printable"),
        ("postgresql://host/db#\ud800", "1 to 255 printable"),
        ("postgresql://host/a%00b#x", "no clear user, password, host and port"),
        ("postgresql://host:x/db", "no clear user, password, host and port.*a port is a number"),
        ("postgresql://host/db?schema=Mine", "schema='Mine': the name of a schema is written in a-z"),
        ("postgresql://host/db?schema=a;b", "schema='a;b'"),
        ("mysql://host/db", "a file .* or in a PostgreSQL database"),
        ("sqlite:///runs.db", "a file .* or in a PostgreSQL database"),
        ("s3://bucket/runs.db", "a file .* or in a PostgreSQL database"),
    ],
)
def test_an_impossible_address_is_refused_with_advice(text, message):
    with pytest.raises(StudyError, match=message):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "url", "name", "shown", "hidden"),
    [
        ("postgresql://host/db", "postgresql://host/db", "db", "postgresql://host/db", {}),
        ("postgres://host/db#x", "postgresql://host/db", "x", "postgresql://host/db#x", {}),
        ("postgresql://host/db#", "postgresql://host/db", "db", "postgresql://host/db", {}),
        ("postgresql://host/db#db", "postgresql://host/db", "db", "postgresql://host/db", {}),
        ("postgresql://host#x", "postgresql://host", "x", "postgresql://host#x", {}),
        ("postgresql://host/db#a#b", "postgresql://host/db", "a#b", "postgresql://host/db#a#b", {}),
        ("postgresql://u@host/db#a@b", "postgresql://u@host/db", "a@b", "postgresql://u@host/db#a@b", {}),
        (
            "postgresql://u:p%40s%2Fs@host:5432/db#x",
            "postgresql://u@host:5432/db",
            "x",
            "postgresql://u@host:5432/db#x",
            {"password": "p@s/s"},
        ),
        (
            "postgresql://postgres:@/postgres?host=/tmp/x",
            "postgresql://postgres@/postgres?host=/tmp/x",
            "postgres",
            "postgresql://postgres@/postgres?host=/tmp/x",
            {},
        ),
        (
            "postgresql:///db?host=/tmp/x&password=a%20b&sslpassword=c&passfile=d#x",
            "postgresql:///db?host=/tmp/x&passfile=d",
            "x",
            "postgresql:///db?host=/tmp/x&passfile=d#x",
            {"password": "a b", "sslpassword": "c"},
        ),
        (
            "postgresql://u:p@a:1,[::1]:2/db?target_session_attrs=any",
            "postgresql://u@a:1,[::1]:2/db?target_session_attrs=any",
            "db",
            "postgresql://u@a:1,[::1]:2/db?target_session_attrs=any",
            {"password": "p"},
        ),
        ("postgresql://?service=lab#x", "postgresql://?service=lab", "x", "postgresql://?service=lab#x", {}),
        ("postgresql://h/?dbname=lab", "postgresql://h?dbname=lab", "lab", "postgresql://h?dbname=lab", {}),
        ("postgresql://h/d%20b", "postgresql://h/d%20b", "d b", "postgresql://h/d%20b", {}),
        ("postgresql://h/db?schema=team", "postgresql://h/db?schema=team", "db", "postgresql://h/db?schema=team", {}),
    ],
)
def test_an_address_of_a_database_gives_a_url_without_its_passwords(text, url, name, shown, hidden):
    address = parse_address(text)
    assert (address.path, address.url, address.name, str(address)) == (None, url, name, shown)
    assert address.secret.reveal() == hidden
    again = parse_address(str(address))
    assert (again, again.secret.reveal()) == (address, {})


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql", "redis", "https"])
@pytest.mark.parametrize("secret", ["hunter2", "p@ss/hunter2", "hunter2@x"])
def test_no_password_gets_into_a_message(scheme, secret):
    with pytest.raises(StudyError) as refused:
        parse_address(f"{scheme}://user:{secret}@host:5432/db#digits")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
@pytest.mark.parametrize("sign", ["/", "?", "#", "@", "/@", "?@", "#@", ":", "%"])
@pytest.mark.parametrize("secret", ["hunter2{}", "{}hunter2", "is{}hunter2", "hunter2{}@x", "x@hunter2{}y"])
def test_a_password_with_signs_is_hidden_or_refused(scheme, sign, secret):
    try:
        address = parse_address(f"{scheme}://user:{secret.format(sign)}@host:5432/db#digits")
    except StudyError as error:
        assert "hunter2" not in str(error)
        assert "%2F" in str(error)
    else:
        assert "hunter2" not in str(address) + repr(address)
        assert address.url == "postgresql://user@host:5432/db"


MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/local rw - xfs /dev/sdb1 rw
32 22 0:30 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:31 / /data rw master:1 propagate_from:2 - fuse.sshfs host:/data rw
34 22 0:32 / /scratch rw - lustre mgs:/scratch rw
35 22 0:33 / /win rw - 9p drvfs rw
broken line
36 - ext4
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/runs.db", "ext4"),
        ("/home/me/runs.db", "nfs4"),
        ("/home/local/runs.db", "xfs"),
        ("/homes/runs.db", "ext4"),
        ("/mnt/with space/runs.db", "cifs"),
        ("/data/a/b/runs.db", "fuse.sshfs"),
        ("/scratch/runs.db", "lustre"),
        ("/win/runs.db", "9p"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(path, kind):
    assert kind_of(Path(path), MOUNTS) == kind
    if kind in ("ext4", "xfs"):
        refuse_network(Path(path), MOUNTS)
    else:
        with pytest.raises(StoreError, match=rf"{path} lies on a network file system \({kind}\).*local disk"):
            refuse_network(Path(path), MOUNTS)


def test_of_two_mounts_at_one_place_the_later_counts():
    assert kind_of(Path("/x/a"), "1 0 0:1 / /x rw - nfs4 a rw\n2 1 0:2 / /x rw - ext4 b rw") == "ext4"


def test_a_study_on_a_network_file_system_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path.resolve()} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(StoreError, match="nfs4"):
        SqliteStore(tmp_path / "runs.db")
    assert list(tmp_path.iterdir()) == [mounts]


def test_a_link_to_a_network_file_system_is_followed(tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {(tmp_path / 'far').resolve()} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(StoreError, match="nfs4"):
        SqliteStore(tmp_path / "near" / "runs.db")


def test_where_the_system_tells_no_mounts_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "missing")
    SqliteStore(tmp_path / "runs.db").close()
