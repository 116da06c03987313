"""A PostgreSQL database: connected to when needed and again when it was away, its errors in our words."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tuneful.errors import StoreError, StudyError
from tuneful.stores.address import Address
from tuneful.stores.forking import halts_at_forks
from tuneful.stores.postgres import errors
from tuneful.stores.postgres.errors import Fault
from tuneful.stores.postgres.link import Greeting, Link
from tuneful.stores.postgres.url import schema_of

T = TypeVar("T")

PATIENCE = 5.0  # seconds for which a call tries to reach the server; who can wait for longer, asks again
_OLDEST_LIBRARY = 140_000  # pipelines
_TRIES = 8  # of a call, each over a connection that held
_PAUSES = 0.02, 0.5  # seconds between tries, growing from one to the other; not the same for all who come back
_DEFAULTS = {
    "connect_timeout": ("PGCONNECT_TIMEOUT", 5),
    # A cut line is noticed, though nobody says so.
    "keepalives_idle": ("", 10),
    "keepalives_interval": ("", 5),
    "keepalives_count": ("", 3),
    "tcp_user_timeout": ("", 25_000),
    # A standby that lags behind would tell of less than was known.
    "target_session_attrs": ("PGTARGETSESSIONATTRS", "read-write"),
    "fallback_application_name": ("", "tuneful"),
}


class _Failure(NamedTuple):
    """Why a try came to nothing; `fault` says what that means for the next."""

    error: StoreError
    fault: Fault


class Connection:
    """One database, for one process and all its threads.

    There is one connection behind it: a server has room for some hundreds. What must be on the disk when it returns
    says so itself, so that it needs no second one.

    Args:
        address: The database.
        greet: Called with each new connection before it is used.
        watch: Called before each use, where a pooler hides that the server was away.

    Attributes:
        shown: The database, as it is called in messages.

    Raises:
        StoreError: it cannot be connected to; the message says why.
    """

    def __init__(self, address: Address, greet: Greeting, watch: Greeting) -> None:
        assert address.url is not None
        url, self._schema = schema_of(address.url)
        self.shown = address.url
        self._secret, self._greet, self._watch = address.secret, greet, watch
        self._parameters = _parameters(url)
        self._lock = threading.RLock()
        self._busy = self._closed = False
        self._alone = True  # with the server, as far as is known
        self._left: list[tuple[int, str]] = []  # sessions that may still be at work
        self._link: Link | None = self._connected(patient=False)  # who mistyped an address hears of it at once
        halts_at_forks(self)

    def run(self, work: Callable[[Link], T]) -> T:
        """The answer of `work`, which is one transaction, done again if the connection was lost or the server undid it.

        Args:
            work: Called with a link that says whether it may have been done already.

        Raises:
            StoreAway: the database did not come back; whether the work was done is not known.
            StoreError: it cannot be done.
        """
        again, tries, pauses, deadline = False, 0, _pauses(), None
        while True:
            with self._lock:
                answer, failure = self._tried(work, again=again)
            if failure is None:
                return answer  # type: ignore[return-value]  # there is one, as nothing failed
            if failure.fault is Fault.AWAY:
                deadline = deadline or time.monotonic() + PATIENCE
                over = time.monotonic() > deadline
            else:
                deadline, tries, again = None, tries + 1, again or failure.fault is Fault.LOST
                over = tries == _TRIES or failure.fault is Fault.FINAL
            if over:
                raise failure.error
            time.sleep(next(pauses))

    def stream(self, work: Callable[[Link], Iterator[T]]) -> Iterator[T]:
        """What `work` finds over a connection of its own, so that others go on meanwhile; tried once."""
        link = self._connected(patient=True)
        failure = None
        try:
            yield from work(link)
        except psycopg.Error as error:
            failure = self._failed(error, link)
        finally:
            link.close()
        if failure is not None:  # out here, it takes along nothing of an error that knows the password
            raise failure.error

    def alone(self, work: Callable[[Link], T], *, again: bool = False) -> T:
        """The answer of `work` over a connection of its own; tried once."""
        link = self._connected(patient=True)
        link.again = again
        try:
            return work(link)
        except psycopg.Error as error:
            failure = self._failed(error, link)
        finally:
            link.close()
        raise failure.error

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._closed = True
            self._drop()

    def _tried(self, work: Callable[[Link], T], *, again: bool) -> tuple[T | None, _Failure | None]:
        if self._busy:  # a signal came in the midst of a call, and its handler asks for something
            return self.alone(work, again=again), None
        link, failure = self._ready()
        if link is None:
            return None, failure
        self._busy = True
        link.again = again
        try:
            return work(link), None
        except psycopg.Error as error:
            return None, self._failed(error, link)
        finally:
            self._busy = False
            if not link.idle:
                self._drop()

    def _ready(self) -> tuple[Link | None, _Failure | None]:
        if self._closed:
            raise StoreError(f"{self.shown} was closed. Open the study again.")
        if self._link is not None and self._link.session is None:
            try:
                self._watch(self._link)
            except psycopg.Error:
                self._drop()
        if self._link is None:
            self._link, failure = self._own()
            return self._link, failure
        return self._link, None

    def _own(self) -> tuple[Link | None, _Failure | None]:
        """A new connection, once what was lost with the one before is over for certain."""
        link = None
        try:
            link = Link(self._parameters | self._secret.reveal(), self._schema, alone=self._alone)
            while self._left and link.session:
                link.end_session(*self._left[-1])
                self._left.pop()
            self._greet(link)
        except psycopg.Error as error:
            text, state = self._secret.masked(str(error)), error.sqlstate
            final = state is not None and errors.fault_of(state, broken=False) is Fault.FINAL
            if link is not None:
                link.close()
            if final:  # the server is there, and does not want us
                return None, _Failure(errors.failed(state, text, self.shown), Fault.FINAL)
            return None, _Failure(errors.refused(text, self.shown), Fault.AWAY)
        except BaseException:
            if link is not None:
                link.close()
            raise
        return link, None

    def _connected(self, *, patient: bool) -> Link:
        """A new connection, tried for some seconds if `patient`, or if the server says that it is about to be up."""
        deadline, pauses = time.monotonic() + PATIENCE, _pauses()
        while True:
            link, failure = self._own()
            if link is not None:
                return link
            assert failure is not None
            passing = failure.fault is Fault.AWAY and (patient or errors.is_passing(failure.error))
            if not passing or time.monotonic() > deadline:
                raise failure.error
            time.sleep(next(pauses))

    def _failed(self, error: psycopg.Error, link: Link) -> _Failure:
        text, state = self._secret.masked(str(error)), error.sqlstate
        fault = errors.fault_of(state, broken=link.broken)
        if fault in (Fault.FINAL, Fault.UNDONE):
            return _Failure(errors.failed(state, text, self.shown), fault)
        self._alone &= fault is not Fault.UNPREPARED
        if link is self._link:
            self._drop()
        return _Failure(errors.lost(text, self.shown), fault)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            if link.session is not None:
                self._left.append(link.session)
            link.close()

    def halt(self) -> None:
        """Let a fork pass: in no transaction."""
        self._lock.acquire()

    def go_on(self) -> None:
        """After a fork, in the parent."""
        self._lock.release()

    def leave(self) -> None:
        """After a fork, in the child: have a connection of its own."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()
        self._lock, self._busy, self._left = threading.RLock(), False, []


def _pauses() -> Iterator[float]:
    pause, longest = _PAUSES
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - nothing is secret in it
        pause = min(2 * pause, longest)


def _parameters(url: str) -> dict[str, Any]:
    """What libpq is told, but for passwords."""
    if psycopg.pq.version() < _OLDEST_LIBRARY:
        raise StudyError(
            f"{url} needs libpq 14 or newer; psycopg found {psycopg.pq.version() // 10_000}. Install one that brings "
            "its own: pip install 'tuneful[postgres]'."
        )
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as error:
        given, why = None, str(error).strip()
    if given is None:
        raise StudyError(f"{url} is no address of a PostgreSQL database: {why}.")
    unset = {name: value for name, (variable, value) in _DEFAULTS.items() if variable not in os.environ}
    return {**unset, **given, "client_encoding": "utf8"}
