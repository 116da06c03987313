"""The workers of a run, and what is done to them: killed, stopped for a while, started again until they are done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PARENTS = 0.1  # the share of faults that hit the parent of workers
_LEAVE = 10.0  # seconds in which those have to end whose parent was killed
_MOST_DEATHS = 10  # that no fault caused; then the run is given up


class Fault(NamedTuple):
    """What was done to a process, and when."""

    kind: str
    pid: int
    time: float


class Crew:
    """Processes that each work until the study is over.

    Args:
        folder: Of the run; what they print goes there.
        hows: How each works; see `chaos_worker`. What they start themselves is hurt like them.

    Attributes:
        faults: What was done to them.
        deaths: (pid, exit code) of those that ended without a fault.
        left: Those that were still there seconds after all was over.
    """

    def __init__(self, folder: Path, hows: Sequence[str]) -> None:
        self.faults: list[Fault] = []
        self.deaths: list[tuple[int, int]] = []
        self.left: list[int] = []
        self._folder, self._hows = folder, hows
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped: dict[int, float] = {}
        for slot in range(len(hows)):
            self._start(slot)

    def _start(self, slot: int) -> None:
        how, here = self._hows[slot], Path(__file__).parent
        plan = json.loads((self._folder / "plan.json").read_text())
        command = [sys.executable, str(here / "chaos_worker.py"), str(self._folder), how]
        if how == "join":
            command = [sys.executable, "-m", "tuneful", "worker", plan["address"], "chaos_worker:joined"]
            command += ["-j", str(plan["workers"]), "--checkpoints", plan["checkpoints"], "--patience", "5s"]
        env = os.environ | {"CHAOS_FOLDER": str(self._folder)}
        with (self._folder / f"said-{slot}.txt").open("ab") as said:
            self._running[slot] = subprocess.Popen(command, stdout=said, stderr=said, cwd=here, env=env)

    @property
    def working(self) -> bool:
        """Whether any of them still is; those that ended before they were done are started again."""
        self._wake(time.monotonic())
        for slot, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[slot]
            if code and not any(fault.pid == process.pid for fault in self.faults):
                self.deaths.append((process.pid, code))
            if code and len(self.deaths) < _MOST_DEATHS:
                self._start(slot)
        return bool(self._running)

    def hurt(self, rng: random.Random, stops: float, seconds: float) -> None:
        """Kill one of them, or stop it for `seconds` with the probability `stops`."""
        free = [pid for pid in self._victims(rng) if pid not in self._stopped]
        if not free:
            return
        pid, kind = rng.choice(free), "stop" if rng.random() < stops else "kill"
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGSTOP if kind == "stop" else signal.SIGKILL)
            self.faults.append(Fault(kind, pid, time.time()))
            if kind == "stop":
                self._stopped[pid] = time.monotonic() + seconds

    def _victims(self, rng: random.Random) -> list[int]:
        """Those that run; of those that have workers, now and then themselves and mostly their workers."""
        if not {"workers", "join"} & set(self._hows):
            return self._own()
        children = self._children()
        return self._own() if children and rng.random() < _PARENTS else children

    def _own(self) -> list[int]:
        return [process.pid for process in self._running.values() if process.poll() is None]

    def _children(self) -> list[int]:
        """What those have started that run, if it has begun to work."""
        own = self._own()
        return [pid for pid, parent in self._known() if parent in own and _runs(pid)]

    def _known(self) -> list[tuple[int, int]]:
        """All that ever began to work, as (process, its parent)."""
        names = (path.stem.split("-") for path in self._folder.glob("ledger-*.jsonl"))
        return [(int(pid), int(parent)) for _, pid, parent in names]

    def _wake(self, now: float) -> None:
        for pid, until in list(self._stopped.items()):
            if until <= now:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self._stopped[pid]

    def end(self) -> None:
        """Kill what still runs."""
        self._wake(float("inf"))
        for pid in self._children() + self._own():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._running.values():
            process.wait()
        deadline = time.monotonic() + _LEAVE
        while (left := [pid for pid, _ in self._known() if _runs(pid)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.left = left
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    """Whether there is such a process, and more of it than its exit code."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # a system without /proc
        return not Path("/proc/self").exists()
    except ProcessLookupError:
        return False
