"""A study without training: recorded or invented learning curves, a virtual clock, any number of workers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.arguments import count_of
from tuneful.errors import StudyError
from tuneful.history import History, Job, Limits, Objective, Row, State
from tuneful.lookup import pruner_of, scheduler_of, searcher_of
from tuneful.protocols import Pruner, Scheduler, Searcher, rng
from tuneful.space import Space

Array = NDArray[np.float64]
Curve = tuple[Sequence[float], float | Sequence[float]]

_SLOW = 4.0  # times as long as the others a straggler takes


@dataclass(frozen=True)
class Simulated:
    """What came of it.

    Attributes:
        history: All trials, as a study would have them.
        time: Virtual seconds until it ended.
        trace: (seconds, value, trial) whenever a lower value than all before was reported.
        steps: How many steps were trained, those that were lost included.
        busy: The share of the workers' time in which they trained.
        decisions: How often the scheduler was asked.
    """

    history: History
    time: float
    trace: Sequence[tuple[float, float, int]]
    steps: int
    busy: float
    decisions: int

    def at(self, seconds: float) -> tuple[float, int] | None:
        """The lowest value that was known after so many seconds, and its trial; None if there was none."""
        known = [(value, trial) for when, value, trial in self.trace if when <= seconds]
        return known[-1] if known else None


def simulate(  # noqa: PLR0913 - what a cluster is like, by name
    curve: Callable[[dict[str, Any]], Curve],
    space: Space | Mapping[str, Any],
    *,
    search: str | Searcher = "auto",
    schedule: str | Scheduler = "asha",
    prune: str | Pruner | Sequence[str | Pruner] | None = None,
    workers: int = 1,
    trials: int | None = None,
    total_steps: int | None = None,
    seconds: float = math.inf,
    maximize: bool = False,
    resumable: bool = True,
    latency: float = 0.0,
    stragglers: float = 0.0,
    failures: float = 0.0,
    seed: int = 0,
) -> Simulated:
    """Run a scheduler and a searcher as a study would, on curves that are known, with a virtual clock.

    The same arguments give the same result. It ends when a limit is reached; give one at least.

    Args:
        curve: The learning curve of a setting, from its parameters: the value after each step (NaN and inf too), and
            the virtual seconds of a step, or of each.
        space: As for a study.
        search: Which searcher proposes.
        schedule: What decides how far each trial is run.
        prune: Ends trials that are not worth it.
        workers: How many trials run side by side.
        trials: Distinct configs to start.
        total_steps: Steps to train in all; nothing new is started after them.
        seconds: When to end.
        maximize: Whether more is better.
        resumable: Whether trials save their state after each step, so that they can be paused.
        latency: Virtual seconds from when a worker is free to the decision what it does; it is made for all who are
            free by then.
        stragglers: The share of workers that take four times as long.
        failures: The probability that a worker dies in a step. Its trial goes on elsewhere, from its last state.
        seed: Of the study, of stragglers and of failures.

    Raises:
        StudyError: an argument is impossible, there is no limit, or a curve has no steps.

    >>> from tuneful import Float, simulate
    >>> def curve(params):
    ...     return [params["x"] + 1 / step for step in range(1, 28)], 1.0
    >>> simulate(curve, {"x": Float(0, 1)}, search="random", workers=8, seconds=60).history.started
    142
    """
    for name, share in (("stragglers", stragglers), ("failures", failures)):
        if not 0 <= share < 1:
            raise StudyError(f"simulate({name}={share!r}): pass a share of at least 0 and below 1.")
    if trials is None and total_steps is None and not math.isfinite(seconds):
        raise StudyError("simulate(): pass a limit, as in seconds=3600, trials=100 or total_steps=1000.")
    limits = Limits(count_of("trials", trials), count_of("total_steps", total_steps))
    history = History(
        space if isinstance(space, Space) else Space(space),
        (Objective(maximize=maximize),),
        seed=seed,
        limits=limits,
    )
    scheduler = scheduler_of(schedule, searcher_of(search))
    rules = [rule for rule in (pruner_of(prune), scheduler) if callable(rule)]
    cluster = _Cluster(history, curve, resumable=resumable, failures=failures)
    slow = [rng(seed, worker, "straggler").random() < stragglers for worker in range(count_of("workers", workers) or 1)]
    return _Loop(cluster, scheduler, rules, [_SLOW if each else 1.0 for each in slow], latency, seconds).run()


@dataclass
class _Cluster:
    """The trials of a simulated study, and the curves behind them."""

    history: History
    curve: Callable[[dict[str, Any]], Curve]
    resumable: bool
    failures: float
    curves: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def start(self, job: Job) -> int:
        """Have a job run; the trial."""
        history = self.history
        history.rev += 1
        rev = history.rev
        if job.trial is None:
            row = Row(len(history), job.config, rev=rev, born=rev, begun=rev, state=State.RUNNING, attempt=1)
            row = replace(row, until=job.until, note=job.note, why=job.why, seen=rev - 1, parent=job.source)
            values, costs = self.curve(history.space.nested(job.config))
            if not len(values):
                raise StudyError(f"The curve of {job.config} has no steps.")
            known = np.asarray(values, dtype=np.float64)
            self.curves[row.number] = known, np.broadcast_to(np.asarray(costs, dtype=np.float64), known.shape)
        else:
            row = history.row(job.trial)
            row.turn(rev, State.RUNNING, until=job.until, attempt=row.attempt + 1, seen=rev - 1)
        row.length = len(self.curves[row.number][0])
        begin = row.step
        if job.source is not None:
            row.step = begin = job.source.step
        elif not self.resumable:
            begin = 0
        row.began = begin
        history.apply(row)
        history.restart(row.number, begin)
        return row.number

    def cost(self, trial: int, step: int) -> float:
        """The virtual seconds of a step."""
        return float(self.curves[trial][1][step - 1])

    def report(self, trial: int, step: int) -> float:
        """Have a trial report a step; the value, lower is better."""
        value = float(self.curves[trial][0][step - 1])
        self.history.rev += 1
        self.history.report(trial, step, {self.history.objectives[0].metric: value})
        return self.history.objectives[0].sign * value

    def dies(self, trial: int, step: int) -> bool:
        """Whether the worker of a trial dies in a step."""
        if not self.failures:
            return False
        attempt = int(self.history.attempt[trial])
        return bool(rng(self.history.seed, trial, f"failure {attempt} {step}").random() < self.failures)

    def turn(self, trial: int, state: State) -> None:
        """Have a trial stand otherwise."""
        history, objective = self.history, self.history.objectives[0]
        history.rev += 1
        row = history.row(trial)
        row.cost = float(self.curves[trial][1][: row.step].sum())
        if self.resumable and row.step:
            row.saved = row.step, row.attempt
        if state.final:
            values = {objective.metric: float(self.curves[trial][0][row.step - 1])}
            if state == State.DONE and not math.isfinite(values[objective.metric]):
                state = State.FAILED
            row = replace(row, state=state, rev=history.rev, ended=history.rev, values=values)
        else:
            row.turn(history.rev, state, until=row.until, attempt=row.attempt, seen=row.seen)
        history.apply(row)


@dataclass
class _Loop:
    """Events in the order of a virtual clock."""

    cluster: _Cluster
    scheduler: Scheduler
    rules: Sequence[Pruner]
    speeds: Sequence[float]
    latency: float
    seconds: float
    events: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    counted: int = 0
    decisions: int = 0
    trained: int = 0
    busy: float = 0.0

    def run(self) -> Simulated:
        history, trace, now, best = self.cluster.history, list[tuple[float, float, int]](), 0.0, math.inf
        idle = list(range(len(self.speeds)))
        decide_at, asked = math.inf, 0  # when a decision will be made, and how many workers the last left without work
        while True:
            if len(idle) > asked and decide_at == math.inf:
                decide_at = now + self.latency
            due = self.events[0][0] if self.events else math.inf
            if min(decide_at, due) > self.seconds or decide_at == due == math.inf:
                now = now if decide_at == due == math.inf else self.seconds
                break
            now = min(decide_at, due)
            if decide_at <= due:
                idle = self._decide(idle, now)
                decide_at, asked = math.inf, len(idle)
                continue
            while self.events and self.events[0][0] == due:
                _, _, worker, trial, step = heapq.heappop(self.events)
                value, goes_on = self._step(trial, step)
                if value < best:
                    best = value
                    trace.append((now, value, trial))
                if goes_on:
                    self._push(now, worker, trial, step + 1)
                else:
                    idle.append(worker)
            idle.sort()
        total = len(self.speeds) * now
        share = self.busy / total if total else 0.0
        return Simulated(history, now, trace, self.trained, min(share, 1.0), self.decisions)

    def _decide(self, idle: list[int], now: float) -> list[int]:
        """Give workers something to do; those that have nothing yet."""
        self.decisions += 1
        jobs = self.scheduler.plan(self.cluster.history, len(idle))
        for worker, job in zip(idle, jobs, strict=False):
            trial = self.cluster.start(job)
            self._push(now, worker, trial, int(self.cluster.history.reached[trial]) + 1)
        return idle[len(jobs) :]

    def _push(self, now: float, worker: int, trial: int, step: int) -> None:
        cost = self.cluster.cost(trial, step) * self.speeds[worker]
        self.counted += 1
        self.busy += min(cost, max(0.0, self.seconds - now))
        heapq.heappush(self.events, (now + cost, self.counted, worker, trial, step))

    def _step(self, trial: int, step: int) -> tuple[float, bool]:
        """End a step of a trial: its value, lower is better, and whether it goes on."""
        cluster, history = self.cluster, self.cluster.history
        self.trained += 1
        if cluster.dies(trial, step):
            cluster.turn(trial, State.QUEUED)
            return math.nan, False
        value = cluster.report(trial, step)
        if step == history.length[trial]:
            cluster.turn(trial, State.DONE)
        elif any(rule(history, trial) for rule in self.rules):
            cluster.turn(trial, State.PRUNED)
        elif cluster.resumable and step >= history.until[trial]:
            cluster.turn(trial, State.PAUSED)
        else:
            return value, True
        return value, False
