"""Ctrl-C and SIGTERM, taken so that nothing is left half done."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# The handlers of signals that nobody has a use for.
_FREE: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_taken: set[int] = set()  # which of them this process takes
_forking = threading.local()  # `mask`: what the thread that forks had blocked before


class Terminated(BaseException):
    """SIGTERM came."""


class Signals:
    """Ctrl-C and SIGTERM as exceptions, let through only while the user's code runs.

    What the engine does in between is done whole; a second signal breaks into that too. Handlers of others stay.
    """

    def __init__(self) -> None:
        self._came: type[BaseException] | None = None
        self._open = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the signals that nobody else has a use for."""
        main = threading.current_thread() is threading.main_thread()
        ours = {kind: before for kind, before in _FREE.items() if main and signal.getsignal(kind) is before}
        try:
            for kind in ours:
                signal.signal(kind, self._take)
                _taken.add(kind)
            yield
        finally:
            for kind, before in ours.items():
                signal.signal(kind, before)
                _taken.discard(kind)
            self.check()

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Run user code."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False

    @contextlib.contextmanager
    def kept_out(self) -> Iterator[None]:
        """Run what user code asks of the engine."""
        if threading.current_thread() is not threading.main_thread():  # which gets no signals
            yield
            return
        before, self._open = self._open, False
        try:
            yield
        finally:
            self._open = before
            if before:
                self.check()

    def check(self) -> None:
        """Raise what came."""
        if self._came is not None:
            came, self._came, self._open = self._came, None, False
            raise came

    def _take(self, signum: int, frame: FrameType | None) -> None:
        again = self._came is not None
        self._came = KeyboardInterrupt if signum == signal.SIGINT else Terminated
        if self._open or again:
            self.check()


# A forked child, like one of a pool or a data loader, ends by these signals as it would without us. They wait until it
# has its own handlers: one that comes before would be lost, and whoever sent it would wait for the child's end forever.


def _before_fork() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _taken)


def _in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_child() -> None:
    while _taken:
        kind = _taken.pop()
        signal.signal(kind, _FREE[kind])
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
