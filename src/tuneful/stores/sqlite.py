"""Studies in a SQLite file, or in memory."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.errors import StudyNotFound
from tuneful.history import Report, Row, State
from tuneful.protocols import Changes, Claim, Outcome, StudyRow
from tuneful.space import Config
from tuneful.stores.codec import dumps, loads
from tuneful.stores.connection import Abandon, Connection
from tuneful.stores.rows import COLUMNS, curve_text, from_columns, text, to_columns

_STUDY_BITS = 40  # a trial's key: its study above, its number below
_PAGE = 5_000  # rows read at a time
_LOST_AT_MOST = 3  # workers that a trial may take down before it is given up

_NEXT = "UPDATE head SET next = next + ?, rev = rev + ? WHERE study = ? AND next = ? RETURNING rev"
_BUMP = "UPDATE head SET rev = rev + 1 WHERE study = ? RETURNING rev"
_INSERT = (
    f"INSERT INTO trial ({COLUMNS}, id, study, worker, token) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * (COLUMNS.count(',') + 5))})"
)
_CHANGED = f"SELECT {COLUMNS} FROM trial WHERE study = ? AND rev > ? ORDER BY rev LIMIT ?"  # noqa: S608 - ours
_SPACES = "SELECT version, body FROM space WHERE study = ? AND rev > ? AND rev <= ? ORDER BY version"
# All of a trial that was started again: its earlier attempt reported what no longer counts.
_REPORTS = (
    "SELECT r.rev, t.number, r.step, r.metrics FROM report r JOIN trial t ON t.id = r.trial WHERE r.study = ? AND "
    "(r.rev > ? AND r.rev <= ? OR t.attempt > 1 AND t.rev > ? AND t.rev <= ?) ORDER BY r.trial, r.step"
)
_CLAIM = (
    "UPDATE trial SET state = 1, rev = ?, begun = CASE begun WHEN 0 THEN ? ELSE begun END, attempt = attempt + 1, "
    "worker = ?, token = ?, until = ?, started = coalesce(started, ?), seen = ? "
    "WHERE id = ? AND rev = ? AND state IN (0, 2) RETURNING attempt"
)
_END = (
    "UPDATE trial SET state = ?, rev = ?, ended = ?, metrics = ?, error = ?, curve = ?, step = ?, cost = ?, finished = ?, "
    "settings = ?, config = coalesce(?, config), space = ?, worker = NULL, token = NULL, told_by = ? "
)
_WHILE_CLAIMED = "WHERE id = ? AND token = ? AND state = 1"
_WHILE_QUEUED = "WHERE id = ? AND attempt = ? AND state = 0"


class SqliteStore:
    """Studies in one SQLite file that several processes of one host share, or in memory.

    A trial without reports costs two transactions and four statements: two when it is asked for, two when it is
    told. The second is on the disk when it returns, and the first with it.

    Args:
        path: The file; created if it is not there. None for memory.

    Raises:
        StoreError: the file cannot be a store; the message says why.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection = Connection(path)
        self._ids: dict[str, int] = {}
        self._slots: dict[str, int] = {}

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        with self._connection.write(durable=True) as db:
            if db.execute("SELECT 1 FROM study WHERE name = ?", (name,)).fetchone():
                raise Abandon
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
        return False

    def study(self, name: str) -> StudyRow | None:
        with self._connection.read() as db:
            found = db.execute("SELECT form FROM study WHERE name = ?", (name,)).fetchone()
        return StudyRow(name, loads(found[0])) if found else None

    def studies(self) -> list[str]:
        with self._connection.read() as db:
            return [name for (name,) in db.execute("SELECT name FROM study ORDER BY created, id")]

    def spaces(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        study = self._id(name)
        with self._connection.read() as db:
            asked = "SELECT version, body FROM space WHERE study = ? ORDER BY version"
            return [(version, loads(body)) for version, body in db.execute(asked, (study,))]

    def sync(self, name: str, rev: int) -> Changes:
        study = self._id(name)
        with self._connection.read() as db:
            (now,) = db.execute("SELECT rev FROM head WHERE study = ?", (study,)).fetchone()
            if now == rev:
                return Changes(rev)
            rows = list(from_columns(db.execute(_CHANGED, (study, rev, _PAGE)).fetchall()))
            more = len(rows) == _PAGE
            upto = rows[-1].rev if more else int(now)
            span = (study, rev, upto)
            spaces = db.execute(_SPACES, span).fetchall()
            reports = db.execute(_REPORTS, (*span, rev, upto)).fetchall()
        return Changes(
            upto,
            [(version, loads(body)) for version, body in spaces],
            rows,
            [(at, Report(number, step, loads(metrics))) for at, number, step, metrics in reports],
            more,
        )

    def grow(self, name: str, version: int, space: Mapping[str, Any]) -> int | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            (known,) = db.execute("SELECT max(version) FROM space WHERE study = ?", (study,)).fetchone()
            if known != version - 1:
                raise Abandon
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            db.execute("INSERT INTO space VALUES (?, ?, ?, ?)", (study, version, rev, dumps(space)))
            return rev
        return None

    def create(self, name: str, rows: Sequence[Row], worker: str | None) -> tuple[int, list[Claim]] | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            found = db.execute(_NEXT, (len(rows), len(rows), study, rows[0].number)).fetchone()
            if found is None:
                raise Abandon
            rev, claims = int(found[0]), list[Claim]()
            for row, at in zip(rows, range(rev - len(rows) + 1, rev + 1), strict=True):
                running = row.state == State.RUNNING
                token = uuid.uuid4().hex if running else None
                row.rev = row.born = at
                row.begun = at if row.begun or running else 0
                row.ended = at if row.state.final else 0
                key = (study << _STUDY_BITS) + row.number
                db.execute(_INSERT, (*to_columns(row), key, study, worker if running else None, token))
                if token is not None:
                    claims.append(Claim(row.number, row.attempt, token))
            return rev, claims
        return None

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        study = self._id(name)
        with self._connection.write(durable=False) as db:
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            token, now = uuid.uuid4().hex, time.time()
            key = (study << _STUDY_BITS) + row.number
            found = db.execute(_CLAIM, (rev, rev, worker, token, row.until, now, row.seen, key, row.rev)).fetchone()
            if found is None:
                raise Abandon
            return rev, Claim(row.number, found[0], token)
        return None

    def report(self, name: str, claim: Claim, row: Row, reports: Sequence[Report]) -> int | None:
        study = self._id(name)
        key = (study << _STUDY_BITS) + claim.number
        with self._connection.write(durable=row.saved is not None) as db:
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            saved = row.saved or (None, None)
            written = db.execute(
                "UPDATE trial SET rev = ?, step = ?, began = ?, cost = ?, saved_step = ?, saved_attempt = ? "
                + _WHILE_CLAIMED,
                (rev, row.step, row.began, row.cost, *saved, key, claim.token),
            )
            if not written.rowcount:
                raise Abandon
            if claim.attempt > 1:
                earlier = (key, claim.attempt, row.began)
                db.execute("DELETE FROM report WHERE trial = ? AND attempt < ? AND step > ?", earlier)
            db.executemany(
                "INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?, ?)",
                [(key, r.step, study, rev, claim.attempt, dumps(r.metrics)) for r in reports],
            )
            return rev
        return None

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        study, row = self._id(name), outcome.row
        key = (study << _STUDY_BITS) + claim.number
        accepted = False
        with self._connection.write(durable=True) as db:
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            values = (
                *(int(row.state), rev, rev if row.state.final else 0, text(row.values), text(row.error)),
                *(curve_text(row), row.step, row.cost, row.finished, text(row.settings)),
                *(dumps(row.config) if outcome.config_changed else None, row.space, claim.token),
            )
            accepted = bool(db.execute(_END + _WHILE_CLAIMED, (*values, key, claim.token)).rowcount)
            if not accepted:
                accepted, rev = self._late(db, key, claim, outcome, (*values, key, claim.attempt), rev)
            if accepted and row.state.final and outcome.reported:
                db.execute("DELETE FROM report WHERE trial = ?", (key,))
            if outcome.why is not None:
                self._set_aside(db, key, claim, outcome)
        return rev if accepted else None

    def _late(
        self, db: sqlite3.Connection, key: int, claim: Claim, outcome: Outcome, values: tuple[Any, ...], rev: int
    ) -> tuple[bool, int]:
        """What becomes of a result whose claim no longer runs: (accepted, revision)."""
        found = db.execute("SELECT told_by, rev FROM trial WHERE id = ?", (key,)).fetchone()
        if found is not None and found[0] == claim.token:
            return True, int(found[1])  # told twice: the answer to the first was lost
        if outcome.row.state.final and db.execute(_END + _WHILE_QUEUED, values).rowcount:
            return True, rev  # given up, but nobody has begun again: the work counts
        if found is not None:
            self._set_aside(db, key, claim, outcome, "late")
        return False, rev

    def _set_aside(
        self, db: sqlite3.Connection, key: int, claim: Claim, outcome: Outcome, why: str | None = None
    ) -> None:
        row = outcome.row
        kept = (key, claim.attempt, claim.token, None, why or outcome.why, time.time(), text(row.values), text(row.error))
        db.execute("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)

    def claim_of(self, name: str, number: int) -> Claim | None:
        key = (self._id(name) << _STUDY_BITS) + number
        with self._connection.read() as db:
            found = db.execute("SELECT attempt, token FROM trial WHERE id = ? AND state = 1", (key,)).fetchone()
        return Claim(number, *found) if found else None

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        study = self._id(name)
        with self._connection.read() as db:
            asked = "SELECT 1 FROM trial WHERE study = ? AND state = 1 AND worker IS NOT NULL AND worker IS NOT ? LIMIT 1"
            return db.execute(asked, (study, worker)).fetchone() is not None

    def beat(self, worker: str, seconds: float) -> bool:
        locks = self._connection.locks
        with self._connection.write(durable=False) as db:
            until = time.time() + seconds
            if db.execute("UPDATE worker SET lease_until = ? WHERE id = ?", (until, worker)).rowcount:
                return True
            known = worker in self._slots
            self._slots[worker] = db.execute(
                "INSERT INTO worker (id, host, pid, lease_until) VALUES (?, ?, ?, ?) RETURNING slot",
                (worker, _host(), os.getpid(), until),
            ).fetchone()[0]
            if locks is not None:
                locks.hold(self._slots[worker])
        return not known

    def reap(self) -> int:
        with self._connection.read() as db:
            workers = db.execute("SELECT id, slot, host, lease_until FROM worker").fetchall()
        dead = [worker for worker, slot, host, until in workers if self._is_dead(worker, slot, host, until)]
        if not dead:
            return 0
        queued = 0
        with self._connection.write(durable=False) as db:
            for worker in dead:
                queued += self._give_up(db, worker, "lost")
        return queued

    def _is_dead(self, worker: str, slot: int, host: str, lease_until: float) -> bool:
        if worker in self._slots:
            return False
        locks = self._connection.locks
        return lease_until < time.time() or (host == _host() and locks is not None and locks.is_free(slot))

    def _give_up(self, db: sqlite3.Connection, worker: str, why: str) -> int:
        running = db.execute(
            "SELECT id, study, attempt, token FROM trial WHERE worker = ? AND state = 1", (worker,)
        ).fetchall()
        for key, study, attempt, token in running:
            rev = int(db.execute(_BUMP, (study,)).fetchone()[0])
            kept = (key, attempt, token, worker, why, time.time(), None, None)
            db.execute("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
            (lost,) = db.execute("SELECT count(*) FROM attempt WHERE trial = ? AND why = 'lost'", (key,)).fetchone()
            if lost < _LOST_AT_MOST:
                back = "UPDATE trial SET state = 0, rev = ?, worker = NULL, token = NULL WHERE id = ?"
                db.execute(back, (rev, key))
                continue
            message = f"{lost} workers died while they ran it; it was not started again."
            error = dumps({"type": "WorkerLost", "message": message, "traceback": ""})
            over = "UPDATE trial SET state = 5, rev = ?, ended = ?, error = ?, finished = ?, worker = NULL, token = NULL"
            db.execute(over + " WHERE id = ?", (rev, rev, error, time.time(), key))
        db.execute("DELETE FROM worker WHERE id = ?", (worker,))
        return len(running)

    def delete(self, name: str) -> None:
        study = self._id(name)
        with self._connection.write(durable=True) as db:
            db.execute("DELETE FROM study WHERE id = ?", (study,))
        del self._ids[name]

    def close(self, worker: str | None = None) -> None:
        if worker in self._slots:
            with self._connection.write(durable=False) as db:
                self._give_up(db, worker, "interrupted")
            if (locks := self._connection.locks) is not None:
                locks.drop(self._slots.pop(worker))
        self._connection.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            with self._connection.read() as db:
                found = db.execute("SELECT id FROM study WHERE name = ?", (name,)).fetchone()
            if found is None:
                raise StudyNotFound(f"There is no study {name!r} in {self.path}. It has {self.studies() or 'none'}.")
            self._ids[name] = found[0]
        return self._ids[name]


def _host() -> str:
    """This host, and the process namespace in it: containers of one host share neither."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()
