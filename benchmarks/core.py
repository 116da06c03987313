"""The core beside its budgets, and beside Optuna, Rustuna and bare SQL: one table, measured in one run.

`make bench`. It takes two minutes and no network. How fast it is depends on the machine, so the exit code does not.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
from bare import Bare
from contenders import LIBRARIES, SPACE, STUDY
from files import write_optuna, write_tuneful
from measure import Call, cpu_of_python, in_process, in_turns, sync_seconds
from table import Table
from traffic import Traffic, tracing

from tuneful.history import Row, State
from tuneful.protocols import Outcome
from tuneful.stores import open_store, parse_address

MANY, SOME, FEW = 100_000, 10_000, 1_000
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    peers = {name: f"{name} {version(name)}" if name in LIBRARIES else name for name in ("optuna", "rustuna")}
    table = Table({"tuneful": "tuneful", **peers, "bare": "bare SQL"}, frozenset(peers) - frozenset(LIBRARIES))
    (ROOT / "build").mkdir(exist_ok=True)
    # Beside the sources, where there is a disk: /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "build") as name:
        folder = Path(name)
        print(f"In {folder.parent}, where the disk takes {1e3 * sync_seconds(folder):.2g} ms to keep a page.\n")
        table.head()
        imports(table, folder)
        memory(table)
        traffic(table, folder)
        speed(table, folder)
        for n in (FEW, MANY):
            write_tuneful(folder / f"tuneful-{n}.db", n)
        opening(table, folder)
        growth(table, folder)
    trials(table)
    table.foot()


def imports(table: Table, folder: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")  # the first round compiles all of them
    codes = {"python": "pass", "numpy": "import numpy", "study": "from tuneful import Study"}
    codes |= {library: f"import {library}" for library in LIBRARIES}
    rounds = [{name: cpu_of_python(code, env) for name, code in codes.items()} for _ in range(8)][1:]
    cpu = {name: median(seconds[name] - seconds["python"] for seconds in rounds) for name in codes}
    ratio = {name: seconds / cpu["numpy"] for name, seconds in cpu.items()}
    study = {"tuneful": ratio.pop("study")}
    table.line("import: CPU seconds, x numpy's", ratio, "at most 1.6", holds=ratio["tuneful"] <= 1.6)
    table.line("  and all that tuneful.Study needs", study)


def memory(table: Table) -> None:
    counts = {"tuneful": 200, "optuna": 50, "rustuna": 1000}
    calls = {name: (library(), counts[name]) for name, library in LIBRARIES.items()}
    cost = {name: 1e3 * seconds for name, seconds in in_turns(calls, 15, time.process_time).items()}
    table.line("random ask + tell in memory: CPU ms", cost, "at most 0.1", holds=cost["tuneful"] <= 0.1)


def traffic(table: Table, folder: Path) -> None:
    found: dict[str, Traffic] = {}
    for name in LIBRARIES.keys() - {"rustuna"}:  # it brings a SQLite of its own
        with tracing() as trace:
            trial = LIBRARIES[name](folder / f"traffic-{name}.db")
            trial()
            found[name] = trace.traffic(trial)
    ours, costs = found["tuneful"], found.items()
    statements = {name: cost.statements for name, cost in costs}
    commits = {name: cost.commits for name, cost in costs}
    synced = {name: cost.synced for name, cost in costs}
    table.line("SQLite: statements a trial", statements, "at most 4", holds=ours.statements <= 4)
    table.line("  commits a trial", commits, "at most 2", holds=ours.commits <= 2)
    table.line("  commits that wait for the disk", synced, "at most 1", holds=ours.synced <= 1)


def speed(table: Table, folder: Path) -> None:
    counts = {"tuneful": 40, "optuna": 2, "rustuna": 10, "bare": 40}
    makers: dict[str, Callable[[Path], Call]] = {**LIBRARIES, "bare": Bare}
    trials = {name: (make(folder / f"speed-{name}.db"), counts[name]) for name, make in makers.items()}
    write_tuneful(folder / "speed-store.db", 0)
    trials["store"] = (storing(folder / "speed-store.db", 0), 40)
    rate = {name: 1 / seconds for name, seconds in in_turns(trials, 25).items()}
    store = {"tuneful": rate.pop("store") / rate["bare"]}
    share = {name: rate[name] / rate["bare"] for name in rate}
    table.line("  trials a second", rate)
    table.line("  share of the bare loop's", share, "at least 0.6", holds=share["tuneful"] >= 0.6)
    table.line("  the same of the store, without a study", store)
    if "optuna" in rate:
        times = {name: rate[name] / rate["optuna"] for name in rate}
        table.line("  x Optuna's", times, "at least 10", holds=times["tuneful"] >= 10)


def opening(table: Table, folder: Path) -> None:
    found = {"tuneful": in_process("files.py", "tuneful", *(folder / f"tuneful-{n}.db" for n in (FEW, MANY)))}
    if "optuna" in LIBRARIES:  # Rustuna reads the tables of Optuna
        paths = [folder / f"optuna-{n}.db" for n in (FEW, SOME)]
        for path, n in zip(paths, (FEW, SOME), strict=True):
            write_optuna(path, n)
        found |= {name: in_process("files.py", name, *paths) for name in LIBRARIES if name != "tuneful"}
    scale = {name: 1 if name == "tuneful" else MANY / SOME for name in found}
    seconds, peak, after = (
        {name: scale[name] * cost[which] for name, cost in found.items()} for which in ("seconds", "peak", "after")
    )
    table.line(f"open {MANY:,} trials: CPU seconds *", seconds, "at most 2", holds=seconds["tuneful"] <= 2)
    table.line("  memory at most, MB *", peak, "at most 60", holds=peak["tuneful"] <= 60)
    table.line("  memory afterwards, MB *", after)
    table.note(f"* measured with {MANY:,} trials for tuneful, and as {MANY // SOME} x {SOME:,} for the others")


def growth(table: Table, folder: Path) -> None:
    calls = {f"{n}": (storing(folder / f"tuneful-{n}.db", n), 50) for n in (FEW, MANY)}
    few, many = in_turns(calls, 15, time.process_time).values()
    table.line(f"store a trial at {FEW:,}: CPU ms", {"tuneful": 1e3 * few})
    table.line(f"  at {MANY:,}, x that", {"tuneful": many / few}, "at most 1.5", holds=many <= 1.5 * few)


def storing(place: Path | str, n: int) -> Call:
    """Creates and finishes a trial in a file or database that has `n`, without a study around it."""
    store, numbers = open_store(parse_address(f"{place}#{STUDY}")), count(n)
    config = SPACE.config(SPACE.decode(np.full((1, len(SPACE)), 0.123))[0])

    def store_trial() -> None:
        row = Row(next(numbers), config, state=State.RUNNING, attempt=1, why={"searcher": "random"})
        created = store.create(STUDY, [row], None)
        assert created is not None
        row.state, row.values = State.DONE, {"value": 1.0}
        store.finish(STUDY, created[1][0], Outcome(row))

    return store_trial


def trials(table: Table) -> None:
    studies = {name: library() for name, library in LIBRARIES.items()}
    for trial in studies.values():
        for _ in range(SOME):
            trial()
    get: dict[str, tuple[Call, int]] = {name: (study.trials, 3) for name, study in studies.items()}
    read: dict[str, tuple[Call, int]] = {name: (study.values, 3) for name, study in studies.items()}
    got, known = (
        {name: 1e3 * seconds for name, seconds in in_turns(calls, 5, time.process_time).items()}
        for calls in (get, read)
    )
    table.line(f"study.trials at {SOME:,}: CPU ms", got, "at most 10", holds=got["tuneful"] <= 10)
    table.line("  and the value of each", known, "at most 10", holds=known["tuneful"] <= 10)


if __name__ == "__main__":
    main()
