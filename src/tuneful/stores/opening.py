"""The store that an address names."""

from __future__ import annotations

from tuneful.errors import StudyError
from tuneful.protocols import Store
from tuneful.stores.address import Address
from tuneful.stores.memory import MemoryStore
from tuneful.stores.sqlite import SqliteStore


def open_store(address: Address, *, upgrade: bool = False) -> Store:
    """The store at an address; a file, or the tables of a database, are made if they are not there.

    Args:
        address: Where it is.
        upgrade: Whether to bring the tables of a database up to date; with a file, that is done whenever it is opened.

    Raises:
        StudyError: what it takes is not installed.
        StoreError: it cannot be used; the message says why.
    """
    if address.url is not None:
        return _database(address, upgrade=upgrade)
    return MemoryStore() if address.path is None else SqliteStore(address.path)


def _database(address: Address, *, upgrade: bool) -> Store:
    try:
        from tuneful.stores.postgres.store import PostgresStore  # noqa: PLC0415 - only who has a database needs its driver
    except ImportError as error:
        why = error
    else:
        return PostgresStore(address, upgrade=upgrade)
    if not (why.name or "psycopg").startswith("psycopg"):
        raise why
    raise StudyError(f"study={str(address)!r} needs psycopg ({why}). Install it: pip install 'tuneful[postgres]'.")
