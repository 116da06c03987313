"""Where a study lives, in one string: `runs.db#digits`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from tuneful.errors import StudyError


@dataclass(frozen=True)
class Address:
    """A store and the name of a study in it.

    Attributes:
        path: The SQLite file; None for memory.
        name: The study.
    """

    path: Path | None
    name: str

    def __str__(self) -> str:
        if self.path is None:
            return "memory"
        return str(self.path) if self.name == self.path.stem else f"{self.path}#{self.name}"


def parse_address(text: str | Path | None) -> Address:
    """The address that `text` gives; the name defaults to the file's stem.

    Raises:
        StudyError: it is empty, or names a kind of store that there is not.

    >>> parse_address("runs.db#digits").name, parse_address("runs.db").name
    ('digits', 'runs')
    """
    if text is None:
        return Address(None, "study")
    written = str(text)
    if written.startswith(("postgresql://", "postgres://")):
        raise StudyError("PostgreSQL is not supported in this version. Use a file on a local disk: study='runs.db'.")
    if "://" in written:
        shown = re.sub(r"//.*@", "//…@", written)  # no password in an error, a log, a traceback
        raise StudyError(f"study={shown!r}: a study lives in a file ('runs.db#name'); this looks like a URL.")
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


def check_name(name: str) -> str:
    """`name`, if every store can keep it.

    Raises:
        StudyError: it is empty, longer than 255 characters or not printable.
    """
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise StudyError(f"A study cannot be called {name[:80]!r}: use 1 to 255 printable characters.")
    return name
