"""Runs, kept as JSON lines: one file a contestant, one line a run. What is there is not run again.

A line has `task`, `opt`, `seed`, `trials` (wanted), `n` (reached), `loss` (null where a trial failed), `ask_s` and
`tell_s` (CPU seconds of each), `wall_s`, and of runs made here `code` and `repeated` (configs that came again).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from contestants import Contestant
from driving import Trace, drive
from problems import Problem

_PATIENCE = 1.5, 30.0  # times the cap, plus seconds: then a run hangs
_EVERY = 15.0  # seconds between lines on how far it is


@dataclass(frozen=True)
class Run:
    """A run as it is kept.

    Attributes:
        task, name, seed: Of what, by whom, with which seed.
        best: The least true loss so far, (n,); inf until a trial succeeds.
        cost: CPU seconds of ask + tell of each trial, (n,).
        code: What made it.
        early: Why it ended before all its trials; None if it did not.
        done: Whether it need not be run again: it reached its trials, or can never.
    """

    task: str
    name: str
    seed: int
    best: np.ndarray
    cost: np.ndarray
    code: str
    early: str | None
    wanted: int
    done: bool

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> Run:
        """The run of a line."""
        losses = np.array([np.inf if loss is None else loss for loss in form["loss"]], dtype=float)
        early = form.get("error") or ("out of time" if form.get("capped") else None)
        cost = np.array(form["ask_s"][: len(losses)]) + np.array(form["tell_s"][: len(losses)])
        best = np.minimum.accumulate(losses)
        if form.get("exhausted") and len(best):  # nothing is left, so it stays as good as it is
            best = np.concatenate([best, np.full(max(form["trials"] - len(best), 0), best[-1])])
        done = "error" not in form
        name, code, wanted = form["opt"], form.get("code", "recorded"), form["trials"]
        return cls(form["task"], name, form["seed"], best, cost, code, early, wanted, done)


class Job(NamedTuple):
    """A run to be made."""

    contestant: Contestant
    problem: Problem
    seed: int


class Settings(NamedTuple):
    """How runs are made: trials of each, workers at once in each, seconds for each, and processes."""

    trials: int
    workers: int
    cap: float
    jobs: int


def read(path: Path) -> list[Run]:
    """The runs of a file, the last of those made again; none if it is not there."""
    if not path.exists():
        return []
    runs = [Run.of(json.loads(line)) for line in path.read_text().splitlines()]
    return list({(run.task, run.seed): run for run in runs}.values())


def path_of(folder: Path, label: str) -> Path:
    """The file of a contestant's runs."""
    return folder / f"{quote(label, safe=' ()=,')}.jsonl"


def make(jobs: Sequence[Job], settings: Settings, folder: Path) -> None:
    """Make runs, each in a forked process with one thread, and keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    context, todo = multiprocessing.get_context("fork"), list(jobs)
    live: dict[int, tuple[BaseProcess, Job, float]] = {}
    ended, started, said = 0, time.monotonic(), 0.0
    while todo or live:
        while todo and len(live) < settings.jobs:
            job = todo.pop(0)
            process = context.Process(target=_child, args=(job, settings, folder))
            process.start()
            live[process.sentinel] = process, job, time.monotonic()
        wait(list(live), timeout=5)
        for sentinel, (process, job, since) in list(live.items()):
            slack, rest = _PATIENCE
            if process.is_alive() and time.monotonic() - since > slack * settings.cap + rest:
                process.kill()
                process.join()
            if not process.is_alive():
                process.join()
                del live[sentinel]
                ended += 1
                if process.exitcode:
                    _keep(folder, job, settings, Trace(), error=f"its process died ({process.exitcode})")
        passed = time.monotonic() - started
        if passed > said + _EVERY and ended:
            said = passed
            print(f"  {ended} of {len(jobs)} runs after {passed / 60:.1f} min", flush=True)


def _child(job: Job, settings: Settings, folder: Path) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # some peers print
        os.dup2(null, stream)
    trace, error, began = Trace(), None, time.perf_counter()
    try:
        optimizer = job.contestant.start(job.problem, job.seed, settings.trials)
        drive(optimizer, job.problem, job.seed, settings.trials, settings.workers, settings.cap, trace)
    except Exception as problem:  # noqa: BLE001 - a peer may raise anything; what it reached counts
        where = traceback.extract_tb(problem.__traceback__)[-1]
        error = f"{type(problem).__name__}: {problem} ({Path(where.filename).name}:{where.lineno})"[:300]
    _keep(folder, job, settings, trace, seconds=time.perf_counter() - began, error=error)
    os._exit(0)


def _keep(
    folder: Path, job: Job, settings: Settings, trace: Trace, *, seconds: float = 0.0, error: str | None = None
) -> None:
    form: dict[str, Any] = {"task": job.problem.name, "opt": job.contestant.label, "seed": job.seed}
    form |= {"trials": settings.trials, "n": len(trace.losses), "wall_s": round(seconds, 3)}
    form |= {"loss": [None if loss is None else float(f"{loss:.7g}") for loss in trace.losses]}
    form |= {"ask_s": _rounded(trace.ask), "tell_s": _rounded(trace.tell), "code": job.contestant.code}
    form |= {"repeated": repeated(trace.params)} | ({"error": error} if error else {})
    form |= {flag: True for flag in ("exhausted", "capped") if getattr(trace, flag) and not error}
    with path_of(folder, job.contestant.label).open("a") as file:  # one write each, so processes do not mix lines
        file.write(json.dumps(form) + "\n")


def repeated(params: Iterable[Mapping[str, Any]]) -> int:
    """How many of the params came before."""
    written = [json.dumps(each, sort_keys=True, default=str) for each in params]
    return len(written) - len(set(written))


def _rounded(seconds: list[float]) -> list[float]:
    return [round(each, 5) for each in seconds]
