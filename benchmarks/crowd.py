"""Processes that all do the same at once, and say how often they could, and how long it took."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from statistics import median

import numpy as np

Maker = Callable[[], Callable[[], object]]


@dataclass(frozen=True)
class Share:
    """What came of one turn.

    Attributes:
        seconds: That each call took, by process.
        wall: Seconds until the last was done.
        problems: What calls raised.
    """

    seconds: Sequence[Sequence[float]]
    wall: float
    problems: Sequence[str]

    @cached_property
    def rate(self) -> float:
        """Calls a second of all together."""
        return sum(map(len, self.seconds)) / self.wall

    @cached_property
    def p99(self) -> float:
        """Milliseconds within which 99 of 100 calls are done."""
        return 1e3 * float(np.quantile(np.concatenate([np.asarray(each) for each in self.seconds]), 0.99))

    @cached_property
    def evenness(self) -> float:
        """Calls of the process with the fewest, as a share of those of the one with the most."""
        counts = [len(each) for each in self.seconds]
        return min(counts) / max(counts)


class Crowd:
    """Waiting processes, set to work for a while.

    Args:
        make: Called in each process; makes what it then calls again and again. It must pickle.
        n: How many processes.
    """

    def __init__(self, make: Maker, n: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        pipes = [spawn.Pipe() for _ in range(n)]
        self._pipes = [ours for ours, _ in pipes]
        self._processes = [spawn.Process(target=_work, args=(make, theirs), daemon=True) for _, theirs in pipes]
        for process, (_, theirs) in zip(self._processes, pipes, strict=True):
            process.start()
            theirs.close()
        for pipe in self._pipes:
            pipe.recv()  # it is ready

    def __call__(self, seconds: float) -> Share:
        """Have them work for `seconds`, and make one call each at least."""
        began = time.monotonic() + 0.01
        for pipe in self._pipes:
            pipe.send((began, seconds))
        found = [pipe.recv() for pipe in self._pipes]
        problems = [problem for _, _, raised in found for problem in raised]
        return Share([taken for taken, _, _ in found], max(ended for _, ended, _ in found) - began, problems)

    def close(self) -> None:
        """End them."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()


def _work(make: Maker, pipe: Connection) -> None:
    call = make()
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        began, seconds = order
        taken, problems = list[float](), list[str]()
        time.sleep(max(0.0, began - time.monotonic()))
        while not taken or time.monotonic() < began + seconds:
            now = time.monotonic()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                problems.append(f"{type(error).__name__}: {error}")
            taken.append(time.monotonic() - now)
        pipe.send((taken, time.monotonic(), problems))


def in_rounds(makers: Mapping[str, Maker], n: int, seconds: float, rounds: int) -> dict[str, list[Share]]:
    """What `n` processes of each kind can do, in turns, so that all meet the same noise."""
    crowds = {name: Crowd(make, n) for name, make in makers.items()}
    try:
        turns = [{name: crowd(seconds) for name, crowd in crowds.items()} for _ in range(rounds + 1)]
    finally:
        for crowd in crowds.values():
            crowd.close()
    return {name: [turn[name] for turn in turns[1:]] for name in crowds}  # the first warms up


def typical(shares: Sequence[Share], what: str) -> float:
    """The median of an attribute of some turns."""
    return median(getattr(share, what) for share in shares)
