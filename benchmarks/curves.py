"""FreezeThaw on networks that report epochs, with a virtual clock, and what recorded peers reach in the same time.

The problems and the peers' runs are recorded beside the project (`../shared/bench/mf.py`); copy that folder first,
since results are written into it:

    python mf.py run --opt ours --ours path/to/benchmarks/curves.py --label freeze-thaw --workers 1,4,32 --seeds 4
    python path/to/benchmarks/curves.py path/to/copy freeze-thaw

The first runs it, the second prints a table: the mean regret at each time, against that of each peer on the
tasks and seeds that both have.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.history import History, Row, State
from tuneful.schedulers.freeze_thaw import FreezeThaw
from tuneful.space import Float, Int, Space

_EPOCHS = 52
_TIMES = (1, 2, 3, 5, 7, 10, 15, 20, 30)
_LAST = {32: 5}  # the time at which runs end, by number of workers; 30 for others
_WORST = 1.5

Run = Mapping[str, Any]


class Ours:
    """Drives a history as a study would, for `mf.simulate`.

    Args:
        params: The parameters of the problem.
        seed: Of the study.
        workers: How many there are; the scheduler need not know.
    """

    def __init__(self, params: Iterable[Any], seed: int, workers: int) -> None:
        domains = {p.name: (Int if p.kind == "int" else Float)(p.low, p.high, log=p.log) for p in params}
        self.history = History(Space(domains), seed=seed)
        self.scheduler = FreezeThaw()
        self._since: dict[int, float] = {}
        self._stopped: int | None = None  # a trial whose state is written when the time is known

    def next(self, now: float) -> tuple[int, Mapping[str, Any], int] | None:
        """What a free worker trains now: (trial, config, until which epoch)."""
        if self._stopped is not None:
            self._end(self._stopped, now)
            self._stopped = None
        jobs = self.scheduler.plan(self.history, 1)
        if not jobs:
            return None
        job, rev = jobs[0], self._revision()
        if job.trial is None:
            number = len(self.history)
            row = Row(number, job.config, state=State.RUNNING, rev=rev, born=rev, begun=rev, until=job.until, attempt=1)
        else:
            row = self.history.row(job.trial)
            row.turn(rev, State.RUNNING, until=job.until, attempt=row.attempt + 1, seen=rev)
        self.history.apply(row)
        self._since[row.number] = now
        return row.number, dict(job.config), job.until or _EPOCHS

    def report(self, key: int, epoch: int, loss: float) -> bool:
        """Take in the loss of a trial after an epoch; it always goes on until where it was to go."""
        if not self.history.length[key]:
            self.history.apply(replace(self.history.row(key), length=_EPOCHS))
        self.history.report(key, epoch, {"value": loss}, self._revision())
        return True

    def done(self, key: int, epoch: int, loss: float) -> None:
        """A trial is where it was to go."""
        self._stopped = key

    def _end(self, trial: int, now: float) -> None:
        rev, row = self._revision(), self.history.row(trial)
        row = replace(row, cost=row.cost + now - self._since[trial], saved=(row.step, row.attempt))
        if row.step < _EPOCHS:
            row.turn(rev, State.PAUSED, until=row.until, attempt=row.attempt, seen=rev)
            self.history.apply(row)
            return
        value = float(self.history.curve(trial)[1][-1])
        self.history.apply(replace(row, state=State.DONE, rev=rev, ended=rev, values={"value": value}))

    def _revision(self) -> int:
        self.history.rev += 1
        return self.history.rev


def regrets(run: Run, times: Sequence[int], best: float, middle: float) -> list[float]:
    """How far the incumbent of a run is from the best known at each time, as a share of the way of a median config."""
    found = []
    for time in times:
        losses = [final for at, _, final in run["trace"] if at <= time]
        share = ((losses[-1] if losses else middle) - best) / (middle - best)
        found.append(float(np.clip(share, 0.0, _WORST)) if run["reached"] >= time else np.nan)
    return found


def table(folder: Path, label: str) -> str:
    """The regrets of the runs `label`, and of each peer on the same tasks and seeds, by number of workers."""
    runs = {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in _results(folder)}
    known = json.loads((folder / "public/refs.json").read_text())
    tasks = {run["task"] for some in runs.values() for run in some}
    middle = {task: known[_name(task)]["quantiles"]["0.5"] for task in tasks}
    best = {task: known[_name(task)]["best_random"] for task in tasks}
    for run in (run for some in runs.values() for run in some):
        best[run["task"]] = min([best[run["task"]], *(final for *_, final in run["trace"])])
    lines = []
    for workers in sorted({run["workers"] for run in runs[label]}):
        times = [time for time in _TIMES if time <= _LAST.get(workers, _TIMES[-1])]
        scores = {
            name: {
                (run["task"], run["seed"]): regrets(run, times, best[run["task"]], middle[run["task"]])
                for run in some
                if run["workers"] == workers
            }
            for name, some in runs.items()
        }
        lines += ["", f"{workers} worker(s): ours / peer", "", _row(["peer", *(f"t={t}" for t in times), "runs"])]
        lines.append(_row(["---"] * (len(times) + 2)))
        for name, theirs in scores.items():
            common = sorted(set(scores[label]) & set(theirs))
            if common and name != label:
                pairs = np.array([[scores[label][key], theirs[key]] for key in common])
                lines.append(_row([name, *(_pair(pairs[:, :, i]) for i in range(len(times))), str(len(common))]))
    return "\n".join(lines)


def _pair(pairs: np.ndarray[Any, Any]) -> str:
    kept = pairs[~np.isnan(pairs).any(axis=1)]
    return " / ".join(f"{mean:.3f}" for mean in kept.mean(axis=0)) if len(kept) else "-"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _results(folder: Path) -> list[Path]:
    return sorted((folder / "mf/results").glob("*.jsonl"))


def _name(task: str) -> str:
    return f"lcbench-{task}-val_accuracy"


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]), sys.argv[2]) + "\n")
