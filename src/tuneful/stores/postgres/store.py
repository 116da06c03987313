"""Studies in a PostgreSQL database."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

from tuneful.errors import StoreAway, StoreBusy, StoreError, StudyError, StudyNotFound
from tuneful.history import Moment, Report, Row, State
from tuneful.protocols import Changes, Claim, Member, Orders, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores import checking
from tuneful.stores.address import Address, parse_address
from tuneful.stores.codec import dumps, loads
from tuneful.stores.damage import understood
from tuneful.stores.postgres import control, dumping, ending, reading, schema, statements
from tuneful.stores.postgres.connection import Connection
from tuneful.stores.postgres.link import Found, Link
from tuneful.stores.postgres.made import Made
from tuneful.stores.postgres.undone import Undone
from tuneful.stores.postgres.url import schema_of
from tuneful.stores.rows import from_columns, past_text, to_columns
from tuneful.stores.tables import Page, key_of
from tuneful.stores.worker import version

T = TypeVar("T")

_TURN = "1s"  # for how long to wait to be the one who decides


class PostgresStore:
    """Studies in a PostgreSQL database that many hosts share.

    A call is one statement, one transaction and one round trip where it can be. What ends a trial, or says that it
    shall go on, is on the disk when it returns. That a new one was recorded or begun is so a moment later: if the
    server crashes in between, this process records it again when the server is back.

    A call that gets no answer is tried again for some seconds, and finds by tokens what it had done already, so that
    nothing is done twice. Time is the server's.

    Args:
        address: The database, or its URL. It may name the schema of the tables: `?schema=tuneful`.
        upgrade: Bring the tables of an older version up to date; older versions cannot use them then.

    Raises:
        StoreError: the database cannot be a store; the message says why.
    """

    def __init__(self, address: Address | str, *, upgrade: bool = False) -> None:
        address = parse_address(address) if isinstance(address, str) else address
        assert address.url is not None
        self._shown, self._schema = address.url, schema_of(address.url)[1]
        self._upgrade = upgrade
        self._mark: str | None = None
        self._forgetful = False  # whether the server has come back from a crash
        self._undone = Undone()
        self._doubtful: list[str] = []  # tokens of claims that may have been made, and that nobody knows of
        self._ids: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._connection = Connection(address, self._greet, self._watch)

    def __repr__(self) -> str:
        return f"PostgresStore({self._shown!r})"

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        values, body = {"name": name, "form": dumps(form)}, dumps(space)
        trial = None if first is None else to_columns(Row(0, first, rev=2, born=2, why={"searcher": "default"}))
        mine: list[int] = []  # so that a second try knows what the first has made

        def work(link: Link) -> bool:
            found = link.ask(statements.STUDY, values)
            if found:
                return found[0][0] in mine
            mine[:] = mine or [link.ask(statements.NEW_ID)[0][0]]
            study, rev = mine[0], 1 if trial is None else 2
            with link.transaction():
                if not link.ask(statements.NEW_STUDY, values | {"study": study}):
                    return False  # another was faster
                link.ask(statements.NEW_HEAD, {"study": study, "next": rev - 1, "rev": rev})
                link.ask(statements.NEW_SPACE, {"study": study, "version": 0, "rev": 1, "body": body})
                if trial is not None:
                    link.copy(statements.COPY, [(*trial, key_of(study, 0), study, None, None, None)])
            return True

        return self._run(work)

    def study(self, name: str) -> StudyRow | None:
        found = self._run(lambda link: link.ask(statements.FORM, {"name": name}))
        with understood(self._shown):
            return StudyRow(name, loads(found[0][0])) if found else None

    def studies(self) -> list[str]:
        return [name for (name,) in self._run(lambda link: link.ask(statements.STUDIES))]

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        found = self._at(name, lambda link, study: link.ask(statements.ALL_SPACES, {"study": study}))
        self._there(name, found)
        with understood(self._shown):
            return [(version, loads(body)) for version, body in found]

    def sync(self, name: str, rev: int) -> Changes:
        with understood(self._shown):
            changes = self._at(name, lambda link, study: reading.changes(link, study, rev))
        if changes is None:
            raise self._gone(name)
        return changes

    def grow(self, name: str, version: int, space: Mapping[str, Any]) -> int | None:
        body = dumps(space)

        def work(link: Link, study: int) -> int | None:
            with link.transaction():
                self._there(name, link.ask(statements.LOCK_HEAD, {"study": study}))
                known, since, kept = link.ask(statements.LAST_SPACE, {"study": study})[0]
                if link.again and (known, kept) == (version, body):
                    return int(since)
                if known != version - 1:
                    return None
                rev = int(link.ask(statements.BUMP, {"study": study, "by": 1})[0][0])
                link.ask(statements.NEW_SPACE, {"study": study, "version": version, "rev": rev, "body": body})
                return rev

        return self._at(name, work)

    def create(self, name: str, rows: Sequence[Row], worker: str | None) -> tuple[int, list[Claim]] | None:
        made = Made(rows, worker)

        def work(link: Link, study: int) -> int | None:
            if link.again and (rev := made.recorded(link, study)):
                return rev
            rev, there = made.record(link, study)
            if there is None:
                raise self._gone(name)
            if rev is None and self._forgetful and there < rows[0].number:
                raise StoreError(
                    f"{self._shown} has lost trials {there} to {rows[0].number - 1} of study {name!r} in a crash or a "
                    "failover. Open the study again; it goes on with those that it has."
                )
            return rev

        with self._doubting(made.claims):
            rev = self._at(name, work)
        if rev is None:
            return None
        made.number(rev)
        if made.claims:
            self._undone.remember(lambda link: made.again(link, self._id(link, name)))
        return rev, made.claims

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        token = os.urandom(16).hex()
        moment = Moment(0, State.RUNNING, row.until, row.step, row.attempt + 1, row.cost, row.seen)
        values = {"known": row.rev, "moment": _tail(moment), "until": row.until, "worker": worker, "token": token}

        def work(link: Link, study: int) -> Found:
            found = self._change(link, name, study, row.number, statements.CLAIM, values, durable=True)
            if not found and link.again:  # it may have been this very call that changed it
                found = [(row.rev, row.attempt) for row in from_columns(link.ask(statements.CLAIMED, values))]
            return found

        with self._doubting([Claim(row.number, 0, token)]):
            found = self._at(name, work)
        return (found[0][0], Claim(row.number, found[0][1], token)) if found else None

    def claim_ready(self, name: str, worker: str | None, n: int = 1) -> list[tuple[Claim, Row]]:
        token = os.urandom(16).hex()
        mine = {"worker": worker, "token": token, "n": n}

        def work(link: Link, study: int) -> Found:
            values = mine | {"study": study}
            found = link.ask(statements.CLAIMED, values) if link.again else []
            found = found or [row[:-1] for row in link.ask(statements.CLAIM_READY, values)]
            if not found:
                self._there(name, link.ask(statements.HEAD, values))
            return found

        def again(row: Row, link: Link) -> bool:
            study = self._id(link, name)
            values = mine | {"study": study, "id": key_of(study, row.number), "attempt": row.attempt}
            link.ask(statements.CLAIM_AGAIN, values)
            return bool(link.ask(statements.TOLD, values))  # else the server has forgotten the trial itself

        with self._doubting([Claim(0, 0, token)]), understood(self._shown):
            rows = sorted(from_columns(self._at(name, work)), key=attrgetter("number"))
        for row in rows:
            self._undone.remember(partial(again, row))
        return [(Claim(row.number, row.attempt, token), row) for row in rows]

    def release(self, name: str, claims: Sequence[Claim]) -> None:
        def work(link: Link, study: int) -> None:
            for claim in claims:
                link.ask(statements.RELEASE, {"study": study, "id": key_of(study, claim.number), "token": claim.token})

        self._at(name, work)

    def offer(self, name: str, row: Row) -> int | None:
        moment = Moment(0, State.QUEUED, row.until, row.step, row.attempt, row.cost, row.seen)
        values = {"known": row.rev, "moment": _tail(moment), "until": row.until}
        return self._changed(name, row.number, statements.OFFER, statements.OFFERED, values, durable=True)

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        saved = row.saved or (None, None)
        told = {report.step: dumps(report.metrics) for report in reports}
        config = dumps(row.config) if config_changed else None
        values = dict[str, Any](step=row.step, began=row.began, cost=row.cost, config=config, space=row.space)
        values |= {"saved_step": saved[0], "saved_attempt": saved[1], "token": claim.token, "attempt": claim.attempt}
        values |= {"started": row.started, "length": row.length}
        values |= {"steps": list(told), "metrics": list(told.values())}
        durable = row.saved is not None
        return self._changed(name, claim.number, statements.REPORT, statements.TOLD_ALREADY, values, durable=durable)

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        statement, values = ending.ending(claim, outcome)

        def work(link: Link, study: int) -> int | None:
            found = self._change(link, name, study, claim.number, statement, values, durable=True)
            keys = {"study": study, "id": key_of(study, claim.number)}
            return int(found[0][0]) if found else ending.end_late(link, values | keys, claim, outcome)

        return self._at(name, work)

    def claim_of(self, name: str, number: int) -> Claim | None:
        found = self._at(name, lambda link, study: link.ask(statements.CLAIM_OF, {"id": key_of(study, number)}))
        return Claim(number, *found[0]) if found else None

    def wish(self, name: str, number: int | None, wish: str | None) -> bool:
        if number is not None:
            asked = statements.WISH, statements.WISHED
            return self._changed(name, number, *asked, {"wish": wish}, durable=True) is not None
        values = {"wish": wish}
        found = self._at(name, lambda link, study: link.ask(statements.WISH_ALL, values | {"study": study}))
        self._there(name, found)
        return True

    def cancel(self, name: str, number: int | None) -> int:
        before: list[int] = []  # the trials of a try that got no answer

        def work(link: Link, study: int) -> int:
            done = link.ask(statements.CANCELLED, {"ids": before})[0][0] if link.again and before else 0
            with link.transaction():
                self._there(name, link.ask(statements.HEAD, {"study": study}))
                before[:] = control.cancel(link, study, number)
            return int(done) + len(before)

        return self._at(name, work)

    def prune_paused(self, name: str) -> int:
        def work(link: Link, study: int) -> int:
            with link.transaction():
                self._there(name, link.ask(statements.HEAD, {"study": study}))
                return control.prune_paused(link, study)

        return self._at(name, work)

    @contextmanager
    def deciding(self, name: str) -> Iterator[None]:
        def take(link: Link, study: int) -> bool:
            if link.session is None:  # such a lock belongs to a session
                return False
            link.hold((zlib.crc32(self._schema.encode()) << 31) + study, _TURN)
            return True

        mine = False
        try:
            with suppress(StoreBusy):
                mine = self._at(name, take)
            yield
        finally:
            if mine:
                with suppress(StoreError):  # then the session is over, and its locks with it
                    self._run(Link.let_go)

    def lead(self, name: str, worker: str) -> bool:
        def leader(link: Link, study: int) -> Any:
            found = link.ask(statements.HEAD, {"study": study})
            self._there(name, found)
            return found[0][2]

        def work(link: Link, study: int) -> bool:
            values = {"study": study, "worker": worker}
            with link.transaction():  # the lock first, so that the second sees who was registered before it
                _, led = link.ask_all((statements.LOCK_HEAD, values), (statements.LEAD, values))
            return bool(led) or leader(link, study) == worker

        if self._at(name, leader) == worker:
            return True
        self.reap()  # the leader may have died just now
        return self._at(name, work)

    def resign(self, name: str, worker: str) -> None:
        values = {"worker": worker}
        self._at(name, lambda link, study: link.ask(statements.RESIGN, values | {"study": study}))

    def orders(self, name: str, worker: str) -> Orders:
        values = {"worker": worker}
        found = self._at(name, lambda link, study: link.ask(statements.ORDERS, values | {"study": study}))
        if not found:
            raise self._gone(name)
        return control.orders(found)

    def members(self) -> list[Member]:
        return self._run(control.members)

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        values = {"worker": worker}
        found = self._at(name, lambda link, study: link.ask(statements.ELSEWHERE, values | {"study": study}))
        return bool(found[0][0])

    def beat(self, worker: str, seconds: float) -> bool:
        values = {"worker": worker, "seconds": float(seconds)}

        def work(link: Link) -> int:
            found = link.ask(statements.BEAT, values)
            if not found:
                process = {"host": control.host(), "pid": os.getpid(), "version": version()}
                found = link.ask(statements.REGISTER, values | process)
            return int(found[0][0])

        slot = self._run(work)
        known = self._slots.get(worker, slot)
        self._slots[worker] = slot
        return known == slot

    def vouch(self, worker: str, seconds: float) -> None:
        values = {"worker": worker, "seconds": float(seconds)}
        self._run(lambda link: link.ask(statements.BEAT, values))

    def want(self, name: str, worker: str, n: int) -> None:
        values = {"worker": worker, "n": n}
        self._at(name, lambda link, study: link.ask(statements.WANT, values | {"study": study}))

    def reap(self) -> int:
        queued = 0
        for worker, slot, host, pid, silent in self._run(lambda link: link.ask(statements.WORKERS)):
            if worker not in self._slots and ((gone := control.has_ended(host, pid)) or silent):
                queued += self._bury(worker, slot, gone=gone)
        return queued

    def _bury(self, worker: str, slot: int, *, gone: bool) -> int:
        def work(link: Link) -> int:
            with link.transaction(), understood(self._shown):
                still = link.ask(statements.STILL_SILENT, {"slot": slot, "gone": gone})
                return control.give_up(link, worker, slot, "lost") if still else 0

        return self._run(work)

    def delete(self, name: str) -> None:
        def work(link: Link) -> None:
            try:
                study = self._id(link, name)
            except StudyNotFound:
                if link.again:
                    return
                raise
            keys = {"study": study, "first": key_of(study, 0), "end": key_of(study + 1, 0)}
            with link.transaction():
                link.ask_all(*((statement, keys) for statement in statements.DELETE))

        self._run(work)
        self._ids.pop(name, None)

    def dump(self, name: str) -> Iterator[Page]:
        study = self._run(lambda link: self._id(link, name))
        pages = self._connection.stream(lambda link: dumping.pages(link, study))
        first = next(pages, ("", []))
        if first[0] != "study":
            raise self._gone(name)
        yield from chain([first], pages)

    def load(self, name: str, pages: Iterable[Page]) -> None:
        study = self._run(lambda link: link.ask(statements.NEW_ID))[0][0]
        try:
            new = self._connection.alone(lambda link: dumping.take_in(link, study, name, pages))
        except StoreAway:
            if self._run(lambda link: link.ask(statements.STUDY, {"name": name})) != [(study,)]:
                raise
            new = True
        if not new:
            raise StudyError(f"There is a study {name!r} in {self._shown} already. Pass another name, or delete it.")

    def check(self) -> list[str]:
        return checking.at_most(self._faults())

    def _faults(self) -> Iterator[str]:
        for table, count in self._run(lambda link: link.ask(statements.ORPHANS)):
            if count:
                yield f"{count} rows of {table!r} belong to no study."
        yield from checking.unclaimed(self._run(lambda link: link.ask(statements.UNCLAIMED)))
        for name in self.studies():
            with suppress(StudyNotFound):  # deleted just now
                yield from checking.faults(name, self.dump(name))

    def close(self, worker: str | None = None) -> None:
        slot = self._slots.pop(worker, None) if worker else None

        def work(link: Link) -> None:
            with link.transaction():
                if link.ask(statements.LOCK_WORKER, {"slot": slot}):
                    control.give_up(link, worker or "", slot or 0, "interrupted")

        try:
            if slot is not None:
                self._run(work)
        finally:  # if that failed, its lease will end
            self._connection.close()

    def _greet(self, link: Link) -> None:
        """See that a new connection leads to a database that can be used."""
        schema.refuse_old(link.version, self._shown)
        schema.prepare(link, self._schema, self._shown, upgrade=self._upgrade)
        self._watch(link)

    def _watch(self, link: Link) -> None:
        """See whether the server may have lost what it had acknowledged, and do that again."""
        mark = schema.mark_of(link, self._schema)
        if self._mark not in (None, mark):
            self._forgetful = True
            self._undone.redo(link)
        self._mark = mark

    def _run(self, work: Callable[[Link], T]) -> T:
        if self._doubtful:
            self._connection.run(self._let_go)
        return self._connection.run(work)

    def _at(self, name: str, work: Callable[[Link, int], T]) -> T:
        """The answer of `work` about a study."""
        return self._run(lambda link: work(link, self._id(link, name)))

    def _changed(
        self, name: str, number: int, statement: str, done: str, values: Mapping[str, Any], *, durable: bool
    ) -> int | None:
        """The revision at which a statement changed a trial; None if its conditions do not hold.

        Args:
            name: The study.
            number: The trial.
            statement: What changes it.
            done: What finds it if it has been changed so already, for a second try.
            values: For both.
            durable: Whether it is on the disk when this returns.
        """

        def work(link: Link, study: int) -> int | None:
            keys = {"study": study, "id": key_of(study, number)}
            found = link.ask(done, {**values, **keys}) if link.again else []
            found = found or self._change(link, name, study, number, statement, values, durable=durable)
            return int(found[0][0]) if found else None

        return self._at(name, work)

    def _change(
        self,
        link: Link,
        name: str,
        study: int,
        number: int,
        statement: str,
        values: Mapping[str, Any],
        *,
        durable: bool,
    ) -> Found:
        """What a statement returns that changes a trial; nothing if its conditions do not hold."""
        values = {**values, "study": study, "id": key_of(study, number)}
        found = link.ask_durably(statement, values) if durable else link.ask(statement, values)
        if not found:
            self._there(name, link.ask(statements.HEAD, values))
        elif durable:
            self._undone.safe()
        return found

    @contextmanager
    def _doubting(self, claims: Sequence[Claim]) -> Iterator[None]:
        """If no answer comes, give back what may have been claimed, as soon as can be."""
        try:
            yield
        except BaseException:
            self._doubtful += [claim.token for claim in claims]
            raise

    def _let_go(self, link: Link) -> None:
        tokens = list(self._doubtful)
        with link.transaction():
            running = link.ask(statements.UNDER_TOKENS, {"tokens": tokens})
            control.put_back(link, running, None, "interrupted")
        self._doubtful = [token for token in self._doubtful if token not in tokens]

    def _id(self, link: Link, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = self._there(name, link.ask(statements.STUDY, {"name": name}))
        return self._ids[name]

    def _there(self, name: str, found: Found) -> int:
        """The first number of what was found about a study, which another process may have deleted."""
        if not found:
            raise self._gone(name)
        return int(found[0][0])

    def _gone(self, name: str) -> StudyNotFound:
        self._ids.pop(name, None)
        return StudyNotFound(f"There is no study {name!r} in {self._shown}: it was deleted, or never made.")


def _tail(moment: Moment) -> str:
    """A moment as JSON without its revision, which the server puts before it."""
    return (past_text([moment]) or "").removeprefix("[0")
