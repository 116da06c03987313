"""Older stores, brought up to today's format."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tuneful.stores import schema
from tuneful.stores.address import Address
from tuneful.stores.connection import kept_as, translated
from tuneful.stores.opening import open_store


def upgrade(address: Address) -> Path | None:
    """Bring a store up to this version of Tuneful: a file as opening it does, a database only here.

    Returns:
        For a file that was older, the file in which it is kept as it was.

    Raises:
        StoreError: it cannot be upgraded; the message says why.
    """
    before = 0 if address.path is None else _format(address.path)
    open_store(address, upgrade=True).close()
    return kept_as(address.path, before) if address.path is not None and 0 < before < schema.VERSION else None


def _format(path: Path) -> int:
    """The format of a file; 0 for an empty one, and for those that opening will refuse."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30.0)) as db:
            return schema.version_of(db) or 0
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise translated(error, path) from error
