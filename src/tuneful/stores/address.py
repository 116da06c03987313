"""Where a study lives, in one string: `runs.db#digits`, `postgresql://host/database#digits`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from tuneful.errors import StudyError
from tuneful.stores.postgres.url import SCHEMES, Secret, ambiguous, split_url


@dataclass(frozen=True)
class Address:
    """A store and the name of a study in it. It shows no password, and its pickle has none.

    Attributes:
        path: The SQLite file; None for memory and a database.
        name: The study.
        url: The PostgreSQL database, without its password; None for memory and a file.
        secret: The passwords for it that were in its URL.
    """

    path: Path | None
    name: str
    url: str | None = None
    secret: Secret = field(default_factory=Secret, repr=False, compare=False)

    @property
    def place(self) -> str:
        """The store alone."""
        return self.url or ("memory" if self.path is None else str(self.path))

    @property
    def in_memory(self) -> bool:
        """Whether it is gone with this process, which nobody else can reach."""
        return self.path is None and self.url is None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that another process needs to use this address, which goes there without its password."""
        password = self.secret.reveal().get("password")
        return {} if password is None else {"PGPASSWORD": password}

    def __str__(self) -> str:
        if self.url is not None:
            return self.url if self.name == split_url(self.url).database else f"{self.url}#{self.name}"
        if self.path is None:
            return "memory"
        return str(self.path) if self.name == self.path.stem else f"{self.path}#{self.name}"


def parse_address(text: str | Path | None) -> Address:
    """The address that `text` gives; the name defaults to the file's stem or the database's name.

    Raises:
        StudyError: it is empty, or names a kind of store that there is not.

    >>> parse_address("runs.db#digits").name, parse_address("runs.db").name
    ('digits', 'runs')
    >>> print(parse_address("postgresql://me:secret@host/lab#digits"))
    postgresql://me@host/lab#digits
    """
    if text is None:
        return Address(None, "study")
    written = str(text)
    if written.startswith(SCHEMES):
        return _database(written)
    if "://" in written:
        shown = re.sub(r"//.*@", "//…@", written)  # no password in an error, a log, a traceback
        raise StudyError(
            f"study={shown!r}: a study lives in a file ('runs.db#name') or in a PostgreSQL database "
            "('postgresql://host/database#name')."
        )
    where, _, name = written.partition("#")
    if not where.strip() or "\0" in where or where == ":memory:":
        raise StudyError(
            f"study={written!r} names no file. Write 'runs.db', or 'runs.db#name'; leave it out for a study in memory."
        )
    try:
        path = Path(where).expanduser()
    except RuntimeError as error:
        raise StudyError(f"study={written!r}: {error} Write the folder out.") from None
    return Address(path, check_name(unicodedata.normalize("NFC", name or path.stem)))


def _database(written: str) -> Address:
    where, _, name = written.partition("#")
    url = split_url(where)
    if "@" in name and (url.secret.reveal() or "@" not in where):  # so it may be the rest of a password
        raise StudyError(ambiguous(written))
    if not (name or url.database):
        raise StudyError(
            f"study={url.shown!r} names neither a database nor a study. Write 'postgresql://host/database#name'."
        )
    return Address(None, check_name(unicodedata.normalize("NFC", name or url.database)), url.shown, url.secret)


def check_name(name: str) -> str:
    """`name`, if every store can keep it.

    Raises:
        StudyError: it is empty, longer than 255 characters or not printable.
    """
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise StudyError(f"A study cannot be called {name[:80]!r}: use 1 to 255 printable characters.")
    return name
