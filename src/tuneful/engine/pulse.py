"""What a process says and hears between decisions: that it lives, and what is wanted of it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuneful.engine.session import Session

LEASE = 60.0  # seconds; a worker that has not been heard of for so long is given up (Temporal, Optuna: 60 too)
BEATS = 6  # heartbeats in a lease
LISTEN = 1.0  # seconds between looks at what is wanted
_WATCH = 0.2  # seconds between calls of a watch


class Pulse:
    """A thread of a session that renews its lease and hears what is wanted of its trials.

    Args:
        session: Whose; the thread ends when it is forgotten.
        lease: Seconds for which it is taken to live without being heard of.
        watch: Called at each turn, for what else has to be looked after while the objective runs.
    """

    def __init__(self, session: Session, lease: float, watch: Callable[[], None] | None = None) -> None:
        self._stop = threading.Event()
        asked = weakref.ref(session), self._stop, lease, watch
        threading.Thread(target=_beat, args=asked, daemon=True, name="tuneful pulse").start()

    def end(self) -> None:
        """Say no more."""
        self._stop.set()


def _beat(session: weakref.ref[Session], stop: threading.Event, lease: float, watch: Callable[[], None] | None) -> None:
    pid, beaten, heard = os.getpid(), time.monotonic(), -1e9
    turn = min(lease / BEATS, LISTEN if watch is None else _WATCH)
    while not stop.wait(turn):
        alive, now = session(), time.monotonic()
        if alive is None or os.getpid() != pid:
            return
        if watch is not None:
            with suppress(Exception):  # whatever it is, the lease must not be lost by it
                watch()
        with suppress(Exception):  # the store is away; the next turn may reach it
            if now - beaten >= lease / BEATS - turn / 2:
                alive.beat(lease)
                beaten = now
            if now - heard >= LISTEN - turn / 2:
                heard = now
                alive.listen()
        del alive
