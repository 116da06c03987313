"""What is wanted of the trials of a SQLite file, and who works on them: functions of a connection in a transaction."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from tuneful.history import Moment, State
from tuneful.protocols import Member, Orders
from tuneful.stores import statements
from tuneful.stores.codec import dumps
from tuneful.stores.rows import folded, past_text
from tuneful.stores.tables import key_of

_LOST_AT_MOST = 3  # workers that a trial may take down before it is given up


def wish_of(db: sqlite3.Connection, study: int, number: int, rev: int, wish: str | None) -> bool:
    """Write what is wanted of a trial; whether it is there and not over."""
    asked = "UPDATE trial SET wish = ?, rev = ? WHERE id = ? AND state < 3"
    return db.execute(asked, (wish, rev, key_of(study, number))).rowcount > 0


def cancel(db: sqlite3.Connection, study: int, number: int | None) -> int:
    """End what is not over of a trial, or of all, as cancelled; how many."""
    if number is None:
        found = db.execute("SELECT id FROM trial WHERE study = ? AND state < 3 ORDER BY id", (study,)).fetchall()
    else:
        found = db.execute("SELECT id FROM trial WHERE id = ? AND state < 3", (key_of(study, number),)).fetchall()
    for (key,) in found:
        _fold(db, key, _bumped(db, study), State.CANCELLED, None)
    return len(found)


def prune_paused(db: sqlite3.Connection, study: int) -> int:
    """End what is paused as pruned; how many."""
    found = db.execute("SELECT id FROM trial WHERE study = ? AND state = 2 ORDER BY id", (study,)).fetchall()
    for (key,) in found:
        _fold(db, key, _bumped(db, study), State.PRUNED, None)
    return len(found)


def orders(db: sqlite3.Connection, study: int, worker: str) -> Orders | None:
    """What a worker must know; None if the study is gone."""
    found = db.execute(statements.ORDERS, (worker, study)).fetchall()
    if not found:
        return None
    wish, leader, *_ = found[0]
    return Orders(wish, {number: wanted for _, _, number, wanted in found if number is not None}, leader)


def members(db: sqlite3.Connection) -> list[Member]:
    """The registered workers, with what they run."""
    running: dict[str, list[tuple[str, int]]] = {}
    for worker, study, number in db.execute(statements.RUNNING):
        running.setdefault(worker, []).append((study, number))
    asked = (
        "SELECT w.id, w.host, w.pid, w.version, w.lease_until, s.name, w.wants FROM worker w "
        "LEFT JOIN study s ON s.id = w.study ORDER BY w.slot"
    )
    now = time.monotonic()
    return [
        Member(worker, host.split(" ")[0], pid, version, until - now, running.get(worker, []), name and (name, wants))
        for worker, host, pid, version, until, name, wants in db.execute(asked)
    ]


def give_up(db: sqlite3.Connection, worker: str, why: str) -> int:
    """Take what a worker runs from it, and forget the worker; how many trials."""
    running = db.execute(statements.RUN_BY, (worker,)).fetchall()
    for key, study, attempt, token, started, saved in running:
        rev = _bumped(db, study)
        if started is None:
            db.execute(statements.RELEASE, (rev, key, token))
            continue
        db.execute(statements.SET_ASIDE, (key, attempt, token, worker, why, time.time(), saved, None))
        (lost,) = db.execute(statements.LOSSES, (key, saved)).fetchone()
        if lost < _LOST_AT_MOST:
            stood = db.execute(statements.STOOD, (key,)).fetchone()
            values = {"rev": rev, "moment": past_text([Moment(rev, *stood)]), "state": stood[0], "key": key}
            db.execute(statements.BACK, values)
            continue
        message = f"{lost} workers died while they ran it, without getting further; it was not started again."
        _fold(db, key, rev, State.FAILED, {"type": "WorkerLost", "message": message, "traceback": ""})
    db.execute("DELETE FROM worker WHERE id = ?", (worker,))
    return len(running)


def _bumped(db: sqlite3.Connection, study: int) -> int:
    return int(db.execute(statements.BUMP, (1, study)).fetchone()[0])


def _fold(db: sqlite3.Connection, key: int, rev: int, state: State, error: dict[str, Any] | None) -> None:
    """End a trial with what it has reported."""
    results = folded(db.execute(statements.REPORTED, (key,)).fetchall())
    db.execute("DELETE FROM report WHERE trial = ?", (key,))
    written = None if error is None else dumps(error)
    db.execute(statements.FOLD, (int(state), rev, rev, written, time.time(), *results, key))
