"""Workers as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tuneful.errors import StudyError
from tuneful.executors.machine import cores, gpus, share
from tuneful.protocols import ENDED_ITSELF, Said

# What a worker begins with: the path and the arguments of this process, and a `__main__` without names of ours.
_BOOT = (
    "import sys; sys.argv.pop(0); sys.path[:] = sys.argv.pop(0).split('\\n'); "
    "__import__('tuneful.engine.worker', fromlist=['main']).main(int(sys.argv.pop(0)))"
)
# How Python was called here (-O, -W error), as multiprocessing hands it on.
_FLAGS: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - see there
_STILLBORN = 3  # workers in a row that may die before they are ready
_GRACE = 30.0  # seconds that workers have to give back their trials


@dataclass(frozen=True)
class Processes:
    """Starts workers as processes of this machine: spawned, never forked, and kept for many trials.

    Each gets a GPU of its own where there are GPUs (in turns, if there are fewer), and its part of the cores for the
    threads of numeric libraries. One that dies is replaced.

    Attributes:
        n: How many; by default one for each GPU, or for each core where there is none.
        gpus: The GPUs to hand out, as CUDA_VISIBLE_DEVICES names them; by default all, `()` for none.

    Raises:
        StudyError: `n` is not a whole number of 1 or more.
    """

    n: int | None = None
    gpus: Sequence[str] | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.n, (int, np.integer)) and not isinstance(self.n, bool)
        if self.n is not None and not (whole and self.n >= 1):
            raise StudyError(f"workers={self.n!r}: pass a whole number of processes, 1 or more.")

    def start(self, work: bytes, environment: Mapping[str, str] = MappingProxyType({})) -> ProcessTeam:
        """Start the workers, which find `environment` beside that of this process."""
        devices = gpus() if self.gpus is None else list(self.gpus)
        n = self.n or len(devices) or cores()
        return ProcessTeam(work, [{**environment, **share(place, n, devices, os.environ)} for place in range(n)])


class ProcessTeam:
    """Running workers of this machine.

    Args:
        work: What they are to do.
        environments: What each finds in its environment beside that of this process.
    """

    def __init__(self, work: bytes, environments: Sequence[dict[str, str]]) -> None:
        self._work, self._environments = work, environments
        self._stillborn = 0
        self._ending = False
        self._workers = {place: _Worker(work, extra) for place, extra in enumerate(environments)}

    @property
    def idle(self) -> int:
        """How many wait for work."""
        return sum(worker.idle for worker in self._workers.values())

    @property
    def living(self) -> int:
        """How many there are."""
        return len(self._workers)

    @property
    def sound(self) -> list[str]:
        """The names of those whose processes are there and not stopped."""
        return [worker.name for worker in self._workers.values() if worker.name and worker.runs]

    def wait(self, seconds: float) -> list[Said]:
        """What workers said and which of them ended, as soon as there is anything, at the latest after `seconds`."""
        wait([worker.pipe for worker in self._workers.values()], seconds)
        said = []
        for place, worker in list(self._workers.items()):
            said += worker.words()
            if worker.gone:
                said += self._replaced(place, worker)
        return said

    def wake(self) -> None:
        """Tell those that wait that there may be work."""
        for worker in self._workers.values():
            if worker.idle:
                worker.tell("go")

    def end(self, *, now: bool) -> None:
        """Have all workers end: when their trials are over, or `now`, giving them back; who hangs is killed."""
        self._ending = True
        for worker in self._workers.values():
            worker.tell("now" if now else "end")
        deadline = time.monotonic() + _GRACE
        while now and self._workers:
            self.wait(0.1)
            if time.monotonic() > deadline:
                self.kill()

    def kill(self, worker: str | None = None) -> None:
        """Kill all workers, or the one of that name; what they run is lost, and queued again by others."""
        killed = {place: each for place, each in self._workers.items() if worker in (None, each.name)}
        for each in killed.values():
            each.kill()
        if worker is None:
            for place, each in killed.items():
                each.ended()
                del self._workers[place]

    def _replaced(self, place: int, worker: _Worker) -> list[Said]:
        del self._workers[place]
        code = worker.ended()
        if self._ending:
            return [Said("gone", worker.name, code)]
        self._stillborn = 0 if worker.name or code == ENDED_ITSELF else self._stillborn + 1
        if worker.refused:
            return [Said("gone", worker.name, code)]
        if self._stillborn >= _STILLBORN:
            said = f"{_STILLBORN} workers in a row ended before they were ready, the last one {_manner(code)}."
            return [Said("refused", worker.name, ("WorkerLost", said))]
        self._workers[place] = _Worker(self._work, self._environments[place])
        return [Said("gone", worker.name, code)]


class _Worker:
    """One process, and our end of its pipe."""

    def __init__(self, work: bytes, extra: dict[str, str]) -> None:
        self.pipe, theirs = Pipe()
        path = "\n".join(folder for folder in sys.path if isinstance(folder, str))  # imports pass over others too
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *_FLAGS, "-c", _BOOT, path, str(theirs.fileno()), *sys.argv],
            env=os.environ | extra,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who tell them
        )
        theirs.close()
        self.name = ""
        self.idle = self.gone = self.refused = False
        self._send_work(self.pipe, work)

    def _send_work(self, pipe: Connection, work: bytes) -> None:
        with suppress(OSError):  # it died; that is seen when it is waited for
            pipe.send_bytes(work)

    def words(self) -> list[Said]:
        """What it has said since."""
        said = []
        over = self._process.poll() is not None  # its pipe may stay open: what it has forked holds it as well
        try:
            while self.pipe.poll():
                what, about = self.pipe.recv()
                self.name = about if what == "ready" else self.name
                self.idle = what == "idle" or (self.idle and what != "busy")
                self.refused |= what == "refused"
                said.append(Said(what, self.name, about))
        except (EOFError, OSError):
            over = True
        if over:
            self.gone, self.idle = True, False
        return said

    @property
    def runs(self) -> bool:
        """Whether its process is there and not stopped; False where the system does not say."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in "RSDI"  # running, waiting, at a disk, idle (proc(5))

    def tell(self, word: str) -> None:
        """Say something to it."""
        with suppress(OSError):
            self.pipe.send(word)

    def kill(self) -> None:
        """End it at once, and what it started."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def ended(self) -> int:
        """Its exit code, once nothing is left of it and of what it started."""
        self.pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self.kill()
        return self._process.wait()


def _manner(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"by {name}" + (" (perhaps the system was out of memory)" if -code == signal.SIGKILL else "")
