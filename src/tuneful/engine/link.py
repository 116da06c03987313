"""The pipe between a worker and the process that started it, as the worker sees it."""

from __future__ import annotations

import os
import queue
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

_LOOK = 1.0  # seconds between looks whether the parent lives
_GRACE = 30.0  # seconds in which a worker whose parent is gone has to give back its trial


class Link:
    """What a worker hears from its parent and says to it.

    When the parent says so, or dies, the worker is interrupted as by SIGTERM: its trial is queued again.

    Args:
        pipe: The worker's end.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._parent = os.getppid()

    def work(self) -> bytes | None:
        """What to do, the first thing that the parent sends; None if it is gone."""
        try:
            work = self._pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        threading.Thread(target=self._listen, daemon=True, name="tuneful link").start()
        return work

    def say(self, what: str, about: object = None) -> None:
        """Tell the parent something; if it is gone, nobody."""
        with suppress(OSError), self._sending:
            self._pipe.send((what, about))

    def heard(self, seconds: float) -> str | None:
        """The next word of the parent, if it comes in time; of several `go`, one."""
        try:
            word = self._words.get(timeout=seconds) if seconds else self._words.get_nowait()
        except queue.Empty:
            return None
        while word != "end" and not self._words.empty():
            word = self._words.get()
        return word

    def _listen(self) -> None:
        while True:
            word = self._next()
            if word == "now":
                self._words.put("end")
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Event().wait(_GRACE)
                os._exit(128 + signal.SIGKILL)
            self._words.put(word)

    def _next(self) -> str:
        """The next word; `now` if the parent is gone."""
        try:
            while not self._pipe.poll(_LOOK):
                if os.getppid() != self._parent:  # what it had forked may keep the pipe open
                    return "now"
            return str(self._pipe.recv())
        except (EOFError, OSError):
            return "now"
