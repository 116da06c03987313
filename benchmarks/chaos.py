"""Hurts workers and stores while a study runs, and checks that nothing is lost, doubled, wrong or left behind.

`make chaos`; `make chaos ARGS="T1 T4 --seed 7"` runs some. The exit code is 1 if a run breaks a promise; its folder
is kept then, with the store, what each process said and did, and the seed.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count, takewhile
from operator import itemgetter
from pathlib import Path
from statistics import median

from chaos_check import Findings, check
from chaos_crew import Crew
from chaos_places import Postgres, SqliteFile, place_of
from chaos_worker import study_of

from tuneful.stores import open_store, parse_address

ROOT = Path(__file__).resolve().parents[1]
_GAIN = 10  # results between two faults of workers, at least
_QUIET = 3.0  # seconds before the first fault of a server, and between restarts


@dataclass(frozen=True)
class Plan:
    """One run of the harness.

    Attributes:
        name: What it is called.
        store: `sqlite` or `postgres`.
        by: How workers work, see `chaos_worker`; `peers` mixes those that ask and those that run, and `joined` those
            of a run with those of `tuneful worker`, as many of each.
        trials: How many; `workers`, by how many at once.
        kills: Seconds between faults of workers; `stops`, the share of them that only stop one, for twice the lease.
        lease: Seconds after which a silent worker is given up.
        pause: Seconds that a trial takes, on average.
        forget: Of how many writes of those that ask one loses its reply; 0 for none.
        full: Of how many trials of those that ask one finds the disk full for a while; 0 for none.
        restarts: How often the server is restarted, in turns fast and immediate.
        ends: Seconds between connections that the server ends; 0 for never.
        cut: Seconds for which the network is cut, once.
        most: Seconds after which the run is given up.
    """

    name: str
    store: str = "sqlite"
    by: str = "peers"
    trials: int = 2_000
    workers: int = 4
    kills: float = 0.5
    stops: float = 0.0
    lease: float = 1.5
    pause: float = 0.002
    forget: int = 0
    full: int = 0
    restarts: int = 0
    ends: float = 0.0
    cut: float = 0.0
    most: float = 120.0
    seed: int = 0


PLANS = {
    plan.name: plan
    for plan in (
        Plan("T1"),
        Plan("T1w", by="workers"),
        Plan("T2", trials=10_000, workers=8, kills=1.0, stops=0.2),
        Plan("T2w", by="joined", trials=10_000, workers=4, kills=1.0),
        Plan("T3", store="postgres", trials=10_000, workers=8, kills=1.0, stops=0.2, most=240.0),
        Plan("T3w", store="postgres", by="joined", trials=10_000, workers=4, kills=1.0, most=240.0),
        Plan("T4", by="ask", trials=4_000, workers=8, kills=0.5, stops=0.2, pause=0.02),
        Plan("T4p", store="postgres", by="ask", trials=4_000, workers=8, kills=0.5, stops=0.2, pause=0.02),
        Plan("T5", by="ask", kills=0.0, forget=50),
        Plan("T6", store="postgres", workers=8, kills=0.0, pause=0.05, restarts=3),
        Plan("T6w", store="postgres", by="joined", kills=0.0, pause=0.05, restarts=3),
        Plan("T7", store="postgres", workers=8, kills=0.0, pause=0.02, ends=0.3, cut=5.0),
        Plan("T8", by="ask", kills=0.0, full=50),
    )
}


class Run:
    """One study, hurt until it is over."""

    def __init__(self, plan: Plan, folder: Path, place: SqliteFile | Postgres) -> None:
        self._plan, self._folder, self._place = plan, folder, place
        self._rng = random.Random(plan.seed)
        self._facts = asdict(plan) | {"address": place.address, "checkpoints": str(folder / "checkpoints")}
        self._cut: threading.Thread | None = None
        self.away: list[float] = []
        self._told = 0
        (folder / "plan.json").write_text(json.dumps(self._facts))

    def __call__(self) -> tuple[Findings, Crew]:
        """Run it to its end, and check what came of it."""
        study_of(self._facts).close()
        crew = Crew(self._folder, _hows(self._plan))
        feed = [sys.executable, str(Path(__file__).with_name("chaos_feed.py")), str(self._folder)]
        with (self._folder / "said-feed.txt").open("wb") as said:
            reader = subprocess.Popen(feed, stdout=said, stderr=said)
        try:
            self._hurt(crew)
        finally:
            crew.end()
            (self._folder / "over").touch()
            if self._cut is not None:
                self._cut.join()
        if reader.wait(60):
            crew.deaths.append((reader.pid, reader.returncode))
        return check(self._folder, self._facts, crew.faults, self._damage()), crew

    def _hurt(self, crew: Crew) -> None:
        while crew.working and not any(self._folder.glob("ledger-*.jsonl")):
            time.sleep(0.01)
        began = time.monotonic()
        for at, fault in self._faults(crew):
            while time.monotonic() - began < at:
                if not crew.working:
                    return
                time.sleep(0.01)
            fault()

    def _faults(self, crew: Crew) -> Iterator[tuple[float, Callable[[], object]]]:
        """What happens, and after how many seconds, in order; at last nothing."""
        plan, place = self._plan, self._place
        streams: list[Iterable[tuple[float, Callable[[], object]]]] = []
        if plan.kills:
            streams.append((i * plan.kills, partial(self._harm, crew)) for i in count(1))
        if isinstance(place, Postgres):
            restart = [partial(self._restart, place, how) for how in ("fast", "immediate")]
            streams.append((_QUIET * (i + 1), restart[i % 2]) for i in range(plan.restarts))
            if plan.ends:
                streams.append((i * plan.ends, partial(place.terminate, self._rng)) for i in count(1))
            if plan.cut:
                streams.append([(_QUIET, partial(self._begin_cut, place))])
        faults = heapq.merge(*streams, key=itemgetter(0))
        yield from takewhile(lambda fault: fault[0] < plan.most, faults)
        yield plan.most, lambda: None

    def _harm(self, crew: Crew) -> None:
        """Kill or stop a process, if enough was done since the last time; else a slow machine has no chance."""
        told = sum(path.read_text().count('["told"') for path in self._folder.glob("ledger-*.jsonl"))
        if told >= self._told + _GAIN:
            self._told = told
            crew.hurt(self._rng, self._plan.stops, 2 * self._plan.lease)

    def _restart(self, place: Postgres, how: str) -> None:
        self.away.append(place.restart(how))

    def _begin_cut(self, place: Postgres) -> None:
        assert place.proxy is not None
        self.away.append(self._plan.cut)
        self._cut = threading.Thread(target=place.proxy.cut, args=(self._plan.cut,))
        self._cut.start()

    def _damage(self) -> list[str]:
        store = open_store(parse_address(self._place.address))
        try:
            return [*self._place.damage(), *store.check()]
        finally:
            store.close()


def _hows(plan: Plan) -> list[str]:
    groups = {"workers": ["workers"], "joined": ["workers", "join"]}
    alone = {"peers": ["ask", "run"]}.get(plan.by, [plan.by])
    return groups.get(plan.by) or [alone[slot % len(alone)] for slot in range(plan.workers)]


def broken(plan: Plan, root: Path) -> list[str]:
    """Run a plan in a new folder of `root` and print what came of it; the promises that it broke."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{plan.name}-", dir=root))
    began = time.monotonic()
    with place_of(plan.store, folder, proxied=bool(plan.cut)) as place:
        run = Run(plan, folder, place)
        found, crew = run()
    print(_line(plan, found, crew, run.away, time.monotonic() - began), flush=True)
    problems = found.broken + [f"process {pid} ended with {code}" for pid, code in crew.deaths]
    problems += [f"process {pid} was left over" for pid in crew.left]
    if problems:
        print(f"  {plan.name} broke: {', '.join(problems)}. Seed {plan.seed}; see {folder}.")
        print(*(f"    {sentence}" for sentence in found.damage), sep="\n")
    else:
        shutil.rmtree(folder)
    return problems


