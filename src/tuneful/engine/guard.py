"""Limits of a single trial: its time and its memory."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuneful.engine.outcome import ended
from tuneful.engine.session import Session
from tuneful.errors import TunefulError
from tuneful.protocols import ENDED_ITSELF
from tuneful.trial import Trial


class TimedOut(TunefulError):
    """A trial took longer than a trial may."""


class OutOfMemory(TunefulError):
    """A worker held more memory than it may."""


class Guard:
    """Ends this process when its trial has taken too long or too much memory; the trial has failed then.

    The objective may be deep in a call that nothing can break off, so the process goes with it; another is started.

    Args:
        session: Whose trial.
        of: The value of a trial: `last` or `best`.
        timeout: Seconds for a trial.
        memory: Bytes for this process and its children.
    """

    def __init__(self, session: Session, of: str, timeout: float | None, memory: int | None) -> None:
        self._session, self._of, self._timeout, self._memory = session, of, timeout, memory
        self._running: tuple[Trial, float] | None = None
        self._looking = threading.Lock()

    @contextmanager
    def over(self, trial: Trial) -> Iterator[None]:
        """Watch a trial while its objective runs; what comes of it is told without haste."""
        self._running = trial, time.monotonic()
        try:
            yield
        finally:
            with self._looking:
                self._running = None

    def __call__(self) -> None:
        """Look once, from another thread than the objective's."""
        with self._looking:
            if self._running is None:
                return
            trial, began = self._running
            seconds = time.monotonic() - began
            if self._timeout is not None and seconds > self._timeout:
                self._fail(trial, TimedOut(f"It ran for {seconds:.1f} s, and a trial may take {self._timeout:g} s."))
            if self._memory is not None and (held := memory_held(self._memory)) > self._memory:
                said = f"Its worker held {_readable(held)} of memory, and may hold {_readable(self._memory)}."
                self._fail(trial, OutOfMemory(said))

    def _fail(self, trial: Trial, error: TunefulError) -> None:
        if self._session.live.get(trial.number) is not trial or trial.told:
            return  # it has just ended
        try:
            ended(self._session, trial, None, self._of, state="failed", error=error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ENDED_ITSELF)


def memory_held(enough: int = 0) -> int:
    """Bytes of memory that this process and its children hold; where there is no /proc, the most that it ever held.

    What they share is counted once, so forked loaders of data cost little; up to `enough` it may be counted more often.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    family = list(_family(os.getpid()))
    resident = sum(map(_resident, family))
    return resident if resident <= enough else sum(map(_share, family))  # the latter takes long where much is held


def _resident(pid: int) -> int:
    """Bytes that a process holds, alone or with others."""
    with suppress(OSError, IndexError):  # it has just ended
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _share(pid: int) -> int:
    """Bytes that a process holds, what it shares with others counted in part."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (thread / "children").read_text().split():
                    yield from _family(int(child))


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
