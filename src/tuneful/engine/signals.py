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


class Terminated(BaseException):
    """SIGTERM came."""


class Signals:
    """Ctrl-C and SIGTERM as exceptions, let through only while the user's code runs.

    What the engine does in between is done whole; a second signal breaks into that too. Handlers of others stay.
    """

    def __init__(self) -> None:
        self._came: type[BaseException] | None = None
        self._open = False
        self._pid = os.getpid()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the signals that nobody else has a use for."""
        main = threading.current_thread() is threading.main_thread()
        ours = {kind: before for kind, before in _FREE.items() if main and signal.getsignal(kind) is before}
        try:
            for kind in ours:
                signal.signal(kind, self._take)
            yield
        finally:
            for kind, before in ours.items():
                signal.signal(kind, before)
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
        if os.getpid() != self._pid:  # a forked child, like one of a pool: it ends as it would without us
            signal.signal(signum, _FREE[signum])
            signal.raise_signal(signum)
            return
        again = self._came is not None
        self._came = KeyboardInterrupt if signum == signal.SIGINT else Terminated
        if self._open or again:
            self.check()
