"""Studies in a SQLite file."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneful.errors import StoreError, StudyNotFound
from tuneful.history import Moment, Report, Row, State
from tuneful.protocols import Changes, Claim, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores.codec import dumps, loads
from tuneful.stores.connection import Connection
from tuneful.stores.rows import COLUMNS, curve_text, folded, from_columns, past_text, revs_text, text, to_columns

_STUDY_BITS = 40  # a trial's key: its study above, its number below
_PAGE = 1_000  # rows read at a time
_LOST_AT_MOST = 3  # workers that a trial may take down before it is given up

_NEXT = "UPDATE head SET next = next + ?, rev = rev + ? WHERE study = ? AND next = ? RETURNING rev"
_BUMP = "UPDATE head SET rev = rev + 1 WHERE study = ? RETURNING rev"
_INSERT = (
    f"INSERT INTO trial ({COLUMNS}, id, study, worker, token) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * (COLUMNS.count(',') + 5))})"
)
_CHANGED = f"SELECT {COLUMNS} FROM trial WHERE study = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?"  # noqa: S608 - our own
_SPACES = "SELECT version, rev, body FROM space WHERE study = ? AND rev > ? ORDER BY version LIMIT 2"
# All of a trial that was started again: its earlier attempt reported what no longer counts.
_REPORTS = (
    "SELECT r.rev, t.number, r.step, r.metrics FROM report r JOIN trial t ON t.id = r.trial WHERE r.study = ? AND "
    "t.state < 3 AND (r.rev > ? AND r.rev <= ? OR t.attempt > 1 AND t.rev > ? AND t.rev <= ?) ORDER BY r.trial, r.step"
)
# The moments of a trial and one more, unless that is NULL; first of all its start, if it was started as it was made.
_PAST = (
    "coalesce(CASE begun WHEN 0 THEN :moment ELSE coalesce(past, '[' || begun || ',1,' || coalesce(until, 'null') || "
    "',0,1,0.0,' || seen || ']') || ',' || :moment END, past)"
)
# The space and config that it was recorded with, if these are others.
_PROPOSED = (
    "CASE WHEN :config IS NULL AND space = :space THEN proposed "
    "ELSE coalesce(proposed, '[' || space || ',' || config || ']') END"
)
_CLAIM = (
    "UPDATE trial SET state = 1, rev = :rev, begun = CASE begun WHEN 0 THEN :rev ELSE begun END, "  # noqa: S608 - ours
    f"attempt = attempt + 1, past = {_PAST}, worker = :worker, token = :token, until = :until, "
    "started = coalesce(started, :now) WHERE id = :key AND rev = :known AND state IN (0, 2) RETURNING attempt"
)
_END = (
    "UPDATE trial SET state = :state, rev = :rev, ended = :ended, metrics = :metrics, error = :error, "  # noqa: S608 - our own
    "curve = :curve, revs = :revs, step = :step, cost = :cost, finished = :finished, settings = :settings, "
    f"past = {_PAST}, proposed = {_PROPOSED}, config = coalesce(:config, config), space = :space, worker = NULL, "
    "token = NULL, told_by = :token "
)
_BACK = f"UPDATE trial SET state = 0, rev = :rev, past = {_PAST}, worker = NULL, token = NULL WHERE id = :key"  # noqa: S608 - our own
_LOST = (
    "UPDATE trial SET state = 5, rev = ?, ended = ?, error = ?, finished = ?, metrics = ?, curve = ?, revs = ?, "
    "worker = NULL, token = NULL WHERE id = ?"
)
# Workers lost since the last checkpoint: a trial that advances may lose any number of them.
_LOSSES = (
    "SELECT count(*) FROM attempt a JOIN trial t ON t.id = a.trial WHERE a.trial = ? AND a.why = 'lost' "
    "AND a.attempt > coalesce(t.saved_attempt, 0)"
)
_REPORTED = "SELECT step, rev, metrics FROM report WHERE trial = ? ORDER BY step"
_SET_ASIDE = "INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PROGRESS = (
    "UPDATE trial SET rev = :rev, step = :step, began = :began, cost = :cost, saved_step = :saved_step, "  # noqa: S608 - our own
    f"saved_attempt = :saved_attempt, proposed = {_PROPOSED}, config = coalesce(:config, config), space = :space "
)
_WHILE_CLAIMED = "WHERE id = :key AND token = :token AND state = 1"
_END_CLAIMED = _END + _WHILE_CLAIMED
_END_QUEUED = _END + "WHERE id = :key AND attempt = :attempt AND state = 0"


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

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        with self._connection.write(durable=True) as db:
            if db.execute("SELECT 1 FROM study WHERE name = ?", (name,)).fetchone():
                return False
            written = (name, dumps(form), time.time())
            (study,) = db.execute(
                "INSERT INTO study (name, form, created) VALUES (?, ?, ?) RETURNING id", written
            ).fetchone()
            db.execute("INSERT INTO head VALUES (?, 0, 1)", (study,))
            db.execute("INSERT INTO space VALUES (?, 0, 1, ?)", (study, dumps(space)))
            if first is not None:
                rev = db.execute(_NEXT, (1, 1, study, 0)).fetchone()[0]
                row = Row(0, first, rev=rev, born=rev, why={"searcher": "default"})
                db.execute(_INSERT, (*to_columns(row), study << _STUDY_BITS, study, None, None))
        return True

    def study(self, name: str) -> StudyRow | None:
        with self._connection.read() as db, self._understood():
            found = db.execute("SELECT form FROM study WHERE name = ?", (name,)).fetchone()
            return StudyRow(name, loads(found[0])) if found else None

    def studies(self) -> list[str]:
        with self._connection.read() as db:
            return [name for (name,) in db.execute("SELECT name FROM study ORDER BY created, id")]

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        study = self._id(name)
        with self._connection.read() as db, self._understood():
            asked = "SELECT version, body FROM space WHERE study = ? ORDER BY version"
            return [(version, loads(body)) for version, body in db.execute(asked, (study,))]

    def sync(self, name: str, rev: int) -> Changes:
        study = self._id(name)
        with self._connection.read() as db, self._understood():
            now = self._there(name, db.execute("SELECT rev FROM head WHERE study = ?", (study,)).fetchone())
            if now == rev:
                return Changes(rev)
            # A new space ends a page: so its revision is told.
            spaces = db.execute(_SPACES, (study, rev)).fetchall()
            end = next((since for version, since, _ in spaces if version), now)
            rows = list(from_columns(db.execute(_CHANGED, (study, rev, end, _PAGE)).fetchall()))
            upto = rows[-1].rev if len(rows) == _PAGE else end
            reports = db.execute(_REPORTS, (study, rev, upto, rev, upto)).fetchall()
            return Changes(
                upto,
                [(version, loads(body)) for version, since, body in spaces if since <= upto],
                rows,
                [(at, Report(number, step, loads(metrics))) for at, number, step, metrics in reports],
                upto < now,
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
            found = db.execute(_NEXT, (len(rows), len(rows), study, rows[0].number)).fetchone()
            if found is None:
                return None
            rev, claims = int(found[0]), list[Claim]()
            for row, at in zip(rows, range(rev - len(rows) + 1, rev + 1), strict=True):
                running = row.state == State.RUNNING
                token = os.urandom(16).hex() if running else None
                row.rev = row.born = at
                row.begun = at if row.begun or running else 0
                row.ended = at if row.state.final else 0
                key = (study << _STUDY_BITS) + row.number
                db.execute(_INSERT, (*to_columns(row), key, study, worker if running else None, token))
                if token is not None:
                    claims.append(Claim(row.number, row.attempt, token))
            return rev, claims

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            rev = self._bump(db, name, study)
            token, key = os.urandom(16).hex(), (study << _STUDY_BITS) + row.number
            moment = Moment(rev, State.RUNNING, row.until, row.step, row.attempt + 1, row.cost, row.seen)
            values = {"rev": rev, "moment": past_text([moment]), "worker": worker, "token": token, "until": row.until}
            found = db.execute(_CLAIM, values | {"now": time.time(), "key": key, "known": row.rev}).fetchone()
            if found is None:
                db.execute("ROLLBACK")
                return None
            return rev, Claim(row.number, found[0], token)

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        study = self._id(name)
        key = (study << _STUDY_BITS) + claim.number
        with self._connection.write(durable=row.saved is not None) as db:
            rev = self._bump(db, name, study)
            saved = row.saved or (None, None)
            config = dumps(row.config) if config_changed else None
            values = {"rev": rev, "step": row.step, "began": row.began, "cost": row.cost, "config": config}
            values |= {"saved_step": saved[0], "saved_attempt": saved[1], "space": row.space}
            written = db.execute(_PROGRESS + _WHILE_CLAIMED, values | {"key": key, "token": claim.token})
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
        key = (study << _STUDY_BITS) + claim.number
        with self._connection.write(durable=True) as db:
            rev = self._bump(db, name, study)
            values = _end(outcome, rev, claim) | {"key": key}
            accepted = bool(db.execute(_END_CLAIMED, values).rowcount)
            if not accepted:
                found = db.execute("SELECT rev, told_by, state, finished FROM trial WHERE id = ?", (key,)).fetchone()
                told = (claim.token, int(row.state), row.finished)
                if found is None or found[1:] == told:  # told twice: the answer to the first was lost
                    db.execute("ROLLBACK")
                    return int(found[0]) if found else None
                if row.state.final:  # given up, but if nobody has begun again, the work counts
                    accepted = bool(db.execute(_END_QUEUED, values).rowcount)
            why = outcome.why if accepted else "late"
            if accepted and row.state.final and outcome.reported:
                db.execute("DELETE FROM report WHERE trial = ?", (key,))
            if why is not None:
                kept = (key, claim.attempt, claim.token, None, why, time.time(), text(row.values), text(row.error))
                db.execute(_SET_ASIDE, kept)
        return rev if accepted else None

    def claim_of(self, name: str, number: int) -> Claim | None:
        key = (self._id(name) << _STUDY_BITS) + number
        with self._connection.read() as db:
            found = db.execute("SELECT attempt, token FROM trial WHERE id = ? AND state = 1", (key,)).fetchone()
        return Claim(number, *found) if found else None

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        study = self._id(name)
        with self._connection.read() as db:
            asked = (
                "SELECT 1 FROM trial WHERE study = ? AND state = 1 AND worker IS NOT NULL AND worker IS NOT ? LIMIT 1"
            )
            return db.execute(asked, (study, worker)).fetchone() is not None

    def beat(self, worker: str, seconds: float) -> bool:
        until, slot = time.time() + seconds, None
        try:
            with self._connection.write(durable=False) as db:
                if db.execute("UPDATE worker SET lease_until = ? WHERE id = ?", (until, worker)).rowcount:
                    return True
                (slot,) = db.execute(
                    "INSERT INTO worker (id, host, pid, lease_until) VALUES (?, ?, ?, ?) RETURNING slot",
                    (worker, _host(), os.getpid(), until),
                ).fetchone()
                self._connection.locks.hold(slot)  # before others can see the row
        except BaseException:
            self._drop(slot)  # the next worker gets the same
            raise
        known = self._slots.get(worker)
        self._drop(known)
        self._slots[worker] = slot
        return known is None

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
        with self._connection.write(durable=False) as db, self._understood():
            for silent in dead:  # still: it may have beaten just now
                if db.execute("SELECT 1 FROM worker WHERE id = ? AND lease_until = ?", silent).fetchone():
                    queued += self._give_up(db, silent[0], "lost")
        return queued

    def _is_dead(self, worker: str, slot: int, host: str, lease_until: float) -> bool:
        if worker in self._slots:
            return False
        return lease_until < time.time() or (host == _host() and self._connection.locks.is_free(slot))

    def _give_up(self, db: sqlite3.Connection, worker: str, why: str) -> int:
        running = db.execute(
            "SELECT id, study, attempt, token FROM trial WHERE worker = ? AND state = 1", (worker,)
        ).fetchall()
        for key, study, attempt, token in running:
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            db.execute(_SET_ASIDE, (key, attempt, token, worker, why, time.time(), None, None))
            (lost,) = db.execute(_LOSSES, (key,)).fetchone()
            if lost < _LOST_AT_MOST:
                asked = "SELECT until, step, attempt, cost, seen FROM trial WHERE id = ?"
                moment = Moment(rev, State.QUEUED, *db.execute(asked, (key,)).fetchone())
                db.execute(_BACK, {"rev": rev, "moment": past_text([moment]), "key": key})
                continue
            message = (
                f"{lost} workers in a row died while they ran it, without a new checkpoint; it was not started again."
            )
            error = dumps({"type": "WorkerLost", "message": message, "traceback": ""})
            results = folded(db.execute(_REPORTED, (key,)).fetchall())
            db.execute("DELETE FROM report WHERE trial = ?", (key,))
            db.execute(_LOST, (rev, rev, error, time.time(), *results, key))
        db.execute("DELETE FROM worker WHERE id = ?", (worker,))
        return len(running)

    def delete(self, name: str) -> None:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            db.execute("DELETE FROM study WHERE id = ?", (study,))
        del self._ids[name]

    def close(self, worker: str | None = None) -> None:
        try:
            if worker in self._slots:
                with self._connection.write(durable=False) as db:
                    self._give_up(db, worker, "interrupted")
        finally:  # a worker without a slot is dead: others will queue its trials
            self._drop(self._slots.pop(worker, None) if worker else None)
            self._connection.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            with self._connection.read() as db:
                found = db.execute("SELECT id FROM study WHERE name = ?", (name,)).fetchone()
            self._ids[name] = self._there(name, found)
        return self._ids[name]

    def _bump(self, db: sqlite3.Connection, name: str, study: int) -> int:
        return self._there(name, db.execute(_BUMP, (study,)).fetchone())

    def _there(self, name: str, found: tuple[int] | None) -> int:
        """The one number of a row about a study, which another process may have deleted."""
        if found is None:
            self._ids.pop(name, None)
            raise StudyNotFound(f"There is no study {name!r} in {self.path}: it was deleted, or never made.")
        return int(found[0])

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self.path} is damaged: what it holds is not what was written ({type(error).__name__}: {error}). "
                "Restore a copy."
            ) from error


def _end(outcome: Outcome, rev: int, claim: Claim) -> dict[str, Any]:
    """The values of `_END`."""
    row, final = outcome.row, outcome.row.state.final
    moment = Moment(rev, row.state, row.until, row.step, claim.attempt, row.cost, row.seen)
    return {
        "state": int(row.state),
        "rev": rev,
        "ended": rev if final else 0,
        "metrics": text(row.values),
        "error": text(row.error),
        "curve": curve_text(row),
        "revs": revs_text(row.revs) if final else None,
        "step": row.step,
        "cost": row.cost,
        "finished": row.finished,
        "settings": text(row.settings),
        "moment": None if final else past_text([moment]),
        "config": dumps(row.config) if outcome.config_changed else None,
        "space": row.space,
        "token": claim.token,
        "attempt": claim.attempt,
    }


def _host() -> str:
    """This host, and the process namespace in it: containers of one host share neither."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()
