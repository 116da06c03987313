"""Studies in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tuneful.errors import StudyError, StudyNotFound
from tuneful.history import Moment, Report, Row, State
from tuneful.protocols import Changes, Claim, Member, Orders, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores import control, dumping, soundness, statements
from tuneful.stores.codec import dumps, loads
from tuneful.stores.connection import Connection
from tuneful.stores.damage import understood
from tuneful.stores.rows import end_values, from_columns, past_text, text, to_columns
from tuneful.stores.tables import Page, key_of
from tuneful.stores.worker import boot, version
from tuneful.stores.worker import host as here

_PAGE = 1_000  # rows read at a time


class SqliteStore:
    """Studies in one SQLite file that several processes of one host share.

    A trial without reports costs two transactions and four statements: two when it is asked for, two when it is
    told. The second is on the disk when it returns, and the first with it.

    Args:
        path: The file; created if it is not there.

    Raises:
        StoreError: the file cannot be a store; the message says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = Connection(path)
        self._ids: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._empty: set[str] = set()  # studies in which nothing was ready when last asked

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        with self._connection.write(durable=True) as db:
            if db.execute("SELECT 1 FROM study WHERE name = ?", (name,)).fetchone():
                return False
            written = (name, dumps(form), time.time())
            (study,) = db.execute(
                "INSERT INTO study (name, form, created) VALUES (?, ?, ?) RETURNING id", written
            ).fetchone()
            db.execute("INSERT INTO head (study, next, rev) VALUES (?, 0, 1)", (study,))
            db.execute("INSERT INTO space VALUES (?, 0, 1, ?)", (study, dumps(space)))
            if first is not None:
                rev = db.execute(statements.NEXT, (1, 1, study, 0)).fetchone()[0]
                row = Row(0, first, rev=rev, born=rev, why={"searcher": "default"})
                db.execute(statements.INSERT, (*to_columns(row), key_of(study, 0), study, None, None))
        return True

    def study(self, name: str) -> StudyRow | None:
        with self._connection.read() as db, understood(self.path):
            found = db.execute("SELECT form FROM study WHERE name = ?", (name,)).fetchone()
            return StudyRow(name, loads(found[0])) if found else None

    def studies(self) -> list[str]:
        with self._connection.read() as db:
            return [name for (name,) in db.execute("SELECT name FROM study ORDER BY created, id")]

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        study = self._id(name)
        with self._connection.read() as db, understood(self.path):
            asked = "SELECT version, body FROM space WHERE study = ? ORDER BY version"
            return [(version, loads(body)) for version, body in db.execute(asked, (study,))]

    def sync(self, name: str, rev: int) -> Changes:
        study = self._id(name)
        with self._connection.read() as db, understood(self.path):
            head = db.execute(statements.HEAD, (study,)).fetchone()
            now = self._there(name, head)
            _, wish, leader = head
            if now == rev:
                return Changes(rev, leader=leader, wish=wish)
            # A new space ends a page: so its revision is told.
            spaces = db.execute(statements.SPACES, (study, rev)).fetchall()
            end = next((since for version, since, _ in spaces if version), now)
            rows = list(from_columns(db.execute(statements.CHANGED, (study, rev, end, _PAGE)).fetchall()))
            upto = rows[-1].rev if len(rows) == _PAGE else end
            reports = db.execute(statements.REPORTS, (study, rev, upto, rev, upto)).fetchall()
            return Changes(
                upto,
                [(version, loads(body)) for version, since, body in spaces if since <= upto],
                rows,
                [(at, Report(number, step, loads(metrics))) for at, number, step, metrics in reports],
                upto < now,
                leader,
                wish,
            )

    def grow(self, name: str, version: int, space: Mapping[str, Any]) -> int | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            (known,) = db.execute("SELECT max(version) FROM space WHERE study = ?", (study,)).fetchone()
            if known != version - 1:
                return None
            rev = self._bump(db, name, study)
            db.execute("INSERT INTO space VALUES (?, ?, ?, ?)", (study, version, rev, dumps(space)))
            return rev

    def create(self, name: str, rows: Sequence[Row], worker: str | None) -> tuple[int, list[Claim]] | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            found = db.execute(statements.NEXT, (len(rows), len(rows), study, rows[0].number)).fetchone()
            if found is None:
                return None
            rev, claims = int(found[0]), list[Claim]()
            for row, at in zip(rows, range(rev - len(rows) + 1, rev + 1), strict=True):
                running = row.state == State.RUNNING
                token = os.urandom(16).hex() if running else None
                row.rev = row.born = at
                row.begun = at if row.begun or running else 0
                row.ended = at if row.state.final else 0
                key = key_of(study, row.number)
                db.execute(statements.INSERT, (*to_columns(row), key, study, worker if running else None, token))
                if token is not None:
                    claims.append(Claim(row.number, row.attempt, token))
            return rev, claims

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            rev = self._bump(db, name, study)
            token, key = os.urandom(16).hex(), key_of(study, row.number)
            moment = Moment(rev, State.RUNNING, row.until, row.step, row.attempt + 1, row.cost, row.seen)
            values = {"rev": rev, "moment": past_text([moment]), "worker": worker, "token": token, "until": row.until}
            found = db.execute(statements.CLAIM, values | {"now": time.time(), "key": key, "known": row.rev}).fetchone()
            if found is None:
                db.execute("ROLLBACK")
                return None
            return rev, Claim(row.number, found[0], token)

    def claim_ready(self, name: str, worker: str | None, n: int = 1) -> list[tuple[Claim, Row]]:
        study = self._id(name)
        if name in self._empty:  # who finds nothing again and again keeps nobody from writing
            with self._connection.read() as db:
                if not self._ready(db, name, study, 1):
                    return []
        with self._connection.write(durable=False) as db, understood(self.path):
            ready = self._ready(db, name, study, n)
            (self._empty.discard if ready else self._empty.add)(name)
            if not ready:
                db.execute("ROLLBACK")
                return []
            last, token, now = self._bump(db, name, study, len(ready)), os.urandom(16).hex(), time.time()
            found = list[tuple[Any, ...]]()
            for rev, (key, until, step, attempt, cost, seen, past) in enumerate(ready, last - len(ready) + 1):
                # Of a trial that has waited for its first start since that was decided, `begun` says it.
                moment = Moment(rev, State.RUNNING, until, step, attempt + 1, cost, seen)
                values = {
                    "rev": rev,
                    "moment": None if _is_fresh(attempt, past) else past_text([moment]),
                    "worker": worker,
                    "token": token,
                    "now": None if found else now,
                    "key": key,
                }
                found += db.execute(statements.CLAIM_READY, values).fetchall()
            return [(Claim(row.number, row.attempt, token), row) for row in from_columns(found)]

    def release(self, name: str, claims: Sequence[Claim]) -> None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            for claim in claims:
                rev = self._bump(db, name, study)
                db.execute(statements.RELEASE, (rev, key_of(study, claim.number), claim.token))

    def offer(self, name: str, row: Row) -> int | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            rev = self._bump(db, name, study)
            moment = past_text([Moment(rev, State.QUEUED, row.until, row.step, row.attempt, row.cost, row.seen)])
            values = {"rev": rev, "moment": moment, "until": row.until, "key": key_of(study, row.number)}
            if not db.execute(statements.OFFER, values | {"known": row.rev}).rowcount:
                db.execute("ROLLBACK")
                return None
            return rev

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        study = self._id(name)
        key = key_of(study, claim.number)
        with self._connection.write(durable=row.saved is not None) as db:
            rev = self._bump(db, name, study)
            saved = row.saved or (None, None)
            config = dumps(row.config) if config_changed else None
            values = {"rev": rev, "step": row.step, "began": row.began, "cost": row.cost, "config": config}
            values |= {"saved_step": saved[0], "saved_attempt": saved[1], "space": row.space, "started": row.started}
            values["length"] = row.length
            written = db.execute(statements.PROGRESS, values | {"key": key, "token": claim.token})
            if not written.rowcount:
                db.execute("ROLLBACK")
                return None
            if claim.attempt > 1:
                earlier = (key, claim.attempt, row.began)
                db.execute("DELETE FROM report WHERE trial = ? AND attempt < ? AND step > ?", earlier)
            db.executemany(
                "INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?, ?)",
                [(key, r.step, study, rev, claim.attempt, dumps(r.metrics)) for r in reports],
            )
            return rev

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        study, row = self._id(name), outcome.row
        key = key_of(study, claim.number)
        with self._connection.write(durable=True) as db:
            rev = self._bump(db, name, study)
            values = end_values(outcome, rev, claim) | {"key": key}
            ended = db.execute(statements.END_CLAIMED, values).fetchone()
            if ended is None:
                found = db.execute("SELECT rev, told_by, state, finished FROM trial WHERE id = ?", (key,)).fetchone()
                told = (claim.token, int(row.state), row.finished)
                if found is None or found[1:] == told:  # told twice: the answer to the first was lost
                    db.execute("ROLLBACK")
                    return int(found[0]) if found else None
                if row.state.final:  # given up, but if nobody has begun again, the work counts
                    ended = db.execute(statements.END_QUEUED, values).fetchone()
            why = outcome.why if ended else "late"
            if ended and ended[0] and row.state.final:
                db.execute("DELETE FROM report WHERE trial = ?", (key,))
            if why is not None:
                kept = (key, claim.attempt, claim.token, None, why, time.time(), text(row.values), text(row.error))
                db.execute(statements.SET_ASIDE, kept)
        return rev if ended else None

    def claim_of(self, name: str, number: int) -> Claim | None:
        key = key_of(self._id(name), number)
        with self._connection.read() as db:
            asked = "SELECT attempt, token FROM trial WHERE id = ? AND state = 1 AND token IS NOT NULL"
            found = db.execute(asked, (key,)).fetchone()
        return Claim(number, *found) if found else None

    def wish(self, name: str, number: int | None, wish: str | None) -> bool:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            if number is None:
                said = "UPDATE head SET wish = ? WHERE study = ? RETURNING rev"
                self._there(name, db.execute(said, (wish, study)).fetchone())
                return True
            if control.wish_of(db, study, number, self._bump(db, name, study), wish):
                return True
            db.execute("ROLLBACK")
            return False

    def cancel(self, name: str, number: int | None) -> int:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            self._there(name, db.execute(statements.HEAD, (study,)).fetchone())
            return control.cancel(db, study, number)

    def prune_paused(self, name: str) -> int:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            self._there(name, db.execute(statements.HEAD, (study,)).fetchone())
            return control.prune_paused(db, study)

    def deciding(self, name: str) -> AbstractContextManager[object]:
        return self._connection.locks.deciding(self._id(name))

    def lead(self, name: str, worker: str) -> bool:
        study = self._id(name)
        with self._connection.read() as db:
            head = db.execute(statements.HEAD, (study,)).fetchone()
        self._there(name, head)
        if head[2] == worker:
            return True
        self.reap()  # the leader may have died just now
        with self._connection.write(durable=False) as db:
            return db.execute(statements.LEAD, {"worker": worker, "study": study}).rowcount > 0

    def resign(self, name: str, worker: str) -> None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            db.execute("UPDATE head SET leader = NULL WHERE study = ? AND leader = ?", (study, worker))

    def orders(self, name: str, worker: str) -> Orders:
        study = self._id(name)
        with self._connection.read() as db:
            found = control.orders(db, study, worker)
        if found is None:
            raise self._gone(name)
        return found

    def members(self) -> list[Member]:
        with self._connection.read() as db:
            return control.members(db)

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        study = self._id(name)
        with self._connection.read() as db:
            asked = (
                "SELECT 1 FROM trial WHERE study = ? AND state = 1 AND worker IS NOT NULL AND worker IS NOT ? LIMIT 1"
            )
            return db.execute(asked, (study, worker)).fetchone() is not None

    def beat(self, worker: str, seconds: float) -> bool:
        until, slot = time.monotonic() + seconds, None
        try:
            with self._connection.write(durable=False) as db:
                if db.execute("UPDATE worker SET lease_until = ? WHERE id = ?", (until, worker)).rowcount:
                    return True
                (slot,) = db.execute(
                    "INSERT INTO worker (id, host, pid, version, lease_until) VALUES (?, ?, ?, ?, ?) RETURNING slot",
                    (worker, f"{here()} {boot()}", os.getpid(), version(), until),
                ).fetchone()
                self._connection.locks.hold(slot)  # before others can see the row
        except BaseException:
            self._drop(slot)  # the next worker gets the same
            raise
        known = self._slots.get(worker)
        self._drop(known)
        self._slots[worker] = slot
        return known is None

    def vouch(self, worker: str, seconds: float) -> None:
        with self._connection.write(durable=False) as db:
            db.execute("UPDATE worker SET lease_until = ? WHERE id = ?", (time.monotonic() + seconds, worker))

    def want(self, name: str, worker: str, n: int) -> None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            db.execute("UPDATE worker SET study = ?, wants = ? WHERE id = ?", (study, n, worker))

    def _drop(self, slot: int | None) -> None:
        if slot is not None:
            self._connection.locks.drop(slot)

    def reap(self) -> int:
        with self._connection.read() as db:
            workers = db.execute("SELECT id, slot, host, lease_until FROM worker").fetchall()
        dead = [(worker, until) for worker, slot, host, until in workers if self._is_dead(worker, slot, host, until)]
        if not dead:
            return 0
        queued = 0
        with self._connection.write(durable=False) as db, understood(self.path):
            for silent in dead:  # still: it may have beaten just now
                if db.execute("SELECT 1 FROM worker WHERE id = ? AND lease_until = ?", silent).fetchone():
                    queued += control.give_up(db, silent[0], "lost")
        return queued

    def _is_dead(self, worker: str, slot: int, host: str, lease_until: float) -> bool:
        if worker in self._slots:
            return False
        there, _, started = host.rpartition(" ")
        if started != boot():  # the machine was started again since, or this is a copy from another
            return True
        # All share one kernel, its locks and its clock, which nobody sets and which stands while it sleeps.
        shares = bool(started) or there == here()
        return lease_until < time.monotonic() or (shares and self._connection.locks.is_free(slot))

    def delete(self, name: str) -> None:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            db.execute("DELETE FROM study WHERE id = ?", (study,))
        del self._ids[name]

    def dump(self, name: str) -> Iterator[Page]:
        study = self._id(name)
        with closing(self._connection.again()) as own, own.read() as db:
            self._there(name, db.execute(statements.HEAD, (study,)).fetchone())
            yield from dumping.pages(db, study)

    def load(self, name: str, pages: Iterable[Page]) -> None:
        left = iter(pages)
        begun = list(islice(left, 1))  # so that what is dumped from this very file is open before it is written to
        with self._connection.write(durable=True) as db:
            if db.execute("SELECT 1 FROM study WHERE name = ?", (name,)).fetchone():
                raise StudyError(f"There is a study {name!r} in {self.path} already. Pass another name, or delete it.")
            dumping.take_in(db, name, chain(begun, left))

    def check(self) -> list[str]:
        with closing(self._connection.again()) as own, own.read() as db:
            return soundness.check(db)

    def close(self, worker: str | None = None) -> None:
        try:
            if worker in self._slots:
                with self._connection.write(durable=False) as db:
                    control.give_up(db, worker, "interrupted")
        finally:  # a worker without a slot is dead: others will queue its trials
            self._drop(self._slots.pop(worker, None) if worker else None)
            self._connection.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            with self._connection.read() as db:
                found = db.execute("SELECT id FROM study WHERE name = ?", (name,)).fetchone()
            self._ids[name] = self._there(name, found)
        return self._ids[name]

    def _ready(self, db: sqlite3.Connection, name: str, study: int, n: int) -> list[tuple[Any, ...]]:
        """The first trials that any worker may run, as `statements.READY` has them; behind the first, only fresh."""
        found = db.execute(statements.READY, (study, n)).fetchall()
        if not found:
            raise self._gone(name)
        if found[0][0] is not None or found[0][1] is None:
            return []
        return [ready for k, (_, *ready) in enumerate(found) if k == 0 or _is_fresh(ready[3], ready[6])]

    def _bump(self, db: sqlite3.Connection, name: str, study: int, by: int = 1) -> int:
        """The last of so many new revisions."""
        return self._there(name, db.execute(statements.BUMP, (by, study)).fetchone())

    def _there(self, name: str, found: tuple[Any, ...] | None) -> int:
        """The first number of a row about a study, which another process may have deleted."""
        if found is None:
            raise self._gone(name)
        return int(found[0])

    def _gone(self, name: str) -> StudyNotFound:
        self._ids.pop(name, None)
        return StudyNotFound(f"There is no study {name!r} in {self.path}: it was deleted, or never made.")


def _is_fresh(attempt: int, past: str | None) -> bool:
    """Whether a trial has waited since its first start was decided: nothing else has happened to it."""
    return attempt == 0 and past is None
