"""Studies taken from one store to another, and whole stores kept as files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneful.errors import StoreError, StudyError, StudyNotFound
from tuneful.history import State
from tuneful.protocols import Store
from tuneful.stores import schema
from tuneful.stores.backup import copy_whole
from tuneful.stores.connection import translated
from tuneful.stores.rows import COLUMNS
from tuneful.stores.sqlite import SqliteStore
from tuneful.stores.tables import Page

_STATE = COLUMNS.split(", ").index("state")


@dataclass(frozen=True)
class Copied:
    """A study that was copied.

    Attributes:
        name: Its name where it is now.
        trials: How many it has.
        queued: How many of them ran; they are queued in the copy, ready for any worker.
    """

    name: str
    trials: int
    queued: int


def copy_studies(source: Store, target: Store, names: Mapping[str, str]) -> Iterator[Copied]:
    """Copy studies, without their checkpoints: each fully or not at all.

    Args:
        source: Where they are; they stay there, and may be worked on meanwhile.
        target: Where they shall be.
        names: The name that each is to have there, by its name here.

    Raises:
        StudyNotFound: one of them is not there; nothing was copied.
        StudyError: a name is taken; nothing was copied.
        StoreError: a store cannot be read or written; the studies that were told are copied.
    """
    refuse_missing(source, names)
    there = target.studies()
    for new in names.values():
        if new in there:
            raise StudyError(f"There is a study {new!r} there already. Nothing was copied; give it another name.")
    return (_copied(source, target, old, new) for old, new in names.items())


def refuse_missing(store: Store, names: Iterable[str]) -> None:
    """Raise if a study is not in a store.

    Raises:
        StudyNotFound: one is not; with those that are.
    """
    there = store.studies()
    for name in names:
        if name not in there:
            raise StudyNotFound(f"There is no study {name!r}. There are: {', '.join(there) or 'none'}.")


def _copied(source: Store, target: Store, old: str, new: str) -> Copied:
    states: Counter[int] = Counter()
    target.load(new, at_rest(source.dump(old), states))
    return Copied(new, states.total(), states[State.RUNNING])


def at_rest(pages: Iterable[Page], states: Counter[int]) -> Iterator[Page]:
    """`pages` with the running trials queued: who runs them knows nothing of the copy. Counts the `states` they had."""
    for table, rows in pages:
        if table == "trial":
            states.update(row[_STATE] for row in rows)
            yield table, [_rested(row) if row[_STATE] == State.RUNNING else row for row in rows]
        else:
            yield table, rows


def _rested(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:_STATE], int(State.QUEUED), *row[_STATE + 1 :])


def back_up_file(source: Path, target: Path) -> None:
    """Copy a SQLite file, which may be in use, to `target`, which must not be there.

    Raises:
        StoreError: it cannot be copied; the message says why.
    """
    _refuse_existing(target)
    try:
        # mode=rw: it is not created, and what others have not yet folded into it can be read.
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=30.0)) as db:
            if not schema.version_of(db):
                raise StoreError(f"{source} is no store of Tuneful's. Pass the file of a study.")
            copy_whole(db, target)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a message on damaged names
        full = getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")
        raise translated(error, target if full else source) from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error}. Check the rights and space of its folder.") from error


def back_up_studies(source: Store, target: Path) -> list[Copied]:
    """Copy all studies of a store to a new SQLite file, which appears when it is complete.

    Raises:
        StoreError: they cannot be copied; the message says why.
    """
    _refuse_existing(target)
    draft = target.with_name(f"{target.name}.part")
    _remove(draft)
    try:
        with closing(SqliteStore(draft)) as kept:
            copied = list(copy_studies(source, kept, {name: name for name in source.studies()}))
        draft.replace(target)
    finally:
        _remove(draft)
    return copied


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise StoreError(f"{target} is there already, and was not touched. Name a new file.")


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        draft.with_name(f"{draft.name}{suffix}").unlink(missing_ok=True)