_COLUMNS = (
    *("plan", "store", "by", "trials", "kill", "stop", "away", "L", "D", "W", "N", "Z", "F", "I", "deaths"),
    *("late", "given up", "requeued s", "after stop s", "stall s", "seconds"),
)
_WIDTHS = 5, 9, 8, 7, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 7, 5, 9, 12, 13, 8, 8


def _line(plan: Plan, found: Findings, crew: Crew, away: Sequence[float], seconds: float) -> str:
    kinds = Counter(fault.kind for fault in crew.faults)
    broken = found.lost, found.doubled, found.wrong, found.gaps, found.unfinished, found.missed, len(found.damage)
    facts = plan.name, plan.store, plan.by, f"{plan.trials:,}", kinds["kill"], kinds["stop"], len(away)
    times = (_both(found.requeued.get(kind, [])) for kind in ("kill", "stop"))
    return _cells(
        (*facts, *broken, len(crew.deaths), found.late, found.given_up, *times, f"{found.stall:.1f}", f"{seconds:.1f}")
    )


def _both(seconds: Sequence[float]) -> str:
    """The median and the longest."""
    return f"{median(seconds):.2f} / {max(seconds):.2f}" if seconds else "-"


def _cells(cells: Sequence[object]) -> str:
    return "".join(str(cell).rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


_LEGEND = """
L lost acknowledged results   D trials with two results   W wrong values   N numbers missing or too many
Z trials that are not over    F missed by a reader        I damage         deaths: of workers, by no fault
late: results set aside, as another worker had the trial   away: times the store was away, on purpose
requeued: from a kill to the trial's being queued or run again, median / longest; stall: without any result
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=f"of {', '.join(PLANS)}; all by default")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000))
    parser.add_argument("--by", choices=("peers", "ask", "run", "workers", "joined"), help="how workers work")
    parser.add_argument("--store", choices=("sqlite", "postgres"), help="only the plans on this store")
    parser.add_argument("--trials", type=int)
    given = parser.parse_args()
    plans = [PLANS[name] for name in given.plans or PLANS]
    changes = {name: value for name in ("by", "trials") if (value := getattr(given, name)) is not None}
    root = ROOT / "build"
    root.mkdir(exist_ok=True)
    print(_LEGEND, f"seed {given.seed}\n", _cells(_COLUMNS), sep="\n")
    chosen = [replace(plan, seed=given.seed, **changes) for plan in plans if given.store in (None, plan.store)]
    kept = [not broken(plan, root) for plan in chosen]
    print(f"\n{sum(kept)} of {len(kept)} runs kept every promise.")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
