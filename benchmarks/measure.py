"""Ways to measure: in turns, and in processes of their own."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Call = Callable[[], object]


def in_turns(
    calls: Mapping[str, tuple[Call, int]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds that each call takes: the median over rounds in which all have a turn, and meet the same noise.

    Args:
        calls: By name, the call and how often it is made in a round.
        rounds: How many are counted; one goes before them.
        clock: What measures.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, (call, count) in calls.items():
            start = clock()
            for _ in range(count):
                call()
            seconds[name].append((clock() - start) / count)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def cpu_of_python(code: str, env: Mapping[str, str]) -> float:
    """CPU seconds of a fresh Python that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_process(script: str, *args: object) -> dict[str, float]:
    """What a script beside this one prints as JSON, run by a fresh Python."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, args)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def sync_seconds(folder: Path) -> float:
    """How long the disk takes to keep a page."""
    path = folder / "page"
    file = os.open(path, os.O_RDWR | os.O_CREAT)

    def keep_page() -> None:
        os.pwrite(file, bytes(4096), 0)
        os.fsync(file)

    try:
        return in_turns({"page": (keep_page, 10)}, 5)["page"]
    finally:
        os.close(file)
        path.unlink()
