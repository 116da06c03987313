"""URLs of PostgreSQL databases: what may be shown of them, and what may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from tuneful.errors import StudyError

SCHEMES = ("postgresql://", "postgres://")
_PARTS = re.compile(r"(?P<authority>[^/?]*)(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?", re.DOTALL)
# Those that libpq itself hides (PQconninfoOption.dispchar is "*"; postgresql.org/docs/current/libpq-connect.html).
_HIDDEN = frozenset(["password", "sslpassword", "oauth_client_secret"])
_PORT = re.compile(r"(\[[^]]*\]|[^:]*)(:\d*)?")  # behind a host, which may be an IPv6 address
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")  # needs no quotes in SQL


class Secret:
    """Passwords by the names that libpq has for them: in no repr, and left behind by a pickle."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def reveal(self) -> dict[str, str]:
        """The passwords."""
        return dict(self._values)

    def masked(self, text: str) -> str:
        """`text` without the passwords."""
        for value in self._values.values():
            text = text.replace(value, "…") if len(value) > 2 else text
        return text

    def __repr__(self) -> str:
        return "Secret(…)" if self._values else "Secret()"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, ()


class Url(NamedTuple):
    """A URL in parts.

    Attributes:
        shown: All of it but the passwords.
        database: The name of the database; empty if the URL leaves it to the environment.
        secret: The passwords.
    """

    shown: str
    database: str
    secret: Secret


def split_url(written: str) -> Url:
    """The parts of a URL, without the study behind it.

    Raises:
        StudyError: it can be read in two ways, or names no place for tables.
    """
    parts = _PARTS.fullmatch(written.partition("://")[2])
    assert parts is not None, "every text matches"
    authority, path, query = (parts[name] or "" for name in ("authority", "path", "query"))
    login, at, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    pairs = list(filter(None, query.split("&")))
    # What looks like something else may be part of a password.
    ports = all(_PORT.fullmatch(host) for host in hosts.split(","))
    clear = "@" not in path and not (password and "@" in query) and "\0" not in unquote(written)
    if not (clear and ports and all("=" in pair for pair in pairs)):
        raise StudyError(ambiguous(written))
    hidden, kept, database = {"password": unquote(password)}, list[str](), unquote(path)
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name in _HIDDEN:
            hidden[name] = unquote(value)
            continue
        kept.append(pair)
        database = unquote(value) if name == "dbname" else database
    shown = f"postgresql://{user}{at if user else ''}{hosts}{'/' if path else ''}{path}"
    schema_of(shown := f"{shown}?{'&'.join(kept)}" if kept else shown)
    return Url(shown, database, Secret({name: value for name, value in hidden.items() if value}))


def schema_of(url: str) -> tuple[str, str]:
    """A URL as libpq takes it, and the schema in which the tables are: `tuneful`, or what `?schema=` says."""
    where, _, query = url.partition("?")
    pairs = query.split("&") if query else []
    named = [pair.partition("=")[2] for pair in pairs if pair.startswith("schema=")]
    others = [pair for pair in pairs if not pair.startswith("schema=")]
    schema = named[-1] if named else "tuneful"
    if not _SCHEMA.fullmatch(schema):
        raise StudyError(f"schema={schema!r}: the name of a schema is written in a-z, 0-9 and _, up to 63 of them.")
    return f"{where}?{'&'.join(others)}" if others else where, schema


def ambiguous(written: str) -> str:
    """What to say of a URL in which a password may be anywhere."""
    scheme, _, rest = written.partition("://")
    shown = f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else f"{scheme}://…"
    return (
        f"study={shown!r} has no clear user, password, host and port. Write /, ?, # and @ in a user or a password as "
        "%2F, %3F, %23 and %40, or leave the password out and set PGPASSWORD; a port is a number."
    )
