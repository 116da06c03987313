"""What is wanted of the trials of a database, and who works on them: functions of a link, in a transaction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tuneful.history import State
from tuneful.protocols import Member, Orders
from tuneful.stores import worker as process
from tuneful.stores.codec import dumps
from tuneful.stores.postgres import statements
from tuneful.stores.postgres.link import Found, Link
from tuneful.stores.rows import folded
from tuneful.stores.tables import key_of

_LOST_AT_MOST = 3  # workers that a trial may take down before it is given up
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def host() -> str:
    """This process's host, process namespace, and boot of the machine: hosts may share a name."""
    try:
        return f"{process.host()} {_BOOT.read_text().strip()}"
    except OSError:
        return process.host()


def has_ended(where: str, pid: int) -> bool:
    """Whether a process of this host, process namespace and boot is over; False wherever that cannot be told."""
    if where != host() or where.count(" ") < 2:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]


def cancel(link: Link, study: int, number: int | None) -> list[int]:
    """End what is not over of a trial, or of all, as cancelled; their keys."""
    first, last = (0, 2**40 - 1) if number is None else (number, number)
    values = {"study": study, "first": key_of(study, first), "last": key_of(study, last)}
    keys = [key for (key,) in link.ask(statements.OPEN_TRIALS, values)]
    if keys:
        _fold(link, study, keys, State.CANCELLED, None)
    return keys


def prune_paused(link: Link, study: int) -> int:
    """End what is paused as pruned; how many."""
    keys = [key for (key,) in link.ask(statements.PAUSED, {"study": study})]
    if keys:
        _fold(link, study, keys, State.PRUNED, None)
    return len(keys)


def orders(found: Found) -> Orders:
    """What a worker must know, from the rows of `ORDERS`."""
    wish, leader, *_ = found[0]
    return Orders(wish, {number: wanted for _, _, number, wanted in found if number is not None}, leader)


def members(link: Link) -> list[Member]:
    """The registered workers, with what they run."""
    members = dict[str, Member]()
    for worker, where, pid, version, lease, wanted, n, study, number in link.ask(statements.MEMBERS):
        waiting = None if wanted is None else (wanted, n)
        known = members.setdefault(worker, Member(worker, where.split(" ")[0], pid, version, lease, [], waiting))
        if study is not None:
            members[worker] = known._replace(running=[*known.running, (study, number)])
    return list(members.values())


def give_up(link: Link, worker: str, slot: int, why: str) -> int:
    """Take what a worker runs from it, and forget the worker; how many trials."""
    running = link.ask(statements.RUN_BY, {"worker": worker})
    put_back(link, running, worker, why)
    link.ask(statements.UNREGISTER, {"slot": slot})
    return len(running)


def put_back(link: Link, running: Sequence[tuple[Any, ...]], worker: str | None, why: str) -> None:
    """Queue trials again, as rows of `RUN_BY`; but not one that has taken down too many workers."""
    for key, study, attempt, token, lost, saved, started in running:
        if started is None:
            link.ask(statements.RELEASE, {"id": key, "study": study, "token": token})
            continue
        kept = {"id": key, "attempt": attempt, "token": token, "worker": worker, "why": why}
        link.ask(statements.SET_ASIDE, kept | {"metrics": saved, "error": None})
        lost_now = lost + (why == "lost")
        if lost_now < _LOST_AT_MOST:
            link.ask(statements.BACK, {"id": key, "study": study})
            continue
        message = f"{lost_now} workers died while they ran it, without getting further; it was not started again."
        error = {"type": "WorkerLost", "message": message, "traceback": ""}
        _fold(link, study, [key], State.FAILED, dumps(error))


def _fold(link: Link, study: int, keys: list[int], state: State, error: str | None) -> None:
    """End trials with what they have reported."""
    reports = link.ask(statements.REPORTED, {"ids": keys})
    told = {key: folded([row[1:] for row in rows]) for key, rows in groupby(reports, key=lambda row: row[0])}
    metrics, curves, known = zip(*(told.get(key, (None, None, None)) for key in keys), strict=True)
    rev = link.ask(statements.BUMP, {"study": study, "by": len(keys)})[0][0]
    values = {"ids": keys, "at": list(range(rev - len(keys) + 1, rev + 1)), "state": int(state), "error": error}
    link.ask(statements.FOLD, values | {"metrics": list(metrics), "curves": list(curves), "known": list(known)})
    link.ask(statements.FORGET_REPORTS, {"ids": keys})
