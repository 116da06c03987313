"""One connection to a PostgreSQL server: what is asked of it, in as few round trips as can be."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper

from tuneful.stores.tables import PAGE

Found = list[tuple[Any, ...]]
Values = Mapping[str, Any]

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # a lost connection is told by the store

_HELLO = """
SELECT pg_backend_pid(),
    (SELECT extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid())
"""
# What a session is set to, unless somebody has set it otherwise: a process that is stopped in a transaction holds up
# nobody for long, and results are on the disk. Each statement here looks up rows by an index, in its order, whatever
# the values: it is planned once, and not by what a table held when it was new.
_SETTINGS = [
    ("default_transaction_isolation", "repeatable read", "read committed"),
    ("default_transaction_isolation", "serializable", "read committed"),
    ("lock_timeout", "0", "30s"),
    ("statement_timeout", "0", "2min"),
    ("idle_in_transaction_session_timeout", "0", "10s"),
    ("synchronous_commit", "off", "on"),
    ("enable_seqscan", "on", "off"),
    ("enable_bitmapscan", "on", "off"),
    ("plan_cache_mode", "auto", "force_generic_plan"),
    ("jit", "on", "off"),
]
_SET = """
SELECT set_config(name, value, false)
FROM unnest(%(names)s::text[], %(unset)s::text[], %(wanted)s::text[]) AS s (name, unset, value)
WHERE current_setting(name) = unset
"""
# A commit that waits for the disk makes all commits before it safe too (postgresql.org/docs/current/
# wal-async-commit.html), and this one holds no lock meanwhile. It has to write something, or it does not wait.
_FLUSH = "SELECT pg_logical_emit_message(true, 'tuneful', '')"
_END_SESSION = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid = %(pid)s AND extract(epoch FROM backend_start)::text = %(since)s
"""


class Link:
    """A connection while it holds.

    Statements name tables as `tuneful.trial`; they go to the schema of this store.

    Args:
        parameters: What libpq is told.
        schema: Where the tables are.
        alone: Whether there may be no pooler in between.

    Attributes:
        again: Whether what is asked may have been done already, by a link that was lost: that is to be found out first.
        version: Of the server, as a number: 14.2 is 140002.
        session: The server's process, and since when; None behind a pooler, where no session is one's own.
    """

    def __init__(self, parameters: Mapping[str, Any], schema: str, *, alone: bool) -> None:
        self._db = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
        self._texts: dict[str, bytes] = {}
        self._schema = schema
        self.again = False
        # Of one width, or each width would be prepared for itself.
        self._db.adapters.register_dumper(int, Int8Dumper)
        self.version = self._db.info.server_version
        try:
            self.session = self._met() if alone else None
        except BaseException:
            self._db.close()
            raise

    def _met(self) -> tuple[int, str] | None:
        [(pid, since)] = self.ask(_HELLO)
        # A pooler tells a number of its own, and hands sessions around: what one of its clients has prepared there, or
        # set, another would find (pgbouncer.org/features.html).
        if pid != self._db.info.backend_pid or since is None:
            return None
        names, unset, wanted = (list(column) for column in zip(*_SETTINGS, strict=True))
        self.ask(_SET, {"names": names, "unset": unset, "wanted": wanted})
        self._db.prepare_threshold = 0
        return pid, since

    @property
    def idle(self) -> bool:
        """Whether it holds, and is in no transaction."""
        return self._db.info.transaction_status == TransactionStatus.IDLE

    @property
    def broken(self) -> bool:
        """Whether it is gone."""
        return self._db.closed

    def ask(self, statement: str, values: Values | None = None) -> Found:
        """What a statement finds; outside of a transaction, it is one of its own."""
        cursor = self._db.execute(self._text(statement), values, binary=True)
        return cursor.fetchall() if cursor.description else []

    def ask_durably(self, statement: str, values: Values) -> Found:
        """The same, on the disk when it returns, though its locks are let go of before: in one round trip."""
        with self._db.pipeline() as line:
            cursor = self._db.execute(self._text(statement), values, binary=True)
            line.sync()
            self._db.execute(self._text(_FLUSH))
        return cursor.fetchall()

    def flush(self) -> None:
        """Wait until all that was done before is on the disk."""
        self.ask(_FLUSH)

    def ask_all(self, *asked: tuple[str, Values | None]) -> list[Found]:
        """What several statements find, in one round trip; in a transaction."""
        with self._db.pipeline():
            cursors = [self._db.execute(self._text(statement), values, binary=True) for statement, values in asked]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def run(self, script: str) -> None:
        """Several statements without values, such as those that make tables; in a transaction."""
        self._db.execute(self._text(script), prepare=False)

    def copy(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write many rows by a COPY; in a transaction."""
        with self._db.cursor() as cursor, cursor.copy(self._text(statement)) as copy:
            for row in rows:
                copy.write_row(row)

    def stream(self, statement: str, values: Values) -> Iterator[tuple[Any, ...]]:
        """What a statement finds, a page at a time; in a transaction."""
        with self._db.cursor("stream", binary=True) as cursor:
            cursor.itersize = PAGE
            yield from cursor.execute(self._text(statement), values)

    def hold(self, lock: int, timeout: str) -> None:
        """Hold an advisory lock until `let_go`, waited for no longer than `timeout`, in one round trip."""
        try:
            with self._db.pipeline():
                self._db.execute(b"BEGIN")
                self._db.execute(b"SELECT set_config('lock_timeout', %(timeout)s, true)", {"timeout": timeout})
                self._db.execute(b"SELECT pg_advisory_lock(%(lock)s)", {"lock": lock})
                self._db.execute(b"COMMIT")
        except psycopg.Error:
            with suppress(psycopg.Error):
                self._db.execute(b"ROLLBACK")
            raise

    def let_go(self) -> None:
        """Hold no advisory lock any more."""
        self.ask("SELECT pg_advisory_unlock_all()")

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        """A transaction that happens fully or not at all."""
        self.ask(begin)
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error):  # then the connection is gone, and the transaction with it
                self._db.execute(b"ROLLBACK")
            raise
        self.ask("COMMIT")

    def end_session(self, pid: int, since: str) -> None:
        """Make sure that an earlier session of this process does nothing more."""
        found = self.ask(_END_SESSION, {"pid": pid, "since": since})
        if found and not found[0][0]:
            raise psycopg.OperationalError("an earlier session does not end")

    def close(self) -> None:
        """Let go of it."""
        self._db.close()

    def leave(self) -> None:
        """Close it in a forked child: the server must hear nothing of that, as the parent goes on with it.

        `Forking a process with open libpq connections can lead to unpredictable results because the parent and child
        processes share the same sockets` (postgresql.org/docs/current/libpq-connect.html).
        """
        if not self.broken:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._db.fileno())
            os.close(nowhere)
        self._db.close()

    def _text(self, statement: str) -> bytes:
        text = self._texts.get(statement)
        if text is None:
            text = self._texts[statement] = statement.replace("tuneful.", f"{self._schema}.").encode()
        return text


Greeting = Callable[[Link], None]
