"""One run: an optimizer on a problem, with one worker or several, and what it cost."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from problems import Params, Problem

FAILURES = (ArithmeticError, MemoryError, RuntimeError, ValueError)


class Asked(NamedTuple):
    """What an optimizer wants tried.

    Attributes:
        token: What it knows the trial by.
        params: What the problem gets, in the shape of its space.
    """

    token: Any
    params: Params


class Optimizer(Protocol):
    """Ours or a peer's. Several trials may be open at once, and be told in any order."""

    def ask(self) -> Asked | None:
        """A trial; None if there is none now."""

    def tell(self, asked: Asked, loss: float | None) -> None:
        """How it went; None: it failed."""


@dataclass
class Trace:
    """What happened in a run.

    Attributes:
        losses: The true losses in the order in which trials ended; None where one failed.
        ask, tell: CPU seconds of each call.
        params: What was tried, in the order of asking.
        exhausted: The space has no more configs.
        capped: The run took too long, and ended early.
    """

    losses: list[float | None] = field(default_factory=list)
    ask: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)
    params: list[Params] = field(default_factory=list)
    exhausted: bool = False
    capped: bool = False


class _Running(NamedTuple):
    ends: float
    number: int
    asked: Asked
    told: float | None
    true: float | None


def drive(
    optimizer: Optimizer,
    problem: Problem,
    seed: int,
    trials: int,
    workers: int = 1,
    cap: float = np.inf,
    trace: Trace | None = None,
) -> Trace:
    """Run so many trials.

    Args:
        optimizer: Who searches.
        problem: What is searched.
        seed: Of the problem's noise and of how long its trials take.
        trials: How many to run.
        workers: How many run at any time: one that ends is told, and the next is asked for. Trials take times
            drawn from a log-normal distribution (its 90% interval spans a factor of five), in a clock of their own.
        cap: Seconds after which no more trials are asked for.
        trace: Where to write what happens, for who wants to know it after an error too.

    Raises:
        Exception: whatever the optimizer raises.
    """
    trace, running, now = trace or Trace(), list[_Running](), 0.0
    takes = np.random.default_rng([seed, 2]).lognormal(0, 0.5, trials)
    started = time.perf_counter()
    while len(trace.losses) < trials:
        trace.capped = time.perf_counter() - started > cap
        while len(running) < workers and len(trace.params) < trials and not trace.capped:
            number = len(trace.params)
            asked = _asked(optimizer, trace)
            if asked is None:
                break
            told, true = _losses(problem, asked.params, 1000 * seed + number)
            heapq.heappush(running, _Running(now + takes[number], number, asked, told, true))
        if not running:
            trace.exhausted = not trace.capped
            break
        ended = heapq.heappop(running)
        now = ended.ends
        _tell(optimizer, trace, ended)
    return trace


def _asked(optimizer: Optimizer, trace: Trace) -> Asked | None:
    began = time.process_time()
    asked = optimizer.ask()
    if asked is not None:
        trace.ask.append(time.process_time() - began)
        trace.params.append(asked.params)
    return asked


def _losses(problem: Problem, params: Params, seed: int) -> tuple[float | None, float | None]:
    """The loss that is told, and the true one; None where the trial fails."""
    try:
        told = problem.loss(params, seed)
        true = problem.loss(params, None) if problem.noisy else told
    except FAILURES:
        return None, None
    return (told, true) if np.isfinite(told) else (None, None)


def _tell(optimizer: Optimizer, trace: Trace, ended: _Running) -> None:
    began = time.process_time()
    optimizer.tell(ended.asked, ended.told)
    trace.tell.append(time.process_time() - began)
    trace.losses.append(ended.true)
