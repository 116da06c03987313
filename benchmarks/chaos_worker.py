"""A process that works on a study until it is over, and keeps a ledger outside of the store.

`python benchmarks/chaos_worker.py FOLDER HOW`: the plan is FOLDER/plan.json. HOW is `ask` (asks and tells, and
loses replies of the store), `run` (one `study.run`) or `workers` (one `study.run(workers=...)`).
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos_feed import patiently

import tuneful as tn
from tuneful.record import Record

SPACE = {"x": tn.Float(0, 1), "rate": tn.Float(1e-5, 1, log=True), "n": tn.Int(1, 1000), "kind": ["a", "b", "c"]}
STEPS = 3
_FULL = 0.3  # seconds
_MOST_PAGES = 2**30
_WRITES = ("create", "claim", "claim_ready", "offer", "finish")


def value_of(params: Mapping[str, Any]) -> float:
    """What a trial must come to."""
    return float(params["x"] + params["n"] * ("abc".index(params["kind"]) + 1) + params["rate"])


def steps_of(number: int) -> int:
    """How many steps a trial must have reported: some train, save, and go on from there."""
    return STEPS if number % 7 == 0 else 0


class Ledger:
    """What this process knows to have happened: a line each, whole even if the process is killed then."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"ledger-{os.getpid()}-{os.getppid()}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *facts: Any) -> None:
        os.write(self._file, (json.dumps([*facts, time.time()]) + "\n").encode())


class Objective:
    """Writes that it was called; takes the time of the plan, in some trials over steps with checkpoints."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ledger = folder, dict[int, Ledger]()
        self._pause = float(json.loads((folder / "plan.json").read_text())["pause"])

    @property
    def ledger(self) -> Ledger:
        """That of the process that it runs in."""
        if os.getpid() not in self._ledger:
            self._ledger = {os.getpid(): Ledger(self._folder)}
        return self._ledger[os.getpid()]

    def __call__(self, trial: tn.Trial) -> float:
        self.ledger.write("began", trial.number, trial.row.attempt)
        value, pause = value_of(trial.params), 2 * self._pause * random.Random(trial.number).random()
        if not steps_of(trial.number):
            time.sleep(pause)
            return value
        trial.load()
        for step in trial.steps(STEPS):
            time.sleep(pause / STEPS)
            trial.report(value * (step / STEPS))
            trial.save({"step": step})
        return value

    def __reduce__(self) -> tuple[type[Objective], tuple[Path]]:
        return Objective, (self._folder,)


def joined(trial: tn.Trial) -> float:
    """The objective for `tuneful worker`, which imports it."""
    return Objective(Path(os.environ["CHAOS_FOLDER"]))(trial)


class Forgetful:
    """A store whose reply is lost now and then: what was asked has happened, but the caller cannot know."""

    def __init__(self, store: Any, every: int) -> None:
        self._store, self._every, self._calls = store, every, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._losing(found) if name in _WRITES else found

    def _losing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            answer = call(*args, **options)
            self._calls += 1
            if self._calls % self._every == 0:
                raise tn.StoreAway("The reply was lost.")
            return answer

        return called


def fill_disk(store: Any, seconds: float) -> None:
    """Have no more room in a file, as SQLite is told it, for a while; then there is again."""
    connection = store._connection  # noqa: SLF001 - users have no way to do this
    pages = max(db.execute("PRAGMA page_count").fetchone()[0] for db in [connection._db])  # noqa: SLF001 - the same

    def limit(pages: int) -> None:
        with connection._lock:  # noqa: SLF001 - the same
            for db in [connection._db]:  # noqa: SLF001 - the same
                db.execute(f"PRAGMA max_page_count = {pages}")

    limit(pages)
    threading.Timer(seconds, limit, (_MOST_PAGES,)).start()


def study_of(plan: Mapping[str, Any]) -> tn.Study:
    """The study of a plan, opened or made."""
    kept = {name: plan[name] for name in ("seed", "trials", "checkpoints")}
    study: tn.Study = patiently(tn.Study, SPACE, search="random", study=plan["address"], **kept)
    return study


def by_hand(plan: Mapping[str, Any], objective: Objective) -> None:
    """Ask and tell until every trial is over."""
    study = study_of(plan)
    session = study._session  # noqa: SLF001 - replies are lost, and disks are full, below what users see
    store = session.store
    if plan["forget"]:
        session.store = Forgetful(store, plan["forget"])
    while not _is_over(study, plan["trials"]):
        trial = patiently(study.ask, lease=plan["lease"])
        if trial is None:
            time.sleep(0.02)
            patiently(study.sync)
            continue
        if plan["full"] and trial.number % plan["full"] == 0 and trial.row.attempt == 1:
            fill_disk(store, _FULL)
        try:
            value = objective(trial)
        except tn.StoreError:  # a state could not be saved: another attempt goes on from the one before
            patiently(study.tell, trial, state="queued")
            objective.ledger.write("back", trial.number, trial.row.attempt)
            continue
        counts = patiently(study.tell, trial, value)
        objective.ledger.write("told" if counts else "late", trial.number, trial.row.attempt, value)
    patiently(study.close)


def _is_over(study: tn.Study, trials: int) -> bool:
    return len(study.history) >= trials and not study.history.unfinished


def by_run(plan: Mapping[str, Any], objective: Objective, **how: Any) -> None:
    """One call of `run`, which calls back when a result is acknowledged."""

    def told(_: tn.Study, record: Record) -> None:
        objective.ledger.write("told", record.number, record.attempt, record.value)

    study = study_of(plan)
    study.run(objective, quiet=True, callbacks=[told], **how)
    study.close()


def main(folder: Path, how: str) -> None:
    plan, objective = json.loads((folder / "plan.json").read_text()), Objective(folder)
    if how == "ask":
        by_hand(plan, objective)
    elif how == "run":
        by_run(plan, objective)
    else:
        by_run(plan, objective, workers=plan["workers"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
